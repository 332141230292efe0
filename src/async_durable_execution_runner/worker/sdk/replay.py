"""What an invocation was given and what its handler asks for, to be compared at its end.

An SDK answers a recorded operation itself, so this is seen only in the process that runs the
handler: it makes an `OperationIdentifier` for each operation that is asked for, on the stack
of whoever asks. The SDK's adapter knows where that class is.
"""

from __future__ import annotations

import asyncio
import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import Any

from ...core.divergence import Divergence, Identity, Recorded, Source, compare
from ...rpc import codec
from ...rpc.v1 import model_pb2
from .. import OUR_FOLDERS

_START = model_pb2.OPERATION_ACTION_START
_SUCCEED = model_pb2.OPERATION_ACTION_SUCCEED
_EXECUTION = model_pb2.OPERATION_TYPE_EXECUTION
_UNKNOWN = model_pb2.Source()
_TYPE_NAMES = model_pb2.OperationType.keys()
_TYPES = [name.removeprefix("OPERATION_TYPE_") for name in _TYPE_NAMES]
#: By sub type, of operations that do not say their type.
_TYPES_OF = {
    "Step": "STEP",
    "WaitForCondition": "STEP",
    "Wait": "WAIT",
    "Callback": "CALLBACK",
    "ChainedInvoke": "CHAINED_INVOKE",
    **dict.fromkeys(
        ("RunInChildContext", "Map", "MapIteration", "Parallel", "ParallelBranch"), "CONTEXT"
    ),
    "WaitForCallback": "CONTEXT",
}


class Replay:
    """Both sides of one invocation: what it was given, and what its handler asked for."""

    def __init__(self) -> None:
        #: Operations and sources as they were delivered, page by page.
        self._pages: list[tuple[Sequence[Any], model_pb2.Sources]] = []
        self.delivered: set[str] = set()
        #: The SDK's identifiers, and where they were made, by operation id in order of asking.
        self.asked: dict[str, tuple[Any, Source]] = {}
        self._completed: set[str | None] = set()

    def deliver(self, operations: Sequence[Any], sources: model_pb2.Sources) -> None:
        """A page of the recorded state, as it came."""
        self._pages.append((operations, sources))
        self.delivered.update(operation.id for operation in operations)

    def sources(self, updates: Iterable[Any]) -> Iterator[model_pb2.Source]:
        """Of each of these updates, messages, that starts a new operation; of others an empty
        one. Notes which contexts come to their end."""
        for update in updates:
            known = self.asked.get(update.id) if update.action == _START else None
            if known is None or update.id in self.delivered:
                if update.action == _SUCCEED:
                    self._completed.add(update.id)
                yield _UNKNOWN
            else:
                line, in_task = known[1]
                yield model_pb2.Source(line=line, in_task=in_task)

    def divergences(self, succeeded: bool) -> list[Divergence]:
        """`succeeded`: the handler has returned its result."""
        if not self.asked or len(self.delivered) < 2:
            return []
        completed = {*self._completed, None} if succeeded else self._completed
        if self._is_same(all_of_it=bool(completed)):
            return []
        asked = {
            operation_id: _identity(identifier, source)
            # What the handler left behind may ask for more meanwhile, in other threads.
            for operation_id, (identifier, source) in list(self.asked.items())
        }
        return compare(dict(self._recorded()), asked, completed)

    def _is_same(self, all_of_it: bool) -> bool:
        """Whether there is nothing to compare, at a fraction of what comparing costs."""
        asked = self.asked
        for operation, source in self._delivered_operations():
            known = asked.get(operation.id)
            if known is None:
                if all_of_it:
                    return False
                continue
            identifier, (line, _) = known
            sub_type = identifier.sub_type
            kind = getattr(identifier, "operation_type", None)
            if (
                line != source.line
                or operation.name != (identifier.name or "")
                or operation.sub_type != (getattr(sub_type, "value", sub_type) or "")
                or operation.parent_id != (identifier.parent_id or "")
                or (kind is not None and kind.value != _TYPES[operation.type])
            ):
                return False
        return True

    def _delivered_operations(self) -> Iterator[tuple[Any, Source]]:
        for operations, sources in self._pages:
            lines = codec.sources_from_proto(sources, len(operations))
            for operation, source in zip(operations, lines, strict=False):
                if operation.type != _EXECUTION:
                    yield operation, source

    def _recorded(self) -> Iterator[tuple[str, Recorded]]:
        for operation, source in self._delivered_operations():
            identity = Identity(
                _TYPES[operation.type],
                operation.sub_type,
                operation.name or None,
                operation.parent_id or None,
                source.line,
            )
            yield operation.id, Recorded(identity, source.in_task)


def _identity(identifier: Any, source: Source) -> Identity:
    sub_type = getattr(identifier.sub_type, "value", identifier.sub_type) or ""
    kind = getattr(identifier, "operation_type", None)
    return Identity(
        kind.value if kind is not None else _TYPES_OF.get(sub_type, ""),
        sub_type,
        identifier.name or None,
        identifier.parent_id or None,
        source.line,
    )


_replay: ContextVar[Replay | None] = ContextVar("replay", default=None)
#: Set in threads that the handler's own code has started.
in_own_thread: ContextVar[bool] = ContextVar("in_own_thread", default=False)


@contextmanager
def watched(replay: Replay | None) -> Iterator[None]:
    """While the handler runs; what it asks for goes into `replay`."""
    token = _replay.set(replay)
    try:
        yield
    finally:
        _replay.reset(token)


def install(cls: Any) -> None:
    """Watch the SDK in this process from now on, by its class of identifiers."""
    original = cls.__init__
    if getattr(original, "__module__", None) == __name__:
        return
    package = sys.modules[cls.__module__.partition(".")[0]]
    _passed.append(os.path.dirname(package.__file__ or "") + os.sep)

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        replay = _replay.get()
        if replay is not None:
            # None is the id of no operation, but of what contexts are made with. Batches and
            # their branches are identified more than once: first by whoever asked.
            operation_id = self.operation_id
            if operation_id is not None and operation_id not in replay.asked:
                new = operation_id not in replay.delivered
                replay.asked[operation_id] = self, _source(sys._getframe(1), new)

    cls.__init__ = __init__


_USER, _PASSED, _LOOP = 1, 2, 3
#: Where the code of SDKs is, and our own.
_passed = ["<frozen ", *OUR_FOLDERS]
_STANDARD = tuple({sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib")})
_INSTALLED = tuple(f"{os.sep}{name}-packages{os.sep}" for name in ("site", "dist"))
_LOOPS = tuple(os.path.dirname(asyncio.__file__) + os.sep + name for name in ("events", "base_"))
_NOWHERE = Source()

_files: dict[str, int] = {}
_sources: dict[tuple[str, int, str, bool], Source] = {}


def _source(frame: FrameType | None, new: bool) -> Source:
    """The innermost line of the handler's code on the stack, up to the event loop: beyond it
    there is only whoever called the handler. `in_task` only of a new operation."""
    key = None
    outermost = _PASSED
    while frame is not None:
        code = frame.f_code
        kind = _files.get(code.co_filename) or _kind(code.co_filename)
        if kind == _USER:
            if key is None:
                key = code.co_filename, frame.f_lineno, code.co_name
                if not new:
                    break
        elif kind == _LOOP:
            break
        outermost = kind
        frame = frame.f_back
    if key is None:
        return _NOWHERE
    # The SDK's tasks have a coroutine of its own at their bottom.
    in_task = new and (outermost == _USER or in_own_thread.get())
    source = _sources.get((*key, in_task))
    if source is None:
        path, line, function = key
        source = Source(f"{_shown(path)}:{line} in {function}", in_task)
        _sources[(*key, in_task)] = source
    return source


def is_handlers(frame: FrameType | None) -> bool:
    """Whether the handler's own code does this, be it through the standard library."""
    while frame is not None and _is_standard(frame.f_code.co_filename):
        frame = frame.f_back
    return frame is not None and _kind(frame.f_code.co_filename) == _USER


def _kind(path: str) -> int:
    if path.startswith(_LOOPS):
        kind = _LOOP
    elif path.startswith(tuple(_passed)) or _is_standard(path):
        kind = _PASSED
    else:
        kind = _USER
    _files[path] = kind
    return kind


def _is_standard(path: str) -> bool:
    return path.startswith(_STANDARD) and not any(part in path for part in _INSTALLED)


def _shown(path: str) -> str:
    """Relative to the working directory, if it is below that."""
    try:
        return path.removeprefix(os.getcwd() + os.sep)
    except OSError:
        return path
