"""Checkpoint tokens and callback ids, which are opaque outside and readable in this module.

A token names its invocation by a seed that the executor drew at random, and has a number
that grows with each accepted checkpoint. Only the newest token is ever accepted, so a token
that is stale, foreign or garbage simply differs from the newest.
"""

from __future__ import annotations

import base64
import binascii

from ..errors import InvalidParameterValue


def checkpoint_token(seed: str, sequence: int) -> str:
    return binascii.b2a_base64(f"{seed}:{sequence}".encode(), newline=False).decode()


def callback_id(execution_arn: str, operation_id: str) -> str:
    return base64.b64encode(f"{execution_arn} {operation_id}".encode()).decode()


def parse_callback_id(text: str) -> tuple[str, str]:
    """Return the execution's ARN and the operation's id; raise `InvalidParameterValue` for a text
    that is not a callback id."""
    try:
        arn, operation_id = base64.b64decode(text, validate=True).decode().split(" ", 1)
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise InvalidParameterValue("Invalid callback id.") from None
    return arn, operation_id
