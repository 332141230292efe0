"""How a worker or a host reaches its coordinator: an address, and the token or a credential.

This is the one module on the worker side that makes channels.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

from .. import errors
from ..rpc import WORKER_ID
from ..security.tls import Tls, open_channel, why_not

#: The error that the coordinator means when it ends a call with one of these statuses. Any other
#: status means that the coordinator is gone.
REFUSALS: dict[grpc.StatusCode, type[errors.RunnerError]] = {
    grpc.StatusCode.ALREADY_EXISTS: errors.InvalidParameterValue,
    grpc.StatusCode.FAILED_PRECONDITION: errors.VersionMismatch,
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidParameterValue,
    grpc.StatusCode.NOT_FOUND: errors.ResourceNotFound,
    grpc.StatusCode.PERMISSION_DENIED: errors.Unauthenticated,
    grpc.StatusCode.UNAUTHENTICATED: errors.Unauthenticated,
    grpc.StatusCode.UNIMPLEMENTED: errors.VersionMismatch,
}

#: Whether a connection to the coordinator could not be opened.
_failed = False


@dataclass(frozen=True, slots=True)
class Connection:
    """A coordinator's address, what is shown there, and the id of the worker that shows it."""

    address: str
    #: The token, or the credential of the worker.
    token: str
    #: This is empty for a host, and for an inline worker until its id is known.
    worker_id: str = ""
    tls: Tls | None = None

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.token}"), (WORKER_ID, self.worker_id))

    def channel(self) -> grpc.aio.Channel:
        """Open a channel that belongs to the running loop."""
        _quiet(asyncio.get_running_loop())
        # gRPC's threads begin here and inherit this thread's mask: they must not take a signal
        # that a handler waits for.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            return open_channel(grpc.aio, self.address, self.tls)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def blocking_channel(self) -> grpc.Channel:
        """Open a channel for threads without a loop."""
        return open_channel(grpc, self.address, self.tls)


def why_ended(code: grpc.StatusCode | None, details: str | None) -> str:
    """Say what the coordinator means by the status with which a call has ended."""
    if code is not None and code in REFUSALS:
        return f"the runner's coordinator refused it: {details or code.name}"
    # gRPC says no more of a stream that breaks while something is being sent.
    unknown = details in (None, "", "Internal error from Core")
    why = "the stream broke" if unknown else why_not(str(details))
    if details is not None and details.startswith("failed to connect"):
        global _failed
        _failed = True
    return f"the runner's coordinator is gone ({why})."


def cut_off() -> str:
    """Why the process cannot be used again; "" where it may be. One that is started later may trust
    the authority of a certificate that the coordinator has got meanwhile."""
    return "it could not connect to the coordinator once more" if _failed else ""


async def end_stream(call: Any) -> None:
    """End a stream so that no part of it is under way any more.

    If gRPC still has something under way when a loop is closed, it is reported as an error in
    whichever other loop of the process happens to run. The coordinator has one second to end its
    side; then the call is cancelled.
    """
    if not call.done():
        with contextlib.suppress(grpc.RpcError, asyncio.InvalidStateError, TimeoutError):
            async with asyncio.timeout(1):
                await call.done_writing()
                while await call.read() is not grpc.aio.EOF:
                    pass
                await call.code()
    call.cancel()


async def why_refused(call: Any) -> grpc.aio.AioRpcError | None:
    """Why the coordinator refuses the stream `call`, which is read once and given up; None where it
    does not within two seconds.

    A stream that is refused while its first message is on the way ends as an internal error, which
    hides the reason: another one, on which nothing is written, tells it.
    """
    try:
        async with asyncio.timeout(2):
            await call.read()
    except grpc.aio.AioRpcError as error:
        return error
    except TimeoutError:
        pass
    finally:
        call.cancel()
    return None


def _quiet(loop: asyncio.AbstractEventLoop) -> None:
    """Have the loop say nothing of what is no error."""
    previous = loop.get_exception_handler()

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if _is_harmless(context.get("message", ""), context.get("exception")):
            return
        if previous is None:
            loop.default_exception_handler(context)
        else:
            previous(loop, context)

    loop.set_exception_handler(handle)


def _is_harmless(message: str, exception: BaseException | None) -> bool:
    # All loops of a process share gRPC's wake-up socket. Before grpcio 1.80 or so, loops in
    # several threads that race for one byte report that as an error in a callback.
    if isinstance(exception, BlockingIOError):
        return "PollerCompletionQueue" in message
    # The SDK suspends an execution by an exception in each of its tasks, and awaits only some of
    # them. The garbage collector would tell, in the midst of anything.
    kinds = [kind.__name__ for kind in type(exception).__mro__]
    return "never retrieved" in message and "SuspendExecution" in kinds
