"""Every type x status x action against the service's own table, written down here once more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from async_durable_execution_runner.core import events as ev
from async_durable_execution_runner.core.model import (
    Operation,
    OperationAction,
    OperationStatus,
    OperationType,
)
from async_durable_execution_runner.core.operations import RULES, TRIGGERS
from async_durable_execution_runner.errors import InvalidParameterValue, ServiceError

from .machine import (
    BOOM,
    CALLBACK,
    CHAINED_INVOKE,
    EXECUTION,
    ROOT,
    STEP,
    T0,
    WAIT,
    Machine,
    invoked,
    retry,
    start,
    update,
)

NOT_THERE = "not there"
CLOSE_STEP = "Invalid current STEP state to close."
CLOSE_CONTEXT = "Invalid current CONTEXT state to close."
CLOSE_EXECUTION = "Invalid current EXECUTION state to close."
NO_SUCH_ACTION = "Invalid action for the given operation type."

#: (type, action): from, to, the refusal anywhere else.
ALLOWED = {
    ("STEP", "START"): (
        {NOT_THERE, "READY"},
        "STARTED",
        "Invalid current STEP state to start.",
    ),
    ("STEP", "SUCCEED"): ({NOT_THERE, "STARTED", "READY"}, "SUCCEEDED", CLOSE_STEP),
    ("STEP", "FAIL"): ({NOT_THERE, "STARTED", "READY"}, "FAILED", CLOSE_STEP),
    ("STEP", "RETRY"): (
        {NOT_THERE, "STARTED", "READY"},
        "PENDING",
        "Invalid current STEP state to re-attempt.",
    ),
    ("CONTEXT", "START"): ({NOT_THERE}, "STARTED", "Cannot start a CONTEXT that already exist."),
    ("CONTEXT", "SUCCEED"): ({NOT_THERE, "STARTED"}, "SUCCEEDED", CLOSE_CONTEXT),
    ("CONTEXT", "FAIL"): ({NOT_THERE, "STARTED"}, "FAILED", CLOSE_CONTEXT),
    ("WAIT", "START"): ({NOT_THERE}, "STARTED", "Cannot start a WAIT that already exist."),
    ("WAIT", "CANCEL"): (
        {"STARTED"},
        "CANCELLED",
        "Cannot cancel a WAIT that does not exist or has already completed.",
    ),
    ("CALLBACK", "START"): ({NOT_THERE}, "STARTED", "Cannot start a CALLBACK that already exist."),
    ("CHAINED_INVOKE", "START"): (
        {NOT_THERE},
        "STARTED",
        "Cannot start a CHAINED_INVOKE operation that already exists.",
    ),
    ("EXECUTION", "SUCCEED"): ({"STARTED"}, "SUCCEEDED", CLOSE_EXECUTION),
    ("EXECUTION", "FAIL"): ({"STARTED"}, "FAILED", CLOSE_EXECUTION),
}

#: (type, from, to), each of which some cause other than the handler brings about.
BY_ITSELF = {
    ("STEP", "PENDING", "READY"),
    ("WAIT", "STARTED", "SUCCEEDED"),
    ("CALLBACK", "STARTED", "SUCCEEDED"),
    ("CALLBACK", "STARTED", "FAILED"),
    ("CALLBACK", "STARTED", "TIMED_OUT"),
    ("CHAINED_INVOKE", "STARTED", "SUCCEEDED"),
    ("CHAINED_INVOKE", "STARTED", "FAILED"),
    ("CHAINED_INVOKE", "STARTED", "TIMED_OUT"),
    ("CHAINED_INVOKE", "STARTED", "STOPPED"),
    ("EXECUTION", "STARTED", "SUCCEEDED"),
    ("EXECUTION", "STARTED", "FAILED"),
    ("EXECUTION", "STARTED", "TIMED_OUT"),
    ("EXECUTION", "STARTED", "STOPPED"),
}

STATUSES = [NOT_THERE, *(status.value for status in OperationStatus)]
TERMINAL = {"SUCCEEDED", "FAILED", "CANCELLED", "TIMED_OUT", "STOPPED"}


def machine_with(type: OperationType, status: str) -> tuple[Machine, str]:
    """In an invocation, with an operation of that type and status planted, and its id."""
    machine = invoked()
    operations = machine.execution.operations
    id = ROOT if type is EXECUTION else "op"
    if status == NOT_THERE:
        operations.pop(id, None)
    elif type is EXECUTION:
        operations[id] = replace(operations[id], status=OperationStatus(status))
    else:
        operations[id] = Operation(id, type, OperationStatus(status), T0)
    return machine, id


@pytest.mark.parametrize("action", OperationAction, ids=lambda action: action.value)
@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("type", OperationType, ids=lambda type: type.value)
def test_an_action(type: OperationType, status: str, action: OperationAction) -> None:
    machine, id = machine_with(type, status)
    before = machine.snapshot()
    sources, target, refusal = ALLOWED.get((type.value, action.value), ((), "", NO_SUCH_ACTION))

    if status in sources:
        machine.checkpoint(update(type, action, id))
        if type is EXECUTION:
            # It takes effect with the end of the invocation, which has an event of its own.
            machine.fails()
            assert len(before["history"]) + 2 == len(machine.execution.history)
        else:
            assert len(before["history"]) + 1 == len(machine.execution.history)
        assert target == machine.op(id).status.value
    else:
        with pytest.raises(InvalidParameterValue) as refused:
            machine.checkpoint(update(type, action, id))
        assert refusal == str(refused.value)
        assert before == machine.snapshot()


def test_the_table_of_the_core_is_the_services() -> None:
    """The documentation is made from it."""
    rules = {
        (type.value, action.value): (
            {source.value if source else NOT_THERE for source in rule.sources},
            rule.target.value,
            rule.refusal,
        )
        for (type, action), rule in RULES.items()
    }
    assert rules == ALLOWED


def test_the_triggers_of_the_core_are_the_services() -> None:
    triggers = [(t.type.value, t.source.value, t.target.value) for t in TRIGGERS]
    assert sorted(triggers) == sorted(BY_ITSELF)


def test_only_three_statuses_are_open() -> None:
    assert {status.value for status in OperationStatus if status.is_terminal} == TERMINAL


def come_about(machine: Machine, type: str, target: str) -> str:
    """Bring one of `BY_ITSELF` about; return the operation's id."""
    match type, target:
        case "STEP", "READY":
            machine.checkpoint(retry(next_attempt_delay_seconds=5))
            machine.pass_time(5)
        case "WAIT", _:
            machine.checkpoint(start(WAIT, wait_seconds=60))
            machine.pass_time(60)
        case "CALLBACK", _:
            machine.checkpoint(start(CALLBACK, timeout_seconds=60))
            answer(machine, machine.op().callback_id, target)
        case "CHAINED_INVOKE", _:
            machine.checkpoint(start(CHAINED_INVOKE))
            machine.send(ev.ChainedInvokeEnded, operation_id="op", status=OperationStatus(target))
        case "EXECUTION", "TIMED_OUT":
            machine.pass_time(machine.execution.config.timeout_ms / 1000)
            return ROOT
        case "EXECUTION", "STOPPED":
            machine.send(ev.Stopped, error=BOOM)
            return ROOT
        case _:
            machine.returns(ev.Outcome(target))
            return ROOT
    return "op"


def answer(machine: Machine, callback_id: str | None, target: str) -> None:
    match target:
        case "SUCCEEDED":
            machine.send(ev.CallbackSucceeded, callback_id=callback_id)
        case "FAILED":
            machine.send(ev.CallbackFailed, callback_id=callback_id, error=BOOM)
        case _:
            machine.pass_time(60)


@pytest.mark.parametrize(("type", "source", "target"), sorted(BY_ITSELF))
def test_what_comes_about_by_itself(type: str, source: str, target: str) -> None:
    machine = invoked()
    id = come_about(machine, type, target)
    assert target == machine.op(id).status.value


@pytest.mark.parametrize("status", sorted(TERMINAL))
@pytest.mark.parametrize("type", [CALLBACK, CHAINED_INVOKE], ids=lambda type: type.value)
def test_an_answer_to_what_has_ended_changes_nothing(type: OperationType, status: str) -> None:
    machine = invoked(start(type, timeout_seconds=60))
    callback_id = machine.op().callback_id
    machine.execution.operations["op"] = replace(machine.op(), status=OperationStatus(status))
    before = machine.snapshot()
    if type is CALLBACK:
        with pytest.raises(ServiceError):
            machine.send(ev.CallbackHeartbeat, callback_id=callback_id)
    else:
        machine.send(
            ev.ChainedInvokeEnded, operation_id="op", status=OperationStatus.FAILED, error=BOOM
        )
    assert before == machine.snapshot()


def test_a_step_waits_for_its_time_before_the_next_attempt() -> None:
    machine = invoked(retry(next_attempt_delay_seconds=5))
    with pytest.raises(InvalidParameterValue, match=r"^Invalid current STEP state to start.$"):
        machine.checkpoint(start(STEP))
    machine.pass_time(5)
    machine.checkpoint(start(STEP))
    assert machine.op().status is OperationStatus.STARTED
