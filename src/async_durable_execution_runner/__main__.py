"""`python -m async_durable_execution_runner`: the command `durable-runner`."""

from __future__ import annotations

import sys

from .cli.main import main

sys.exit(main())
