"""`Trace`: writes each event into an execution and each command out of it as a line of the log.

    8f14e45f >> Checkpoint: STEP SUCCEED 'charge' (6 bytes), WAIT START 'cooling-off' (2 d)
    8f14e45f << Reply: 2 operations
    8f14e45f .. waits for wait 'cooling-off' until 2026-11-30 12:01:07 UTC of its own time

The first eight characters of the ARN's last part name the execution. Payloads, and the messages of
handlers' errors, are given by size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from .. import log
from ..core import commands as cm
from ..core import events as ev
from ..core import limits, tokens
from ..core.model import ErrorObject, Operation, OperationUpdate
from .leases import Leases
from .runs import Run
from .waiting_for import clock_time, waiting_for

#: How many updates of one checkpoint are named; the line says how many others there are.
_NAMED_UPDATES = 8
#: How the types of errors begin whose messages are the runner's own.
_OWN_ERRORS = ("Runtime.", "Sandbox.", "Callback.", "ChainedInvoke.", "InvalidParameterValue")


def trace(leases: Leases) -> Trace | None:
    """Return a trace, None where nothing is logged."""
    say = log.debug(__name__)
    return None if say is None else Trace(leases, say)


class Trace:
    def __init__(self, leases: Leases, say: log.Say) -> None:
        self._leases = leases
        self._say = say

    def handle(self, run: Run, event: ev.Event) -> list[cm.Command]:
        """Have the execution handle the event; log the event and the commands that it returns."""
        name = log.short(run.arn)
        self._say("%s >> %s", name, of_event(run, event))
        commands = run.execution.handle(event)
        for command in commands:
            self._say("%s << %s", name, of_command(run, command))
        return commands

    def waits(self, run: Run) -> None:
        """Log what the execution waits for, if it is suspended."""
        if run.execution.suspended:
            self._say("%s .. waits for %s", log.short(run.arn), waiting_for(self._leases, run))


def of_event(run: Run, event: ev.Event) -> str:
    """Return the event in words, before `run` handles the event."""
    return f"{type(event).__name__}: {_event(run, event)}"


def _event(run: Run, event: ev.Event) -> str:
    match event:
        case ev.Started():
            return f"{run.function.name!r} with {_bytes(event.payload)} of input, {run.arn}"
        case ev.InvocationStarted():
            return f"invocation {log.short(event.request_id)}"
        case ev.InvocationReturned():
            given = f" ({_bytes(event.result)})" if event.result is not None else ""
            return f"{event.outcome.value}{given}{_error(event.error)}"
        case ev.InvocationFailed():
            return f"invocation {log.short(event.request_id)}{_error(event.error)}"
        case ev.Checkpoint():
            return _updates(run, event.updates)
        case ev.TimePassed():
            timer = run.execution.next_timer()
            due = f", {run.named(timer[0])} is due" if timer is not None else ""
            return f"it is {clock_time(event.now_ms)}{due}"
        case ev.CallbackSucceeded():
            return f"{_callback(run, event.callback_id)} ({_bytes(event.result)})"
        case ev.CallbackFailed():
            return f"{_callback(run, event.callback_id)}{_error(event.error)}"
        case ev.CallbackHeartbeat():
            return _callback(run, event.callback_id)
        case ev.ChainedInvokeEnded():
            operation = run.execution.operations[event.operation_id]
            given = f" ({_bytes(event.result)})" if event.result is not None else ""
            return f"{_name(operation)} {event.status.value}{given}{_error(event.error)}"
        case ev.Stopped():
            return f"by a call{_error(event.error)}"
        case _:
            assert_never(event)


def of_command(run: Run, command: cm.Command) -> str:
    """Return the command in words, before the command is carried out."""
    return f"{type(command).__name__}: {_command(run, command)}"


def _command(run: Run, command: cm.Command) -> str:
    match command:
        case cm.Invoke():
            return "as soon as a worker is free"
        case cm.Deliver():
            more = ", and more to be read" if command.next_marker else ""
            to = ""
            if (lease := run.lease) is not None:
                to = f" to {lease.worker}, which has {lease.job.function.timeout_seconds:g} s"
            return f"{_count(len(command.operations), 'operation')}{more}{to}"
        case cm.Reply():
            end = "; no other checkpoint is taken" if command.token is None else ""
            return f"{_count(len(command.operations), 'operation')}{end}"
        case cm.InvokeFunction():
            return f"{command.function_name!r} with {_bytes(command.payload)} of input"
        case cm.Finish():
            root = run.execution.root
            given = f" ({_bytes(root.result)})" if root.result is not None else ""
            return f"{command.status.value}{given}{_error(root.error)}"
        case _:
            assert_never(command)


def _updates(run: Run, updates: Sequence[OperationUpdate]) -> str:
    if not updates:
        return "no updates, it asks for what is new"
    words = [_update(run, update) for update in updates[:_NAMED_UPDATES]]
    if left := len(updates) - len(words):
        words.append(f"and {left} more")
    return ", ".join(words)


def _update(run: Run, update: OperationUpdate) -> str:
    operation = run.execution.operations.get(update.id)
    name = _name(update if update.name or operation is None else operation)
    details = []
    if update.function_name is not None:
        details.append(f"of {update.function_name!r}")
    if update.payload is not None:
        details.append(_bytes(update.payload))
    for words, seconds in (
        ("", update.wait_seconds),
        ("again in ", update.next_attempt_delay_seconds),
        ("time-out ", update.timeout_seconds),
        ("heartbeat ", update.heartbeat_timeout_seconds),
    ):
        # None says that the option was not given, and 0 that none is wanted.
        if seconds:
            details.append(f"{words}{log.span(seconds * 1000)}")
    shown = f" ({', '.join(details)})" if details else ""
    return f"{update.type.value} {update.action.value} {name}{shown}{_error(update.error)}"


def _name(operation: Operation | OperationUpdate) -> str:
    return repr(operation.name) if operation.name else log.short(operation.id)


def _callback(run: Run, callback_id: str) -> str:
    operation = run.execution.operations.get(tokens.parse_callback_id(callback_id)[1])
    return f"callback {log.short(callback_id)}" if operation is None else run.label(operation)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _bytes(text: str | None) -> str:
    return _count(limits.size(text or ""), "byte")


def _error(error: ErrorObject | None) -> str:
    if error is None:
        return ""
    kind, message = error.type or "an error", error.message
    if not message:
        return f", {kind}"
    if kind.startswith(_OWN_ERRORS):
        return f", {kind}: {message}"
    return f", {kind} (its message has {_bytes(message)})"
