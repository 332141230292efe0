"""Functions that stand in for those that are not there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from async_durable_execution import ErrorObject

from .payloads import payload_of

# pytest shows the line of the test, not ours.
__tracebackhide__ = True


class MockFunction:
    """Stands in for a function that is not there, and runs in the test process."""

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
        #: The payloads that the mock was called with, as Python data.
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
