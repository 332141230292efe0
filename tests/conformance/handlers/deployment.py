"""What a case needs to be there: its handler, and the functions that this one invokes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Handler = Callable[..., Any]


@dataclass(frozen=True)
class Deployment:
    handler: Handler
    #: Durable and plain functions by the names under which they are invoked.
    durable: dict[str, Handler] = field(default_factory=dict)
    plain: dict[str, Handler] = field(default_factory=dict)
    #: Of the runner, and of each durable target: time-outs, retries.
    options: dict[str, Any] = field(default_factory=dict)
    target_options: dict[str, Any] = field(default_factory=dict)
