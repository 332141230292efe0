"""The wire: the generated messages in `v1`, and the codec between them and `core.model`.

Only this package knows protobuf's shapes of the model, and nothing keeps messages as state.
"""

from __future__ import annotations

import ipaddress
import os
import resource
import string
import urllib.parse
from typing import Any

from ..errors import RunnerError

#: The metadata of a worker's calls that names the worker.
WORKER_ID = "worker-id"

#: How the names of the runner's own environment variables begin.
OURS = "DURABLE_RUNNER_"
#: The environment variable that has the coordinator's token.
TOKEN_VARIABLE = f"{OURS}TOKEN"

#: The label of worker hosts by which executions ask for code that may be other than their client's.
CODE_LABEL = "code"

PROTOCOL_VERSION = 6
"""The version of the wire, which grows with every change that an older worker host could not
follow."""

#: The options of every gRPC channel and server: messages may be of any size, and keepalive makes
#: that a dead peer is noticed within seconds.
OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # A process that is frozen leaves a ping unanswered, though its system takes what is sent.
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    # A host may try to connect before its coordinator listens, and gRPC would then wait for a
    # second.
    ("grpc.initial_reconnect_backoff_ms", 20),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # How long an attempt to connect may take, which finds nobody as long as the network is cut.
    ("grpc.min_reconnect_backoff_ms", 5_000),
    # Beyond a thousand calls that the server has yet to look at, it would drop some by chance.
    ("grpc.server.max_pending_requests", 1_000_000),
    ("grpc.server.max_pending_requests_hard_limit", 1_000_000),
    # A proxy for HTTP must not stand between our processes.
    ("grpc.enable_http_proxy", 0),
]


#: How many descriptors the coordinator and a host need for a few workers.
_MIN_DESCRIPTORS = 64

#: The most bytes of a status's text when escaped, as a peer drops a status with 8 KiB of headers.
_DETAILS_BYTES = 7_000
#: The characters, beside letters and digits, that gRPC does not escape.
_PLAIN = string.punctuation.replace("%", "") + " "


def details(text: str) -> str:
    """Return `text` as a status can carry it: without its middle, where the whole is too long."""
    kept, cut = len(text), text
    if kept > _DETAILS_BYTES:
        kept, cut = _DETAILS_BYTES, _ends(text, _DETAILS_BYTES)
    while len(urllib.parse.quote(cut, _PLAIN, errors="replace")) > _DETAILS_BYTES:
        kept = kept * 3 // 4
        cut = _ends(text, kept)
    return cut


def _ends(text: str, kept: int) -> str:
    return f"{text[: kept // 2]} ... {text[-(kept // 2) :]}"


def set_up_grpc() -> None:
    """Make the settings of gRPC for our own processes, before gRPC is imported.

    The settings that a user has made stay. gRPC's event engine hands each read to a thread pool of
    its own, which costs about 0.07 ms of a 0.25 ms round trip. Both ends of our streams are idle
    but for one message, so the older poller serves them better. gRPC's log is off, as it would
    stand among what handlers write.
    """
    os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_client,-event_engine_listener")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")


def check_descriptors() -> None:
    """Raise `RunnerError` where a process may open fewer files than gRPC and a few workers need."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= most < _MIN_DESCRIPTORS:
        raise RunnerError(
            f"A process may open {most} files here, and the runner's need {_MIN_DESCRIPTORS}: "
            f"raise the limit with `ulimit -n {_MIN_DESCRIPTORS}` or more."
        )


def listen(server: Any, address: str, credentials: Any = None) -> str:
    """Have a gRPC server listen, and return the address with its port.

    Args:
        server: The server, which has not been started.
        address: "unix:PATH" or "HOST:PORT"; port 0 stands for any free port.
        credentials: What gRPC needs to speak TLS; None for plaintext.

    Raises:
        OSError: The address cannot be listened on.
    """
    try:
        if credentials is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, credentials)
    except RuntimeError:
        why = "the address is in use, or may not be used; GRPC_VERBOSITY=debug shows which"
        raise OSError(f"Cannot listen on {address}: {why}") from None
    return address if address.startswith("unix:") else f"{address.rpartition(':')[0]}:{port}"


def is_local(address: str) -> bool:
    """Return whether a gRPC address ("unix:PATH", "HOST:PORT") is out of other machines' reach."""
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
