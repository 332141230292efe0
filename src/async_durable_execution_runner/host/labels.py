"""What every worker host says of itself, beside the labels that it is given."""

from __future__ import annotations

import contextlib
import platform
from importlib.metadata import PackageNotFoundError, version

#: The packages of which a host's labels have the versions.
_PACKAGES = {
    "runner": "async-durable-execution-runner",
    "sdk": "async-durable-execution",
    "official-sdk": "aws-durable-execution-sdk-python",
}


def own() -> dict[str, str]:
    """Return the host's name, and the versions of what runs there."""
    found = {"name": platform.node(), "python": platform.python_version()}
    for label, package in _PACKAGES.items():
        with contextlib.suppress(PackageNotFoundError):
            found[label] = version(package)
    return found
