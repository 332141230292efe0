"""Refusals that no responder makes, or that only make sense over HTTP."""

from __future__ import annotations


class Refusal(Exception):
    """A refusal of a request.

    Args:
        message: What the client reads.
        code: The service's name for the refusal.
        http_status: The status of the answer, unless the model has one for the code.
    """

    def __init__(self, code: str, message: str, http_status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.http_status = http_status


def unknown_operation(message: str) -> Refusal:
    """Refuse an operation that the service does not have, or the gateway does not offer."""
    return Refusal("UnknownOperationException", message, 404)


def not_readable(message: str) -> Refusal:
    """Refuse a body that is not JSON, or does not have the shape that the model wants."""
    return Refusal("InvalidRequestContentException", message)
