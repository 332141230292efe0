"""Converts what goes between the coordinator and its workers, from messages and to messages."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, assert_never

from ..core import faults as f
from ..core.model import Operation, OutputLine
from ..errors import ServiceError
from ..rpc import CODE_LABEL, codec
from ..rpc.v1 import model_pb2
from ..rpc.v1 import worker_pb2 as pb
from .injector import Tell
from .runs import Call, Copy, Lease, PlainInvocation, Run, Subject
from .workers import ExitCause, Function, WorkerExit

_CAUSES = {
    pb.EXIT_CAUSE_EXITED: ExitCause.EXITED,
    pb.EXIT_CAUSE_SIGNALED: ExitCause.SIGNALED,
    pb.EXIT_CAUSE_MEMORY: ExitCause.MEMORY,
    pb.EXIT_CAUSE_NOT_STARTED: ExitCause.NOT_STARTED,
}


def invocation(lease: Lease, needs_code: bool) -> pb.SessionResponse:
    """Return the message that gives a worker its invocation, with the function's code if
    `needs_code`."""
    job = lease.job
    invocation = pb.Invocation(
        request_id=job.request_id,
        function=_config_of(job.function),
        code=job.function.code if needs_code else None,
        tenant_id=_tenant_of(lease.subject),
        client_context=_client_context_of(lease.subject),
        debugging=lease.subject.workspace.debugging,
        other_code=any(name == CODE_LABEL for name, _ in job.labels),
    )
    if not isinstance(lease.subject, PlainInvocation):
        invocation.log_levels.update(lease.subject.family.log_levels)
        invocation.coverage_context = lease.subject.family.coverage_context
        invocation.clock_ahead_ms = lease.subject.family.clock.ahead_ms
    if isinstance(lease.subject, Call | PlainInvocation):
        invocation.payload = lease.subject.payload
    elif lease.deliver is not None:
        run = lease.subject.parent if isinstance(lease.subject, Copy) else lease.subject
        invocation.execution_arn = job.execution_arn
        invocation.checkpoint_token = lease.deliver.token
        invocation.updated_operation_ids.extend(lease.deliver.updated)
        if run.injection is not None and run.injection.reads_state:
            # The first page is empty, as the service may send it, so the worker reads the state.
            invocation.next_marker = "0"
            return pb.SessionResponse(invocation=invocation)
        invocation.next_marker = lease.deliver.next_marker
        operations = lease.deliver.operations
        codec.extend(invocation.operations, codec.operation_to_proto, operations)
        invocation.sources.CopyFrom(sources(run, operations))
    return pb.SessionResponse(invocation=invocation)


def _tenant_of(subject: Subject) -> str | None:
    return subject.parent.tenant_id if isinstance(subject, Copy) else subject.tenant_id


def _client_context_of(subject: Subject) -> str | None:
    match subject:
        case Copy():
            return subject.parent.client_context
        case Call():
            return None
        case _:
            return subject.client_context


def refusal(response: pb.CheckpointResponse) -> str:
    """Return the service's error in words, "" where there is none."""
    error = response.error
    return f"{error.code}: {error.message}" if response.HasField("error") else ""


def misdeed(tell: Tell) -> pb.Misdeed:
    match tell.what:
        case f.Exit(code):
            return pb.Misdeed(kind=pb.MISDEED_KIND_EXIT, code=code)
        case f.Segfault():
            return pb.Misdeed(kind=pb.MISDEED_KIND_SEGFAULT)
        case f.OutOfMemory():
            return pb.Misdeed(kind=pb.MISDEED_KIND_OUT_OF_MEMORY)
        case f.HangPython():
            return pb.Misdeed(kind=pb.MISDEED_KIND_HANG_PYTHON)
        case f.HangC():
            return pb.Misdeed(kind=pb.MISDEED_KIND_HANG_C)
        case f.Raise(message):
            return pb.Misdeed(kind=pb.MISDEED_KIND_RAISE, message=message)
        case f.DropReply():
            return pb.Misdeed(kind=pb.MISDEED_KIND_ASK_AGAIN)
        case _:
            assert_never(tell.what)


def read_lines(messages: Iterable[Any]) -> list[OutputLine]:
    """Read the lines of streams that this version knows, and pass over the others."""
    lines = []
    for message in messages:
        with suppress(ServiceError):
            lines.append(codec.line_from_proto(message))
    return lines


def sources(run: Run, operations: Iterable[Operation]) -> model_pb2.Sources:
    return codec.sources_to_proto(run.sources.distinct, run.sources.numbers(operations))


def read_exit(exited: pb.WorkerExited) -> WorkerExit:
    return WorkerExit(
        cause=_CAUSES.get(exited.cause, ExitCause.UNKNOWN),
        exit_code=exited.exit_code,
        signal=exited.signal,
        detail=exited.detail,
        output=tuple(read_lines(exited.output)),
        output_truncated=exited.output_truncated,
        peak_memory_bytes=exited.peak_memory_bytes,
    )


def _config_of(function: Function) -> pb.FunctionConfig:
    return pb.FunctionConfig(
        function_id=function.id,
        name=function.name,
        version=function.version,
        arn=function.arn,
        durable=function.durable,
        timeout_seconds=function.timeout_seconds,
        memory_mb=function.memory_mb,
        enforce_memory=function.enforce_memory,
        environment=function.environment,
        log_format=function.log_format,
    )
