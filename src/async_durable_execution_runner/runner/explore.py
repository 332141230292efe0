"""Crash exploration: run once cleanly, then once for each moment with the worker killed there.

Every run is judged against the clean one; a failure comes with the one line that reproduces
it. The runs differ from others only in their fault plans: the coordinator does not know of
explorations.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..client.drive import drive
from ..core.divergence import divergences_text
from ..core.fault_places import CrashPoint
from ..core.model import ExecutionStatus, HistoryEvent
from ..core.text import visible
from ..core.wellformed import problems as history_problems
from ..errors import OperationNotFound, RunnerError
from ..results.ledger import Ledger
from ..results.records import ExecutionRecord
from ..results.result import DurableFunctionTestResult
from ..results.statuses import InvocationStatus
from ..results.tables import effects_table
from ..results.values import shown
from . import suite
from .progress import Progress

if TYPE_CHECKING:
    from ..client.control import Start
    from .engine import Engine

# pytest shows the line of the test, not ours.
__tracebackhide__ = True

Check = Callable[[DurableFunctionTestResult], object]
"""A function that judges a result: it raises, or returns False, where the result is wrong."""

_SHOWN_FAILURES = 20
_SHOWN_PROBLEMS = 3


@dataclass(frozen=True, slots=True, repr=False)
class CrashRun:
    """One run with the worker killed at one moment, or at two. Without `problems` all is well."""

    faults: tuple[str, ...]
    #: What was under way when the worker was killed.
    label: str
    problems: tuple[str, ...]
    #: None where the run failed with an error of the runner's.
    result: DurableFunctionTestResult | None

    @property
    def reproduction(self) -> str:
        """The argument of `run` that reproduces this run."""
        plan = self.faults[0] if len(self.faults) == 1 else self.faults
        return f"faults={json.dumps(plan)}"

    def __repr__(self) -> str:
        return f"<CrashRun {self.reproduction}, {len(self.problems)} problems>"


@dataclass(frozen=True, slots=True, repr=False)
class CrashReport:
    """What an exploration found. `print(report)` shows it as a table."""

    function_name: str
    clean: DurableFunctionTestResult
    runs: Sequence[CrashRun]
    #: How many pairs of crashes were not tried, since another that leads to the same state was.
    pruned: int
    seconds: float
    #: Whether there was a `check`, which then has passed the clean run.
    checked: bool = False

    @property
    def explored(self) -> int:
        return len(self.runs)

    @property
    def failures(self) -> list[CrashRun]:
        return [run for run in self.runs if run.problems]

    @property
    def failed(self) -> int:
        return len(self.failures)

    @property
    def passed(self) -> int:
        return self.explored - self.failed

    @property
    def ok(self) -> bool:
        """Whether all runs came out like the clean one, which succeeded or passed `check`."""
        return not self.failures and (self.checked or _succeeded(self.clean))

    def assert_ok(self) -> None:
        """Raise `AssertionError`, with the report, unless the report is `ok`."""
        if not self.ok:
            raise AssertionError(str(self))

    def __repr__(self) -> str:
        return (
            f"<CrashReport of {self.function_name!r}, {self.explored} runs, {self.failed} failed>"
        )

    def __str__(self) -> str:
        return self.text(lambda run: f"runner.run(<the same input>, {run.reproduction})")

    def text(self, again: Callable[[CrashRun], str]) -> str:
        """The report; `again` says what shows a run once more."""
        return visible("\n".join(self._lines(again)))

    def _lines(self, again: Callable[[CrashRun], str]) -> Iterator[str]:
        pruned = f", {self.pruned} pruned" if self.pruned else ""
        yield (
            f"{self.function_name} · {self.explored} crash points explored: {self.passed} passed, "
            f"{self.failed} failed{pruned} · {self.seconds:.1f} s"
        )
        if not _succeeded(self.clean):
            yield f"the clean run ended {self.clean.status.value}{_cause(self.clean)}"
            if not self.checked:
                yield "if that is how it should end, say so with check="
        if not self.failures:
            return
        shown = self.failures[:_SHOWN_FAILURES]
        for run in shown:
            yield ""
            yield f"{run.reproduction}"
            if run.label:
                yield f"    killed at   {run.label}"
            for number, problem in enumerate(run.problems[:_SHOWN_PROBLEMS]):
                first, *rest = problem.splitlines()
                yield f"    {'wrong' if number == 0 else '':<11} {first}"
                yield from (f"    {'':<11} {line}" for line in rest)
            if len(run.problems) > _SHOWN_PROBLEMS:
                yield f"    {'':<11} … and {len(run.problems) - _SHOWN_PROBLEMS} more"
        if len(self.failures) > len(shown):
            yield f"\n… and {len(self.failures) - len(shown)} more failures"
        yield f"\nTo see one again: {again(shown[0])}"


def answer(engine: Engine, arn: str, callbacks: Mapping[str, Any], timeout: float) -> None:
    """Answer the callbacks of an execution, in this order.

    Raises:
        OperationNotFound: The execution has ended without such a callback.
        TimeoutError: There was no such callback within `timeout`, or the execution waits for
            nothing but others.
    """
    for name, result in callbacks.items():
        seconds = _patience(engine, arn, timeout)
        callback_id = drive(engine.wait_for_callback(arn, name, seconds))
        # A callback is not answered while a handler runs or the end of a chained invoke is on
        # its way, as the order would differ from run to run. Advancing by no time returns when
        # all is quiet; where it never is, the wait for the end says why.
        with contextlib.suppress(TimeoutError):
            drive(engine.control.advance(arn, 0, timeout))
        drive(engine.callback_success(callback_id, result))


def _patience(engine: Engine, arn: str, timeout: float) -> float:
    """How long to wait for a callback: 0 where no other can be opened before one is answered."""
    events = -1
    while True:
        with contextlib.suppress(TimeoutError):
            drive(engine.control.advance(arn, 0, timeout))
        record = drive(engine.control.wait(arn, "now", timeout))
        if record.needs_an_answer:
            return 0
        # What is due is skipped to when all is quiet, and then there are more events.
        if len(record.events) == events:
            return timeout
        events = len(record.events)


class Explorer:
    """`start` is what each run is started with; `outside` plays the outside world in a thread,
    unless all that it has to do is to answer `callbacks`, by name and in this order."""

    def __init__(
        self,
        engine: Engine,
        start: Start,
        timeout: float,
        check: Check | None = None,
        callbacks: Mapping[str, Any] | None = None,
        outside: Callable[[str], object] | None = None,
    ) -> None:
        if callbacks and outside:
            raise ValueError("Give callbacks= or outside=, not both.")
        self._engine = engine
        self._start = start
        self._timeout = timeout
        self._check = check
        self._callbacks = callbacks or {}
        self._outside = self._answer if callbacks else outside

    def _answer(self, arn: str) -> None:
        answer(self._engine, arn, self._callbacks, self._timeout)

    def explore(self, depth: int) -> CrashReport:
        """Run all and report. This blocks, and uses threads of its own."""
        if depth < 1:
            raise ValueError(f"depth={depth}: at least one crash is needed.")
        began = time.monotonic()
        clean = self.clean()
        runs = self._all([((_kill(point),), point.label) for point in clean.crash_points], clean)
        pruned = 0
        frontier, seen = runs, {point.key for point in clean.crash_points}
        for _ in range(depth - 1):
            plans, left_out = _next_crashes(frontier, seen)
            pruned += left_out
            frontier = self._all(plans, clean)
            runs = [*runs, *frontier]
        name = self._start.function
        seconds, checked = time.monotonic() - began, self._check is not None
        report = CrashReport(name, clean, runs, pruned, seconds, checked)
        suite.saw(report)
        return report

    def clean(self) -> DurableFunctionTestResult:
        """Run without a crash, and return what came of that; `AssertionError` if it is wrong."""
        unasked: list[str] = []
        record = self._run(self._start, unasked)
        result = DurableFunctionTestResult(record)
        wrong = [*unasked, *_wrong_in_itself(record, result, self._check)]
        if record.timed_out:
            wrong = [self._late(record)]
        if wrong:
            raise AssertionError(
                "Nothing was explored: the run without a crash is wrong already.\n"
                + "\n".join(wrong)
                + f"\n\n{result}"
            )
        return result

    def _all(
        self, plans: Sequence[tuple[tuple[str, ...], str]], clean: DurableFunctionTestResult
    ) -> list[CrashRun]:
        progress = Progress(len(plans), noun="crash points")

        def one(plan: tuple[tuple[str, ...], str]) -> CrashRun:
            run = self._one(*plan, clean)
            progress.count(failed=bool(run.problems))
            return run

        try:
            with ThreadPoolExecutor(4 * self._engine.attachment.workers, "explore") as threads:
                return list(threads.map(one, plans))
        finally:
            progress.close()

    def _one(
        self, faults: tuple[str, ...], label: str, clean: DurableFunctionTestResult
    ) -> CrashRun:
        try:
            record = self._run(replace(self._start, faults=(*self._start.faults, *faults)))
        except RunnerError as error:
            return CrashRun(faults, label, (f"{type(error).__name__}: {error}",), None)
        result = DurableFunctionTestResult(record)
        if record.timed_out:
            return CrashRun(faults, label, (self._late(record),), result)
        problems = [*_compared(result, clean), *_wrong_in_itself(record, result, self._check)]
        return CrashRun(faults, label, tuple(problems), result)

    def _late(self, record: ExecutionRecord) -> str:
        return f"it did not end within {self._timeout:g} s; it waits for {record.waiting_for}"

    def _run(self, start: Start, unasked: list[str] | None = None) -> ExecutionRecord:
        """Run once. `unasked` gets what says that an answer in `callbacks` was not asked for."""
        control = self._engine.control
        if self._outside is None:
            return drive(control.run(start, self._timeout))
        arn = drive(control.start(start))
        # The execution may end before it asks for a callback; its result is judged all the same.
        try:
            self._outside(arn)
        except OperationNotFound as error:
            if unasked is not None and self._callbacks:
                unasked.append(str(error).splitlines()[0])
        return drive(control.wait(arn, "ended", self._timeout))


def _succeeded(result: DurableFunctionTestResult) -> bool:
    return result.status is InvocationStatus.SUCCEEDED


def _kill(point: CrashPoint) -> str:
    return f"kill@{point.moment}"


def _next_crashes(
    runs: Sequence[CrashRun], seen: set[str]
) -> tuple[list[tuple[tuple[str, ...], str]], int]:
    """Second crashes that lead to something new, and how many do not. Grows `seen`."""
    plans: list[tuple[tuple[str, ...], str]] = []
    pruned = 0
    for run in runs:
        if run.result is None or run.problems:
            continue
        points = run.result.crash_points
        moment = run.faults[-1].removeprefix("kill@")
        first = next(i for i, point in enumerate(points) if point.moment == moment)
        for point in points[first + 1 :]:
            if point.key in seen:
                pruned += 1
                continue
            seen.add(point.key)
            twice = (f"kill@{moment};times=2",) if point.moment == moment else None
            plans.append((twice or (*run.faults, _kill(point)), f"{run.label}, then {point.label}"))
    return plans, pruned


# -- the judge -----------------------------------------------------------------------------


def _wrong_in_itself(
    record: ExecutionRecord, result: DurableFunctionTestResult, check: Check | None
) -> Iterator[str]:
    events: Sequence[HistoryEvent] = list(record.events)
    if record.status is not ExecutionStatus.RUNNING:
        yield from (f"the history is broken: {each}" for each in history_problems(events))
    if result.divergences:
        yield f"not deterministic:\n{divergences_text(result.divergences)}"
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


def _cause(result: DurableFunctionTestResult) -> str:
    if result.error is None:
        return ""
    return "".join(f": {part}" for part in (result.error.type, result.error.message) if part)


def _result(result: DurableFunctionTestResult) -> str:
    return "None" if result.result is None else shown(result.result)


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def _compared(result: DurableFunctionTestResult, clean: DurableFunctionTestResult) -> Iterator[str]:
    if result.status is not clean.status:
        yield (
            f"it ended {result.status.value}, the clean run {clean.status.value}{_cause(result)}"
        )
    elif result.result != clean.result:
        yield f"its result is {_result(result)}, the clean run's {_result(clean)}"
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
    yield from _compared_effects(result.ledger, clean.ledger)
    for extra in mine.values():
        yield f"{extra.kind} {extra.name or extra.operation_id[:8]} is not in the clean run"


__all__ = ["CrashReport", "CrashRun"]
