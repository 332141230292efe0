"""The demonstration: an order workflow whose worker is killed once, and the timeline of it.

The charge is made, and before its checkpoint is written the process dies, as one of Lambda's may.
The next invocation replays what was checkpointed and enters the step again. The payment provider
knows the order's key by then, and so the customer is charged once.
"""

from __future__ import annotations

import io
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from async_durable_execution import durable_execution, step, wait

_MARK = {
    "Started": "·",
    "Succeeded": "✓",
    "Failed": "✗",
    "TimedOut": "✗",
}


def _ledger() -> Path:
    """The payment provider, which is a file since it must outlive the worker."""
    return Path(os.environ["DEMO_LEDGER"])


async def reserve_stock() -> str:
    print("3 items set aside")
    return "reserved"


async def charge_card() -> str:
    ledger = _ledger()
    if "order-1001" in ledger.read_text():
        print("the provider knows order-1001: not charged again")
    else:
        ledger.write_text("order-1001 49.90 EUR\n")
        print("charged 49.90 EUR; and now the power goes out")
        os.kill(os.getpid(), signal.SIGKILL)
    return "paid"


async def ship() -> str:
    print("handed to the carrier")
    return "parcel-77"


@durable_execution
async def order_workflow(event: dict[str, Any]) -> dict[str, Any]:
    await step(reserve_stock, name="reserve stock")
    payment = await step(charge_card, name="charge card")
    await wait(timedelta(days=2), name="cooling-off period")
    parcel = await step(ship, name="ship")
    return {"order": event["order_id"], "payment": payment, "parcel": parcel}


def show(write: Callable[[str], object]) -> int:
    """Run the workflow and write its timeline; return 0 if the customer was charged once, or 1."""
    from ..results.result import DurableFunctionTestResult
    from ..runner.blocking import DurableFunctionTestRunner

    with tempfile.TemporaryDirectory() as folder:
        ledger = Path(folder) / "ledger"
        ledger.touch()
        env = {"DEMO_LEDGER": str(ledger)}
        # What the handler prints is in the timeline.
        with (
            redirect_stdout(io.StringIO()),
            DurableFunctionTestRunner(handler=order_workflow, workers=2, env=env) as runner,
        ):
            result: DurableFunctionTestResult = runner.run(input={"order_id": "order-1001"})
        charges = ledger.read_text().splitlines()
    write(f"{result.describe()}\n\ntimeline\n")
    for line in timeline(result):
        write(f"  {line}\n")
    write(f"\nThe payment provider has {len(charges)} charge: {', '.join(charges)}\n")
    return 0 if len(charges) == 1 and result.error is None else 1


#: The events that the service makes by itself, between invocations or beside them.
_SERVICE_EVENTS = ("ExecutionStarted", "WaitSucceeded", "CallbackSucceeded", "CallbackFailed")


def timeline(result: Any) -> Iterator[str]:
    """A line for each event, with the time since the start on the execution's own clock."""
    start = result.start_timestamp
    invocations = list(result.invocations)
    completed, announced = 0, 0
    for event in result.history:
        # An invocation is first seen by an event that the service does not make by itself.
        if announced == completed < len(invocations) and event.event_type not in _SERVICE_EVENTS:
            announced += 1
            who = f"worker process {invocations[completed].pid}"
            who += ", replays what was checkpointed" if completed else ""
            begun = invocations[completed].start
            yield _row(begun, start, "→", f"invocation {announced}", who)
        if event.event_type == "InvocationCompleted":
            completed += 1
            yield from _invocation_end(invocations[completed - 1], start, completed)
        else:
            name = event.name if event.event_type[:9] != "Execution" else ""
            yield _row(event.timestamp, start, _mark(event.event_type), event.event_type, name)


def _invocation_end(invocation: Any, start: datetime, number: int) -> Iterator[str]:
    for line in invocation.output.splitlines():
        yield f"{'':>14}    {line!s}"
    if invocation.error is None:
        what = {"PENDING": "suspended"}.get(invocation.outcome, "returned")
        yield _row(invocation.end, start, "←", f"invocation {number}", what)
    else:
        cause = invocation.error.message.rpartition("Error: ")[2]
        yield _row(invocation.end, start, "✗", f"invocation {number}", f"DIED: {cause}")


def _mark(event_type: str) -> str:
    return next((mark for end, mark in _MARK.items() if event_type.endswith(end)), "·")


def _row(when: datetime, start: datetime, mark: str, what: str, detail: str) -> str:
    elapsed = when - start
    days = f"{elapsed.days} d " if elapsed.days else ""
    seconds = (elapsed - timedelta(days=elapsed.days)).total_seconds()
    return f"{f'{days}+{seconds:.3f} s':>14}  {mark} {what:<22}{detail}".rstrip()
