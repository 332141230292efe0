"""What a test does that runs on a machine of its own: many executions, and what became of them.

Its first argument says how many. Three more are the FIFOs of an execution that is late, which a
worker host takes that has the label for it. It says "running" when the first has ended, and ends
with a JSON object.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from async_durable_execution_runner import DurableFunctionTestResult, DurableFunctionTestRunner

from .handlers import charges, late


def main(count: int, *fifos: str) -> None:
    words = dict(zip(("begun", "go", "recorded"), fifos, strict=False))
    last: dict[str, Any] = {}
    with (
        DurableFunctionTestRunner(late, labels={"takes": "the late one"}) as later,
        DurableFunctionTestRunner(charges, invocation_retries=None) as runner,
    ):
        if words:
            handle = later.start(words)
        runner.run({"id": "first"}, timeout=60)
        print("running", flush=True)
        results = runner.run_many([{"id": n} for n in range(count)], timeout=120)
        if words:
            Path(words["recorded"]).read_text()
            result = handle.result(timeout=60)
            last = {
                "returned": result.get_deserialized_result(),
                "stale": [each.stale for each in result.ledger],
            }
    print(
        json.dumps(
            {
                "succeeded": sum(each.get_deserialized_result() == 10 for each in results),
                "lost invocations": sum(
                    each.error is not None for result in results for each in result.invocations
                ),
                "repeated without a reason": sum(map(repeated, results)),
                "workers": len({each.worker_id for it in results for each in it.invocations}),
                "late": last,
            }
        )
    )


def repeated(result: DurableFunctionTestResult) -> bool:
    """Whether an effect came again that may not: where its first invocation was not lost, or where
    its step is run at most once."""
    for effect in result.ledger:
        same = [other for other in result.ledger if other.key == effect.key]
        lost = any(each.invocation_error is not None for each in same)
        if len(same) > 1 and (not lost or effect.operation_name == "charge 1"):
            return True
    return False


main(int(sys.argv[1]), *sys.argv[2:])
