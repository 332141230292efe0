"""The wire: generated messages in `v1`, and the codec between them and `core.model`.

Only this package knows protobuf's shapes of the model; nothing keeps messages as state.
"""

from __future__ import annotations

import ipaddress
import os
import string
import urllib.parse

#: Metadata of a `Checkpoint` stream: whose it is.
WORKER_ID = "worker-id"

#: The environment variable that has the coordinator's token.
TOKEN_VARIABLE = "DURABLE_RUNNER_TOKEN"

PROTOCOL_VERSION = 3
"""Raised with every change that an older worker host could not follow."""

#: gRPC channel and server options on every connection of gRPC's: messages as large as the service's
#: payloads allow, and keepalive so that a dead peer is noticed within seconds.
OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    # A host may try before its coordinator listens; gRPC would then wait for a second.
    ("grpc.initial_reconnect_backoff_ms", 20),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Beyond a thousand calls that the server has yet to look at, it would drop some by chance.
    ("grpc.server.max_pending_requests", 1_000_000),
    ("grpc.server.max_pending_requests_hard_limit", 1_000_000),
    # A proxy for HTTP has no business between our processes.
    ("grpc.enable_http_proxy", 0),
]


#: What the text of a status may take, escaped: a peer drops the status whose headers take 8 KiB.
_DETAILS_BYTES = 7_000
#: All that gRPC does not escape.
_PLAIN = string.punctuation.replace("%", "") + " "


def details(text: str) -> str:
    """`text` as a status can carry it: without its middle, where the whole would not arrive."""
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
    """Settings for our own processes, to be made before gRPC is imported; a user's stay.

    gRPC's event engine hands each read to a thread pool of its own, which costs about 0.07 ms
    of a 0.25 ms round trip. Both ends of our streams are idle but for one message, so the
    older poller serves them better. Its log would stand among what handlers write.
    """
    os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_client,-event_engine_listener")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")


def is_local(address: str) -> bool:
    """Whether a gRPC address ("unix:PATH", "HOST:PORT") cannot be reached from another machine."""
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
