"""What the test process has around it, which handlers are to find in their workers too."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ..errors import InvalidConfiguration
from ..rpc.v1 import worker_pb2

#: How the names of the runner's own variables begin: a token may be in one.
OURS = "DURABLE_RUNNER_"


def take(began_with: Mapping[str, str]) -> worker_pb2.Surroundings:
    """Return the working folder, and how the environment differs from what workers began with.

    Variables of the runner's own do not count, nor those that are not UTF-8.

    Raises:
        InvalidConfiguration: The working folder is gone.
    """
    now = dict(os.environ)
    try:
        folder = os.getcwd()
    except OSError:
        raise InvalidConfiguration(
            "The working folder of this process is gone: change to one that exists before a runner "
            "is opened."
        ) from None
    return worker_pb2.Surroundings(
        variables={
            name: value
            for name, value in now.items()
            if began_with.get(name) != value and _travels(name, value)
        },
        unset=[name for name in began_with if name not in now and _travels(name)],
        folder=os.fsencode(folder),
    )


def _travels(*texts: str) -> bool:
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return False
    return not texts[0].startswith(OURS)
