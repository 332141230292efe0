"""A standing coordinator, mostly on another machine, with the worker hosts that have joined it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from ..security import access


class RemoteCluster:
    """A coordinator that this process uses and has not started."""

    #: No process of it is ours to mourn.
    has_host_trouble = False

    def __init__(self, address: str, given: access.Access) -> None:
        """Make what stands for the cluster here.

        Args:
            address: The coordinator's address as gRPC wants it.
            given: What the coordinator knows this process by.
        """
        self.address = address
        self.token = given.token
        self.tls = given.tls
        #: Variables of this machine mean nothing to others.
        self.environment: dict[str, str] = {}
        #: Functions to call when this process ends: they close connections that would complain.
        self.on_close: list[Callable[[], object]] = []

    def ensure_slots(self, workers: int) -> None:
        """Do nothing: whoever starts worker hosts says how many workers they have."""

    def obituary(self) -> str | None:
        """Return None: nothing is known of the coordinator's end here."""
        return None

    def close(self) -> None:
        while self.on_close:
            self.on_close.pop()()

    def abandon(self) -> None:
        """Let go of the cluster, in a fork of the process."""
        self.on_close.clear()


_clusters: dict[tuple[str, access.Access], RemoteCluster] = {}
_lock = threading.Lock()


def cluster_at(address: str) -> RemoteCluster:
    """Return this process's connection to the coordinator at an address.

    Raises:
        InvalidConfiguration: The environment does not say, or not rightly, what the coordinator is
            to know this process by.
    """
    key = address, access.read(address, {}, os.environ)
    with _lock:
        if key not in _clusters:
            _clusters[key] = RemoteCluster(*key)
        return _clusters[key]
