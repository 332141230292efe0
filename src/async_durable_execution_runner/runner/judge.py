"""The judge of an exploration's runs: what is wrong with a run in itself, and beside the clean
one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from ..core.divergence import divergences_text
from ..core.model import ExecutionStatus, HistoryEvent
from ..core.wellformed import problems as history_problems
from ..results.ledger import Ledger
from ..results.records import ExecutionRecord
from ..results.result import DurableFunctionTestResult
from ..results.statuses import InvocationStatus
from ..results.tables import effects_table
from ..results.values import shown

# pytest shows the line of the test, not ours.
__tracebackhide__ = True

Check = Callable[[DurableFunctionTestResult], object]
"""A function that judges a result: it raises, or returns False, where the result is wrong."""


def succeeded(result: DurableFunctionTestResult) -> bool:
    return result.status is InvocationStatus.SUCCEEDED


def wrong_in_itself(
    record: ExecutionRecord,
    result: DurableFunctionTestResult,
    check: Check | None,
    moved: bool = False,
) -> Iterator[str]:
    """Say what is wrong with a run, which has `moved` if other worker hosts went on with it."""
    events: Sequence[HistoryEvent] = list(record.events)
    if record.status is not ExecutionStatus.RUNNING:
        yield from (f"the history is broken: {each}" for each in history_problems(events))
    if result.divergences:
        what = "what is recorded does not fit" if moved else "not deterministic"
        yield f"{what}:\n{divergences_text(result.divergences)}"
    for unfired in record.unfired_faults:
        yield f"{unfired} never fired: this run went another way than the clean one"
    if check is not None:
        try:
            if check(result) is False:
                yield "the check returned False"
        except Exception as error:
            yield f"the check failed: {type(error).__name__}: {error}".rstrip()


def _effects(ledger: Ledger) -> Counter[tuple[str, str]]:
    """How often each effect happened outside, where an idempotency key makes it happen once."""
    seen = Counter((each.name, json.dumps(each.key, sort_keys=True)) for each in ledger)
    return Counter({pair: n if pair[1] == "null" else 1 for pair, n in seen.items()})


def _compared_effects(mine: Ledger, clean: Ledger) -> Iterator[str]:
    ours, theirs = _effects(mine), _effects(clean)
    names = dict.fromkeys(name for name, _ in [*theirs, *ours])
    for name in names:
        count = sum(n for (each, _), n in ours.items() if each == name)
        wanted = sum(n for (each, _), n in theirs.items() if each == name)
        if count == wanted:
            continue
        table = "\n".join(effects_table(mine.named(name)))
        yield (
            f"{name} happened {_times(count)} (in the clean run {_times(wanted)}); an idempotency "
            f"key that stays the same would make it once\n{table}"
            if count > wanted
            else f"{name} happened {_times(count)} (in the clean run {_times(wanted)})"
        )


def cause(result: DurableFunctionTestResult) -> str:
    if result.error is None:
        return ""
    return "".join(f": {part}" for part in (result.error.type, result.error.message) if part)


def _result(result: DurableFunctionTestResult) -> str:
    return "None" if result.result is None else shown(result.result)


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def compared(
    result: DurableFunctionTestResult, clean: DurableFunctionTestResult, other_code: bool = False
) -> Iterator[str]:
    """Say where a run comes out otherwise than the clean one.

    With `other_code`, its operations may be others: what counts is what comes of them.
    """
    if result.status is not clean.status:
        yield (f"it ended {result.status.value}, the clean run {clean.status.value}{cause(result)}")
    elif result.result != clean.result:
        yield f"its result is {_result(result)}, the clean run's {_result(clean)}"
    if not other_code:
        yield from _compared_operations(result, clean)
    yield from _compared_effects(result.ledger, clean.ledger)


def _compared_operations(
    result: DurableFunctionTestResult, clean: DurableFunctionTestResult
) -> Iterator[str]:
    mine = {each.operation_id: each for each in result.get_all_operations()}
    for operation in clean.get_all_operations():
        label = f"{operation.kind} {operation.name or operation.operation_id[:8]}"
        here = mine.pop(operation.operation_id, None)
        if here is None:
            yield f"{label} is missing"
        elif here.name != operation.name or here.operation_type is not operation.operation_type:
            yield f"{here.kind} {here.name or 'without a name'} stands where {label} should"
        elif here.status is not operation.status and result.status is InvocationStatus.SUCCEEDED:
            yield f"{label} ended {here.status.value}, in the clean run {operation.status.value}"
    for extra in mine.values():
        yield f"{extra.kind} {extra.name or extra.operation_id[:8]} is not in the clean run"
