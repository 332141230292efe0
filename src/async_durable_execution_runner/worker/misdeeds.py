"""Planned faults that only the worker itself can commit; for real, as a handler would."""

from __future__ import annotations

import ctypes
import os
import threading
import time

from ..rpc.v1 import worker_pb2

#: Bytes taken at a time; small, so that what the host sees is close to the limit.
_PIECE = 4 << 20
#: More than any limit that is set for it.
_ENOUGH = 16 << 30


def commit(misdeed: worker_pb2.Misdeed) -> None:
    """Do it. Returns from nothing but a misdeed that this version does not know."""
    match misdeed.kind:
        case worker_pb2.MISDEED_KIND_EXIT:
            os._exit(misdeed.code)
        case worker_pb2.MISDEED_KIND_SEGFAULT:
            ctypes.string_at(0)
        case worker_pb2.MISDEED_KIND_OUT_OF_MEMORY:
            _take_memory()
        case worker_pb2.MISDEED_KIND_HANG_PYTHON:
            threading.Event().wait()
        case worker_pb2.MISDEED_KIND_HANG_C:
            _block_in_c()


def _block_in_c() -> None:
    """As an extension module that waits for ever, and keeps the interpreter's lock."""
    library = ctypes.PyDLL(None)
    mutex = ctypes.create_string_buffer(128)
    library.pthread_mutex_lock(mutex)
    library.pthread_mutex_lock(mutex)
    # Where zeros are no mutex.
    while True:
        library.pause()


def _take_memory() -> None:
    taken: list[bytes] = []
    while len(taken) * _PIECE < _ENOUGH:
        taken.append(b"\1" * _PIECE)
        # The host looks every few hundredths of a second.
        time.sleep(0.002)
    threading.Event().wait()
