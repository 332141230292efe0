"""What both runners do, written once: executions, callbacks, time, results.

The engine's coroutines await nothing but the transport, so that the synchronous runner can drive
them to their end in place (`drive`) and the asynchronous one can await them.
"""

# ruff: noqa: ASYNC109 - these time-outs are the coordinator's to keep.

from __future__ import annotations

import asyncio
import copy
import signal
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4
from weakref import WeakSet

from ..client.drive import drive
from ..client.settings import Seconds, checked_labels, seconds, whole
from ..core import model
from ..errors import NotStarted, OperationNotFound
from ..results.records import ExecutionRecord
from ..results.result import DurableFunctionTestResult
from ..worker import covered, log_records
from . import patched, suite
from .fault_plans import Faults, RunnerPlan, check_deterministic, warn_of_divergences
from .output import OutputRelay
from .payloads import callback_payload, error_object, payload_of, text_of
from .progress import Progress
from .registration import Attachment, function_name_of

if TYPE_CHECKING:
    from ..client.control import ControlClient, RunnerStatus, Start, Until
    from ..client.transport import LoopTransport

# pytest shows the line of the test, not ours.
__tracebackhide__ = True

DEFAULT_TIMEOUT = 60.0
#: `run_many` has at least so many executions under way at once.
_MIN_IN_FLIGHT = 256
#: How many executions that go on, of those invoked in a chain, are looked at for what they wrote.
_MOST_RUNNING = 100


def _named(start: Start) -> Start:
    """The start with a name by which the execution can be found before there is an answer."""
    return start if start.name else replace(start, name=str(uuid4()))


_interrupted: WeakSet[asyncio.Runner] = WeakSet()


def _first_of_an_interrupt() -> bool:
    """Whether Ctrl-C, and nothing else, has cancelled tasks of this thread's `asyncio.run`, and
    this is the first to know: no event loop is kept waiting for each of a thousand."""
    # asyncio does not say so elsewhere. Where it changes this, the note is missing.
    on_interrupt = getattr(signal.getsignal(signal.SIGINT), "func", None)
    runner = getattr(on_interrupt, "__self__", None)
    if (
        not isinstance(runner, asyncio.Runner)
        or not getattr(runner, "_interrupt_count", 0)
        or runner.get_loop() is not asyncio.get_running_loop()
        or runner in _interrupted
    ):
        return False
    _interrupted.add(runner)
    return True


class Engine:
    """One runner: the executions of the functions that an attachment registers."""

    def __init__(
        self,
        attachment: Attachment,
        handler: Callable[..., Any] | None = None,
        function_name: str | None = None,
        *,
        skip_time: bool = True,
        faults: Faults = (),
        labels: Mapping[str, str] | None = None,
        resume_on: Mapping[str, str] | None = None,
    ) -> None:
        """`handler` is registered, as the function of executions for which none is named."""
        self.attachment = attachment
        self._skip_time = skip_time
        self.labels = checked_labels("labels", labels or {})
        self.resume_on = checked_labels("resume_on", resume_on or {})
        self.plan = RunnerPlan(faults)
        self._relay = OutputRelay()
        #: Whether what is written in executions is brought to the process's own output. What is
        #: written in those that they invoke always is, as no description has it.
        self.relays_output = True
        self._last_arn: str | None = None
        self._control_on_loop: ControlClient | None = None
        self.function_name = function_name or ""
        if handler is not None:
            self.function_name = function_name or function_name_of(handler)
            attachment.register(self.function_name, handler, durable=True)

    # -- opening and closing ---------------------------------------------------------------

    def open(self) -> None:
        """Open the attachment. Blocks."""
        self.attachment.open()

    def use_loop(self) -> LoopTransport:
        """Make calls on the running event loop from now on. The caller closes the transport."""
        from ..client.transport import LoopTransport

        cluster = self.attachment.cluster
        transport = LoopTransport(cluster.address, cluster.token, cluster.tls)
        self._control_on_loop = self.attachment.control_over(transport)
        return transport

    def blocking(self) -> Self:
        """This engine for other threads, whose calls block whatever its runner's go over."""
        view = copy.copy(self)
        view._control_on_loop = None
        return view

    def close(self) -> None:
        self._control_on_loop = None
        self.attachment.close()

    @property
    def control(self) -> ControlClient:
        return self._control_on_loop or self.attachment.control

    # -- executions ------------------------------------------------------------------------

    def start_of(
        self,
        input: object,
        execution_name: str | None,
        payload: str | None,
        function_name: str | None = None,
        skip_time: bool | None = None,
        tenant_id: str | None = None,
        faults: Faults = (),
        replay_every_checkpoint: bool | None = None,
        record_points: bool = False,
        labels: Mapping[str, str] | None = None,
        resume_on: Mapping[str, str] | None = None,
        resume_after: int = 1,
    ) -> Start:
        from ..client.control import Start

        if payload is not None and input is not None:
            raise ValueError("Give input= or payload=, not both.")
        function = text_of("function_name", function_name) or self.function_name
        if not function:
            raise ValueError("This runner was given no handler: say function_name=.")
        if replay_every_checkpoint is None:
            # An exploration kills by itself, and nothing kills an inline worker.
            replay_every_checkpoint = (
                suite.replays and not record_points and not self.attachment.is_inline(function)
            )
        return Start(
            function,
            payload_of(input) if payload is None else text_of("payload", payload),
            text_of("execution_name", execution_name),
            self._skip_time if skip_time is None else skip_time,
            None if tenant_id is None else text_of("tenant_id", tenant_id),
            self.plan.of_run(faults, replay_every_checkpoint),
            record_points,
            retry_at_once=replay_every_checkpoint,
            log_levels=log_records.wanted(),
            coverage_context=covered.context(),
            labels=self.labels if labels is None else checked_labels("labels", labels),
            resume_on=self.resume_on
            if resume_on is None
            else checked_labels("resume_on", resume_on),
            resume_after=whole("resume_after", resume_after),
        )

    async def start(self, start: Start, *, hold_time: bool = False) -> str:
        patched.note_all(self.attachment)
        self._last_arn = await self.control.start(start, hold_time=hold_time)
        suite.began(self, self._last_arn)
        return self._last_arn

    async def run(self, start: Start, timeout: Seconds) -> DurableFunctionTestResult:
        start = _named(start)
        patched.note_all(self.attachment)
        with self._interruptible(lambda: start):
            record = await self.control.run(start, seconds(timeout))
        self._last_arn = record.execution_arn
        result = await self._result(record, f"did not end within {seconds(timeout):g} s")
        if start.retry_at_once:
            check_deterministic(result)
        warn_of_divergences(result)
        suite.ran(self, start)
        return result

    async def run_many(
        self, starts: Sequence[Start], timeout: Seconds
    ) -> list[DurableFunctionTestResult]:
        control, progress = self.control, Progress(len(starts))
        patched.note_all(self.attachment)
        starts = list(map(_named, starts))
        outcomes: list[ExecutionRecord | Exception] = []
        try:
            at_once = max(_MIN_IN_FLIGHT, 4 * self.attachment.workers)
            running = control.run_each(starts, seconds(timeout), at_once)
            # The outcomes come in the order of the starts.
            with self._interruptible(lambda: starts[len(outcomes)]):
                async with aclosing(running):
                    async for outcome in running:
                        outcomes.append(outcome)
                        progress.done(outcome)
        finally:
            progress.close()
        late = sum(isinstance(each, ExecutionRecord) and each.timed_out for each in outcomes)
        problem = f"did not end within {seconds(timeout):g} s"
        if late > 1:
            problem += f", like {late - 1} more of {len(starts)}"
        results = []
        for start, outcome in zip(starts, outcomes, strict=True):
            if isinstance(outcome, Exception):
                raise outcome
            results.append(await self._result(outcome, problem))
            if start.retry_at_once:
                check_deterministic(results[-1])
            warn_of_divergences(results[-1])
        return results

    async def wait(
        self, execution: object, until: Until, timeout: Seconds
    ) -> DurableFunctionTestResult:
        """The result when the execution has ended or is suspended, or as it is "now"."""
        arn = self.arn_of(execution)
        with self._interruptible(lambda: arn):
            record = await self.control.wait(arn, until, seconds(timeout))
        verb = {"ended": "end", "suspended": "suspend", "now": "answer"}[until]
        problem = f"did not {verb} within {seconds(timeout):g} s"
        result = await self._result(record, problem, check_faults=until == "ended")
        if until == "ended":
            if suite.replays:
                check_deterministic(result)
            warn_of_divergences(result)
        return result

    async def stop(self, execution: object, error: object) -> None:
        await self.control.stop(self.arn_of(execution), error_object(error))

    async def advance(self, duration: Seconds, execution: object, timeout: Seconds) -> None:
        length = seconds(duration)
        if length < 0:
            raise ValueError(f"Time cannot be advanced by {duration!r}: it only goes forward.")
        arn = None if execution is None else self.arn_of(execution)
        await self.control.advance(arn, length, seconds(timeout))

    async def serve_aws_api(
        self,
        host: str,
        port: int,
        access_keys: Mapping[str, str] | None,
        allow_hosts: Sequence[str],
        functions_follow: bool = False,
    ) -> str:
        # Nobody sees here whether a fault struck an execution that is started over HTTP.
        faults = self.plan.of_all()
        return await self.control.serve_aws_api(
            host, port, access_keys or {}, allow_hosts, self._skip_time, faults, functions_follow
        )

    async def status(self) -> RunnerStatus:
        return await self.control.status()

    def arn_of(self, execution: object) -> str:
        """The ARN in an ARN, a handle or a result; for None that of the execution started last."""
        if execution is None:
            if self._last_arn is None:
                raise NotStarted("No execution was started yet: call start() or run() first.")
            return self._last_arn
        for attribute in ("arn", "execution_arn"):
            arn = getattr(execution, attribute, None)
            if isinstance(arn, str):
                return arn
        if isinstance(execution, str):
            return execution
        raise TypeError(f"An execution's ARN, handle or result is needed, not {execution!r}.")

    # -- callbacks -------------------------------------------------------------------------

    async def wait_for_callback(self, execution: object, name: str | None, timeout: Seconds) -> str:
        if isinstance(execution, str) and name is None and not execution.startswith("arn:"):
            execution, name = None, execution
        arn, limit = self.arn_of(execution), seconds(timeout)
        with self._interruptible(lambda: arn):
            callback_id, why, status = await self.control.wait_for_callback(arn, name, limit)
        if callback_id:
            return callback_id
        result = await self.wait(arn, "now", limit)
        state = result.describe()
        wanted = f"callback {name!r}" if name else "callback"
        if status is not model.ExecutionStatus.RUNNING:
            raise OperationNotFound(
                f"No {wanted} will come: the execution has ended, {status.value}.\n\n{state}"
            )
        stacks = await self.attachment.inline.stacks(why, self.control.transport)
        why += "".join(f"; {each.verdict}" for each in stacks.values())
        no_callback = result._record.no_callback(name, limit)
        raise TimeoutError(f"{no_callback}{why}.\n\n{state}")

    async def callback_success(self, callback_id: str, result: object) -> None:
        await self.control.callback_success(callback_id, callback_payload(result))

    async def callback_failure(self, callback_id: str, error: object) -> None:
        failure = error_object(error) or model.ErrorObject()
        await self.control.callback_failure(callback_id, failure)

    async def callback_heartbeat(self, callback_id: str) -> None:
        await self.control.callback_heartbeat(callback_id)

    # -- interrupts ------------------------------------------------------------------------

    @contextmanager
    def _interruptible(self, waited_for: Callable[[], str | Start]) -> Iterator[None]:
        """Say, in a note on the `KeyboardInterrupt`, what an interrupted wait was waiting for. For
        another interruption, that of pytest-timeout, the suite's report has it.

        `asyncio.run` cancels its task instead, and raises `KeyboardInterrupt` when that has ended.
        The note is then on the `CancelledError`, which is the context of the interrupt. Where a
        task is cancelled otherwise, be it by a time-out of the test's, the suite is told.

        Args:
            waited_for: Returns the execution, by its ARN or by its named start.
        """
        try:
            with suite.waiting(self, waited_for):
                yield
        except (KeyboardInterrupt, asyncio.CancelledError) as interrupt:
            if isinstance(interrupt, KeyboardInterrupt) or _first_of_an_interrupt():
                # Whatever fails here must not hide the interrupt.
                with suppress(Exception):
                    interrupt.add_note(drive(self.blocking()._state_of(waited_for())))
            else:
                suite.began(self, waited_for())
            raise
        except (Exception, GeneratorExit):
            raise
        except BaseException:
            self.look_at(waited_for())
            raise

    async def _state_of(self, waited_for: str | Start) -> str:
        """What an execution waits for, with what its handlers are doing."""
        record = await self._look(waited_for)
        await self._hand_on_output(record)
        result = DurableFunctionTestResult(record)
        if not record.waiting_for:
            return f"The execution has just ended.\n\n{result}"
        return f"The execution has not ended; it waits for {record.waiting_for}.\n\n{result}"

    async def _look(self, waited_for: str | Start) -> ExecutionRecord:
        # A second start with the same name and input returns the execution that there is.
        arn = waited_for
        if not isinstance(arn, str):
            arn = await self.control.start(arn)
        record = await self.control.wait(arn, "now", DEFAULT_TIMEOUT)
        # A handler that runs is looked at for those who wait in vain; this lets held time go.
        if any(not each.outcome for each in record.invocations):
            record = await self.control.wait(arn, "ended", 0)
        return await self.attachment.inline.look(record, self.control.transport)

    def look_at(self, execution: str | Start) -> None:
        """Tell the suite how an execution stands that its test does not wait for any more."""
        if suite.listener is not None and self.attachment.is_open:
            # Whatever fails here must not hide why.
            with suppress(Exception):
                suite.saw(DurableFunctionTestResult(drive(self.blocking()._look(execution))))

    # -- results ---------------------------------------------------------------------------

    async def _result(
        self, record: ExecutionRecord, problem: str, *, check_faults: bool = True
    ) -> DurableFunctionTestResult:
        await self._hand_on_output(record)
        if record.timed_out:
            record = await self.attachment.inline.look(record, self.control.transport)
        result = DurableFunctionTestResult(record)
        suite.saw(result)
        if record.timed_out:
            raise TimeoutError(
                f"The execution {problem}; it waits for {record.waiting_for}.\n\n{result}"
            )
        if check_faults:
            self.plan.check(result)
        return result

    async def _hand_on_output(self, record: ExecutionRecord) -> None:
        # Functions that invoke each other without end go on meanwhile, and perhaps faster than they
        # are read here.
        running, left = 0, deque([record])
        while left:
            each = left.popleft()
            if self.relays_output or each is not record:
                self._hand_on(each)
            running += each.status is model.ExecutionStatus.RUNNING
            if running <= _MOST_RUNNING:
                for arn in each.children:
                    left.append(await self.control.wait(arn, "now", DEFAULT_TIMEOUT))

    def _hand_on(self, record: ExecutionRecord) -> None:
        # What an inline handler wrote has been on the test's own output already.
        if not self.attachment.is_inline(record.function_name):
            self._relay.hand_on(record)
