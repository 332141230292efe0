"""grpc.health.v1, by which probes ask whether a process serves.

Whoever asks shows no token, and messages may be of any size: so nothing of what is sent is read,
and the answer is the same for each service that may be named there. The protocol's `Watch`, which
would hold a stream open for anybody, is not offered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc

from . import OPTIONS, listen

CHECK = "/grpc.health.v1.Health/Check"
#: A `HealthCheckResponse` on the wire, with status 1 or 2.
_SERVING, _NOT_SERVING = b"\x08\x01", b"\x08\x02"


class Health(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self, serves: Callable[[], bool]) -> None:
        """Answer as `serves` says at that moment."""

        async def check(_: Any, context: Any) -> bytes:
            return _SERVING if serves() else _NOT_SERVING

        # It is one request, but a handler of streams is called before that has come.
        self._check = grpc.stream_unary_rpc_method_handler(check)

    def service(self, details: Any) -> Any:
        return self._check if details.method == CHECK else None


async def answer_probes(address: str, serves: Callable[[], bool]) -> tuple[str, Any]:
    """Answer probes, and no other calls, in plaintext, as the kubelet's probes speak no TLS.

    Args:
        address: "HOST:PORT"; port 0 stands for any free port.
        serves: Says whether the process serves.

    Returns:
        The address with its port, and the server, which answers as long as it is kept.

    Raises:
        OSError: The address cannot be listened on.
    """
    server = grpc.aio.server(options=OPTIONS)
    server.add_generic_rpc_handlers((Health(serves),))
    address = listen(server, address)
    await server.start()
    return address, server
