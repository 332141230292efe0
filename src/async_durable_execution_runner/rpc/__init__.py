"""The wire: generated messages in `v1`, and the codec between them and `core.model`.

Only this package knows protobuf's shapes of the model; nothing keeps messages as state.
"""

PROTOCOL_VERSION = 1
"""Raised with every change that an older worker host could not follow."""

#: gRPC channel and server options on every connection: messages as large as the service's
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
]
