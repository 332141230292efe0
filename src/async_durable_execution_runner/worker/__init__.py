"""The process that runs a handler, and inline workers, which do it in the process of a test.

This package imports the SDK and never the coordinator.
"""

from __future__ import annotations

import os

_PACKAGE = os.path.dirname(os.path.dirname(__file__))
#: The folders of the runner's own code that is below a handler's code on the stack of a worker.
OUR_FOLDERS = tuple(os.path.join(_PACKAGE, name, "") for name in ("worker", "host"))
