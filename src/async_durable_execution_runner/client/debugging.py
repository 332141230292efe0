"""Handlers in a debugger, as the process of their user hears of them and answers."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Protocol
from uuid import uuid4

import grpc

from ..rpc.v1 import debug_pb2 as pb
from ..rpc.v1 import debug_pb2_grpc, worker_pb2


class User(Protocol):
    """Somebody who debugs handlers. The methods are called on one thread, in the order in which
    they are here, for one stop after the other."""

    #: The port at which a debugger of the user's connects to a handler, 0 for any; None where the
    #: user types at a terminal.
    port: int | None

    def begin(self, place: str) -> None:
        """A handler has stopped; `place` says which, and where."""

    def show(self, text: str) -> None:
        """The debugger has written this."""

    def read(self, woken: int) -> str | None:
        """Return the next line with its end, "" where there is none any more; None once the
        descriptor `woken` can be read, since nobody waits for a line any more."""

    def end(self, quits: bool) -> None:
        """The stop is over, as the user has quit or in another way."""


class _StandingStill:
    """The time in which a debugger had a handler of this process's runners."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: Whether it ever stands still: somebody debugs.
        self.possible = False
        self._stops: set[str] = set()
        self._began = 0.0
        self._seconds = 0.0

    def begin(self, stop_id: str) -> None:
        with self._lock:
            if not self._stops:
                self._began = time.monotonic()
            self._stops.add(stop_id)

    def end(self, stop_id: str) -> None:
        with self._lock:
            if self._stops and not self._stops - {stop_id}:
                self._seconds += time.monotonic() - self._began
            self._stops.discard(stop_id)

    def time(self) -> float:
        """Return the seconds of the monotonic clock, without those that stood still."""
        with self._lock:
            now = self._began if self._stops else time.monotonic()
            return now - self._seconds


standing_still = _StandingStill()


Opened = Callable[[Callable[[], Any]], tuple[Any, Any]]


class Following:
    """What a coordinator says of handlers in a debugger, passed on to the user."""

    def __init__(self, channel: grpc.Channel, metadata: Any, user: User, opened: Opened) -> None:
        """Begin to follow. Blocks for one round trip.

        Args:
            channel: The channel to the coordinator.
            metadata: What the calls bring.
            user: Who debugs.
            opened: Begins a call, and returns the call and its first message.
        """
        user_id = uuid4().hex
        self.debugging = worker_pb2.Debugging(user_id=user_id, port=user.port)
        self._user = user
        self._metadata = metadata
        self._stub: Any = debug_pb2_grpc.DebugServiceStub(channel)
        request = pb.FollowRequest(user_id=user_id)
        self._call, _ = opened(lambda: self._stub.Follow(request, metadata=metadata))
        standing_still.possible = True
        self._news: SimpleQueue[pb.FollowResponse] = SimpleQueue()
        self._woken, self._wake = os.pipe()
        threading.Thread(target=self._listen, name="durable-debuggers", daemon=True).start()

    def close(self) -> None:
        self._call.cancel()

    def _listen(self) -> None:
        dealing: threading.Thread | None = None
        stop_id = ""
        with suppress(grpc.RpcError, ValueError):
            for news in self._call:
                stop_id = news.stop_id
                if news.HasField("began"):
                    standing_still.begin(stop_id)
                self._tell(news)
                if dealing is None:
                    dealing = threading.Thread(
                        target=self._deal, name="durable-debugger", daemon=True
                    )
                    dealing.start()
        self._tell(pb.FollowResponse(stop_id=stop_id, over=False))
        self._tell(pb.FollowResponse())

    def _tell(self, news: pb.FollowResponse) -> None:
        self._news.put(news)
        if news.HasField("over"):
            standing_still.end(news.stop_id)
            os.write(self._wake, b"!")

    def _deal(self) -> None:
        """Be the thread on which the user is talked to."""
        begun = ""
        while (news := self._news.get()).stop_id:
            match news.WhichOneof("news"):
                case "began":
                    if news.began:
                        begun = news.stop_id
                        self._user.begin(news.began)
                case "output":
                    self._user.show(news.output)
                case "reads":
                    line = self._user.read(self._woken)
                    if line is not None:
                        self._answer(news.stop_id, line)
                case "over":
                    os.read(self._woken, 1)
                    if news.over or begun == news.stop_id:
                        begun = ""
                        self._user.end(news.over)

    def _answer(self, stop_id: str, line: str) -> None:
        user_id = self.debugging.user_id
        request = pb.AnswerRequest(user_id=user_id, stop_id=stop_id, line=line)
        # Who has ended meanwhile needs no answer.
        with suppress(grpc.RpcError, ValueError):
            self._stub.Answer(request, metadata=self._metadata)


_following: weakref.WeakKeyDictionary[Any, Following] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def follow(
    cluster: Any, channel: grpc.Channel, metadata: Any, user: User, opened: Opened
) -> worker_pb2.Debugging:
    """Have the user of this process debug the handlers of a cluster; return what its workspaces are
    opened with.

    Args:
        cluster: The cluster.
        channel: A channel to it.
        metadata: What the calls bring.
        user: Who debugs.
        opened: Begins a call, and returns the call and its first message.
    """
    with _lock:
        found = _following.get(cluster)
        if found is None:
            found = _following[cluster] = Following(channel, metadata, user, opened)
            cluster.on_close.append(found.close)
    return found.debugging
