"""What is refused before anybody looks at what is asked, or in terms that only HTTP has."""

from __future__ import annotations


class Refusal(Exception):
    """`code` is the service's name for it; its status is the model's where the model has it."""

    def __init__(self, code: str, message: str, http_status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.http_status = http_status


def unknown_operation(message: str) -> Refusal:
    return Refusal("UnknownOperationException", message, 404)


def not_readable(message: str) -> Refusal:
    """A body that is no JSON, or not of the shape that is wanted."""
    return Refusal("InvalidRequestContentException", message)
