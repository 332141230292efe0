"""What the model asks of an update holds for a worker's checkpoint too, in the same words."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest

from async_durable_execution_runner.core import constraints
from async_durable_execution_runner.core.constraints import Constraint
from async_durable_execution_runner.core.model import OperationUpdate
from async_durable_execution_runner.errors import InvalidParameterValue

from .machine import CALLBACK, CHAINED_INVOKE, STEP, WAIT, invoked, retry, start

LENGTH = "Member must have length less than or equal to"
PATTERN = "Member must satisfy regular expression pattern:"
NAME, ID = r"[\x20-\x7E]+", "[a-zA-Z0-9-_]+"
LONGEST = 31_622_400
LEAST, MOST = (f"Member must have value {w} than or equal to" for w in ("greater", "less"))

REFUSALS: list[tuple[OperationUpdate, str, str]] = [
    (start(STEP, name="café"), "'café' at 'updates.1.member.name'", f"{PATTERN} {NAME}"),
    (start(STEP, name="a\nb"), "'a\nb' at 'updates.1.member.name'", f"{PATTERN} {NAME}"),
    (start(STEP, name="a\n"), "'a\n' at 'updates.1.member.name'", f"{PATTERN} {NAME}"),
    (start(STEP, name="\ud83d"), "'\ud83d' at 'updates.1.member.name'", f"{PATTERN} {NAME}"),
    (
        start(STEP, name="n" * 257),
        f"'{'n' * 256}...' at 'updates.1.member.name'",
        f"{LENGTH} 256",
    ),
    (start(STEP, "op 1"), "'op 1' at 'updates.1.member.id'", f"{PATTERN} {ID}"),
    (start(STEP, "i" * 65), f"'{'i' * 65}' at 'updates.1.member.id'", f"{LENGTH} 64"),
    (start(STEP, parent_id="a.b"), "'a.b' at 'updates.1.member.parentId'", f"{PATTERN} {ID}"),
    (start(STEP, sub_type="a b"), "'a b' at 'updates.1.member.subType'", f"{PATTERN} {ID}"),
    (start(STEP, sub_type="s" * 33), f"'{'s' * 33}' at 'updates.1.member.subType'", f"{LENGTH} 32"),
    *(
        (start(WAIT, wait_seconds=s), f"'{s}' at 'updates.1.member.waitOptions.waitSeconds'", rule)
        for s, rule in [(0, f"{LEAST} 1"), (-1, f"{LEAST} 1"), (LONGEST + 1, f"{MOST} {LONGEST}")]
    ),
    *(
        (
            retry(next_attempt_delay_seconds=s),
            f"'{s}' at 'updates.1.member.stepOptions.nextAttemptDelaySeconds'",
            rule,
        )
        for s, rule in [(0, f"{LEAST} 1"), (LONGEST + 1, f"{MOST} {LONGEST}")]
    ),
    *(
        (
            start(CALLBACK, **{member: s}),
            f"'{s}' at 'updates.1.member.callbackOptions.{name}'",
            rule,
        )
        for member, name in [
            ("timeout_seconds", "timeoutSeconds"),
            ("heartbeat_timeout_seconds", "heartbeatTimeoutSeconds"),
        ]
        for s, rule in [(-1, f"{LEAST} 0"), (100_000_000, f"{MOST} 99999999")]
    ),
    (
        start(CHAINED_INVOKE, tenant_id="ac#me"),
        "'ac#me' at 'updates.1.member.chainedInvokeOptions.tenantId'",
        rf"{PATTERN} [a-zA-Z0-9\._:\/=+\-@ ]+",
    ),
    (
        start(CHAINED_INVOKE, function_name="two words"),
        "'two words' at 'updates.1.member.chainedInvokeOptions.functionName'",
        f"{PATTERN} {constraints.UPDATE['function_name'][1].pattern}",
    ),
]


@pytest.mark.parametrize(
    ("update", "value", "rule"), REFUSALS, ids=[ascii(value) for _, value, _ in REFUSALS]
)
def test_an_update_that_breaks_the_model_is_refused(
    update: OperationUpdate, value: str, rule: str
) -> None:
    machine = invoked()
    before = machine.snapshot()
    with pytest.raises(InvalidParameterValue) as refused:
        machine.checkpoint(update)
    assert refused.value.message == (
        f"1 validation error detected: Value {value} failed to satisfy constraint: {rule}"
    )
    assert machine.snapshot() == before


def test_the_bounds_themselves_are_accepted() -> None:
    invoked().checkpoint(
        start(STEP, "i" * 64, name="~" * 256, sub_type="s" * 32),
        start(CHAINED_INVOKE, "call", tenant_id="a.b:c/d=e+f-g@h i"),
    )


def test_the_rules_are_those_of_the_installed_model() -> None:
    model = botocore.session.get_session().get_service_model("lambda")
    checkpoint = model.operation_model("CheckpointDurableExecution").input_shape
    assert checkpoint is not None
    update: Any = checkpoint.members["Updates"].member  # type: ignore[attr-defined]
    for member, (path, ours) in constraints.UPDATE.items():
        shape = update
        for name in path.split("."):
            shape = shape.members[name[:1].upper() + name[1:]]
        rules = shape.metadata
        theirs = Constraint(rules.get("min"), rules.get("max"), rules.get("pattern"))
        # The newest model bounds the time-outs of a callback; those before did not.
        if shape.name == "DurationSeconds" and theirs.most is None:
            theirs = Constraint(theirs.least, 99_999_999)
        assert ours == theirs, member
