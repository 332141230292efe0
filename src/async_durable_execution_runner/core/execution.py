"""`Execution`: the state and history of one durable execution, and every change to it.

`handle(event) -> commands` is the only way in. An execution knows nothing of its callers, of
real time, or of how commands are carried out. An event that is refused with a `ServiceError`
has changed nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from ..errors import InvalidCheckpointToken, InvalidParameterValue
from . import constraints, limits, tokens
from . import events as ev
from .checkpoint import CheckpointProcessor
from .commands import Command, Deliver, Invoke, Reply
from .model import (
    ErrorObject,
    EventType,
    ExecutionStatus,
    HistoryEvent,
    Operation,
    OperationStatus,
    OperationType,
)
from .operations import callback, chained_invoke, step, wait
from .operations.execution import end
from .repeats import Repeats
from .state import State
from .turn import Ending, Timer, TimerKind, Turn

_INVALID = "InvalidParameterValueException"

_NOTHING_PENDING = ErrorObject("Cannot return PENDING status with no pending operations.", _INVALID)


@dataclass(frozen=True, slots=True)
class ExecutionConfig:
    """The settings that an execution is started with.

    The execution survives `invocation_retries` failed invocations in a row.
    """

    arn: str
    name: str
    function_name: str
    timeout_ms: int
    invocation_retries: int
    retry_backoff_ms: int
    max_retry_backoff_ms: int = 5 * 60_000
    limits: limits.Limits = limits.DEFAULTS


@dataclass(slots=True)
class _Invocation:
    """The invocation that holds the lease."""

    request_id: str
    started_ms: int
    seed: str
    #: The only token that is accepted now.
    token: str
    sequence: int = 0
    #: Set where the handler has closed the execution by a checkpoint. The execution then ends with
    #: this invocation, however the invocation ends.
    ending: Ending | None = None


class Execution:
    def __init__(self, config: ExecutionConfig) -> None:
        self.config = config
        self.id = config.arn.rsplit("/", 1)[1]
        self.status = ExecutionStatus.RUNNING
        self._state = State(config.arn, config.limits)
        self.operations: Mapping[str, Operation] = self._state.operations
        self.history: Sequence[HistoryEvent] = self._state.history
        self._invocation: _Invocation | None = None
        self._invoke_requested = False
        self._failures = 0
        #: How many invocations in a row returned PENDING with nothing pending.
        self._idle_suspensions = 0
        self._repeats = Repeats()

    # -- what others may read --------------------------------------------------------------

    @property
    def root(self) -> Operation:
        """The EXECUTION operation."""
        return self.operations[self.id]

    @property
    def ended(self) -> bool:
        return self.status is not ExecutionStatus.RUNNING

    @property
    def closing(self) -> bool:
        """Whether the handler has closed the execution by a checkpoint, so that it ends with the
        invocation in progress."""
        return self._invocation is not None and self._invocation.ending is not None

    @property
    def suspended(self) -> bool:
        """Whether the execution runs with no invocation in progress or asked for."""
        return not (self._invocation or self._invoke_requested or self.ended)

    @property
    def request_id(self) -> str | None:
        """The id of the invocation that holds the lease, None where there is none."""
        return self._invocation.request_id if self._invocation else None

    def holds(self, token: str) -> bool:
        """Return whether a checkpoint with this token would be taken now."""
        if self.ended or self.closing or self._invocation is None:
            return False
        return token == self._invocation.token

    @property
    def waiting(self) -> list[Operation]:
        """The operations that something other than the handler must end, oldest first."""
        return [self.operations[operation_id] for operation_id in self._state.waiting]

    def next_timer(self) -> tuple[Timer, int] | None:
        """Return the timer that is due first and its due time, None without a timer or once the
        handler has closed the execution."""
        return None if self.closing else self._state.first_timer

    def read_state(self, token: str, marker: str, max_items: int) -> tuple[list[Operation], str]:
        """Return a page of operations and the next page's marker, "" after the last page.

        Args:
            token: The checkpoint token of the invocation that reads.
            marker: Where the page begins; "0" for the first page.
            max_items: The most operations of the page; 0 for the service's own limit.

        Raises:
            ServiceError: The token is not accepted, or the marker or number is not valid.
        """
        self._check_token(token)
        if not (marker.isascii() and marker.isdigit() and len(marker) < 10):
            raise InvalidParameterValue("Invalid marker.")
        if int(marker) > len(self.operations):
            raise InvalidParameterValue("Invalid marker.")
        if max_items < 0:
            raise InvalidParameterValue("MaxItems must not be negative.")
        count = min(max_items or limits.PAGE_OPERATIONS, limits.PAGE_OPERATIONS)
        return self._state.page(int(marker), count)

    # -- the way in ------------------------------------------------------------------------

    def handle(self, event: ev.Event) -> list[Command]:
        """Take one event; return the commands to be carried out.

        The caller lets time pass first: no timer may be due before an event's time. Raises
        `ServiceError` where the event is refused; then nothing has changed.
        """
        match event:
            case ev.Checkpoint():
                return self._checkpoint(event)
            case ev.TimePassed():
                return self._fire(event.now_ms)
            case ev.InvocationStarted():
                return self._invocation_started(event)
            case ev.InvocationReturned():
                return self._invocation_returned(event)
            case ev.InvocationFailed():
                return self._invocation_failed(event)
            case ev.CallbackSucceeded() | ev.CallbackFailed() | ev.CallbackHeartbeat():
                return self._callback(event)
            case ev.ChainedInvokeEnded():
                return self._chained_invoke_ended(event)
            case ev.Stopped():
                return self._stop(event)
            case ev.Started():
                return self._start(event)
            case _:
                assert_never(event)

    def _start(self, event: ev.Started) -> list[Command]:
        turn = self._state.turn(event.now_ms)
        root = Operation(
            id=self.id,
            type=OperationType.EXECUTION,
            status=OperationStatus.STARTED,
            start_ms=event.now_ms,
            name=self.config.name,
            input=event.payload,
        )
        turn.put(root)
        turn.record(
            EventType.EXECUTION_STARTED,
            root,
            payload=event.payload,
            duration_seconds=self.config.timeout_ms // 1000,
        )
        turn.set_timer(TimerKind.EXECUTION_TIMEOUT, self.id, event.now_ms + self.config.timeout_ms)
        self._request_invocation(turn)
        return self._commit(turn)

    # -- invocations -----------------------------------------------------------------------

    def _invocation_started(self, event: ev.InvocationStarted) -> list[Command]:
        self._invoke_requested = False
        token = tokens.checkpoint_token(event.seed, 0)
        self._invocation = _Invocation(event.request_id, event.now_ms, event.seed, token)
        updated = [operation_id for operation_id in self._state.unseen if operation_id != self.id]
        self._state.unseen.clear()
        operations, marker = self._state.page(0, limits.PAGE_OPERATIONS)
        return [Deliver(token, operations, marker, updated)]

    def _invocation_returned(self, event: ev.InvocationReturned) -> list[Command]:
        invocation = self._invocation
        if invocation is None or invocation.request_id != event.request_id:
            return []
        if self.ended or invocation.ending:
            return self._commit(self._complete_invocation(invocation, event.now_ms, None))
        if event.outcome is ev.Outcome.PENDING:
            # A handler that left without the newest state is invoked again to get the state. State
            # that a reply has told does not count as new, here as in the service.
            if not (self._state.waiting or self._state.unseen):
                self._idle_suspensions += 1
                turn = self._complete_invocation(invocation, event.now_ms, _NOTHING_PENDING)
                last = self._idle_suspensions >= limits.IDLE_SUSPENSIONS
                return self._retry(turn, _NOTHING_PENDING, last)
            turn = self._complete_invocation(invocation, event.now_ms, None)
            self._failures = self._idle_suspensions = 0
            if self._state.unseen:
                self._request_invocation(turn)
            return self._commit(turn)
        if why := event.contradiction:
            invalid = ErrorObject(why, _INVALID)
            return self._invocation_failed(
                ev.InvocationFailed(event.now_ms, event.request_id, invalid, final=True)
            )
        turn = self._complete_invocation(invocation, event.now_ms, None)
        if event.outcome is ev.Outcome.FAILED:
            ending = Ending(ExecutionStatus.FAILED, error=event.error)
        else:
            ending = Ending(ExecutionStatus.SUCCEEDED, result=event.result)
            try:
                limits.check_payload(event.result, turn.limits.execution_output, "Execution output")
            except InvalidParameterValue as why:
                ending = Ending(ExecutionStatus.FAILED, error=ErrorObject(str(why)))
        end(turn, self.root, ending)
        return self._commit(turn)

    def _invocation_failed(self, event: ev.InvocationFailed) -> list[Command]:
        invocation = self._invocation
        if invocation is None or invocation.request_id != event.request_id:
            return []
        turn = self._complete_invocation(invocation, event.now_ms, event.error)
        if self.ended or invocation.ending:
            return self._commit(turn)
        last = event.final or self._failures >= self.config.invocation_retries
        return self._retry(turn, event.error, last)

    def _retry(self, turn: Turn, error: ErrorObject, last: bool) -> list[Command]:
        """Invoke the handler again after a back-off, unless this attempt was the last."""
        self._failures += 1
        if last:
            end(turn, self.root, Ending(ExecutionStatus.FAILED, error=error))
        else:
            backoff = min(
                self.config.retry_backoff_ms * 2 ** (self._failures - 1),
                self.config.max_retry_backoff_ms,
            )
            turn.set_timer(TimerKind.INVOCATION_RETRY, self.id, turn.now_ms + backoff)
        return self._commit(turn)

    def _complete_invocation(
        self, invocation: _Invocation, now_ms: int, error: ErrorObject | None
    ) -> Turn:
        self._invocation = None
        turn = self._state.turn(now_ms)
        turn.record(
            EventType.INVOCATION_COMPLETED,
            request_id=invocation.request_id,
            start_ms=invocation.started_ms,
            end_ms=now_ms,
            error=error,
        )
        if invocation.ending and not self.ended:
            end(turn, self.root, invocation.ending)
        return turn

    def _request_invocation(self, turn: Turn) -> None:
        if self._invocation is None and not self._invoke_requested:
            self._invoke_requested = True
            turn.commands.append(Invoke())

    # -- checkpoints -----------------------------------------------------------------------

    def _checkpoint(self, event: ev.Checkpoint) -> list[Command]:
        constraints.check_updates(event.updates)
        if answer := self._repeated(event):
            return [answer]
        self._check_token(event.token)
        assert self._invocation is not None
        turn = self._state.turn(event.now_ms, event.targets)
        CheckpointProcessor(turn, self.id).process(event.updates)
        if event.updates:
            self._failures = 0
        commands = self._commit(turn)
        self._invocation.sequence += 1
        self._invocation.ending = turn.ending
        unseen = self._state.see_all()
        token = None
        if not turn.ending:
            token = tokens.checkpoint_token(self._invocation.seed, self._invocation.sequence)
            self._invocation.token = token
        reply = Reply(token, unseen)
        if event.client_token:
            self._repeats.remember(event.client_token, event, reply)
        commands.append(reply)
        return commands

    def _check_token(self, token: str) -> None:
        invocation = self._invocation
        if self.ended or self.closing:
            raise InvalidCheckpointToken("the execution has ended.")
        if invocation is None:
            raise InvalidCheckpointToken("no invocation of this execution is in progress.")
        if token != invocation.token:
            raise InvalidCheckpointToken("it has been used, or was never given out.")

    def _repeated(self, event: ev.Checkpoint) -> Reply | None:
        """Return the first answer to the same request, None where the request is new. The
        checkpoint token is a part of the request."""
        found = self._repeats.first(event)
        if found is None:
            return None
        first, reply = found
        if first.token != event.token:
            self._check_token(event.token)
        elif first.updates == event.updates:
            return reply
        raise InvalidParameterValue("ClientToken was used before with another payload.")

    # -- timers, answers, ends -------------------------------------------------------------

    def _fire(self, now_ms: int) -> list[Command]:
        """Fire every timer that is due by `now_ms`, in order and each in a turn of its own."""
        commands: list[Command] = []
        while (first := self.next_timer()) and first[1] <= now_ms:
            timer, due_ms = first
            turn = self._state.turn(max(due_ms, self._state.last_ms))
            turn.timers[timer] = None
            operation = self.operations[timer.operation_id]
            match timer.kind:
                case TimerKind.WAIT:
                    wait.due(turn, operation)
                case TimerKind.STEP_RETRY:
                    step.retry_due(turn, operation)
                case TimerKind.CALLBACK_TIMEOUT | TimerKind.CALLBACK_HEARTBEAT:
                    callback.timed_out(turn, operation, timer.kind)
                case TimerKind.EXECUTION_TIMEOUT:
                    # The service gives no error, as the status says everything.
                    end(turn, operation, Ending(ExecutionStatus.TIMED_OUT))
                case TimerKind.INVOCATION_RETRY:
                    self._request_invocation(turn)
                case _:
                    assert_never(timer.kind)
            self._service_completed(turn)
            commands += self._commit(turn)
        return commands

    def _callback(
        self, event: ev.CallbackSucceeded | ev.CallbackFailed | ev.CallbackHeartbeat
    ) -> list[Command]:
        arn, operation_id = tokens.parse_callback_id(event.callback_id)
        if arn != self.config.arn:
            raise InvalidParameterValue("Invalid callback id.")
        operation = callback.check_open(self.operations.get(operation_id))
        if self.ended:
            raise InvalidParameterValue("The callback's execution has ended.")
        turn = self._state.turn(event.now_ms)
        match event:
            case ev.CallbackSucceeded():
                callback.succeed(turn, operation, event.result)
            case ev.CallbackFailed():
                callback.fail(turn, operation, event.error)
            case ev.CallbackHeartbeat():
                if seconds := self._state.heartbeats.get(operation_id):
                    callback.heartbeat(turn, operation, seconds)
            case _:
                assert_never(event)
        self._service_completed(turn)
        return self._commit(turn)

    def _chained_invoke_ended(self, event: ev.ChainedInvokeEnded) -> list[Command]:
        operation = self.operations[event.operation_id]
        if self.ended or operation.status.is_terminal:
            return []
        turn = self._state.turn(event.now_ms)
        chained_invoke.ended(turn, operation, event)
        self._service_completed(turn)
        return self._commit(turn)

    def _stop(self, event: ev.Stopped) -> list[Command]:
        if self.ended:
            return []
        turn = self._state.turn(event.now_ms)
        end(turn, self.root, Ending(ExecutionStatus.STOPPED, error=event.error))
        return self._commit(turn)

    def _service_completed(self, turn: Turn) -> None:
        """Have the handler told of what the service itself changed in `turn`.

        An invocation in progress is told by its next reply. Where it returns without a reply, and
        where no invocation is in progress, the next invocation is told.
        """
        if not turn.operations or self.id in turn.operations:
            return
        if Timer(TimerKind.INVOCATION_RETRY, self.id) not in self._state.timers:
            self._request_invocation(turn)

    # -- committing ------------------------------------------------------------------------

    def _commit(self, turn: Turn) -> list[Command]:
        self._state.commit(turn)
        root = turn.operations.get(self.id)
        if root is not None and root.status is not OperationStatus.STARTED:
            self.status = ExecutionStatus(root.status.value)
            self._repeats.clear()
            self._state.end()
        return turn.commands
