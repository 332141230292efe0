"""What a test does that runs on a machine of its own: many executions, and what became of them.

Its argument says how many. It says "running" when the first has ended, and ends with a JSON object.
"""

from __future__ import annotations

import json
import sys
import time

from async_durable_execution_runner import DurableFunctionTestRunner

from .handlers import charges


def main(count: int) -> None:
    with DurableFunctionTestRunner(charges, invocation_retries=None) as runner:
        runner.run({"id": "first"}, timeout=60)
        print("running", flush=True)
        began = time.monotonic()
        results = runner.run_many([{"id": n} for n in range(count)], timeout=120)
        took = time.monotonic() - began
        hosts = len(runner.status().hosts)
    more = 0
    for result in results:
        for effect in result.ledger:
            # An effect may come twice only where its first invocation was lost.
            same = [other for other in result.ledger if other.key == effect.key]
            more += len(same) > 1 and all(each.invocation_error is None for each in same)
    print(
        json.dumps(
            {
                "succeeded": sum(result.get_deserialized_result() == 10 for result in results),
                "lost invocations": sum(
                    each.error is not None for result in results for each in result.invocations
                ),
                "repeated without a reason": more,
                "took": took,
                "hosts": hosts,
            }
        )
    )


main(int(sys.argv[1]))
