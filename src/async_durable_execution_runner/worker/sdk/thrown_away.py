"""Whether a line of a handler throws away what an operation gives it, read from the line's code."""

from __future__ import annotations

import asyncio
import dis
import inspect
from bisect import bisect_right
from itertools import pairwise
from types import FrameType
from typing import Any

#: The instructions that load a function, by the beginnings of their names.
_LOADS = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FAST", "LOAD_DEREF", "LOAD_ATTR", "LOAD_METHOD")
#: These make one awaitable of those that they are given, and nothing waits until it is awaited.
_WRAP = (asyncio.ensure_future, asyncio.gather, asyncio.shield)
_BUILD = ("BUILD_LIST", "BUILD_TUPLE", "BUILD_SET")
#: These prepare a call, within the range of the call.
_PREPARE = (
    "PRECALL", "KW_NAMES", "PUSH_NULL", "LIST_", "SET_", "CALL_INTRINSIC", "LOAD_CONST", "RESUME",
)  # fmt: skip


def throws_away(frame: FrameType, called: str) -> bool:
    """Whether the code of `frame` drops what the function `called`, which it calls just now,
    returns, be it wrapped by `asyncio.gather` and its like or in a list that it never reads."""
    instructions = list(dis.get_instructions(frame.f_code))
    number = bisect_right(instructions, frame.f_lasti, key=lambda each: each.offset) - 1
    call = instructions[number]
    if not call.opname.startswith("CALL"):
        return False
    # The function may be called from C too, by `map` for one, whose result the frame calls for.
    if _callee(instructions, number)[-1:] != [called]:
        return False
    while not _is_dropped(instructions, number):
        if instructions[number + 1].opname.startswith("GET_"):
            return False
        outer = _outer(instructions, number)
        if outer is None:
            return False
        opname = instructions[outer].opname
        if opname.startswith("CALL"):
            path = _callee(instructions, outer)
            if len(path) == 2 and path[1] in ("append", "add"):
                is_given = path[0] in inspect.getargs(frame.f_code).args
                return not is_given and _only_grows(instructions, path[0], path[1])
            if _find(frame, path) not in _WRAP:
                return False
        elif opname not in _BUILD:
            return False
        number = outer
    return True


def _is_dropped(instructions: list[dis.Instruction], number: int) -> bool:
    """Whether the value that this instruction makes is dropped, or stored where nothing reads."""
    following = instructions[number + 1]
    if following.opname == "POP_TOP":
        return True
    if not following.opname.startswith("STORE_FAST"):
        return False
    # Some instructions do two things at once, with two names.
    stored = _names(following)[0]
    return not any(
        stored in _names(each)[1 if each is following else 0 :]
        for each in instructions
        if "FAST" in each.opname and each.opname != "STORE_FAST"
    )


def _outer(instructions: list[dis.Instruction], number: int) -> int | None:
    """The instruction that takes the value which the instruction `number` makes: the first one of
    the innermost expression around it."""
    inner = _range(instructions[number])
    for later in range(number + 1, len(instructions)):
        around = _range(instructions[later])
        if (
            inner is not None
            and around is not None
            and around != inner
            and around[0] <= inner[0]
            and inner[1] <= around[1]
            and not instructions[later].opname.startswith(_PREPARE)
        ):
            return later
    return None


def _only_grows(instructions: list[dis.Instruction], name: object, method: object) -> bool:
    """Whether `name` is a list or set that the code makes, adds to, and never reads."""
    made = False
    for each, following in pairwise(instructions):
        if following.opname.startswith("STORE_FAST") and _names(following)[0] == name:
            if each.opname not in _BUILD:
                return False
            made = True
        loaded = _names(each)[1 if each.opname.startswith("STORE") else 0 :]
        if ("LOAD" in each.opname and name in loaded) and (
            following.argval != method or loaded[-1] != name or name in loaded[:-1]
        ):
            return False
    return made


def _callee(instructions: list[dis.Instruction], number: int) -> list[Any]:
    """The names by which the function of a call is found: asyncio, gather."""
    start = _start(instructions[number])
    return [
        each.argval
        for each in instructions[:number]
        if each.opname.startswith(_LOADS) and _start(each) == start
    ]


def _find(frame: FrameType, path: list[Any]) -> object:
    first, *others = path or [None]
    found = frame.f_locals.get(first, frame.f_globals.get(first))
    for each in others:
        found = getattr(found, str(each), None)
    return found


def _start(instruction: dis.Instruction) -> tuple[int | None, int | None] | None:
    positions = instruction.positions
    return (positions.lineno, positions.col_offset) if positions else None


def _range(instruction: dis.Instruction) -> tuple[tuple[int, int], tuple[int, int]] | None:
    positions = instruction.positions
    if positions is None or None in positions:
        return None
    line, end_line, column, end_column = positions
    return (line, column), (end_line, end_column)  # type: ignore[return-value]


def _names(instruction: dis.Instruction) -> tuple[Any, ...]:
    names = instruction.argval
    return names if isinstance(names, tuple) else (names,)
