"""What the coordinator knows of an execution, read from the pages that it sends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, TypeVar, overload

from ..core import model
from ..core.fault_places import CrashPoint
from ..results.operations import timestamp
from ..results.records import ExecutionRecord, FaultFired, InvocationRecord
from ..rpc import codec
from ..rpc.v1 import control_pb2 as pb
from ..rpc.v1 import model_pb2

T = TypeVar("T")


class _Decoded(Sequence[T]):
    """Messages that are decoded when somebody looks at them: most tests never see the history."""

    def __init__(self, parts: Sequence[Sequence[Any]], decode: Callable[[Any], T]) -> None:
        self._parts = parts
        self._decode = decode

    @cached_property
    def _items(self) -> list[T]:
        return [self._decode(message) for part in self._parts for message in part]

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        return self._items[index]


def record_of(pages: Sequence[pb.ExecutionPage]) -> ExecutionRecord:
    """The record that the pages are the parts of, in order."""
    head = pages[0].head
    return ExecutionRecord(
        execution_arn=head.execution_arn,
        execution_name=head.execution_name,
        function_name=head.function_name,
        status=codec.execution_status_from_proto(head.status),
        start_ms=head.start_ms,
        end_ms=head.end_ms if head.HasField("end_ms") else None,
        result=head.result if head.HasField("result") else None,
        error=_error(head),
        timed_out=head.timed_out,
        waiting_for=head.waiting_for,
        operations=_Decoded([page.operations for page in pages], codec.operation_from_proto),
        events=_Decoded([page.events for page in pages], codec.event_from_proto),
        invocations=[
            _invocation(each, number)
            for number, each in enumerate((e for page in pages for e in page.invocations), start=1)
        ],
        children=_children(pages),
        effects=_Decoded([page.effects for page in pages], codec.effect_from_proto),
        faults=[_fault(each) for page in pages for each in page.faults],
        unfired_faults=tuple(head.unfired_faults),
        points=[
            CrashPoint(each.moment, each.label, each.key) for page in pages for each in page.points
        ],
    )


def _fault(message: pb.FaultRecord) -> FaultFired:
    return FaultFired(
        fault=message.fault,
        moment=message.moment,
        label=message.label,
        invocation=message.invocation,
        timestamp=timestamp(message.time_ms),
        note=message.note,
    )


def _children(pages: Sequence[pb.ExecutionPage]) -> list[str]:
    chained = model_pb2.OPERATION_TYPE_CHAINED_INVOKE
    if not any(operation.type == chained for page in pages for operation in page.operations):
        return []
    started = model.EventType.CHAINED_INVOKE_STARTED.value
    return [
        event.execution_arn
        for page in pages
        for event in page.events
        if event.type == started and event.execution_arn
    ]


def _invocation(message: pb.InvocationRecord, number: int) -> InvocationRecord:
    return InvocationRecord(
        request_id=message.request_id,
        worker_id=message.worker_id,
        pid=message.pid,
        start_ms=message.start_ms,
        end_ms=message.end_ms if message.HasField("end_ms") else None,
        outcome=message.outcome,
        error=_error(message),
        output=tuple(codec.line_from_proto(line) for line in message.output),
        output_truncated=message.output_truncated,
        stacks=tuple(message.stacks),
        verdict=message.verdict,
        divergences=tuple(
            codec.divergence_from_proto(each, number) for each in message.divergences
        ),
    )


def _error(message: pb.ExecutionHead | pb.InvocationRecord) -> model.ErrorObject | None:
    if not message.HasField("error"):
        return None
    error: model_pb2.ErrorObject = message.error
    return codec.error_from_proto(error)
