"""The first answers to checkpoints that carried a `ClientToken`, for those that come again."""

from __future__ import annotations

from . import limits
from .commands import Reply
from .events import Checkpoint


class Repeats(dict[str, tuple[Checkpoint, Reply]]):
    """By client token, for as long as the service keeps them."""

    def remember(self, client_token: str, event: Checkpoint, reply: Reply) -> None:
        while self:
            oldest = next(iter(self))
            if event.now_ms - self[oldest][0].now_ms <= limits.CLIENT_TOKEN_MS:
                break
            del self[oldest]
        self[client_token] = (event, reply)

    def first(self, event: Checkpoint) -> tuple[Checkpoint, Reply] | None:
        """The request that had this client token before, and its answer."""
        found = self.get(event.client_token or "")
        if found is None or event.now_ms - found[0].now_ms > limits.CLIENT_TOKEN_MS:
            return None
        return found
