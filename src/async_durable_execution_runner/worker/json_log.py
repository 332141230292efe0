"""Log records as JSON, with the keys that Lambda gives them under the log format "JSON".

`executionArn`, which Lambda leaves to the SDKs, is added in durable functions, so that the lines
of an execution can be found. This module must not know of sessions or gRPC.
"""

from __future__ import annotations

import json
import logging
import traceback
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .log_records import extra_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_formatter: ContextVar[JsonFormatter | None] = ContextVar("json_log_formatter", default=None)
#: The formatter of the invocation that began last, for threads without a context.
_latest: JsonFormatter | None = None


class JsonFormatter(logging.Formatter):
    """The formatter for one invocation, which puts `ids` into each record."""

    def __init__(self, ids: Mapping[str, str]) -> None:
        super().__init__()
        self._ids = ids

    def format(self, record: logging.LogRecord) -> str:
        found: dict[str, Any] = {
            "timestamp": timestamp(int(record.created * 1000)),
            # A custom level counts as the standard level below it.
            "level": logging.getLevelName(min(50, max(0, record.levelno)) // 10 * 10),
            "message": record.getMessage(),
            "logger": record.name,
            **_error(record),
            **self._ids,
        }
        return json.dumps({**extra_of(record), **found}, ensure_ascii=False, default=str)


def _error(record: logging.LogRecord) -> dict[str, Any]:
    if not record.exc_info or record.exc_info[0] is None:
        return {}
    kind, error, trace = record.exc_info
    return {
        "stackTrace": traceback.format_tb(trace),
        "errorType": kind.__name__,
        "errorMessage": str(error),
        "location": f"{record.pathname}:{record.funcName}:{record.lineno}",
    }


def timestamp(ms: int) -> str:
    """Format Unix milliseconds as Lambda does: 2026-01-31T12:00:00.000Z"""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def formatter() -> JsonFormatter | None:
    """Return the formatter of the invocation that is logging.

    It is None where the function has not chosen JSON.
    """
    return _formatter.get(_latest)


@contextmanager
def formatting(ids: Mapping[str, str] | None) -> Iterator[None]:
    """Format logs as JSON with `ids` inside of the block; where `ids` is None, logs are text."""
    global _latest
    _latest = JsonFormatter(ids) if ids is not None else None
    token = _formatter.set(_latest)
    try:
        yield
    finally:
        _formatter.reset(token)
