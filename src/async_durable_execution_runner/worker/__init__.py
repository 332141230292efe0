"""The process that runs a handler, and inline workers, which do it in the process of a test.

Imports the SDK and never the coordinator.
"""

from __future__ import annotations

import os

_PACKAGE = os.path.dirname(os.path.dirname(__file__))
#: Where the code is that is below a handler's on the stack of a worker, and is not the handler's.
OUR_FOLDERS = tuple(os.path.join(_PACKAGE, name, "") for name in ("worker", "host"))
