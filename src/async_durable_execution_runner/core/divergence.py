"""Compares what a replay asked for with what is recorded.

An operation's id says where among its siblings it was asked for. A handler that asks in another
order therefore shows as another name under the same id, or as another source line for operations
without a name. Operations that the handler no longer asks for are left over.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple

from .text import visible

#: The most findings of one invocation, as one operation too many shifts all that follow.
_MOST = 100
#: The contexts whose children the handler's own code asks for, all of them each time.
_BODIES = frozenset({"RunInChildContext", "MapIteration", "ParallelBranch"})


class DivergenceKind(Enum):
    """The kind of difference between an operation and its replay.

    SOURCE says that only the line that asked differs, and nothing but the line tells operations
    without names apart. LEFT_OVER says that the operation is recorded, but was never asked for.
    NEVER_AWAITED says that the handler threw the operation's task away, so that chance decides
    whether the operation is recorded.
    """

    TYPE = "another type"
    NAME = "another name"
    PARENT = "another parent"
    ORDER = "another order"
    SOURCE = "another line"
    LEFT_OVER = "never reached"
    NEVER_AWAITED = "never awaited"


class Source(NamedTuple):
    """The place that asked for an operation: "path/file.py:42 in function", "" if it is not known.

    `in_task` says that this was in a task that the handler made, and need not wait for.
    """

    line: str = ""
    in_task: bool = False


class Identity(NamedTuple):
    """An operation as it was asked for; `source` is "path/file.py:42 in function"."""

    type: str
    sub_type: str
    name: str | None = None
    parent_id: str | None = None
    source: str = ""
    parent_name: str = ""

    def describe(self, with_parent: bool = False) -> str:
        text = f"{self.sub_type or self.type} {self.name!r}" if self.name else self.sub_type
        if self.parent_name:
            text += f" in {self.parent_name!r}"
        elif with_parent:
            text += f" in context {self.parent_id[:8]}" if self.parent_id else " at the top level"
        return f"{text}, {self.source}" if self.source else text


class Recorded(NamedTuple):
    """A recorded operation; `in_task` as in its `Source`."""

    identity: Identity
    in_task: bool = False


@dataclass(frozen=True, slots=True)
class Divergence:
    """One operation that a replay asked for otherwise than recorded; `replayed` is None where the
    replay did not ask for it at all. Of an operation that is never awaited `recorded` says how it
    was asked for, and `replayed` is None."""

    kind: DivergenceKind
    operation_id: str
    recorded: Identity
    replayed: Identity | None
    #: The number of the invocation that replayed the operation, counted from 1.
    invocation: int = 0

    def __str__(self) -> str:
        heading = (
            f"{self.kind.value} (operation {self.operation_id[:8]}, invocation {self.invocation})"
        )
        if self.kind is DivergenceKind.NEVER_AWAITED:
            return f"{heading}: is `await` missing?\n  asked for: {self.recorded.describe()}"
        with_parent = self.kind is DivergenceKind.PARENT
        replayed = "nothing: the handler ended without asking for it"
        if self.replayed is not None:
            replayed = self.replayed.describe(with_parent)
        return (
            f"{heading}\n  recorded: {self.recorded.describe(with_parent)}\n  replayed: {replayed}"
        )


def compare(
    recorded: Mapping[str, Recorded],
    asked: Mapping[str, Identity],
    completed: Collection[str | None],
) -> list[Divergence]:
    """Return the divergences of one invocation.

    Operations that a completed context left over are divergences too, but for those that were asked
    for in a task, which the end may overtake, or by a batch, which may end early.

    Args:
        recorded: The recorded operations, by id.
        asked: What the replay asked for, by the id of the operation.
        completed: The contexts whose code ran to its end without an error in this invocation; None
            stands for the handler itself.
    """
    found = []
    for operation_id, replayed in asked.items():
        record = recorded.get(operation_id)
        if record is not None and record.identity != replayed:
            kind = _difference(record.identity, replayed)
            if kind is not None:
                found.append(Divergence(kind, operation_id, record.identity, replayed))
    found += _left_over(recorded, asked, completed)
    if not found:
        return []
    return [_named(each, recorded, asked) for each in _explained(found[:_MOST], recorded, asked)]


def never_awaited(
    operation_ids: Iterable[str], asked: Mapping[str, Identity]
) -> Iterator[Divergence]:
    """Yield a divergence for each operation that was asked for and never awaited."""
    for operation_id in operation_ids:
        found = Divergence(DivergenceKind.NEVER_AWAITED, operation_id, asked[operation_id], None)
        yield _named(found, {}, asked)


def _difference(recorded: Identity, replayed: Identity) -> DivergenceKind | None:
    types_known = recorded.type and replayed.type
    if recorded.sub_type != replayed.sub_type or (types_known and recorded.type != replayed.type):
        return DivergenceKind.TYPE
    if recorded.name != replayed.name:
        return DivergenceKind.NAME
    if recorded.parent_id != replayed.parent_id:
        return DivergenceKind.PARENT
    if recorded.source and replayed.source and _line(recorded) != _line(replayed):
        return DivergenceKind.SOURCE
    return None


def _line(identity: Identity) -> str:
    # The directory is left out, as it may be another on another host.
    return identity.source.rpartition("/")[2]


def _left_over(
    recorded: Mapping[str, Recorded],
    asked: Mapping[str, Identity],
    completed: Collection[str | None],
) -> Iterator[Divergence]:
    if not completed:
        return
    for operation_id, record in recorded.items():
        identity = record.identity
        if (
            operation_id not in asked
            # An operation whose source was not seen when it was recorded need not be seen now.
            and identity.source
            and not record.in_task
            and identity.parent_id in completed
            and _is_body(identity.parent_id, recorded)
        ):
            yield Divergence(DivergenceKind.LEFT_OVER, operation_id, identity, None)


def _is_body(context_id: str | None, recorded: Mapping[str, Recorded]) -> bool:
    if context_id is None:
        return True
    context = recorded.get(context_id)
    return context is not None and context.identity.sub_type in _BODIES


def _explained(
    found: Sequence[Divergence],
    recorded: Mapping[str, Recorded],
    asked: Mapping[str, Identity],
) -> Iterator[Divergence]:
    """Tell exchanged and moved operations from changed ones."""
    siblings: dict[tuple[str | None, tuple[str | None, ...]], str] = {
        (each.recorded.parent_id, _looks(each.recorded)): each.operation_id for each in found
    }
    new = {
        _looks(identity): identity
        for operation_id, identity in asked.items()
        if operation_id not in recorded
    }
    for each in found:
        replayed = each.replayed
        if replayed is None:
            moved = new.get(_looks(each.recorded))
            if moved is not None and moved.parent_id != each.recorded.parent_id:
                each = replace(each, kind=DivergenceKind.PARENT, replayed=moved)
        elif (
            siblings.get((replayed.parent_id, _looks(replayed)), each.operation_id)
            != each.operation_id
        ):
            each = replace(each, kind=DivergenceKind.ORDER)
        yield each


def _looks(identity: Identity) -> tuple[str | None, ...]:
    return identity.sub_type, identity.name, _line(identity)


def _named(
    divergence: Divergence, recorded: Mapping[str, Recorded], asked: Mapping[str, Identity]
) -> Divergence:
    def named(identity: Identity) -> Identity:
        parent_id = identity.parent_id or ""
        parent = recorded[parent_id].identity if parent_id in recorded else asked.get(parent_id)
        return identity._replace(parent_name=parent.name or "") if parent else identity

    replayed = divergence.replayed
    return replace(
        divergence,
        recorded=named(divergence.recorded),
        replayed=named(replayed) if replayed else None,
    )


def divergences_text(divergences: Sequence[Divergence]) -> str:
    """Return the text of all divergences, each with both sides."""
    return visible("\n".join(map(str, divergences)))
