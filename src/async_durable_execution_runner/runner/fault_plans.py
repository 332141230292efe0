"""What a runner's user plans to go wrong, and what must not pass silently afterwards.

The classes of faults are imported with the first plan: they take a tenth of the time to import a
runner, and most tests have none.
"""

from __future__ import annotations

import inspect
import warnings
from collections import Counter
from collections.abc import Iterable
from types import FrameType
from typing import TYPE_CHECKING, TypeAlias

from ..core.divergence import divergences_text
from ..errors import FaultNeverFired, NonDeterministicHandler, NonDeterministicWarning
from ..results.result import DurableFunctionTestResult

if TYPE_CHECKING:
    from ..core.faults import Fault

# pytest shows the line of the test, not ours.
__tracebackhide__ = True

Faults: TypeAlias = "str | Fault | Iterable[str | Fault]"
"""A fault plan: one fault, or several, as objects or as text."""

#: Kill, and so replay, after each checkpoint.
EVERY_CHECKPOINT = ("kill@after-commit:*;times=*",)


class RunnerPlan:
    """The faults that all executions of a runner have, and which of them have struck any."""

    def __init__(self, faults: Faults) -> None:
        self._faults = _texts(faults)
        self._unmet = dict.fromkeys(self._faults)
        #: What lists the moments at which faults can strike, where anything does.
        self.lister = "; runner.crash_points(input) lists them"

    def of_run(self, faults: Faults, replay_every_checkpoint: bool) -> tuple[str, ...]:
        """The plan of one execution; `InvalidParameterValue` for a text that is not a fault."""
        every = EVERY_CHECKPOINT if replay_every_checkpoint else ()
        return (*self._faults, *_texts(faults), *every)

    def of_all(self) -> tuple[str, ...]:
        """The runner's own faults, for executions whose results this runner will not see."""
        self._unmet.clear()
        return self._faults

    def check(self, result: DurableFunctionTestResult) -> None:
        """`FaultNeverFired` where a fault of the execution's own found no moment."""
        for fired in result.faults:
            self._unmet.pop(fired.fault, None)
        # An execution without a checkpoint need not be replayed.
        known = (*self._faults, *EVERY_CHECKPOINT)
        own = [text for text in result.unfired_faults if text not in known]
        if unfired := _certain(own):
            raise FaultNeverFired(
                f"Planned, but never fired: {', '.join(unfired)}. "
                "Nothing of the kind happened in this execution, which had "
                f"{_moments(result)}{self.lister}.\n\n{result}"
            )

    def check_all(self) -> None:
        """`FaultNeverFired` where one of the runner's faults has struck no execution at all."""
        if unmet := _certain(self._unmet):
            raise FaultNeverFired(
                f"Planned for all executions of this runner, but never fired: {', '.join(unmet)}."
            )


def _moments(result: DurableFunctionTestResult) -> str:
    """How many moments of each kind there were, in words."""
    counts = Counter(each.moment.partition(":")[0] for each in result.crash_points)
    if not counts:
        return "no moments at which a fault can strike"
    kinds = (f"{kind}:1" + (f" to {kind}:{n}" if n > 1 else "") for kind, n in counts.items())
    return f"{counts.total()} moments ({', '.join(kinds)})"


def _texts(faults: Faults) -> tuple[str, ...]:
    several = [faults] if isinstance(faults, str) or not isinstance(faults, Iterable) else faults
    return tuple(str(_fault(each)) for each in several)


def _fault(given: object) -> Fault:
    from ..core.faults import Fault

    match given:
        case Fault():
            return given
        case str():
            return Fault.parse(given)
    raise TypeError(f"{given!r} is not a fault: give text, like kill@after-commit:17, or a Fault.")


def _certain(texts: Iterable[str]) -> list[str]:
    """The faults that must fire."""
    return list(filter(_is_certain, texts))


def _is_certain(text: str) -> bool:
    """Whether chance has no part in when the fault fires."""
    from ..core.fault_places import AtRandom
    from ..core.faults import Fault

    return not isinstance(Fault.parse(text).where, AtRandom)


def check_deterministic(result: DurableFunctionTestResult) -> None:
    if result.divergences:
        raise NonDeterministicHandler(f"{divergences_text(result.divergences)}\n\n{result}")


def _is_ours(frame: FrameType) -> bool:
    package: str = frame.f_globals.get("__package__") or ""
    return package.partition(".")[0] == __name__.partition(".")[0]


def warn_of_divergences(result: DurableFunctionTestResult) -> None:
    """`NonDeterministicWarning`, at the line that called the runner."""
    if not result.divergences:
        return
    level, frame = 1, inspect.currentframe()
    while frame is not None and _is_ours(frame):
        level, frame = level + 1, frame.f_back
    warnings.warn(
        f"{result.function_name} is not deterministic:\n{divergences_text(result.divergences)}",
        NonDeterministicWarning,
        stacklevel=level,
    )
