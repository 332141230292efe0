"""Crash exploration: run once cleanly, then once for each moment with the worker killed there.

An execution with `resume_on` goes on there after each crash, and in a run of its own after each
suspension; the clean run stays where it began. Every run is judged against the clean one; a failure
comes with the one line that reproduces it. The runs differ from others only in their fault plans,
and in when they go on elsewhere: the coordinator does not know of explorations.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..client.drive import drive
from ..core.fault_places import CrashPoint, Point
from ..core.text import visible
from ..errors import OperationNotFound, RunnerError
from ..results.records import ExecutionRecord
from ..results.result import DurableFunctionTestResult
from ..rpc import CODE_LABEL
from . import moves, suite
from .judge import Check, cause, compared, succeeded, wrong_in_itself
from .progress import Progress

if TYPE_CHECKING:
    from ..client.control import Start
    from .engine import Engine

# pytest shows the line of the test, not ours.
__tracebackhide__ = True

_SHOWN_FAILURES = 20
_SHOWN_PROBLEMS = 3


@dataclass(frozen=True, slots=True, repr=False)
class CrashRun:
    """One run with the worker killed at one moment, or at two, or with none of this if it only
    went elsewhere. Without `problems` all is well."""

    faults: tuple[str, ...]
    #: What was under way when the worker was killed, or what the execution was suspended for.
    label: str
    problems: tuple[str, ...]
    #: None where the run failed with an error of the runner's.
    result: DurableFunctionTestResult | None
    #: After how many invocations it went where `resume_on` says; 0 where it stayed.
    resume_after: int = 0

    @property
    def reproduction(self) -> str:
        """The arguments of `run` that reproduce this run."""
        return ", ".join(arguments(self.faults, self.resume_after))

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
    #: Where runs went that went elsewhere, in words.
    moved: str = ""

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
        return not self.failures and (self.checked or succeeded(self.clean))

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
        only_moved = sum(not run.faults for run in self.runs)
        suspensions = f" and {only_moved} suspensions" if only_moved else ""
        yield (
            f"{self.function_name} · {self.explored - only_moved} crash points{suspensions} "
            f"explored: {self.passed} passed, {self.failed} failed{pruned} · {self.seconds:.1f} s"
        )
        if not succeeded(self.clean):
            yield f"the clean run ended {self.clean.status.value}{cause(self.clean)}"
            if not self.checked:
                yield "if that is how it should end, say so with check="
        if not self.failures:
            return
        shown = self.failures[:_SHOWN_FAILURES]
        for run in shown:
            yield ""
            yield f"{run.reproduction}"
            if run.label:
                yield f"    {'killed at' if run.faults else 'suspended':<11} {run.label}"
            if run.resume_after:
                yield f"    went on     {self.moved}"
            for number, problem in enumerate(run.problems[:_SHOWN_PROBLEMS]):
                first, *rest = problem.splitlines()
                yield f"    {'wrong' if number == 0 else '':<11} {first}"
                yield from (f"    {'':<11} {line}" for line in rest)
            if len(run.problems) > _SHOWN_PROBLEMS:
                yield f"    {'':<11} … and {len(run.problems) - _SHOWN_PROBLEMS} more"
        if len(self.failures) > len(shown):
            yield f"\n… and {len(self.failures) - len(shown)} more failures"
        yield f"\nTo see one again: {again(shown[0])}"


def arguments(faults: Sequence[str], resume_after: int) -> list[str]:
    """The arguments of `run` that make a run with these faults, which goes elsewhere then."""
    found = []
    if faults:
        found.append(f"faults={json.dumps(faults[0] if len(faults) == 1 else faults)}")
    if resume_after:
        found.append(f"resume_after={resume_after}")
    return found


@dataclass(frozen=True, slots=True)
class _Plan:
    """A run that is to be made; the fields are those of `CrashRun`."""

    faults: tuple[str, ...]
    label: str
    resume_after: int = 0


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
        # The clean run has waited for a worker host, which may just have been starting.
        moved = moves.text(self._engine.control, self._start)
        runs = self._all(self._plans(clean), clean)
        pruned = 0
        frontier, seen = runs, {point.key for point in clean.crash_points}
        for _ in range(depth - 1):
            plans, left_out = _next_crashes(frontier, seen)
            pruned += left_out
            frontier = self._all(plans, clean)
            runs = [*runs, *frontier]
        name = self._start.function
        seconds, checked = time.monotonic() - began, self._check is not None
        report = CrashReport(name, clean, runs, pruned, seconds, checked, moved)
        suite.saw(report)
        return report

    def clean(self) -> DurableFunctionTestResult:
        """Run without a crash, and return what came of that; `AssertionError` if it is wrong."""
        unasked: list[str] = []
        record = self._run(replace(self._start, resume_on={}), unasked)
        result = DurableFunctionTestResult(record)
        wrong = [*unasked, *wrong_in_itself(record, result, self._check)]
        if record.timed_out:
            wrong = [self._late(record)]
        if wrong:
            raise AssertionError(
                "Nothing was explored: the run without a crash is wrong already.\n"
                + "\n".join(wrong)
                + f"\n\n{result}"
            )
        return result

    def _plans(self, clean: DurableFunctionTestResult) -> list[_Plan]:
        moves_on, invocation = bool(self._start.resume_on), 0
        plans = []
        if moves_on:
            plans += [_Plan((), label, number) for number, label in moves.suspensions(clean)]
        for point in clean.crash_points:
            invocation += point.moment.startswith(f"{Point.INVOCATION_START.value}:")
            plans.append(_Plan((_kill(point),), point.label, invocation if moves_on else 0))
        return plans

    def _all(self, plans: Sequence[_Plan], clean: DurableFunctionTestResult) -> list[CrashRun]:
        progress = Progress(len(plans), noun="crash points")

        def one(plan: _Plan) -> CrashRun:
            run = self._one(plan, clean)
            progress.count(failed=bool(run.problems))
            return run

        try:
            with ThreadPoolExecutor(4 * self._engine.attachment.workers, "explore") as threads:
                return list(threads.map(one, plans))
        finally:
            progress.close()

    def _one(self, plan: _Plan, clean: DurableFunctionTestResult) -> CrashRun:
        faults, label, after = plan.faults, plan.label, plan.resume_after
        start = replace(
            self._start, faults=(*self._start.faults, *faults), resume_after=max(after, 1)
        )
        try:
            record = self._run(start)
        except RunnerError as error:
            return CrashRun(faults, label, (f"{type(error).__name__}: {error}",), None, after)
        result = DurableFunctionTestResult(record)
        if record.timed_out:
            return CrashRun(faults, label, (self._late(record),), result, after)
        other_code = after > 0 and CODE_LABEL in self._start.resume_on
        problems = [
            *compared(result, clean, other_code),
            *wrong_in_itself(record, result, self._check, moved=after > 0),
        ]
        return CrashRun(faults, label, tuple(problems), result, after)

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


def _kill(point: CrashPoint) -> str:
    return f"kill@{point.moment}"


def _next_crashes(runs: Sequence[CrashRun], seen: set[str]) -> tuple[list[_Plan], int]:
    """Second crashes that lead to something new, and how many do not. Grows `seen`."""
    plans: list[_Plan] = []
    pruned = 0
    for run in runs:
        if run.result is None or run.problems or not run.faults:
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
            faults, label = twice or (*run.faults, _kill(point)), f"{run.label}, then {point.label}"
            plans.append(_Plan(faults, label, run.resume_after))
    return plans, pruned


__all__ = ["CrashReport", "CrashRun"]
