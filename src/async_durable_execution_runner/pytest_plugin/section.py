"""The section "durable functions" of a failed test's report: what the executions of the test did,
and what the test has patched in vain."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Sequence
from typing import Any

import pytest

TITLE = "durable functions"
#: The property of a report that has the same text: JUnit's XML has no other place for it.
PROPERTY = "durable_functions"
#: At most so many are shown.
_MOST = 3
#: The longest input, as JSON, that is in the line that shows an execution again.
_MOST_INPUT = 300
_PACKAGE = __name__.partition(".")[0]


class Findings:
    """The results and crash reports of one test, bounded: those that went wrong, or else the
    last."""

    def __init__(self) -> None:
        self._wrong: dict[object, Any] = {}
        self._last: dict[object, Any] = {}
        #: The engines and executions of which nobody has seen the end yet, by ARN or name.
        self._begun: dict[str, tuple[Any, Any]] = {}
        #: The waits that have not ended, with their engines.
        self._waits: dict[Any, Any] = {}
        # Runners may be used on many threads.
        self._lock = threading.Lock()

    def clear(self) -> None:
        with self._lock:
            self._wrong.clear()
            self._last.clear()
            self._begun.clear()
            self._waits.clear()

    def begin(self, engine: Any, execution: Any) -> None:
        with self._lock:
            self._begun[getattr(execution, "name", execution)] = engine, execution
            if len(self._begun) > _MOST:
                del self._begun[next(iter(self._begun))]

    def wait(self, engine: Any, waited_for: Any) -> None:
        with self._lock:
            self._waits[waited_for] = engine

    def left(self, waited_for: Any) -> None:
        with self._lock:
            self._waits.pop(waited_for, None)

    def look(self, engine: Any = None) -> None:
        """Look at the executions that nobody has waited for to their end, of one engine or of
        all. What has ended an event loop, as pytest-timeout does, has left waits in it."""
        with self._lock:
            waits = [(by, waited_for()) for waited_for, by in self._waits.items()]
            left = [*waits[-_MOST:], *self._begun.values()]
            if engine is None:
                self._begun.clear()
            for key in [key for key, each in self._begun.items() if each[0] is engine]:
                del self._begun[key]
        looked_at = []
        for by, execution in left:
            if engine in (None, by) and execution not in looked_at:
                looked_at.append(execution)
                by.look_at(execution)

    def add(self, found: Any) -> None:
        key = getattr(found, "execution_arn", None) or id(found)
        with self._lock:
            for kept in (self._wrong, self._last):
                kept.pop(key, None)
            if not getattr(found, "waiting_for", ""):
                self._begun.pop(str(key), None)
            kept, most = (self._wrong, _MOST) if _is_wrong(found) else (self._last, 1)
            kept[key] = found
            while len(kept) > most:
                del kept[next(iter(kept))]

    def texts(self, told: str) -> list[str]:
        """What went wrong, the last first, then the last of all, but nothing that `told` has."""
        with self._lock:
            found = [*reversed(self._wrong.values()), *self._last.values()]
        return [text_of(each) for each in found[:_MOST] if _first_line(each) not in told]


def _is_report(found: Any) -> bool:
    return hasattr(found, "failures")


def _is_wrong(found: Any) -> bool:
    if _is_report(found):
        return not found.ok
    return found.status.value != "SUCCEEDED" or bool(found.divergences)


def _first_line(found: Any) -> str:
    """A line of the text that no other text has."""
    first, second = f"{found}\n".split("\n", 2)[:2]
    return first if _is_report(found) else second


def text_of(found: Any, runner: str = "runner") -> str:
    """The text of a result or a crash report, with the line that shows it again.

    Args:
        found: The result, or the report.
        runner: What the test calls its runner.
    """
    if _is_report(found):
        return str(
            found.text(lambda run: _again(runner, found.clean, run.faults, run.resume_after))
        )
    text = str(found)
    plan = [*dict.fromkeys(each.fault for each in found.faults), *found.unfired_faults]
    return f"{text}\n\nTo see it again: {_again(runner, found, plan)}" if plan else text


def _again(runner: str, result: Any, plan: Sequence[str], resume_after: int = 0) -> str:
    from ..runner.explore import arguments
    from ..runner.fault_plans import EVERY_CHECKPOINT

    faults = [each for each in plan if each not in EVERY_CHECKPOINT]
    shown = "<the same input>"
    if result.input is not None and len(result.input) <= _MOST_INPUT:
        value = json.loads(result.input)
        # A text that is a JSON document would be sent as that document.
        shown = f"payload={result.input!r}" if isinstance(value, str) else repr(value)
    given = [shown, *arguments(faults, resume_after)]
    if len(faults) < len(plan):
        given.append("replay_every_checkpoint=True")
    return f"{runner}.run({', '.join(given)})"


def forget(item: pytest.Item) -> None:
    """Begin anew with a test that is run, perhaps once more."""
    item.user_properties[:] = [each for each in item.user_properties if each[0] != PROPERTY]


def add_to(
    report: pytest.TestReport,
    item: pytest.Item,
    call: pytest.CallInfo[Any],
    findings: Findings,
) -> None:
    """Add the section to the report of a failed phase of a test."""
    parts = []
    patched = sys.modules.get(f"{_PACKAGE}.runner.patched")
    if patched is not None and report.when == "call":
        monkeypatch = getattr(item, "funcargs", {}).get("monkeypatch")
        # The list is not public; without it, fewer patches are noticed.
        replaced = [each[:2] for each in getattr(monkeypatch, "_setattr", ())]
        parts.append(patched.hint(item.nodeid, replaced))
    if call.excinfo is not None:
        findings.look()
        parts += findings.texts(_chain(call.excinfo.value))
        # The next phase of the test has no need to say it again.
        findings.clear()
    if text := "\n\n".join(filter(None, parts)):
        # pytest shows of a report's own sections only those with the captured output asked for.
        add = getattr(report.longrepr, "addsection", None)
        if add is not None and item.config.option.showcapture != "all":
            add(TITLE, text)
        else:
            report.sections.append((TITLE, text))
        item.user_properties.append((PROPERTY, text))


def _chain(error: BaseException | None) -> str:
    """The texts that pytest shows of an exception, with those that led to it."""
    texts: list[str] = []
    while error is not None and len(texts) < 10:
        texts += [str(error), *getattr(error, "__notes__", ())]
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(texts)
