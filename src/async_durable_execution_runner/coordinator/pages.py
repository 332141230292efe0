"""Encodes all that is known of an execution in pages for its runner."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import TypeVar

from ..core.fault_places import CrashPoint
from ..core.model import Effect, ErrorObject, HistoryEvent, Operation
from ..rpc import codec
from ..rpc.v1 import control_pb2 as pb
from .executor import Executor
from .injection import FiredFault
from .runs import InvocationState, Run
from .waiting_for import waiting_for

#: The most items of each kind on a page, and the characters after which a page has no more of a
#: kind: making a page cannot be interrupted.
_PAGE_ITEMS, _PAGE_CHARACTERS = 2000, 512 * 1024
#: What a line weighs besides its text, as making it takes time.
_LINE_CHARACTERS = 50

_T = TypeVar("_T")
_Paged = TypeVar("_Paged", pb.RunPage, pb.AwaitExecutionResponse)


def pages(executor: Executor, run: Run, in_time: bool, response: type[_Paged]) -> Iterator[_Paged]:
    """Return everything about `run`, one response for each page. The first page has
    the head and the faults.

    Args:
        in_time: Whether what the runner waited for came true in time.
        response: The type of the responses.
    """
    execution = run.execution
    parts = zip_longest(
        _parts(list(execution.operations.values()), _operation_weight),
        _parts(list(execution.history), _event_weight),
        _parts(executor.effects.of(run), _effect_weight),
        _parts(list(run.invocations), _invocation_weight),
        fillvalue=(),
    )
    for number, (operations, events, effects, invocations) in enumerate(parts):
        answer = response()
        if number == 0:
            _begin(executor, answer.page, run, in_time)
        codec.extend(answer.page.operations, codec.operation_to_proto, operations)
        codec.extend(answer.page.events, codec.event_to_proto, events)
        codec.extend(answer.page.effects, codec.effect_to_proto, effects)
        answer.page.invocations.extend(map(_invocation, invocations))
        yield answer


def _parts(items: Sequence[_T], weight: Callable[[_T], int]) -> Iterator[Sequence[_T]]:
    """Return the items in parts, of which each has the next page's."""
    start, room = 0, _PAGE_CHARACTERS
    for end, item in enumerate(items):
        room -= weight(item)
        if end > start and (room < 0 or end - start == _PAGE_ITEMS):
            yield items[start:end]
            start, room = end, _PAGE_CHARACTERS - weight(item)
    yield items[start:]


def _operation_weight(operation: Operation) -> int:
    texts = len(operation.input or "") + len(operation.result or "")
    return texts + _error_weight(operation.error)


def _event_weight(event: HistoryEvent) -> int:
    return len(event.payload or "") + _error_weight(event.error)


def _effect_weight(effect: Effect) -> int:
    return len(effect.data) + _error_weight(effect.invocation_error)


def _invocation_weight(invocation: InvocationState) -> int:
    lines = sum(_LINE_CHARACTERS + len(line.text) for line in invocation.output)
    return lines + _error_weight(invocation.error)


def _error_weight(error: ErrorObject | None) -> int:
    return 0 if error is None else error.size


def _begin(executor: Executor, page: pb.ExecutionPage, run: Run, in_time: bool) -> None:
    execution = run.execution
    root = execution.root
    head = pb.ExecutionHead(
        execution_arn=run.arn,
        execution_name=execution.config.name,
        function_name=execution.config.function_name,
        status=codec.execution_status_to_proto(execution.status),
        start_ms=root.start_ms,
        end_ms=root.end_ms,
        result=root.result,
        error=codec.error_to_proto(root.error) if root.error else None,
        timed_out=not in_time,
        waiting_for="" if execution.ended else waiting_for(executor.leases, run),
        unfired_faults=map(str, run.injection.plan.unfired) if run.injection else (),
    )
    page.head.CopyFrom(head)
    if run.injection is not None:
        page.faults.extend(map(_fault, run.injection.fired))
        page.points.extend(map(_point, run.injection.points))


def _fault(fired: FiredFault) -> pb.FaultRecord:
    return pb.FaultRecord(
        fault=fired.fault,
        moment=fired.moment,
        label=fired.label,
        invocation=fired.invocation,
        time_ms=fired.time_ms,
        note=fired.note,
    )


def _point(point: CrashPoint) -> pb.CrashPoint:
    return pb.CrashPoint(moment=point.moment, label=point.label, key=point.key)


def _invocation(invocation: InvocationState) -> pb.InvocationRecord:
    stacks = invocation.stacks
    # What a running invocation has written is only known where its worker was looked at.
    so_far = stacks.output if stacks and not invocation.outcome else ()
    return pb.InvocationRecord(
        request_id=invocation.request_id,
        worker_id=invocation.worker_id,
        pid=invocation.pid,
        start_ms=invocation.start_ms,
        end_ms=invocation.end_ms,
        outcome=invocation.outcome,
        error=codec.error_to_proto(invocation.error) if invocation.error else None,
        output=map(codec.line_to_proto, [*invocation.output, *so_far]),
        output_truncated=invocation.output_truncated,
        stacks=stacks.dumps if stacks else (),
        verdict=stacks.verdict if stacks else "",
        divergences=map(codec.divergence_to_proto, invocation.divergences),
    )
