"""The sizes and ranges of the service, in bytes unless the name says otherwise."""

from __future__ import annotations

import re

from ..errors import InvalidParameterValue
from .model import ErrorObject

REQUEST_BYTES = 6 * 1024 * 1024
CALLBACK_RESULT_BYTES = 256 * 1024
ERROR_BYTES = 32 * 1024
#: The runner's own limit, as effects are kept for as long as their execution.
EFFECT_BYTES = 256 * 1024
CHAINED_BYTES = 1024 * 1024
#: The longest that an execution, a wait, a delay or a time-out can last: 366 days.
DURATION_SECONDS = 31_622_400
CLIENT_TOKEN_MS = 15 * 60 * 1000
PAGE_OPERATIONS = 1000
#: The service's own limit is not known; the SDKs send 250 updates at most.
CHECKPOINT_UPDATES = 500
#: How many invocations in a row may return PENDING with nothing pending.
IDLE_SUSPENSIONS = 3
#: The retries of failed invocations where these must not run out before the execution's time.
ENDLESS_RETRIES = 1 << 30
_EXECUTION_NAME = re.compile("[a-zA-Z0-9_-]{1,64}")


def size(text: str) -> int:
    """Return the number of bytes of `text` in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def check_size(text: str | None, limit: int, what: str) -> None:
    """Raise `InvalidParameterValue` for a text that is too large.

    Args:
        text: The text; None is never too large.
        limit: The most bytes that `text` may have.
        what: The beginning of the refusal.
    """
    if text is not None and len(text) * 4 > limit and size(text) > limit:
        raise InvalidParameterValue(
            f"{what} size must be less than or equal to {limit} bytes, was {size(text)}."
        )


def check_updates(count: int) -> None:
    """Raise `InvalidParameterValue` for a checkpoint with too many updates."""
    if count > CHECKPOINT_UPDATES:
        raise InvalidParameterValue(
            f"A checkpoint may have at most {CHECKPOINT_UPDATES} updates, and this one has {count}."
        )


def check_execution_name(name: str) -> None:
    if not _EXECUTION_NAME.fullmatch(name):
        raise InvalidParameterValue(
            f"The execution name {name!r} must be 1 to 64 characters of A-Z, a-z, 0-9, - and _."
        )


def check_error(error: ErrorObject | None, what: str) -> None:
    if error is not None and error.size > ERROR_BYTES:
        raise InvalidParameterValue(
            f"{what} error size must be less than or equal to {ERROR_BYTES} bytes, "
            f"was {error.size}."
        )
