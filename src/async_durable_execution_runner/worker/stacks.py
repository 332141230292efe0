"""The stacks of a worker's threads and asyncio tasks, for which a signal asks.

The worker answers on a pipe, in two forms. `faulthandler`'s text is first; C code writes it, so
that it arrives even where the main thread hangs in C with the GIL. As soon as the main thread
runs Python, JSON with the tasks follows, behind a mark. `report` makes text and a verdict from
two answers.

This module must not know of processes, invocations or gRPC.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import importlib.util
import json
import linecache
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, islice, takewhile
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import Any, NamedTuple

from .. import rpc
from ..core.text import utf8
from . import OUR_FOLDERS

#: The signal that asks for the stacks: one that nobody else uses, where there is a choice.
SIGNAL: int = signal.SIGRTMIN + 11 if sys.platform == "linux" else signal.SIGUSR2
#: The seconds between the two looks at a worker.
PAUSE = 0.15

_MARK = "\x1e"
#: The bytes of JSON at most: a pipe holds 64 KiB that nobody has read, and `faulthandler`'s text
#: is among them.
_LIMIT = 40_000
#: The tasks of a loop at most, the youngest of those that nobody awaits. A look has to be over
#: long before the next one.
_TASKS = 100
_DEPTH = 100
_SHOWN_FRAMES = 20
_SHOWN_STACKS = 20
#: The share of the time between two looks above which a worker is computing: the looks themselves
#: cost less, and so does a poll now and then.
_BUSY = 0.3
_NOTHING = "none of the handler's code"
#: Only one thread at a time may use `linecache`.
_reading = threading.Lock()


class Frame(NamedTuple):
    """One call on a stack."""

    file: str
    line: int
    function: str


class Stack(NamedTuple):
    """The stack of a thread or task.

    `of` is "thread MainThread" or "task Task-3"; `frames` has the innermost frame first.
    """

    of: str
    frames: Sequence[Frame]


class Report(NamedTuple):
    """Up to two texts, with the user's own innermost line at the top, and a verdict on both."""

    dumps: tuple[str, ...]
    verdict: str


_Shown = Callable[[Frame], bool]


# -- in the worker -------------------------------------------------------------------------


def install(pipe: int) -> None:
    """Answer `SIGNAL` on `pipe` from now on.

    The main thread calls this, before any of the handler's code runs.
    """
    os.set_blocking(pipe, False)
    listen(pipe)
    threading.Thread(target=_take_it, name="signals", daemon=True).start()


def listen(pipe: int) -> None:
    """Answer `SIGNAL` on `pipe`, also where a handler has taken the signal since `install`."""

    def answer(_: int, frame: FrameType | None) -> None:
        # The handler must not suffer from what fails here, for example deep in a recursion.
        with contextlib.suppress(Exception):
            os.write(pipe, f"{_MARK}{_json(snapshot(frame))}\n".encode())

    faulthandler.unregister(SIGNAL)
    signal.signal(SIGNAL, answer)
    faulthandler.register(SIGNAL, file=pipe, all_threads=True, chain=True)


def _json(stacks: Sequence[Stack]) -> str:
    """Encode as many stacks as fit, from the first one on."""
    texts = list(map(json.dumps, stacks))
    sizes = accumulate(len(text) + 2 for text in texts)
    return f"[{', '.join(text for text, size in zip(texts, sizes, strict=True) if size < _LIMIT)}]"


def _take_it() -> None:
    """Take `SIGNAL`, and no other signal, where a handler has the other threads block it."""
    signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals() - {SIGNAL})
    threading.Event().wait()


def snapshot(interrupted: FrameType | None = None, thread: int | None = None) -> list[Stack]:
    """Take the stacks of threads and of the tasks on their loops.

    Args:
        interrupted: The frame in which the calling thread was when a signal came.
        thread: The ident of the one thread to look at; None looks at all threads.
    """
    frames = sys._current_frames()
    if interrupted is not None:
        frames[threading.get_ident()] = interrupted
    main = threading.main_thread().ident
    names = {each.ident: each.name for each in threading.enumerate()}
    threads, tasks = [], []
    for ident in sorted(frames, key=lambda ident: ident != main):
        if thread in (None, ident):
            stack = list(islice(_outwards(frames[ident]), _DEPTH))
            threads.append(Stack(f"thread {names.get(ident, ident)}", list(map(_frame, stack))))
            if (loop := _loop_of(frames[ident])) is not None:
                tasks += _tasks(loop)
    # A worker rarely hangs in a thread other than the first.
    return [*threads[:1], *tasks, *threads[1:]]


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _frame(frame: FrameType) -> Frame:
    # Cython's frames have no line number.
    return Frame(frame.f_code.co_filename, frame.f_lineno or 0, frame.f_code.co_name)


def _loop_of(frame: FrameType) -> asyncio.AbstractEventLoop | None:
    """The event loop that runs in this stack."""
    running = asyncio.BaseEventLoop.run_forever.__code__
    for each in _outwards(frame):
        if each.f_code is running:
            loop: asyncio.AbstractEventLoop = each.f_locals["self"]
            return loop
    return None


def _tasks(loop: asyncio.AbstractEventLoop) -> list[Stack]:
    """Take the stacks of tasks that no other task awaits, the youngest task first.

    Each stack includes all that its task awaits.
    """
    tasks = sorted(asyncio.all_tasks(loop), key=_age)
    # The current task is on the stack of its thread.
    beside = {*filter(None, map(_awaited_task, tasks)), asyncio.current_task(loop)}
    return [_task(task) for task in islice((each for each in tasks if each not in beside), _TASKS)]


def _awaited_task(task: asyncio.Task[Any]) -> asyncio.Task[Any] | None:
    below = islice(_awaits(task.get_coro()), _DEPTH)
    return next((each for each in below if isinstance(each, asyncio.Task)), None)


def _task(task: asyncio.Task[Any]) -> Stack:
    frames = map(_frame_of, islice(_awaits(task.get_coro()), _DEPTH))
    return Stack(f"task {task.get_name()}", [_frame(each) for each in frames if each][::-1])


def _age(task: asyncio.Task[Any]) -> int:
    default = re.fullmatch(r"Task-(\d+)", task.get_name())
    return -int(default[1]) if default else -sys.maxsize


_AWAITING = (CoroutineType, GeneratorType, AsyncGeneratorType, asyncio.Task)


def _awaits(awaitable: Any) -> Iterator[Any]:
    """Go from a coroutine through all that is awaited below it, other tasks included."""
    while awaitable is not None:
        yield awaitable
        match awaitable:
            case GeneratorType():
                awaitable = awaitable.gi_yieldfrom
            case AsyncGeneratorType():
                awaitable = awaitable.ag_await
            case asyncio.Task():
                awaitable = awaitable.get_coro()
            case asyncio.Future():
                return
            case _ if hasattr(awaitable, "cr_await"):
                awaitable = awaitable.cr_await
            case _:
                # The awaitable of `anext` or of a future is opaque, but refers to its source.
                held = gc.get_referents(awaitable)
                awaitable = next((each for each in held if isinstance(each, _AWAITING)), None)


def _frame_of(awaitable: Any) -> FrameType | None:
    for name in ("cr_frame", "gi_frame", "ag_frame"):
        if (frame := getattr(awaitable, name, None)) is not None:
            return frame  # type: ignore[no-any-return]
    return None


# -- in the host, or in the process of an inline worker ------------------------------------


def is_complete(answer: bytes) -> bool:
    """Whether the worker has written the whole of `answer`."""
    return answer.endswith(b"\n") and _MARK.encode() in answer


def report(answers: Sequence[str], busy: float | None, why: str) -> Report:
    """Make text and a verdict from a worker's answers. This reads source files, and so may block.

    Args:
        answers: The answers as the worker wrote them, two at most.
        busy: The share of the time between the answers in which the worker was computing, where
            that is known.
        why: Why there are fewer than two answers.
    """
    return compare([parse(answer) for answer in answers], busy, why)


def take(thread: int) -> Report:
    """Report on an inline worker's thread in this process. This blocks for `PAUSE`."""
    first = snapshot(thread=thread)
    time.sleep(PAUSE)
    return compare([first, snapshot(thread=thread)], None)


def compare(taken: Sequence[Sequence[Stack]], busy: float | None, why: str = "") -> Report:
    """Make the same as `report` from stacks that are parsed already."""
    shown = _what_to_show(taken)
    chosen = [[each for each in stacks if any(map(shown, each.frames))] for stacks in taken]
    with _reading:
        linecache.checkcache()
        dumps = tuple("\n".join(_text(stacks, shown)) or _NOTHING for stacks in chosen)
        verdict = _verdict(chosen, shown, busy) if len(taken) == 2 else f"unknown: {why}"
    return Report(tuple(map(utf8, dumps)), utf8(verdict))


def _verdict(chosen: Sequence[Sequence[Stack]], shown: _Shown, busy: float | None) -> str:
    working = "" if busy is None else ", computing" if busy > _BUSY else ", waiting"
    # The function's name is left out: `faulthandler` may spell it differently.
    first, second = ({_top(stack, shown)[:2]: stack for stack in stacks} for stacks in chosen)
    if list(first) == list(second):
        return f"stuck{working}: both times in {_where(list(first.values()), shown)}"
    # One stack may move on while others stand still.
    before = [stack for top, stack in first.items() if top not in second] or [*first.values()]
    after = [stack for top, stack in second.items() if top not in first] or [*second.values()]
    return f"slow{working}: first in {_where(before, shown)}, then in {_where(after, shown)}"


def parse(answer: str) -> list[Stack]:
    text, _, data = answer.partition(_MARK)
    try:
        return [Stack(of, [Frame(*each) for each in frames]) for of, frames in json.loads(data)]
    except (ValueError, TypeError):
        return _parse_text(text)


_THREAD = re.compile(r"(?:Current t|T)hread (0x[0-9a-f]+)[^\n]*:$")
_LINE = re.compile(r'  File "(.*)", line (\d+) in (.*)$')


def _parse_text(text: str) -> list[Stack]:
    """Parse `faulthandler`'s text.

    The thread that took the signal, mostly the main thread, is first in the list.
    """
    stacks: list[Stack] = []
    current = 0
    for line in text.splitlines():
        if thread := _THREAD.match(line):
            if line.startswith("Current"):
                current = len(stacks)
            stacks.append(Stack(f"thread {thread[1]}", []))
        elif (frame := _LINE.match(line)) and stacks:
            stacks[-1] = Stack(
                stacks[-1].of, [*stacks[-1].frames, Frame(frame[1], int(frame[2]), frame[3])]
            )
    return [*stacks[current : current + 1], *stacks[:current], *stacks[current + 1 :]]


def _folder(package: str) -> str:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return os.path.dirname(spec.origin) + os.sep


_LIBRARY = os.path.dirname(os.__file__) + os.sep
_INSTALLED = re.compile(r".*[/\\](?:site|dist)-packages[/\\]")
_OURS = (
    *OUR_FOLDERS,
    _folder(rpc.__name__),
    _folder("async_durable_execution"),
    _folder("grpc"),
    "src/python/grpcio/",
    "<frozen ",
)


def _foreign(frame: Frame) -> bool:
    """Whether the code is not of the runner, the SDK, gRPC or the standard library."""
    in_library = frame.file.startswith(_LIBRARY) and not _INSTALLED.match(frame.file)
    return not in_library and not frame.file.startswith(_OURS)


def _own(frame: Frame) -> bool:
    """Whether the code is the user's own, as far as one can tell."""
    return _foreign(frame) and not _INSTALLED.match(frame.file)


def _what_to_show(taken: Sequence[Sequence[Stack]]) -> _Shown:
    frames = [frame for stacks in taken for stack in stacks for frame in stack.frames]
    for shown in (_own, _foreign):
        if any(map(shown, frames)):
            return shown
    # The worker hangs in none of the user's code: the reader has to see every frame.
    return lambda _: True


def _top(stack: Stack, shown: _Shown) -> Frame:
    return next(filter(shown, stack.frames))


def _text(stacks: Sequence[Stack], shown: _Shown) -> Iterator[str]:
    for stack in stacks[:_SHOWN_STACKS]:
        yield f"{stack.of}:"
        for frame in islice(filter(shown, stack.frames), _SHOWN_FRAMES):
            yield f'  File "{frame.file}", line {frame.line}, in {frame.function}'
            if line := _source(frame):
                yield f"    {line}"
        below = list(takewhile(lambda frame: not shown(frame), stack.frames))
        if below and not any(frame.file.startswith(_OURS) for frame in below):
            yield f"  inside: {' > '.join(map(_short, below[::-1]))}"


def _short(frame: Frame) -> str:
    """Show a frame of a library."""
    file = _INSTALLED.sub("", frame.file).removeprefix(_LIBRARY)
    return f"{frame.function} ({file}:{frame.line})"


def _where(stacks: Sequence[Stack], shown: _Shown) -> str:
    if not stacks:
        return _NOTHING
    top = _top(stacks[0], shown)
    line = _source(top)
    return f"{top.function} ({top.file}:{top.line})" + (f": {line}" if line else "")


def _source(frame: Frame) -> str:
    return linecache.getline(frame.file, frame.line).strip()
