"""Planned faults that only the worker itself can commit, for real, as a handler would."""

from __future__ import annotations

import ctypes
import os
import threading
import time

from ..rpc.v1 import worker_pb2
from . import covered

#: The bytes that are taken at a time: few, so that the host sees the worker close to the limit.
_PIECE = 4 << 20
#: The bytes that are taken at most: more than any memory limit of a function.
_ENOUGH = 16 << 30


def commit(misdeed: worker_pb2.Misdeed) -> None:
    """Commit `misdeed`. This returns only where this version does not know the misdeed."""
    covered.save()
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
    """Block like an extension module that waits for ever and keeps the interpreter's lock."""
    library = ctypes.PyDLL(None)
    mutex = ctypes.create_string_buffer(128)
    library.pthread_mutex_lock(mutex)
    library.pthread_mutex_lock(mutex)
    # This is reached where a block of zeros is not a mutex.
    while True:
        library.pause()


def _take_memory() -> None:
    taken: list[bytes] = []
    while len(taken) * _PIECE < _ENOUGH:
        taken.append(b"\1" * _PIECE)
        # The host looks every few hundredths of a second.
        time.sleep(0.002)
    threading.Event().wait()
