"""What each caller of the coordinator has to bring: the token, or a worker's own credential.

Whoever has the token may do everything. A worker's credential is made of the worker's id and a key
that only this coordinator has; so nothing is kept for it, and a worker that was given up long ago
is still known when it calls.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable

from ..rpc import WORKER_ID

#: The calls that a worker's credential is good for.
_WORKERS_CALLS = frozenset(
    f"/async_durable_execution_runner.rpc.v1.WorkerService/{name}"
    for name in ("Session", "Checkpoint", "RecordEffect")
)

Metadata = Iterable[tuple[str, str | bytes]]


class Credentials:
    def __init__(self, token: str) -> None:
        self._token = f"Bearer {token}".encode()
        self._key = secrets.token_bytes(32)

    def of(self, worker_id: str) -> str:
        """Return the credential of a worker."""
        return hmac.digest(self._key, worker_id.encode(), "sha256").hex()

    def admit(self, method: str, metadata: Metadata) -> bool:
        """Return whether the caller may call `method`."""
        if hmac.compare_digest(_given(metadata), self._token):
            return True
        return method in _WORKERS_CALLS and bool(self.worker(metadata))

    def worker(self, metadata: Metadata) -> str:
        """Return the id of the worker that the caller may speak for, and for no other; "" for a
        caller who has no worker's credential."""
        worker_id = str(dict(metadata).get(WORKER_ID, ""))
        expected = f"Bearer {self.of(worker_id)}".encode()
        return worker_id if hmac.compare_digest(_given(metadata), expected) else ""


def _given(metadata: Metadata) -> bytes:
    given = dict(metadata).get("authorization", "")
    return given if isinstance(given, bytes) else given.encode()
