"""The sizes and ranges of the service, in bytes unless the name says otherwise."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import InvalidParameterValue
from .model import ErrorObject, OperationAction, OperationType, OperationUpdate

KIB = 1024
REQUEST_BYTES = 6 * 1024 * KIB
#: The runner's own limit, as effects are kept for as long as their execution.
EFFECT_BYTES = 256 * 1024
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


@dataclass(frozen=True, slots=True)
class Limits:
    """The most bytes that an execution takes of each kind of payload.

    AWS's sources disagree on some. Then the smaller is the default, as it finds more mistakes.
    """

    step_output: int = 256 * KIB
    context_output: int = 256 * KIB
    callback_result: int = 256 * KIB
    invoke_input: int = 1024 * KIB
    invoke_output: int = 1024 * KIB
    execution_output: int = REQUEST_BYTES
    error: int = 32 * KIB

    def check_output(self, update: OperationUpdate) -> None:
        """Raise `InvalidParameterValue` where the payload or the error of an update is too large.
        A step's state between two attempts counts as its output."""
        match update.type, update.action:
            case OperationType.CHAINED_INVOKE, _:
                what, most = "CHAINED_INVOKE input", self.invoke_input
            case OperationType.STEP, OperationAction.SUCCEED | OperationAction.RETRY:
                what, most = "STEP output", self.step_output
            case OperationType.CONTEXT, OperationAction.SUCCEED:
                what, most = "CONTEXT output", self.context_output
            case OperationType.EXECUTION, _:
                what, most = "Execution output", self.execution_output
            case _:
                what, most = update.type.value, 1024 * KIB
        check_payload(update.payload, most, what)
        self.check_error(update.error, update.type.value)

    def check_error(self, error: ErrorObject | None, what: str) -> None:
        """Raise `InvalidParameterValue` for an error that is too large; `what` begins its text."""
        if error is not None and error.size > self.error:
            raise InvalidParameterValue(
                f"{what} error size must be less than or equal to {self.error} bytes."
            )


def check_payload(text: str | None, most: int, what: str) -> None:
    """Raise `InvalidParameterValue`, with the service's text, for a payload that is too large.

    Args:
        text: The payload; None is never too large.
        most: The most bytes that it may have.
        what: The operation's type, and which of its payloads it is.
    """
    if text is not None and len(text) * 4 > most and size(text) > most:
        raise InvalidParameterValue(
            f"{what} payload size must be less than or equal to {most} bytes."
        )


DEFAULTS = Limits()
