"""The bounds of what workers send, which are checked before a message is decoded.

Decoding cannot be interrupted, and some megabytes of empty parts keep it busy for half a second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from ..core import limits
from .v1 import debug_pb2, model_pb2, worker_pb2

#: A message of no more bytes is decoded at once, whatever is in it.
SMALL = 64 * 1024
#: The most bytes that any message of a worker may have: a payload may have `limits.REQUEST_BYTES`.
MOST_BYTES = limits.REQUEST_BYTES + 2 * 1024 * 1024
#: The most parts of a larger message: fields, items of lists, and the same within these.
MOST_PARTS = 20_000
#: The most lines of output of a result, and the most divergences, which have several parts each.
MOST_LINES, MOST_DIVERGENCES = 15_000, 500


class TooMuch:
    """What stands for a message that is not decoded; `why` says so in a sentence."""

    def __init__(self, why: str) -> None:
        self.why = why


def bounded(kind: type[Message], most_bytes: int) -> Callable[[bytes], Message | TooMuch]:
    """Return a decoder that returns `TooMuch` for a message beyond the bounds, which may have
    `most_bytes`."""
    decode = kind.FromString

    def read(data: bytes) -> Message | TooMuch:
        if len(data) <= SMALL:
            return decode(data)
        if len(data) > most_bytes:
            return TooMuch(f"It has {len(data)} bytes, and {most_bytes} is the most.")
        if _has_more_parts(data, kind.DESCRIPTOR, MOST_PARTS):
            return TooMuch(f"It has more than {MOST_PARTS} parts.")
        return decode(data)

    return read


def trim(result: worker_pb2.InvocationResult) -> None:
    """Take from a result what would make it too large a message: Lambda takes no larger response,
    and lines that are too many are not kept."""
    if max(limits.size(result.output), result.error.ByteSize()) > limits.REQUEST_BYTES:
        result.error.CopyFrom(
            model_pb2.ErrorObject(
                message="Response payload size exceeded maximum allowed payload size "
                f"({limits.REQUEST_BYTES} bytes).",
                type="Function.ResponseSizeTooLarge",
            )
        )
    if len(result.lines) > MOST_LINES:
        del result.lines[MOST_LINES:]
        result.lines_truncated = True
        result.lines.add(
            stream=model_pb2.OUTPUT_STREAM_STDERR,
            text=f"[runner] more than {MOST_LINES} lines of output in one invocation: the rest is "
            "not kept.",
        )
    del result.divergences[MOST_DIVERGENCES:]


def _has_more_parts(data: bytes, kind: Any, most: int) -> bool:
    """Return whether a message has more than `most` parts, or parts that no message of ours has.

    Only messages are looked into that have lists or messages in them; what a flat one may have more
    than once is not kept when it is decoded.
    """
    parts = 0
    inner = [(0, len(data), kind)]
    try:
        while inner:
            place, end, kind = inner.pop()
            within = _inner(kind)
            while place < end:
                parts += 1
                if parts > most:
                    return True
                tag, place = _varint(data, place)
                match tag & 7:
                    case 0:
                        _, place = _varint(data, place)
                    case 1:
                        place += 8
                    case 2:
                        size, place = _varint(data, place)
                        if found := within.get(tag >> 3):
                            inner.append((place, place + size, found))
                        place += size
                    case 5:
                        place += 4
                    case _:
                        return True
    except IndexError:
        # The message ends within a part, as the decoder will say.
        return False
    return False


def _varint(data: bytes, place: int) -> tuple[int, int]:
    byte = data[place]
    place += 1
    if byte < 0x80:
        return byte, place
    value, shift = byte & 0x7F, 7
    while byte >= 0x80 and shift < 70:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        shift += 7
    return value, place


_known: dict[Descriptor, dict[int, Descriptor]] = {}


def _inner(kind: Descriptor) -> dict[int, Descriptor]:
    """Return the messages, by the number of their field, that are to be looked into."""
    found = _known.get(kind)
    if found is None:
        found = _known[kind] = {
            field.number: field.message_type
            for field in kind.fields
            if field.message_type is not None and not _is_flat(field.message_type)
        }
    return found


def _is_flat(kind: Descriptor) -> bool:
    return not any(field.default_value == [] or field.message_type for field in kind.fields)


#: The decoders of the calls that a worker's credential is good for, by their names.
DECODERS = {
    f"/async_durable_execution_runner.rpc.v1.{name}": bounded(kind, most_bytes)
    for name, kind, most_bytes in (
        ("WorkerService/Session", worker_pb2.SessionRequest, MOST_BYTES),
        ("WorkerService/Checkpoint", worker_pb2.CheckpointRequest, MOST_BYTES),
        ("WorkerService/RecordEffect", worker_pb2.RecordEffectRequest, limits.EFFECT_BYTES),
        ("DebugService/Stop", debug_pb2.StopRequest, MOST_BYTES),
    )
}
