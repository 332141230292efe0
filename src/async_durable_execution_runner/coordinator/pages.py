"""Encodes all that is known of an execution in pages for its runner."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from ..core.fault_places import CrashPoint
from ..rpc import codec
from ..rpc.v1 import control_pb2 as pb
from .executor import Executor
from .injection import FiredFault
from .runs import InvocationState, Run
from .waiting_for import waiting_for

_PAGE_ITEMS = 2000

_Paged = TypeVar("_Paged", pb.RunPage, pb.AwaitExecutionResponse)


def pages(executor: Executor, run: Run, in_time: bool, response: type[_Paged]) -> Iterator[_Paged]:
    """Return everything about `run`, one response for each page. The first page has the head, the
    invocations and the faults.

    Args:
        in_time: Whether what the runner waited for came true in time.
        response: The type of the responses.
    """
    execution = run.execution
    operations = list(execution.operations.values())
    events = list(execution.history)
    effects = executor.effects.of(run)
    items = max(len(operations), len(events), len(effects))
    for start in range(0, items, _PAGE_ITEMS):
        part = slice(start, start + _PAGE_ITEMS)
        answer = response()
        if start == 0:
            _begin(executor, answer.page, run, in_time)
        codec.extend(answer.page.operations, codec.operation_to_proto, operations[part])
        codec.extend(answer.page.events, codec.event_to_proto, events[part])
        codec.extend(answer.page.effects, codec.effect_to_proto, effects[part])
        yield answer


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
    page.invocations.extend(map(_invocation, run.invocations))
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
