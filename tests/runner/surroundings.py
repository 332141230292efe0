"""Handlers that say what they find around them."""

from __future__ import annotations

import os
import time
from typing import Any

from async_durable_execution import durable_execution

AT_IMPORT = os.environ.get("SURROUNDING")


@durable_execution
async def look(event: dict[str, Any]) -> dict[str, Any]:
    found = {
        "variable": os.environ.get("SURROUNDING"),
        "at_import": AT_IMPORT,
        "folder": os.getcwd(),
        "test": os.environ.get("PYTEST_CURRENT_TEST"),
        "ours": sorted(name for name in os.environ if name.startswith("DURABLE_RUNNER_")),
        "zone": time.strftime("%Z"),
        "region": os.environ["AWS_REGION"],
        "default_region": os.environ["AWS_DEFAULT_REGION"],
        "pid": os.getpid(),
    }
    if (own := event.get("set")) is not None:
        os.environ["HANDLERS_OWN"] = own
    return {**found, "own": os.environ.get("HANDLERS_OWN")}
