"""What the test process has around it, which handlers are to find in their workers too."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ..errors import InvalidConfiguration
from ..rpc import OURS
from ..rpc.v1 import worker_pb2
from ..worker import covered


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
        coverage=covered.describe(),
    )


def changes(before: worker_pb2.Surroundings, began_with: Mapping[str, str]) -> list[str]:
    """Return what is no longer as in `before`: the variables' names, and "the working folder".

    Args:
        before: What `take` has returned.
        began_with: The environment that workers began with.
    """
    try:
        now = take(began_with)
    except InvalidConfiguration:
        return ["the working folder"]
    old, new = _differences(before), _differences(now)
    # pytest itself changes this one from one phase of a test to the next.
    names = (old.keys() | new.keys()) - {"PYTEST_CURRENT_TEST"}
    missing = object()
    changed = [
        f"`{name}`" for name in sorted(names) if old.get(name, missing) != new.get(name, missing)
    ]
    return [*changed, "the working folder"] if now.folder != before.folder else changed


def _differences(surroundings: worker_pb2.Surroundings) -> dict[str, str | None]:
    return {**surroundings.variables, **dict.fromkeys(surroundings.unset)}


def _travels(*texts: str) -> bool:
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return False
    return not texts[0].startswith(OURS)
