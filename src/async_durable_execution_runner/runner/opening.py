"""How runners are opened and closed: by `with`, once or nested, or by `open()` and `close()`."""

from __future__ import annotations

import asyncio
import threading
import warnings
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from ..errors import RunnerError

# pytest shows the line of the test, not ours.
__tracebackhide__ = True


def check_loop() -> None:
    """`RunnerError` where no loop of asyncio runs what awaits an asynchronous runner."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise RunnerError(
            "An asynchronous runner needs asyncio, which does not run here. Under trio, call "
            "DurableFunctionTestRunner in a thread, or have anyio run the test on asyncio "
            "(its fixture anyio_backend)."
        ) from None


async def to_its_end(function: Callable[[], object]) -> None:
    """Call what blocks on a thread, and wait for it though the task is cancelled: anyio cancels a
    task again at each `await` within a scope whose time is over."""
    call = asyncio.ensure_future(asyncio.to_thread(function))
    cancelled = None
    while not call.done():
        try:
            await asyncio.wait([call])
        except asyncio.CancelledError as error:
            cancelled = error
    call.result()
    if cancelled is not None:
        raise cancelled


class _Holders:
    """What holds a runner open: a number of `with` blocks, or `open()` until `close()`."""

    def __init__(self) -> None:
        self._blocks = 0
        self._opened = False
        self._forgotten: weakref.finalize[..., Any] | None = None

    @property
    def any(self) -> bool:
        return self._opened or self._blocks > 0

    def add(self, *, block: bool, runner: object, kept_by_handles: object) -> None:
        """Note another holder of `runner`.

        Args:
            block: Whether the holder is a `with` block.
            runner: The runner.
            kept_by_handles: What stays alive as long as the runner or one of its handles does.
        """
        if not self.any:
            text = f"{runner!r} was never closed: use it in a `with` block, or call close()."
            self._forgotten = weakref.finalize(
                kept_by_handles, warnings.warn, text, ResourceWarning
            )
        self._blocks += block
        self._opened = self._opened or not block

    def leave(self) -> bool:
        """End a `with` block, and return whether it was the last holder."""
        if not self._blocks:
            return False  # close() was called in the block.
        self._blocks -= 1
        return not self.any and self._remembered()

    def remove_all(self) -> bool:
        """Return whether there was any."""
        had_any = self.any
        self._blocks, self._opened = 0, False
        return had_any and self._remembered()

    def _remembered(self) -> bool:
        if self._forgotten is not None:
            self._forgotten.detach()
        return True


class BlockingOpening:
    """The opening and closing of a synchronous runner."""

    _engine: Any

    def __init__(self) -> None:
        self.__holders = _Holders()
        self.__turn = threading.RLock()

    def _open(self) -> None:
        self._engine.open()

    def _close(self, *, check: bool) -> None:
        """Close the runner. `check` says whether its fault plan has to have struck."""
        self._engine.close()

    def open(self) -> Self:
        """Open the runner until `close()` is called, for where a `with` block does not fit."""
        self.__hold(block=False)
        return self

    def close(self) -> None:
        """Close the runner, whatever holds it open. A runner that is not open stays so."""
        with self.__turn:
            if self.__holders.remove_all():
                self._close(check=True)

    def __enter__(self) -> Self:
        self.__hold(block=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self.__turn:
            if self.__holders.leave():
                self._close(check=error is None)

    def __hold(self, *, block: bool) -> None:
        with self.__turn:
            if not self.__holders.any:
                self._open()
            self.__holders.add(block=block, runner=self, kept_by_handles=_shared(self._engine))


class AwaitedOpening:
    """The opening and closing of an asynchronous runner."""

    _engine: Any

    def __init__(self) -> None:
        self.__holders = _Holders()
        self.__turn = asyncio.Lock()

    async def _open(self) -> None:
        try:
            await to_its_end(self._engine.open)
        except asyncio.CancelledError:
            await to_its_end(self._engine.close)
            raise

    async def _close(self, *, check: bool) -> None:
        """Close the runner. `check` says whether its fault plan has to have struck."""
        await to_its_end(self._engine.close)

    async def open(self) -> Self:
        """Open the runner until `close()` is called, for where a `with` block does not fit."""
        await self.__hold(block=False)
        return self

    async def close(self) -> None:
        """Close the runner, whatever holds it open. A runner that is not open stays so."""
        async with self.__turn:
            if self.__holders.remove_all():
                await self._close(check=True)

    async def __aenter__(self) -> Self:
        await self.__hold(block=True)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        async with self.__turn:
            if self.__holders.leave():
                await self._close(check=error is None)

    async def __hold(self, *, block: bool) -> None:
        check_loop()
        async with self.__turn:
            if not self.__holders.any:
                await self._open()
            self.__holders.add(block=block, runner=self, kept_by_handles=_shared(self._engine))


def _shared(engine: Any) -> object:
    # A runner's engine may be copied; what it opens is not.
    return getattr(engine, "attachment", engine)
