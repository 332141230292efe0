"""How a runner's calls reach its coordinator: blocking, or on the caller's event loop.

Both are `Transport`s, so that everything above is written once: the blocking one's
coroutines never suspend and are driven to their end by `drive`. Here too: what becomes
of a call that fails.
"""

# ruff: noqa: ASYNC109 - a gRPC deadline goes with the call; `asyncio.timeout` cannot set it.

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import Any, Protocol, TypeVar

import grpc
import grpc.aio

from .. import errors
from ..core.model import Place
from ..rpc import PROTOCOL_VERSION
from ..rpc.v1 import control_pb2 as pb
from ..rpc.v1 import control_pb2_grpc, worker_pb2
from ..security.tls import Tls, open_channel
from .cluster import AnyCluster
from .debugging import standing_still

# pytest shows the line of the test, not ours.
__tracebackhide__ = True

T = TypeVar("T")

#: Seconds for an answer that needs no waiting, on a machine under load.
ANSWER_TIMEOUT = 20.0
#: Seconds. gRPC takes a deadline past the year 2262, which its clock cannot hold, for one that
#: has passed.
_LONGEST = 1e9

#: Bytes of a request that a socket takes though nobody reads them. gRPC does not end a call before
#: its request is written, however long ago its deadline was.
_BUFFERED = 64 * 1024
#: Seconds after its deadline at which such a call is given up here.
_PATIENCE = 1.0

_STREAMS = frozenset({"RunExecutions", "AwaitExecution"})
#: The calls that wait for what handlers do.
_WAITS = _STREAMS | {"AwaitCallback", "AdvanceTime"}
# Generated without types.
_Stub: Any = control_pb2_grpc.ControlServiceStub


def _error_classes() -> dict[str, type[errors.RunnerError]]:
    found: dict[str, type[errors.RunnerError]] = {}
    pending: list[type[errors.RunnerError]] = [errors.RunnerError]
    while pending:
        each = pending.pop()
        found[each.__name__] = each
        if "code" in vars(each):
            found[vars(each)["code"]] = each
        pending += each.__subclasses__()
    return found


def error_named(code: str, message: str) -> errors.RunnerError:
    """The error that the coordinator means by `code`."""
    kind = _error_classes().get(code, errors.RunnerError)
    if issubclass(kind, errors.InvalidCheckpointToken):
        kind = errors.InvalidParameterValue
    return kind(message)


def raised(error: Any) -> errors.RunnerError | None:
    """The error that the coordinator raised, from a `grpc.RpcError` of either kind; None
    where the call itself failed."""
    details: str = error.details() or ""
    for key, value in error.trailing_metadata() or ():
        if key == "error-code":
            return error_named(value, details)
    match error.code():
        case grpc.StatusCode.UNAUTHENTICATED | grpc.StatusCode.PERMISSION_DENIED:
            return errors.Unauthenticated(details)
        case grpc.StatusCode.CANCELLED if details.startswith("Locally cancelled"):
            return errors.RunnerError("The call was given up: the test was interrupted.")
        case (
            grpc.StatusCode.UNAVAILABLE
            | grpc.StatusCode.DEADLINE_EXCEEDED
            | grpc.StatusCode.CANCELLED
        ):
            return None
        case status:
            return errors.RunnerError(f"{details} ({status.name})")


class ChannelClosed(Exception):
    """The cluster behind a channel was closed, which gRPC takes for a programming error."""


class _Late(grpc.RpcError):  # type: ignore[misc]
    """A call that was given up since gRPC did not end it at its deadline."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.DEADLINE_EXCEEDED

    def details(self) -> str:
        return "nobody reads what is sent to it"

    def trailing_metadata(self) -> tuple[()]:
        return ()


def _deadline(method: str, timeout: float) -> float | None:
    """The deadline that gRPC keeps, which cannot stand still while a debugger has a handler: where
    that may be, the call is watched instead."""
    watched = method in _WAITS and standing_still.possible
    return None if watched else min(timeout, _LONGEST)


class _Watch:
    """Gives a call up that takes too long, not counting the time in which a debugger had a
    handler."""

    def __init__(self, call: Any, timeout: float) -> None:
        self._call = call
        self._due = standing_still.time() + min(timeout, _LONGEST) + _PATIENCE
        self.late = False

    @property
    def seconds(self) -> float:
        """How long to wait until `look` is called next."""
        return max(0.1, self._due - standing_still.time())

    def look(self) -> None:
        if not self.late and standing_still.time() >= self._due:
            self.give_up()

    def give_up(self) -> None:
        self.late = True
        self._call.cancel()


@contextmanager
def _ended(call: Any, request: Any, timeout: float) -> Iterator[_Watch | None]:
    """See to it that a blocking `call` has ended when this is left, and that it ends, with `_Late`,
    where gRPC has no deadline for it, or `request` may be too large for that to end it."""
    watch = _Watch(call, timeout)
    timer = threading.Timer(min(timeout, _LONGEST) + _PATIENCE, watch.give_up)
    timer.daemon = True
    if not standing_still.possible and request.ByteSize() > _BUFFERED:
        timer.start()
    try:
        yield watch if standing_still.possible else None
    except (grpc.RpcError, grpc.FutureCancelledError):
        if watch.late:
            raise _Late from None
        raise
    finally:
        timer.cancel()
        in_peace(call.cancel)


class _Helper:
    """A thread that calls functions for the main thread."""

    def __init__(self) -> None:
        self._functions: SimpleQueue[Callable[[], Any] | None] = SimpleQueue()
        self._answers: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        threading.Thread(target=self._serve, name="durable-calls", daemon=True).start()

    def call(self, function: Callable[[], T], watch: _Watch | None) -> T:
        self._functions.put(function)
        while True:
            try:
                result, error = self._answers.get(timeout=None if watch is None else watch.seconds)
                break
            except Empty:
                assert watch is not None
                watch.look()
        if error is not None:
            raise error
        found: T = result
        return found

    def end(self) -> None:
        self._functions.put(None)

    def _serve(self) -> None:
        while (function := self._functions.get()) is not None:
            try:
                self._answers.put((function(), None))
            except BaseException as error:
                self._answers.put((None, error))
            del function


#: The helpers that nobody uses now.
_helpers: list[_Helper] = []
os.register_at_fork(after_in_child=_helpers.clear)


def in_peace(function: Callable[[], T], watch: _Watch | None = None) -> T:
    """Call what calls gRPC, and blocks, with `watch` on the call.

    Ctrl-C interrupts the main thread. Within gRPC's own code that would leave a lock locked, and
    all later calls would hang; so another thread runs that code for the main thread.
    """
    if watch is None and threading.current_thread() is not threading.main_thread():
        return function()
    helper = _helpers.pop() if _helpers else _Helper()
    try:
        result = helper.call(function, watch)
    except (grpc.RpcError, grpc.FutureCancelledError, ChannelClosed, StopIteration):
        _helpers.append(helper)
        raise
    except BaseException:
        helper.end()
        raise
    _helpers.append(helper)
    return result


class Transport(Protocol):
    async def call(self, method: str, request: Any, timeout: float) -> list[Any]:
        """Every message of the answer; `grpc.RpcError` or `ChannelClosed`."""

    def messages(self, method: str, request: Any, timeout: float) -> AsyncGenerator[Any, None]:
        """The messages of the answer as they come; `grpc.RpcError` or `ChannelClosed`."""

    async def blocking(self, function: Callable[[], T]) -> T:
        """Call what may block the thread for a while."""

    async def close(self) -> None: ...


class BlockingTransport:
    """Over a channel of the cluster's, from any thread. Does not own the channel."""

    def __init__(self, channel: grpc.Channel, token: str) -> None:
        self._stub = _Stub(channel)
        self._metadata = metadata(token)

    async def call(self, method: str, request: Any, timeout: float) -> list[Any]:
        if method in _STREAMS:
            return [message async for message in self.messages(method, request, timeout)]
        if request.ByteSize() <= _BUFFERED and _deadline(method, timeout) is not None:
            return [in_peace(lambda: self._begin(method, request, timeout))]
        # A call that can be given up costs half as much again.
        future = in_peace(lambda: self._begin(method, request, timeout, as_future=True))
        with _ended(future, request, timeout) as watch:
            return [in_peace(future.result, watch)]

    async def messages(
        self, method: str, request: Any, timeout: float
    ) -> AsyncGenerator[Any, None]:
        call = in_peace(lambda: self._begin(method, request, timeout))
        with _ended(call, request, timeout) as watch:
            while (message := in_peace(lambda: next(call, None), watch)) is not None:
                yield message

    def _begin(self, method: str, request: Any, timeout: float, *, as_future: bool = False) -> Any:
        stub = getattr(self._stub, method)
        if as_future:
            stub = stub.future
        try:
            return stub(request, timeout=_deadline(method, timeout), metadata=self._metadata)
        except ValueError as error:
            raise ChannelClosed from error

    async def blocking(self, function: Callable[[], T]) -> T:
        return function()

    async def close(self) -> None:
        pass


class LoopTransport:
    """On the running event loop, over a channel of its own for each loop."""

    def __init__(self, address: str, token: str, tls: Tls | None = None) -> None:
        self._address = address
        self._tls = tls
        self._metadata = metadata(token)
        self._channels: dict[asyncio.AbstractEventLoop, tuple[grpc.aio.Channel, Any]] = {}

    async def call(self, method: str, request: Any, timeout: float) -> list[Any]:
        if method in _STREAMS:
            return [message async for message in self.messages(method, request, timeout)]
        call = self._begin(method, request, timeout)
        return [await self._in_time(call, _Watch(call, timeout))]

    async def messages(
        self, method: str, request: Any, timeout: float
    ) -> AsyncGenerator[Any, None]:
        call = self._begin(method, request, timeout)
        watch = _Watch(call, timeout)
        try:
            while (message := await self._in_time(call.read(), watch)) is not grpc.aio.EOF:
                yield message
        finally:
            call.cancel()

    @staticmethod
    async def _in_time(answer: Awaitable[T], watch: _Watch) -> T:
        if not standing_still.possible:
            try:
                async with asyncio.timeout(watch.seconds):
                    return await answer
            except TimeoutError:
                raise _Late from None
        asked = asyncio.ensure_future(answer)
        try:
            while not (await asyncio.wait([asked], timeout=watch.seconds))[0]:
                watch.look()
                if watch.late:
                    raise _Late
            return await asked
        finally:
            asked.cancel()

    def _begin(self, method: str, request: Any, timeout: float) -> Any:
        _, stub = self._of_loop()
        return getattr(stub, method)(
            request, timeout=_deadline(method, timeout), metadata=self._metadata
        )

    def _of_loop(self) -> tuple[grpc.aio.Channel, Any]:
        loop = asyncio.get_running_loop()
        if loop not in self._channels:
            # A channel that is dropped closes by itself.
            for each in [each for each in self._channels if each.is_closed()]:
                del self._channels[each]
            channel = open_channel(grpc.aio, self._address, self._tls)
            self._channels[loop] = channel, _Stub(channel)
        return self._channels[loop]

    async def blocking(self, function: Callable[[], T]) -> T:
        return await asyncio.to_thread(function)

    async def close(self) -> None:
        channel, _ = self._of_loop()
        await channel.close(None)


_channels_lock = threading.Lock()
_channels: weakref.WeakKeyDictionary[AnyCluster, grpc.Channel] = weakref.WeakKeyDictionary()


def channel_at(address: str, tls: Tls | None = None) -> grpc.Channel:
    """A channel for calls that block, from any thread."""
    return open_channel(grpc, address, tls)


def channel_to(cluster: AnyCluster) -> grpc.Channel:
    """This process's blocking channel to a cluster, for all runners."""
    with _channels_lock:
        channel = _channels.get(cluster)
        if channel is None:
            channel = _channels[cluster] = channel_at(cluster.address, cluster.tls)
            cluster.on_close.append(channel.close)
    return channel


def metadata(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


def opened(
    begin: Callable[[], Any], unavailable: Callable[[str, str], Exception]
) -> tuple[Any, Any]:
    """Return a call that is open without a deadline, as long as its runner, and the call's first
    message, which has to come soon.

    Args:
        begin: Begins the call.
        unavailable: Makes the error for a coordinator that is not there.
    """
    call = in_peace(begin)
    timer = threading.Timer(ANSWER_TIMEOUT, call.cancel)
    timer.start()
    try:
        return call, in_peace(lambda: next(call))
    except grpc.RpcError as error:
        what = "The coordinator did not let a runner in"
        raise raised(error) or unavailable(what, error.details()) from None
    finally:
        timer.cancel()


class WorkspaceCall:
    """A runner's place in the coordinator, for as long as this is open."""

    def __init__(
        self,
        channel: grpc.Channel,
        token: str,
        *,
        workers: int,
        invocation_retries: int,
        retry_backoff: float,
        epoch_ms: int | None,
        limits: Mapping[str, int],
        place: Place,
        unavailable: Callable[[str, str], Exception],
        debugging: worker_pb2.Debugging | None = None,
        functions: Iterable[pb.RegisterFunctionRequest] = (),
    ) -> None:
        """Open it, with functions. Blocks for one round trip."""
        self._stub = stub = _Stub(channel)
        self._metadata = metadata(token)
        request = pb.OpenWorkspaceRequest(
            protocol_version=PROTOCOL_VERSION,
            workers=workers,
            invocation_retries=invocation_retries,
            retry_backoff_ms=round(retry_backoff * 1000),
            epoch_ms=epoch_ms,
            limits=limits,
            region=place.region,
            account=place.account,
            debugging=debugging,
            functions=functions,
        )
        self._call, welcome = opened(
            lambda: stub.OpenWorkspace(request, metadata=self._metadata), unavailable
        )
        self.id: str = welcome.workspace_id

    def follow_output(self) -> Iterator[Any]:
        """What its handlers write, `FollowOutputResponse` by `FollowOutputResponse`, till it is
        closed or the coordinator is gone. Nothing is missed from now on."""
        request = pb.FollowOutputRequest(workspace_id=self.id)
        call = self._stub.FollowOutput(request, metadata=self._metadata)
        next(call)

        def messages() -> Iterator[Any]:
            # Whoever has to know why the coordinator went learns it otherwise.
            with suppress(grpc.RpcError):
                yield from call

        return messages()

    def close(self) -> None:
        self._call.cancel()
