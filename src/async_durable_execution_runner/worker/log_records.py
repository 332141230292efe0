"""What a logged record has beside its text and level: how that travels, and how it comes back.

An exception travels by the name of its class and its text, never as a pickle: nothing that a
worker sends is run by the test. A test that has the class gets an exception of that class, without
a traceback; the text of the traceback is in the record's `exc_text`. This module must not know of
sessions or gRPC.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from ..core.model import OutputLine
from ..core.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: The attributes that every record has; a record's other attributes came with `extra`.
OWN = {*vars(logging.makeLogRecord({})), "message", "asctime"}
#: The levels of Lambda that Python's logging does not have.
_LAMBDA_LEVELS = {"TRACE": logging.NOTSET}
_PLACE = {"pathname": str, "lineno": int, "funcName": str, "threadName": str}


def attributes(record: logging.LogRecord, text: str) -> str:
    """Return what the record has beside its formatted `text`, as a JSON object."""
    message = record.getMessage()
    found: dict[str, Any] = {name: getattr(record, name) for name in _PLACE}
    if message != text:
        found["message"] = message
    if record.exc_info and record.exc_info[1] is not None:
        error = record.exc_info[1]
        kind = type(error)
        found["exc_text"] = record.exc_text or "".join(traceback.format_exception(error)).rstrip()
        found["exception"] = [kind.__module__, kind.__qualname__, str(error)]
    if record.stack_info:
        found["stack_info"] = record.stack_info
    if extra := extra_of(record):
        found["extra"] = extra
    with suppress(Exception):
        return json.dumps(found, default=str)
    # A value of `extra` can be neither written as JSON nor as a text.
    found.pop("extra", None)
    return json.dumps(found, default=str)


def extra_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return what the record was given as `extra`."""
    return {name: value for name, value in vars(record).items() if name not in OWN}


def record_of(line: OutputLine, more: Mapping[str, Any]) -> logging.LogRecord:
    """Make a record of a line that was logged, with `more` as attributes of its own.

    The record's texts show what a terminal would obey escaped.
    """
    try:
        given = json.loads(line.attributes or "{}")
        place = {name: kind(given.get(name, kind())) for name, kind in _PLACE.items()}
        message = str(given.get("message", line.text))
        extra = {str(name): value for name, value in dict(given.get("extra", {})).items()}
        texts = {name: given[name] for name in ("exc_text", "stack_info") if name in given}
        error = _exception(*given["exception"]) if "exception" in given else None
    except Exception:
        # Any code can write a frame, and anything into it.
        place, message, extra, texts, error = {}, line.text, {}, {}, None
    record = logging.makeLogRecord(
        {
            **{name: value for name, value in extra.items() if name not in OWN},
            **place,
            **{name: visible(str(text)) for name, text in texts.items()},
            "name": line.logger,
            "levelno": line.level,
            "levelname": logging.getLevelName(line.level),
            # A `%` in a handler's text is not for us to format, hence there are no `args`.
            "msg": visible(message),
            "exc_info": None if error is None else (type(error), error, None),
            **more,
        }
    )
    _, _, record.filename = record.pathname.rpartition("/")
    record.module = record.filename.removesuffix(".py")
    if line.time_ms:
        record.created = line.time_ms / 1000
        record.msecs = line.time_ms % 1000
    return record


def _exception(module: str, qualname: str, text: str) -> BaseException:
    """Return an exception of the class of that name, or of one that is made for it."""
    found: Any = sys.modules.get(module)
    for name in qualname.split("."):
        found = getattr(found, name, None)
    with suppress(Exception):
        # The class may want arguments that did not travel.
        error: BaseException = BaseException.__new__(found, text)
        if str(error) == text:
            return error
    kind: type[Exception] = type(qualname.rpartition(".")[2], (Exception,), {"__module__": module})
    return kind(text)


@contextmanager
def levels(asked: Mapping[str, int]) -> Iterator[None]:
    """Let loggers say more inside of the block: each at least what is `asked` for its name.

    A level that the handler itself has set meanwhile stays.
    """
    changed = []
    for name, level in asked.items():
        logger = logging.getLogger(name)
        if level < logger.getEffectiveLevel():
            changed.append((logger, level, logger.level))
            logger.setLevel(level)
    try:
        yield
    finally:
        for logger, level, before in changed:
            if logger.level == level:
                logger.setLevel(before)


@contextmanager
def root_level(variables: Mapping[str, str]) -> Iterator[None]:
    """Set the root logger inside of the block to the level that Lambda's variable has, if any.

    A level that the handler itself has set meanwhile stays.
    """
    text = variables.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    level = _LAMBDA_LEVELS.get(text, logging.getLevelNamesMapping().get(text))
    before = logging.root.level
    if level is not None:
        logging.root.setLevel(level)
    try:
        yield
    finally:
        if logging.root.level == level:
            logging.root.setLevel(before)


def wanted() -> dict[str, int]:
    """Return the levels below INFO that loggers of this process have, "" being the root."""
    found = {} if logging.root.level >= logging.INFO else {"": logging.root.level}
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and 0 < logger.level < logging.INFO:
            found[name] = logger.level
    return found
