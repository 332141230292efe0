"""The ledger of side effects: what a handler did to the world outside, told to the runner.

    from async_durable_execution_runner import ledger

    async def charge() -> None:
        gateway.charge(order_id, amount)
        ledger.record("charge", key=order_id, amount=amount)

A test then asks `result.ledger`. Production code may import this: outside a runner `record`
does nothing, and nothing but the standard library is imported.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Recorder = Callable[[str, object, dict[str, object]], None]

_own: ContextVar[Recorder | None] = ContextVar("ledger_recorder", default=None)
#: Those of the invocations that run in this process, for threads without a context.
_running: list[Recorder] = []


def record(name: str, /, *, key: object = None, **data: object) -> None:
    """Say that an effect happened.

    This returns when the runner's coordinator knows of the effect, which survives whatever becomes
    of the process from then on. It may be called from any thread of the handler's.

    Args:
        name: The effect's name.
        key: The idempotency key under which the effect happened, if it had one: a JSON value.
        data: What else a test wants to know of the effect, as JSON values.

    Raises:
        TypeError: `key` or `data` is not a JSON value.
        ValueError: The effect has more than 256 KiB as JSON.
        CoordinatorUnavailable: The coordinator has ended.
    """
    recorder = _own.get() or _of_this_process()
    if recorder is not None:
        recorder(name, key, data)


def _of_this_process() -> Recorder | None:
    # A plain thread does not inherit the context of the handler that started it. The main
    # thread is either the handler's, and has one, or the test's, and is nobody's.
    if not _running or threading.current_thread() is threading.main_thread():
        return None
    if len(_running) > 1:
        raise RuntimeError(
            "ledger.record() cannot tell whose effect this is: several inline invocations are "
            "running, and this thread has the context of none. Start it with "
            "asyncio.to_thread(), or run it in contextvars.copy_context()."
        )
    return _running[0]


@contextmanager
def recording(recorder: Recorder, *, inline: bool) -> Iterator[None]:
    """Have what is recorded in the block go to `recorder`; workers use this."""
    if not inline:
        # The one before stays until now: threads that it left behind may still do something.
        _running.clear()
    _running.append(recorder)
    token = _own.set(recorder)
    try:
        yield
    finally:
        _own.reset(token)
        if inline:
            _running.remove(recorder)
