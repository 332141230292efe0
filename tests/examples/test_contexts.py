from __future__ import annotations

from datetime import timedelta

from async_durable_execution import OperationStatus

from async_durable_execution_runner import InvocationStatus

from .contexts import (
    archive_catalogue,
    haggle,
    prepare_parcel,
    prepare_without_record,
    reserve_or_apologise,
)


def names(operations):
    return [operation.name for operation in operations]


def test_contexts_in_contexts(runner_for):
    result = runner_for(prepare_parcel).run(input={"items": ["book", "lamp"]}, timeout=30)

    assert result.get_deserialized_result() == ["book picked", "lamp picked"]
    assert names(result.operations) == ["pack"]
    pack = result.get_context("pack")
    assert names(pack.child_operations) == ["pick", "glue-dries"]
    assert names(pack.get_context("pick").child_operations) == ["pick-book", "pick-lamp"]
    assert pack.result == '["book picked","lamp picked"]'


def test_virtual_context(runner_for):
    result = runner_for(prepare_without_record).run(input={"items": ["book"]}, timeout=30)

    assert result.get_deserialized_result() == ["book picked"]
    assert names(result.operations) == ["pick", "glue-dries"]


def test_large_result_is_rebuilt_from_the_children(runner_for):
    result = runner_for(archive_catalogue).run(input={"pages": 3}, timeout=30)

    assert result.get_deserialized_result() == [100_000, 100_000, 100_000]
    scan = result.get_context("scan")
    assert scan.replay_children
    assert scan.result == '{"pages": 3}'
    # The second invocation went through the context again, but ran no step twice.
    assert [step.attempt for step in scan.child_operations] == [1, 1, 1]
    assert len(result.invocations) == 2


def test_context_fails(runner_for):
    result = runner_for(reserve_or_apologise).run(input={"items": ["book", "lamp"]}, timeout=30)

    assert result.status is InvocationStatus.SUCCEEDED
    assert result.get_deserialized_result() == {"sorry": "book"}
    reservations = result.get_context("reservations")
    assert reservations.status is OperationStatus.FAILED
    assert names(reservations.child_operations) == ["reserve"]
    assert reservations.get_step("reserve").error.type == "OutOfStock"


def test_block_is_retried(runner_for):
    result = runner_for(haggle).run(input={"limit": 40}, timeout=30)

    assert result.get_deserialized_result() == 33
    rounds = result.get_context("haggle").child_operations
    assert [(each.kind, each.result) for each in rounds] == [
        ("step", "100"),
        ("wait", None),
        ("step", "50"),
        ("wait", None),
        ("step", "33"),
    ]
    assert [each.duration for each in rounds if each.kind == "wait"] == [
        timedelta(hours=1),
        timedelta(hours=2),
    ]


def test_block_is_retried_in_vain(runner_for):
    result = runner_for(haggle).run(input={"limit": 10}, timeout=30)

    assert result.status is InvocationStatus.FAILED
    assert result.error.message == "20 is too much"
    assert result.get_context("haggle").error.type == "ValueError"
