"""Operations as a test inspects them, in both styles: `op.result` and `op.step_details.result`.

They are built from the operations of `core.model`, whoever delivered those. Enums and errors are
the public ones of the SDK. This module knows nothing of gRPC, of runners, or of how an execution
is run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, TypeVar

from async_durable_execution import (
    ErrorObject,
    OperationStatus,
    OperationSubType,
    OperationType,
)

from ..core import model
from ..errors import OperationNotFound
from .values import deserialize, shown

# pytest shows the line of the test, not ours.
__tracebackhide__ = True


@dataclass(frozen=True, slots=True)
class ExecutionDetails:
    input_payload: str | None = None


@dataclass(frozen=True, slots=True)
class ContextDetails:
    replay_children: bool = False
    result: str | None = None
    error: ErrorObject | None = None


@dataclass(frozen=True, slots=True)
class StepDetails:
    attempt: int = 0
    next_attempt_timestamp: datetime | None = None
    result: str | None = None
    error: ErrorObject | None = None


@dataclass(frozen=True, slots=True)
class WaitDetails:
    scheduled_end_timestamp: datetime | None = None


@dataclass(frozen=True, slots=True)
class CallbackDetails:
    callback_id: str
    result: str | None = None
    error: ErrorObject | None = None


@dataclass(frozen=True, slots=True)
class ChainedInvokeDetails:
    result: str | None = None
    error: ErrorObject | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Operation:
    """What all operations have. `result` is the raw JSON text; times are those of the execution's
    own clock."""

    kind: ClassVar[str] = "operation"

    operation_id: str
    operation_type: OperationType
    status: OperationStatus
    parent_id: str | None = None
    name: str | None = None
    sub_type: OperationSubType | str | None = None
    start_timestamp: datetime
    end_timestamp: datetime | None = None
    result: str | None = None
    error: ErrorObject | None = None
    child_operations: list[Operation] = field(default_factory=list)

    @property
    def duration(self) -> timedelta | None:
        """The time from start to end on the execution's clock; None while the operation is open."""
        return self.end_timestamp - self.start_timestamp if self.end_timestamp else None

    @property
    def deserialized_result(self) -> Any:
        """The result as Python data, read by the SDK's default serializer or as plain JSON; None
        where there is none. A result of another serializer is read with
        `get_operation_deserialized_result(operation, serdes)`."""
        return deserialize(self.result)

    @property
    def execution_details(self) -> ExecutionDetails | None:
        return None

    @property
    def context_details(self) -> ContextDetails | None:
        return None

    @property
    def step_details(self) -> StepDetails | None:
        return None

    @property
    def wait_details(self) -> WaitDetails | None:
        return None

    @property
    def callback_details(self) -> CallbackDetails | None:
        return None

    @property
    def chained_invoke_details(self) -> ChainedInvokeDetails | None:
        return None

    def __repr__(self) -> str:
        parts = [type(self).__name__, repr(self.name), self.status.value]
        if self.result is not None:
            parts.append(f"result={shorten(shown(self.result))}")
        if self.error is not None:
            parts.append(f"error={brief(self.error)}")
        return f"<{' '.join(parts)}>"


class OperationLookup:
    """Finding operations by name: among the direct children first, then at any depth."""

    @property
    def _children(self) -> Sequence[Operation]:
        raise NotImplementedError

    @property
    def _title(self) -> str:
        raise NotImplementedError

    def get_operation_by_name(self, name: str) -> Operation:
        return _find(self, name, Operation)

    def get_step(self, name: str) -> StepOperation:
        return _find(self, name, StepOperation)

    def get_wait(self, name: str) -> WaitOperation:
        return _find(self, name, WaitOperation)

    def get_context(self, name: str) -> ContextOperation:
        return _find(self, name, ContextOperation)

    def get_callback(self, name: str) -> CallbackOperation:
        return _find(self, name, CallbackOperation)

    def get_invoke(self, name: str) -> InvokeOperation:
        return _find(self, name, InvokeOperation)

    def get_all_operations(self) -> list[Operation]:
        """All operations at any depth, parents before their children."""
        return [operation for _, operation in _walk(self._children)]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class ExecutionOperation(Operation):
    kind = "execution"
    input_payload: str | None = None

    @property
    def execution_details(self) -> ExecutionDetails:
        return ExecutionDetails(self.input_payload)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class ContextOperation(OperationLookup, Operation):
    kind = "context"
    replay_children: bool = False

    @property
    def context_details(self) -> ContextDetails:
        return ContextDetails(self.replay_children, self.result, self.error)

    @property
    def _children(self) -> Sequence[Operation]:
        return self.child_operations

    @property
    def _title(self) -> str:
        return f"context {self.name!r}"


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class StepOperation(Operation):
    kind = "step"
    attempt: int = 0
    next_attempt_timestamp: datetime | None = None

    @property
    def step_details(self) -> StepDetails:
        return StepDetails(self.attempt, self.next_attempt_timestamp, self.result, self.error)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class WaitOperation(Operation):
    kind = "wait"
    scheduled_end_timestamp: datetime | None = None

    @property
    def wait_details(self) -> WaitDetails:
        return WaitDetails(self.scheduled_end_timestamp)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class CallbackOperation(Operation):
    kind = "callback"
    callback_id: str | None = None

    @property
    def callback_details(self) -> CallbackDetails:
        return CallbackDetails(self.callback_id or "", self.result, self.error)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class InvokeOperation(Operation):
    kind = "invoke"

    @property
    def chained_invoke_details(self) -> ChainedInvokeDetails:
        return ChainedInvokeDetails(self.result, self.error)


_SUB_TYPES: dict[str, OperationSubType | str] = {
    member.value: member for member in OperationSubType
}
_OperationT = TypeVar("_OperationT", bound=Operation)


def timestamp(ms: int) -> datetime:
    # `fromtimestamp(ms / 1000)` will not do: a float may lose the last millisecond.
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)


def optional_timestamp(ms: int | None) -> datetime | None:
    return None if ms is None else timestamp(ms)


def sdk_error(error: model.ErrorObject | None) -> ErrorObject | None:
    if error is None:
        return None
    return ErrorObject(
        message=error.message,
        type=error.type,
        data=error.data,
        stack_trace=list(error.stack_trace) if error.stack_trace is not None else None,
    )


def operation(source: model.Operation) -> Operation:
    """The view of one operation, without its children."""
    common: dict[str, Any] = {
        "operation_id": source.id,
        "operation_type": OperationType[source.type.name],
        "status": OperationStatus[source.status.name],
        "parent_id": source.parent_id,
        "name": source.name,
        "sub_type": _SUB_TYPES.get(source.sub_type, source.sub_type) if source.sub_type else None,
        "start_timestamp": timestamp(source.start_ms),
        "end_timestamp": optional_timestamp(source.end_ms),
        "result": source.result,
        "error": sdk_error(source.error),
    }
    match source.type:
        case model.OperationType.EXECUTION:
            return ExecutionOperation(**common, input_payload=source.input)
        case model.OperationType.CONTEXT:
            return ContextOperation(**common, replay_children=source.replay_children)
        case model.OperationType.STEP:
            return StepOperation(
                **common,
                attempt=source.attempt,
                next_attempt_timestamp=optional_timestamp(source.next_attempt_ms),
            )
        case model.OperationType.WAIT:
            return WaitOperation(
                **common, scheduled_end_timestamp=optional_timestamp(source.scheduled_end_ms)
            )
        case model.OperationType.CALLBACK:
            return CallbackOperation(**common, callback_id=source.callback_id)
        case model.OperationType.CHAINED_INVOKE:
            return InvokeOperation(**common)


def operation_tree(
    sources: Iterable[model.Operation],
) -> tuple[ExecutionOperation | None, list[Operation]]:
    """The EXECUTION operation and the top-level ones, each with its children in place."""
    views = {source.id: operation(source) for source in sources}
    root: ExecutionOperation | None = None
    top: list[Operation] = []
    for view in views.values():
        if isinstance(view, ExecutionOperation):
            root = view
            continue
        parent = views.get(view.parent_id) if view.parent_id is not None else None
        siblings = top if parent is None or parent is root else parent.child_operations
        siblings.append(view)
    if root is not None:
        root.child_operations.extend(top)
    return root, top


def error_text(error: ErrorObject) -> str:
    """ "Type: message", or the one of them that the error has."""
    return (
        ": ".join(part for part in (error.type, error.message) if part)
        or "without a type or a message"
    )


def brief(error: ErrorObject, width: int = 100) -> str:
    """The error on one line, without the request id that Lambda puts in front of the cause."""
    return shorten(re.sub(r"RequestId: \S+ Error: ", "", error_text(error)), width)


def shorten(text: str, width: int = 60) -> str:
    """`text` on one line and no wider than `width`."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


def _walk(
    operations: Iterable[Operation], path: tuple[str, ...] = ()
) -> Iterator[tuple[str, Operation]]:
    for each in operations:
        here = (*path, each.name or f"({each.kind})")
        yield " / ".join(here), each
        yield from _walk(each.child_operations, here)


def _find(scope: OperationLookup, name: str, wanted: type[_OperationT]) -> _OperationT:
    children = [
        (name, each) for each in scope._children if each.name == name and isinstance(each, wanted)
    ]
    everything = [] if children else list(_walk(scope._children))
    named = [(path, each) for path, each in everything if each.name == name]
    found = children or [(path, each) for path, each in named if isinstance(each, wanted)]
    if len(found) == 1:
        return found[0][1]
    where = scope._title
    if found:
        several = [f"{path} ({each.operation_id}, {each.status.value})" for path, each in found]
        raise OperationNotFound(
            f"{len(found)} {wanted.kind}s named {name!r} in {where}: {', '.join(several)}. "
            "Ask the context that holds the one you mean, or use get_operation_by_id()."
        )
    if named:
        path, other = named[0]
        raise OperationNotFound(
            f"No {wanted.kind} named {name!r} in {where}: {path} is a {other.kind}; "
            f"use get_{other.kind}({name!r})."
        )
    there = [path for path, each in everything if isinstance(each, wanted)]
    raise OperationNotFound(
        f"No {wanted.kind} named {name!r} in {where}. "
        + (f"It has: {', '.join(there)}." if there else f"It has no {wanted.kind}s at all.")
    )
