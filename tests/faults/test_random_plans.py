"""Random plans over many workflows: every execution ends, its history hangs together, what was
acknowledged is never done again, and nothing is left running.

`FAULT_PLANS` says how many plans; each follows from its seed alone.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import pytest

from async_durable_execution_runner import (
    DurableFunctionTestResult,
    DurableFunctionTestRunner,
    FaultNeverFired,
)
from async_durable_execution_runner.core.model import EventType, HistoryEvent
from async_durable_execution_runner.core.wellformed import problems

from . import handlers

pytestmark = [pytest.mark.processes, pytest.mark.usefixtures("own_cluster")]

PLANS = int(os.environ.get("FAULT_PLANS", "200"))
AT_ONCE = 25

#: By "module:handler" of the examples, or by the name of one of `handlers`.
INPUTS: dict[str, Any] = {
    "order": {},
    "careful": {},
    "recorded_throughout": {},
    "batches:ship_all": {"parcels": ["a", "b", "c"]},
    "batches:ship_flat": {"parcels": ["a", "b"]},
    "completion:ask_board": {"board": ["ann", "bob", "cy", "di"]},
    "conditions:follow_parcel": {"order_id": "o-1"},
    "contexts:prepare_parcel": {"items": ["book", "lamp"]},
    "contexts:haggle": {"limit": 40},
    "flows:make_offer": {"item": "lamp", "country": "here"},
    "pipelines:publish_catalogue": {"pages": 10},
    "recursion:load_truck": {"parcels": [3, 1, 4]},
    "replay_safe:draw_winner": {"customers": ["ann", "bob"]},
    "scopes:ship_or_undo": {"order_id": "o-1"},
    "steps:pay_patiently": {"failures": 2},
    "waits:wait_for_the_slower": {"order_id": "o-1"},
}


def _workflows() -> dict[str, tuple[Any, Any]]:
    """Name, handler and input of those that the installed SDK can do."""
    found = {}
    for name, given in INPUTS.items():
        module, _, attribute = name.rpartition(":")
        try:
            source = import_module(f"examples.{module}") if module else handlers
        except ImportError:
            continue
        found[attribute] = (getattr(source, attribute), given)
    return found


WORKFLOWS = _workflows()

WHATS = {
    "kill": 8,
    "exit=3": 3,
    "segfault": 1,
    "raise=no route to host": 3,
    "hang": 1,
    "hang-c": 1,
    "freeze": 4,
    "timeout": 3,
    "drop": 4,
    "delay=5": 3,
    "delay=45": 1,
    "fail=TooManyRequestsException": 2,
    "fail=ServiceException": 2,
    "fail=InvalidParameterValueException": 2,
    "fail=KMSDisabledException": 1,
    "duplicate": 3,
    "cut": 3,
}


def plan_of(seed: int) -> tuple[str, list[str]]:
    """A workflow and one to three faults."""
    chance = random.Random(seed)
    workflow = chance.choice(list(WORKFLOWS))
    whats = chance.choices(list(WHATS), list(WHATS.values()), k=chance.choice((1, 1, 2, 3)))
    return workflow, [f"{what}@{_place(chance, what)}" for what in whats]


def _place(chance: random.Random, what: str) -> str:
    number = chance.randint(1, 6)
    invocation = chance.randint(1, 3)
    if what == "duplicate":
        return f"invocation-start:{invocation}"
    places = [
        f"before-commit:{number}",
        f"after-commit:{number}",
        f"before-commit:type=STEP,action=SUCCEED,n={number}",
        f"after-commit:type=CONTEXT,n={invocation}",
        f"time:{chance.choice((0, 1, 60, 3600))}",
        f"random:0.1,seed={number};times=3",
    ]
    if not what.startswith(("drop", "delay", "fail", "raise")):
        places += [
            f"invocation-start:{invocation}",
            f"invocation-result:{invocation}",
            f"effect:{number}",
        ]
    return chance.choice(places)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("first", range(0, PLANS, AT_ONCE))
def test_whatever_goes_wrong_an_execution_ends_as_it_should(first: int):
    plans = {seed: plan_of(seed) for seed in range(first, min(first + AT_ONCE, PLANS))}
    handler = WORKFLOWS["order"][0]
    with DurableFunctionTestRunner(handler, function_name="order", workers=2) as runner:
        for name, (workflow, _) in WORKFLOWS.items():
            runner.register_durable_function(name, workflow)
        handles = {
            seed: runner.start(WORKFLOWS[name][1], function_name=name, faults=faults)
            for seed, (name, faults) in plans.items()
        }
        for seed, handle in handles.items():
            try:
                result = handle.result(timeout=120)
            except FaultNeverFired:
                result = handle.snapshot()
            wrong = list(_wrong(result))
            assert not wrong, f"seed {seed}, {plans[seed]}: {wrong}\n{result}"
        status = runner.status()
        assert [worker.request_id for worker in status.workers if worker.request_id] == []
        assert status.queued_invocations == 0


def _wrong(result: DurableFunctionTestResult) -> list[str]:
    events: Sequence[HistoryEvent] = list(result._record.events)
    return problems(events) + _done_again(result, events)


def _done_again(result: DurableFunctionTestResult, events: Sequence[HistoryEvent]) -> list[str]:
    """Steps whose body ran in an invocation after the one in which they had succeeded."""
    invocation, done = 1, {}
    for event in events:
        if event.type is EventType.INVOCATION_COMPLETED:
            invocation += 1
        elif event.type is EventType.STEP_SUCCEEDED and event.next_attempt_delay_seconds is None:
            done[event.id] = invocation
    return [
        f"{effect.operation_name} ran in invocation {effect.invocation}, done in "
        f"{done[effect.operation_id]}"
        for effect in result.ledger
        if effect.invocation > done.get(effect.operation_id, effect.invocation) and not effect.stale
    ]
