"""Python's tracebacks in text, without the frames that are not the handler's own."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..worker import OUR_FOLDERS

#: What Python writes first when a signal kills it; the innermost frame is the first one there.
FATAL = "Fatal Python error"
# Those of exception groups have a margin of bars.
_HEADER = re.compile(r"[ |+]*(?:Exception Group )?Traceback \(most recent call last\):")
_FRAME = re.compile(r'([ |]*)File "(.+?)", line \d+')
_MARKERS = re.compile(r"[ |]*[~^]+")
_LINKS = (
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
)
#: What is installed, the standard library, and the modules that Python itself has frozen.
_LIBRARY = re.compile(r"[/\\](?:site|dist)-packages[/\\]|[/\\]lib[/\\]python3\.\d+[/\\]|<frozen ")


def pieces(lines: list[str]) -> Iterator[list[str]]:
    """Yield each chain of tracebacks, with the handler's own frames only, what a fatal signal left,
    and each other line by itself."""
    number = 0
    while number < len(lines):
        if lines[number].startswith(FATAL):
            yield lines[number:]
            return
        if _HEADER.fullmatch(lines[number]):
            chain, number = _chain(lines, number)
            yield chain
        else:
            yield [lines[number]]
            number += 1


def own_frames(lines: list[str]) -> list[str]:
    """The lines of the frames that are the handler's own, or else those of the innermost frame."""
    frames, end = _frames(lines, 0)
    return _own([frames])[0] + lines[end:]


def _chain(lines: list[str], start: int) -> tuple[list[str], int]:
    """The chain of tracebacks that begins at `start`, and the number of the line after it."""
    introductions: list[list[str]] = [[]]
    headers = [lines[start]]
    tracebacks: list[list[list[str]]] = []
    while True:
        frames, end = _frames(lines, start + 1)
        tracebacks.append(frames)
        following = range(end, len(lines))
        start = next((each for each in following if _HEADER.fullmatch(lines[each])), 0)
        # The message of an exception may have several lines, which only a link tells from others.
        if start - 3 < end or lines[start - 2].strip(" |") not in _LINKS:
            break
        introductions.append([*lines[end : start - 3], lines[start - 2]])
        headers.append(lines[start])
    chain: list[str] = []
    for introduction, header, own in zip(introductions, headers, _own(tracebacks), strict=True):
        chain += [*introduction, header, *own] if own else introduction
    return chain + lines[end : end + 1], end + 1


def _frames(lines: list[str], start: int) -> tuple[list[list[str]], int]:
    """The frames that stand from `start` on, and the number of the line after them."""
    frames: list[list[str]] = []
    margin = ""
    for number in range(start, len(lines)):
        line = lines[number]
        if found := _FRAME.match(line):
            margin = found[1]
            frames.append([line])
        elif frames and line.startswith((margin + "  ", margin + "[Previous line repeated")):
            if not _MARKERS.fullmatch(line):
                frames[-1].append(line)
        else:
            return frames, number
    return frames, len(lines)


def _own(tracebacks: list[list[list[str]]]) -> list[list[str]]:
    """The lines of the handler's own frames in each traceback, or of the innermost frame in each
    where the whole chain has no other."""
    own = [[frame for frame in frames if not _is_library(frame)] for frames in tracebacks]
    if not any(own):
        own = [frames[-1:] for frames in tracebacks]
    return [[line for frame in frames for line in frame] for frames in own]


def _is_library(frame: list[str]) -> bool:
    found = _FRAME.match(frame[0])
    path = found[2] if found else ""
    return bool(_LIBRARY.search(path)) or path.startswith(OUR_FOLDERS)
