"""Calls between processes of one machine: gRPC's, without HTTP/2.

gRPC crosses a thread on either side of every message and costs the processor 0.2 ms of a
round trip, and its blocking client crosses four in a call; a Unix socket needs none of it. So
whoever is beside its coordinator calls it here. `FrameChannel` and `FrameServer` are what
`grpc.aio` has under these names, and `BlockingFrameChannel` what `grpc` has, as far as generated
code, our servicers and our clients use it: all of them are written once, and those on other
machines have gRPC.

A process that dies is seen as its sockets close. One that is stopped is not: nothing is
sent to ask whether it is alive.
"""

from .blocking import BlockingFrameChannel
from .channel import FrameCall, FrameChannel
from .server import FrameContext, FrameServer
from .wire import socket_path

__all__ = [
    "BlockingFrameChannel",
    "FrameCall",
    "FrameChannel",
    "FrameContext",
    "FrameServer",
    "socket_path",
]
