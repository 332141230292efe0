"""What a replay asked for, held against what is recorded.

An operation's id says where among its siblings it was asked for. So a handler that asks in
another order shows as another name, or for operations without one as another source line,
under the same id; and what it no longer asks for is left over.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple

#: Findings of one invocation; one operation too many shifts all that follow.
_MOST = 100
#: Contexts whose children are what the handler's own code asked for, all of them each time.
_BODIES = frozenset({"RunInChildContext", "MapIteration", "ParallelBranch"})


class DivergenceKind(Enum):
    """What differs. SOURCE: only the line that asked, which is all that tells operations
    without names apart. LEFT_OVER: recorded, but never asked for."""

    TYPE = "another type"
    NAME = "another name"
    PARENT = "another parent"
    ORDER = "another order"
    SOURCE = "another line"
    LEFT_OVER = "never reached"


class Source(NamedTuple):
    """Where an operation was asked for: "path/file.py:42 in function", "" if not known.

    `in_task`: in a task of the handler's own making, which it need not wait for.
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
    """One operation that a replay asked for otherwise than recorded; not at all: None."""

    kind: DivergenceKind
    operation_id: str
    recorded: Identity
    replayed: Identity | None
    #: Number of the invocation that replayed it, counted from 1.
    invocation: int = 0

    def __str__(self) -> str:
        with_parent = self.kind is DivergenceKind.PARENT
        replayed = "nothing: the handler ended without asking for it"
        if self.replayed is not None:
            replayed = self.replayed.describe(with_parent)
        return (
            f"{self.kind.value} (operation {self.operation_id[:8]}, "
            f"invocation {self.invocation})\n"
            f"  recorded: {self.recorded.describe(with_parent)}\n"
            f"  replayed: {replayed}"
        )


def compare(
    recorded: Mapping[str, Recorded],
    asked: Mapping[str, Identity],
    completed: Collection[str | None],
) -> list[Divergence]:
    """The divergences of one invocation, by operation id on both sides.

    `completed` are the contexts whose code ran to its end without an error in this
    invocation, None for the handler itself: what they left over is a divergence. Not so what
    was asked for in a task, which the end may overtake, or by a batch, which may end early.
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
    # Without the directory, which may be another on another host.
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
            # What was not seen when it was asked for need not be seen now.
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
    """All of them, each with both sides."""
    return "\n".join(map(str, divergences))
