"""`Repeats`: remembers the answers to checkpoints with a `ClientToken`, for repeated requests."""

from __future__ import annotations

from . import limits
from .commands import Reply
from .events import Checkpoint


class Repeats(dict[str, tuple[Checkpoint, Reply]]):
    """The first request and answer by client token, kept for as long as the service keeps them."""

    def remember(self, client_token: str, event: Checkpoint, reply: Reply) -> None:
        """Keep the answer to a request, and drop those that are too old."""
        while self:
            oldest = next(iter(self))
            if event.now_ms - self[oldest][0].now_ms <= limits.CLIENT_TOKEN_MS:
                break
            del self[oldest]
        self[client_token] = (event, reply)

    def first(self, event: Checkpoint) -> tuple[Checkpoint, Reply] | None:
        """Return the request that had the same client token before and its answer, if any."""
        found = self.get(event.client_token or "")
        if found is None or event.now_ms - found[0].now_ms > limits.CLIENT_TOKEN_MS:
            return None
        return found
