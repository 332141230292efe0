"""The functions of a runner: how each is configured, and mocks for those that are not there."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from math import inf, isfinite
from typing import Any

from async_durable_execution import ErrorObject

from ..core import model

# pytest shows the line of the test, not ours.
__tracebackhide__ = True

Seconds = float | timedelta
"""A length of time: seconds, or a `timedelta`."""

#: The longest that the service lets an execution run: 366 days.
LONGEST_EXECUTION = 31_622_400
DEFAULT_INVOCATION_TIMEOUT = 30.0
DEFAULT_MEMORY_MB = 128
_MOST = 2**31 - 1


class Isolation(Enum):
    """How far invocations are kept apart from each other and from the test."""

    #: Warm worker processes; each serves any invocation.
    WORKER = "worker"
    #: A fresh process per execution.
    EXECUTION = "execution"
    #: A fresh process per invocation: every invocation is a cold start.
    INVOCATION = "invocation"
    #: On a thread of the test process: for a debugger, `monkeypatch`, closures.
    INLINE = "inline"


@dataclass(frozen=True, slots=True)
class FunctionSettings:
    """What Lambda would have configured. Times in seconds, memory in MiB."""

    isolation: Isolation = Isolation.WORKER
    execution_timeout: int = LONGEST_EXECUTION
    invocation_timeout: float = DEFAULT_INVOCATION_TIMEOUT
    #: Enforced where given.
    memory: int | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    #: "JSON" or "Text".
    log_format: str | None = None
    #: How long an execution is remembered after its end; None: as long as the runner is open.
    retention_days: int | None = None
    #: Warm workers serve it and no other: its modules may read its `env` when they are imported.
    own_processes: bool = False


def settings(
    base: FunctionSettings,
    *,
    isolation: Isolation | str | None = None,
    execution_timeout: Seconds | None = None,
    invocation_timeout: Seconds | None = None,
    memory: int | None = None,
    env: Mapping[str, str] | None = None,
    log_format: str | None = None,
    retention_days: int | None = None,
    own_processes: bool | None = None,
) -> FunctionSettings:
    """`base` with what is given here instead; `ValueError` for what cannot be."""
    timeout = base.execution_timeout
    if execution_timeout is not None:
        # The service counts whole seconds.
        timeout = max(1, round(positive("execution_timeout", execution_timeout)))
        if timeout > LONGEST_EXECUTION:
            raise ValueError(
                f"execution_timeout={timeout} is more than the {LONGEST_EXECUTION} seconds "
                "that the service allows."
            )
    if memory is not None:
        whole("memory", memory)
    for name, value in (env or {}).items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise ValueError(f"env must map strings to strings; {name!r}: {value!r} does not.")
        if not name or "=" in name or "\0" in name + value:
            raise ValueError(f"env: no process can have {name!r}={value!r} in its environment.")
    return FunctionSettings(
        isolation=base.isolation if isolation is None else _isolation(isolation),
        execution_timeout=timeout,
        invocation_timeout=(
            base.invocation_timeout
            if invocation_timeout is None
            else positive("invocation_timeout", invocation_timeout)
        ),
        memory=base.memory if memory is None else memory,
        env={**base.env, **(env or {})},
        log_format=log_format or base.log_format,
        retention_days=retention_days or base.retention_days,
        own_processes=base.own_processes if own_processes is None else own_processes,
    )


def _isolation(value: Isolation | str) -> Isolation:
    try:
        return Isolation(value)
    except ValueError:
        known = ", ".join(repr(each.value) for each in Isolation)
        raise ValueError(f"isolation={value!r} is not one of {known}.") from None


def seconds(length: Seconds) -> float:
    """`TypeError` for what is no length of time, `ValueError` for what has no end."""
    try:
        value = length.total_seconds() if isinstance(length, timedelta) else float(length)
    except (TypeError, ValueError):
        raise TypeError(f"A number of seconds or a timedelta is needed, not {length!r}.") from None
    if not isfinite(value):
        raise ValueError(f"A finite number of seconds is needed, not {length!r}.")
    return value


def positive(name: str, length: Seconds) -> float:
    if length == inf or (value := seconds(length)) <= 0:
        raise ValueError(f"{name}={length!r} must be a positive number of seconds.")
    return value


def whole(name: str, value: int, least: int = 1) -> int:
    """`value`, if it is a number that the coordinator can count to."""
    if not isinstance(value, int) or not least <= value <= _MOST:
        raise ValueError(f"{name}={value!r} must be a whole number, from {least} to {_MOST}.")
    return value


def text_of(name: str, value: str | None) -> str:
    """`value`, and of None nothing. `TypeError` for what is no text, `ValueError` for no UTF-8."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError(f"{name}={value!r} must be a string.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name}={value!r} cannot be sent: it is not UTF-8.") from None
    return value


def function_name_of(handler: Callable[..., Any]) -> str:
    """The handler's own name as far as Lambda allows it as a function's name."""
    from ..worker.sdk.choice import name_of

    name = name_of(handler) or type(handler).__name__
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:64] or "handler"


def payload_of(value: object, *, text_is_json: bool = True) -> str:
    """The JSON document for `value`. With `text_is_json` a `str` that is a JSON document is
    that document; any other `str` is a JSON string. `TypeError` for what JSON cannot carry."""
    if text_is_json and isinstance(value, str):
        try:
            json.loads(text_of("input", value), parse_constant=_no_constant)
        except ValueError:
            return json.dumps(value)
        return value
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as problem:
        raise TypeError(
            f"This {type(value).__name__} cannot be sent as JSON ({problem}). Pass what JSON can "
            "carry, or text of your own making as payload=."
        ) from problem


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


class MockFunction:
    """Stands in for a function that is not there. Runs in the test process."""

    def __init__(
        self,
        name: str,
        *,
        result: Any = None,
        error: ErrorObject | BaseException | type[BaseException] | str | None = None,
        side_effect: Callable[[Any], Any] | Iterable[Any] | None = None,
    ) -> None:
        given = [result is not None, error is not None, side_effect is not None]
        if sum(given) > 1:
            raise ValueError("A mock has one of result=, error= and side_effect=, not several.")
        payload_of(result, text_is_json=False)
        self.name = name
        #: The payloads that it was called with, as Python data.
        self.calls: list[Any] = []
        self._result = result
        self._error = error
        self._function: Callable[[Any], Any] | None = None
        self._outcomes: Iterator[Any] | None = None
        if callable(side_effect):
            self._function = side_effect
        elif side_effect is not None:
            self._outcomes = iter(side_effect)

    @property
    def call_count(self) -> int:
        return len(self.calls)

    def __call__(self, event: Any, context: object) -> Any:
        self.calls.append(event)
        if self._error is not None:
            raise exception_of(self._error)
        outcome = self._result
        if self._function is not None:
            outcome = self._function(event)
        elif self._outcomes is not None:
            try:
                outcome = next(self._outcomes)
            except StopIteration:
                raise RuntimeError(
                    f"The mock of {self.name!r} was called {len(self.calls)} times, "
                    "but its side_effect has no more outcomes."
                ) from None
        if isinstance(outcome, (BaseException, ErrorObject)) or (
            isinstance(outcome, type) and issubclass(outcome, BaseException)
        ):
            raise exception_of(outcome)
        return outcome

    def __repr__(self) -> str:
        return f"<MockFunction {self.name!r}, {len(self.calls)} calls>"


def exception_of(error: ErrorObject | BaseException | type[BaseException] | str) -> BaseException:
    """Something to raise that becomes `error` on the wire, by the name of its class."""
    match error:
        case BaseException():
            return error
        case type():
            return error()
        case ErrorObject():
            kind: type[Exception] = type(error.type or "Error", (Exception,), {})
            return kind(error.message or "")
        case _:
            return RuntimeError(error)


def error_object(error: object) -> model.ErrorObject | None:
    """What a caller gives as an error, as it is sent; `TypeError`."""
    match error:
        case None:
            return None
        case ErrorObject():
            trace = tuple(error.stack_trace) if error.stack_trace else None
            return model.ErrorObject(error.message, error.type, error.data, trace)
        case BaseException():
            return model.ErrorObject(str(error), type(error).__name__)
        case str():
            return model.ErrorObject(error)
    raise TypeError(f"An ErrorObject, an exception or a text is needed, not {error!r}.")


def callback_payload(result: object) -> str | None:
    """Text and bytes are the payload as they stand; anything else is sent as JSON."""
    match result:
        case None | b"":
            return None
        case bytes():
            return result.decode()
        case str():
            return result
    return json.dumps(result) if not isinstance(result, bytearray) else result.decode()
