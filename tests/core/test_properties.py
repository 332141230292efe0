"""Thousands of random events, good and bad, from seeds: what must hold after each of them."""

from __future__ import annotations

import copy
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from async_durable_execution_runner.core import events as ev
from async_durable_execution_runner.core.commands import Command, Finish, Invoke, InvokeFunction
from async_durable_execution_runner.core.events import Outcome
from async_durable_execution_runner.core.model import (
    EventType,
    ExecutionStatus,
    Operation,
    OperationAction,
    OperationStatus,
    OperationType,
    OperationUpdate,
)
from async_durable_execution_runner.core.turn import TimerKind
from async_durable_execution_runner.errors import ServiceError

from .machine import BOOM, Machine, update
from .replay import rebuild
from .test_transitions import ALLOWED, NOT_THERE

SEEDS = range(100)
EVENTS = 250
COMPLETED = EventType.INVOCATION_COMPLETED
CALL_ENDS = [
    OperationStatus.SUCCEEDED,
    OperationStatus.FAILED,
    OperationStatus.TIMED_OUT,
    OperationStatus.STOPPED,
]
ENDINGS = {
    EventType.EXECUTION_SUCCEEDED,
    EventType.EXECUTION_FAILED,
    EventType.EXECUTION_TIMED_OUT,
    EventType.EXECUTION_STOPPED,
}


class Chaos:
    """Sends random events to one machine, and keeps the books that the executor would keep."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.machine = Machine(
            timeout_seconds=self.random.choice([1000, 100_000_000]),
            retries=self.random.randrange(4),
        )
        #: Invocations asked for and not yet begun; invocations begun and not yet ended.
        self.asked = self.running = 0
        self.finished: list[ExecutionStatus] = []
        self.called: list[str] = []
        self.tokens = [""]
        self.request: dict[str, Any] | None = None
        #: Operations that have ended, as they ended.
        self.ended: dict[str, Operation] = {}
        self.keep_books(self.machine.commands)

    def keep_books(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case Invoke():
                    assert not self.asked
                    assert not self.running
                    self.asked = 1
                case Finish(status):
                    self.finished.append(status)
                    self.asked = 0
                case InvokeFunction(operation_id):
                    self.called.append(operation_id)

    def step(self) -> None:
        self.machine.now_ms += self.random.choice([0, 0, 0, 1, 500, 500, 1000, 7000, 31_000])
        self.keep_books(self.machine.pass_time(0))
        action = self.random.choice(
            [self.begin] * 3
            + [self.checkpoint] * 8
            + [self.complete, self.call_back, self.end_call]
            + [self.fail] * (self.random.random() < 0.5)
            + [self.stop] * (self.random.random() < 0.01)
        )
        before = snapshot(self.machine)
        try:
            action()
        except ServiceError:
            assert snapshot(self.machine) == before

    def send(self, event: type[Any], **fields: Any) -> None:
        self.keep_books(self.machine.send(event, **fields))

    # -- events ----------------------------------------------------------------------------

    def begin(self) -> None:
        if self.asked:
            self.asked, self.running = 0, 1
            self.machine.invoke()
            self.tokens.append(self.machine.token)
        assert self.machine.execution.request_id is None or self.running

    def checkpoint(self) -> None:
        token, seen, before = self.machine.token, self.machine.seen, snapshot(self.machine)
        if self.request is None or self.random.random() < 0.9:
            batch = tuple(self.update() for _ in range(self.random.choice([0, 1, 1, 1, 2, 4])))
            self.request = {
                "updates": batch,
                "token": self.random.choice(self.tokens) if self.random.random() < 0.1 else token,
                "client_token": self.random.choice([None, None, "a", "b"]),
            }
        self.machine.checkpoint(**self.request)
        if snapshot(self.machine) == before:
            # A repeat was answered: the worker has had that answer before.
            self.machine.token, self.machine.seen = token, seen
            return
        self.tokens.append(self.machine.token)
        self.keep_books(self.machine.commands)
        execution = self.machine.execution
        assert execution.ended or self.machine.seen == execution.operations

    def update(self) -> OperationUpdate:
        """Mostly one that fits the operation; ids are few, and each has its type."""
        random = self.random
        number = random.randrange(24)
        id, type = f"op-{number}", list(OperationType)[1 + number % 5]
        if random.random() < 0.002:
            type = OperationType.EXECUTION
        operation = self.machine.execution.operations.get(id)
        status = operation.status.value if operation else NOT_THERE
        fitting = [
            OperationAction(action)
            for (of_type, action), (sources, _, _) in ALLOWED.items()
            if of_type == type.value and status in sources
        ]
        if random.random() < 0.05 or not fitting:
            fitting = list(OperationAction)
        action = random.choice(fitting)
        fields: dict[str, Any] = {}
        if action is OperationAction.FAIL or random.random() < 0.03:
            fields["error"] = BOOM
        if action is OperationAction.SUCCEED or random.random() < 0.03:
            fields["payload"] = f'"{random.random()}"'
        if type is OperationType.CALLBACK and action is OperationAction.START:
            fields["timeout_seconds"] = random.choice([None, 0, 60])
            fields["heartbeat_timeout_seconds"] = random.choice([None, 30])
        if random.random() < 0.05:
            fields["parent_id"] = "op-0"
        return update(type, action, id, **fields)

    def complete(self) -> None:
        outcome = self.random.choices(list(Outcome), [1, 1, 60])[0]
        pending = self.machine.execution.waiting or self.random.random() < 0.1
        if self.running and (pending or outcome is not Outcome.PENDING):
            self.running = 0
            self.keep_books(self.machine.returns(outcome, result="1"))

    def fail(self) -> None:
        if self.running:
            self.running = 0
            self.keep_books(self.machine.fails())

    def call_back(self) -> None:
        ids = [op.callback_id for op in self.machine.execution.operations.values()]
        event = self.random.choice([ev.CallbackSucceeded, ev.CallbackFailed, ev.CallbackHeartbeat])
        fields = {"error": BOOM} if event is ev.CallbackFailed else {}
        id = self.random.choice([id for id in ids if id] or ["none"])
        self.send(event, callback_id=id, **fields)

    def end_call(self) -> None:
        if self.called:
            id = self.random.choice(self.called)
            status = self.random.choice(CALL_ENDS)
            self.send(ev.ChainedInvokeEnded, operation_id=id, status=status)

    def stop(self) -> None:
        self.send(ev.Stopped, error=BOOM)

    # -- what must hold --------------------------------------------------------------------

    def check(self) -> None:
        execution = self.machine.execution
        history = execution.history
        assert [event.event_id for event in history] == list(range(1, len(history) + 1))
        times = [event.timestamp_ms for event in history]
        assert times == sorted(times)
        endings = [event.type for event in history if event.type in ENDINGS]
        assert len(endings) == len(self.finished) == execution.ended
        assert self.finished in ([], [execution.status])
        assert (execution.request_id is not None) == bool(self.running)
        assert execution.suspended == (not execution.ended and not self.asked and not self.running)
        if execution.suspended:
            self.check_wakes()
        self.check_timers()
        terminal = {op.id: op for op in execution.operations.values() if op.status.is_terminal}
        assert terminal == terminal | self.ended
        self.ended = terminal

    def check_wakes(self) -> None:
        """A back-off that ends soon, or an operation that time or somebody else will end."""
        execution = self.machine.execution
        last = next(e for e in reversed(execution.history) if e.type is COMPLETED)
        if last.error is not None:
            timer = execution.next_timer()
            assert timer is not None
            assert timer[1] <= last.timestamp_ms + 4000
        else:
            assert execution.waiting

    def check_timers(self) -> None:
        """Everything that time must end has a timer, and nothing else has."""
        execution = self.machine.execution
        timer = execution.next_timer()
        if execution.ended or execution.closing:
            assert timer is None
            return
        ends = [execution.root.start_ms + execution.config.timeout_ms]
        for operation in execution.operations.values():
            if operation.status is OperationStatus.PENDING:
                ends.append(operation.next_attempt_ms or 0)
            if operation.type is OperationType.WAIT and not operation.status.is_terminal:
                ends.append(operation.scheduled_end_ms or 0)
        assert timer is not None
        if timer[0].kind in (TimerKind.WAIT, TimerKind.STEP_RETRY, TimerKind.EXECUTION_TIMEOUT):
            assert timer[1] == min(ends)
        else:
            assert timer[1] <= min(ends)
        assert timer[1] > self.machine.now_ms


def snapshot(machine: Machine) -> dict[str, Any]:
    """As deep as it goes: what these containers hold is immutable."""
    return {name: copy.copy(value) for name, value in machine.memory().items()}


@pytest.mark.parametrize("seed", SEEDS)
def test_what_must_hold_after_every_event(seed: int) -> None:
    chaos = Chaos(seed)
    execution = chaos.machine.execution
    for _ in range(EVENTS):
        chaos.step()
        chaos.check()
    rebuilt = rebuild(execution.history)
    assert rebuilt.keys() == execution.operations.keys()
    for id, operation in execution.operations.items():
        if operation.status.is_terminal:
            assert rebuilt[id] == replace(operation, replay_children=False)


@pytest.mark.parametrize("seed", SEEDS)
def test_after_the_end_nothing_changes_but_that_a_running_invocation_completes(seed: int) -> None:
    chaos = Chaos(seed)
    execution = chaos.machine.execution
    for _ in range(seed % EVENTS):
        chaos.step()
    chaos.stop()
    operations, count = copy.copy(execution.operations), len(execution.history)
    running = chaos.running
    for _ in range(40):
        chaos.step()
        chaos.check()
    assert execution.operations == operations
    after = [event.type for event in execution.history[count:]]
    assert after in ([], [COMPLETED] * running)


def test_the_chaos_reaches_everything() -> None:
    """Or the properties would hold for want of anything happening."""
    everything = {*ExecutionStatus, *OperationStatus, *EventType}
    reached: set[object] = set()
    for seed in SEEDS:
        if everything <= reached:
            break
        chaos = Chaos(seed)
        execution = chaos.machine.execution
        for _ in range(EVENTS):
            chaos.step()
            reached |= {operation.status for operation in execution.operations.values()}
        reached |= {event.type for event in execution.history}
        reached.add(execution.status)
    assert everything <= reached
