"""The HTTP server on the running event loop: uvicorn's protocol, less patient with clients."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Collection, Mapping
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from ..errors import InvalidParameterValue
from .app import Gateway, Limits, Responder
from .hosts import Hosts, is_loopback
from .signatures import Keyring

_BACKLOG = 512
#: How much of a connection is read at a time.
_READ_BYTES = 16 * 1024


class _Connection(H11Protocol):
    """A connection that is aborted where its client sends a request's head too slowly, or does not
    read the answer."""

    limits: Limits
    _patience: asyncio.TimerHandle | None = None
    _unread = 0

    @property
    def _between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._between_requests:
            self._stop_waiting()
        elif self._patience is None:
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def timeout_keep_alive_handler(self) -> None:
        """End an idle connection, also one whose client does not read its answer.

        uvicorn's `close` would wait for the client to read.
        """
        unread, self._unread = self._unread, self.transport.get_write_buffer_size()
        if not self._unread:
            super().timeout_keep_alive_handler()
        elif unread and self._unread >= unread:
            self.transport.abort()
        else:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _expect_head(self) -> None:
        self._patience = self.loop.call_later(self.limits.header_seconds, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


class _InPieces(asyncio.BufferedProtocol):
    """Passes on to a connection what its client sends, so little at a time that others have their
    turn: a body in chunks of a byte each takes h11 long."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self._buffer = bytearray(_READ_BYTES)

    def connection_made(self, transport: Any) -> None:
        self._connection.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.connection_lost(exc)

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._connection.data_received(bytes(self._buffer[:nbytes]))

    def eof_received(self) -> None:
        self._connection.eof_received()


class Listener:
    """A gateway that listens, until it is closed."""

    def __init__(self, endpoint_url: str, server: asyncio.Server, state: ServerState) -> None:
        self.endpoint_url = endpoint_url
        self._server = server
        self._state = state

    def close(self) -> None:
        """Close the listener and its connections at once, whatever requests are under way."""
        self._server.close()
        for connection in list(self._state.connections):
            transport: Any = connection.transport
            transport.abort()


async def listen(
    operations: Mapping[str, Responder],
    host: str,
    port: int,
    access_keys: Mapping[str, str],
    allow_hosts: Collection[str] = (),
    limits: Limits | None = None,
) -> Listener:
    """Serve operations over HTTP.

    Args:
        operations: The responder of each operation that is served, by the model's name of it.
        host: The address to listen on.
        port: The port to listen on; 0 takes any that is free.
        access_keys: The secrets of the access keys, by id; where there are none, nobody need sign.
        allow_hosts: The hosts, besides loopback's, that requests may be for and pages may come
            from; for a gateway without access keys.
        limits: How much clients may send, and how slowly.

    Raises:
        InvalidParameterValue: The gateway cannot listen there, or may not without access keys; or
            one of `allow_hosts` is not a host.
    """
    host = host.strip("[]")
    if not access_keys and not is_loopback(host):
        raise InvalidParameterValue(
            f"{host} can be reached from other machines, and handlers run whatever they are sent: "
            "give an access key, which requests must then be signed with, or listen on 127.0.0.1."
        )
    if not 0 <= port < 2**16:
        raise InvalidParameterValue(f"Cannot listen on {host}:{port}: there is no such port.")
    limits = limits or Limits()
    # No page can sign.
    hosts = None if access_keys else Hosts(allow_hosts)
    config = uvicorn.Config(
        Gateway(operations, Keyring(access_keys), hosts, limits),
        http=_Connection,
        ws="none",
        lifespan="off",
        interface="asgi3",
        proxy_headers=False,
        log_config=None,
        access_log=False,
        timeout_keep_alive=limits.idle_seconds,  # type: ignore[arg-type]
        h11_max_incomplete_event_size=limits.header_bytes,
    )
    config.load()
    state = ServerState()

    def connection() -> _InPieces:
        made = _Connection(config=config, server_state=state, app_state={})
        made.limits = limits
        return _InPieces(made)

    try:
        server = await asyncio.get_running_loop().create_server(
            connection, host or None, port, backlog=_BACKLOG
        )
    except OSError as error:
        raise InvalidParameterValue(f"Cannot listen on {host}:{port}: {error}") from None
    shown, bound = server.sockets[0].getsockname()[:2]
    if server.sockets[0].family == socket.AF_INET6:
        shown = f"[{shown}]"
    return Listener(f"http://{shown}:{bound}", server, state)
