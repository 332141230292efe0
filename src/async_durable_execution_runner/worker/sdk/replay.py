"""The comparison of what an invocation was given with what its handler asks for.

An SDK answers a recorded operation itself, so only the process that runs the handler sees what
the handler asks for. For each such operation the SDK makes an `OperationIdentifier`, on the stack
of the code that asks. The SDK's adapter knows where that class is.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import Context, ContextVar
from types import FrameType
from typing import Any

from ...core.divergence import Divergence, Identity, Recorded, Source, compare, never_awaited
from ...rpc import codec
from ...rpc.v1 import model_pb2
from .. import OUR_FOLDERS
from .thrown_away import throws_away

_START = model_pb2.OPERATION_ACTION_START
_SUCCEED = model_pb2.OPERATION_ACTION_SUCCEED
_EXECUTION = model_pb2.OPERATION_TYPE_EXECUTION
_UNKNOWN = model_pb2.Source()
_TYPE_NAMES = model_pb2.OperationType.keys()
_TYPES = [name.removeprefix("OPERATION_TYPE_") for name in _TYPE_NAMES]
#: The types by sub type, for operations that do not say their type.
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
        #: The operations and sources as they were delivered, page by page.
        self._pages: list[tuple[Sequence[Any], model_pb2.Sources]] = []
        self.delivered: set[str] = set()
        #: The SDK's identifiers and the lines that made them, by operation id, in order of asking.
        self.asked: dict[str, tuple[Any, Source]] = {}
        #: The ids of the operations whose tasks the handler has thrown away.
        self.thrown_away: list[str] = []
        #: What the handler has returned, where the SDK returns a task for each operation.
        self.returned: Any = None
        self._completed: set[str | None] = set()

    def deliver(self, operations: Sequence[Any], sources: model_pb2.Sources) -> None:
        """Note a page of the recorded state as it came."""
        self._pages.append((operations, sources))
        self.delivered.update(operation.id for operation in operations)

    def sources(self, updates: Iterable[Any]) -> Iterator[model_pb2.Source]:
        """Yield the source of each update that starts a new operation, for others an empty source.

        The updates are messages. This also notes which contexts come to their end.
        """
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
        """Compare what the handler asked for with what the invocation was given.

        `succeeded` says whether the handler has returned its result.
        """
        completed = {*self._completed, None} if succeeded else self._completed
        if not succeeded:
            # A task is no JSON, so an execution that returns one has failed.
            self.thrown_away += dict.fromkeys(_operations_in(self.returned))
        is_same = (
            not self.asked or len(self.delivered) < 2 or self._is_same(all_of_it=bool(completed))
        )
        if is_same and not self.thrown_away:
            return []
        asked = {
            operation_id: _identity(identifier, source)
            # Threads that the handler left behind may ask for more meanwhile.
            for operation_id, (identifier, source) in list(self.asked.items())
        }
        found = list(never_awaited(self.thrown_away, asked))
        return found if is_same else found + compare(dict(self._recorded()), asked, completed)

    def _is_same(self, all_of_it: bool) -> bool:
        """Whether both sides are the same: this costs a fraction of a whole comparison."""
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
#: In the context of a task that the SDK has made for an operation, this is the operation's id.
_asked_last: ContextVar[str | None] = ContextVar("asked_last", default=None)
#: This is True in threads that the handler's own code has started.
in_own_thread: ContextVar[bool] = ContextVar("in_own_thread", default=False)


@contextmanager
def watched(replay: Replay | None) -> Iterator[None]:
    """Note in `replay` what the handler asks for inside of the block."""
    token = _replay.set(replay)
    try:
        yield
    finally:
        _replay.reset(token)


def install(cls: Any, makes_tasks: bool = False) -> None:
    """Watch the SDK in this process from now on, by its class of identifiers.

    `makes_tasks` says whether the SDK returns a task for each operation, which has to be awaited.
    """
    original = cls.__init__
    if getattr(original, "__module__", None) == __name__:
        return
    package = sys.modules[cls.__module__.partition(".")[0]]
    _sdks.append(os.path.dirname(package.__file__ or "") + os.sep)
    _passed.append(_sdks[-1])

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        replay = _replay.get()
        if replay is not None:
            # An identifier without an id belongs to a context, not to an operation. Batches and
            # their branches get more than one identifier; the first is made where they are asked
            # for.
            operation_id = self.operation_id
            if operation_id is not None and operation_id not in replay.asked:
                new = operation_id not in replay.delivered
                source, thrown_away = _source(sys._getframe(1), new)
                replay.asked[operation_id] = self, source
                _asked_last.set(operation_id)
                # What the SDK asks for within such an operation is on the same stack.
                if thrown_away and makes_tasks and self.parent_id not in replay.thrown_away:
                    replay.thrown_away.append(operation_id)

    cls.__init__ = __init__


def note_returned(value: Any) -> Any:
    """Note what the handler returns, and return it."""
    replay = _replay.get()
    if replay is not None:
        replay.returned = value
    return value


def _operations_in(returned: Any) -> Iterator[str]:
    """Yield the ids of the operations whose tasks are in a value that a handler has returned."""
    left, seen = [returned], set()
    while left:
        value = left.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        match value:
            case dict():
                left += reversed(value.values())
            case list() | tuple() | set():
                left += reversed(list(value))
            case asyncio.Task():
                code = getattr(value.get_coro(), "cr_code", None)
                if code is None or not code.co_filename.startswith(tuple(_sdks)):
                    continue
                # Before Python 3.12 only the garbage collector knows a task's context.
                for each in gc.get_referents(value):
                    if isinstance(each, Context) and (operation_id := each.get(_asked_last)):
                        yield operation_id
            case asyncio.Future():
                # `asyncio.gather` returns one that knows its tasks.
                left += reversed(getattr(value, "_children", []))


_USER, _PASSED, _LOOP = 1, 2, 3
#: The folders of the SDKs' code, and with them those of the runner's own.
_sdks: list[str] = []
_passed = ["<frozen ", *OUR_FOLDERS]
_STANDARD = tuple({sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib")})
_INSTALLED = tuple(f"{os.sep}{name}-packages{os.sep}" for name in ("site", "dist"))
_LOOPS = tuple(os.path.dirname(asyncio.__file__) + os.sep + name for name in ("events", "base_"))
_NOWHERE = Source()

_files: dict[str, int] = {}
_sources: dict[tuple[str, int, str, int, bool], tuple[Source, bool]] = {}


def _source(frame: FrameType | None, new: bool) -> tuple[Source, bool]:
    """Find the innermost line of the handler's code on the stack, up to the event loop.

    Beyond the loop, there are only the callers of the handler. `in_task` is found out only where
    the operation is new. The second value says whether that line throws away what it is given.
    """
    asking = None
    called: FrameType | None = None
    outermost = _PASSED
    while frame is not None:
        path = frame.f_code.co_filename
        kind = _files.get(path) or _kind(path)
        if kind == _USER:
            if asking is None:
                asking = frame
                if not new:
                    break
        elif kind == _LOOP:
            break
        if asking is None:
            called = frame
        outermost = kind
        frame = frame.f_back
    if asking is None:
        return _NOWHERE, False
    # A task that the SDK made has a coroutine of the SDK's at the bottom of its stack.
    in_task = new and (outermost == _USER or in_own_thread.get())
    code = asking.f_code
    key = code.co_filename, asking.f_lineno, code.co_name, asking.f_lasti, in_task
    found = _sources.get(key)
    if found is None:
        source = Source(f"{_shown(code.co_filename)}:{asking.f_lineno} in {code.co_name}", in_task)
        thrown_away = (
            called is not None
            and called.f_code.co_filename.startswith(tuple(_sdks))
            and throws_away(asking, called.f_code.co_name)
        )
        found = _sources[key] = source, thrown_away
    return found


def is_handlers(frame: FrameType | None) -> bool:
    """Whether the handler's own code made this call, be it through the standard library."""
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
    """Make `path` relative to the working directory if it is below that."""
    try:
        return path.removeprefix(os.getcwd() + os.sep)
    except OSError:
        return path
