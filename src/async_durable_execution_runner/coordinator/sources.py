"""`Sources`: which lines of a handler asked for which operations of an execution."""

from __future__ import annotations

from collections.abc import Iterable

from ..core.divergence import Source
from ..core.model import Operation


class Sources:
    """The places in a handler's code that asked for its operations, as far as they are known."""

    def __init__(self) -> None:
        self.distinct: dict[Source, int] = {}
        self._numbers: dict[str, int] = {}

    def note(self, operation_id: str, line: str, in_task: bool) -> None:
        # A source is found by the tuple that it is.
        number = self.distinct.get((line, in_task))  # type: ignore[call-overload]
        if number is None:
            number = self.distinct[Source(line, in_task)] = len(self.distinct) + 1
        self._numbers[operation_id] = number

    def has(self, operation_id: str) -> bool:
        return operation_id in self._numbers

    def numbers(self, operations: Iterable[Operation]) -> list[int]:
        """Return the place of each operation's source in `distinct`, counted from 1; 0 where no
        source is known."""
        get = self._numbers.get
        return [get(operation.id, 0) for operation in operations]
