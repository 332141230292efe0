"""Print how many seconds a new process takes to the first result, its imports included."""

import time

began = time.perf_counter()

import handlers  # noqa: E402

from async_durable_execution_runner import DurableFunctionTestRunner  # noqa: E402

if __name__ == "__main__":
    with DurableFunctionTestRunner(handler=handlers.steps, workers=1) as runner:
        assert runner.run(input={"steps": 1}).result == "1"
        print(time.perf_counter() - began)
