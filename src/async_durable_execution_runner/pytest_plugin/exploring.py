"""`pytest --durable-explore`: each test with the marker `durable` that has passed is followed by a
crash exploration of each input that it ran through the runner of a fixture."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from . import section

#: The property of a report that says how many crash points were explored after the test.
PROPERTY = "durable_crash_points"
_runners = pytest.StashKey[list[Any]]()
_ran = pytest.StashKey[list[tuple[Any, Any]]]()
_current: pytest.Item | None = None


def forget(item: pytest.Item) -> None:
    """Begin anew with a test that is run, perhaps once more."""
    item.stash[_runners], item.stash[_ran] = [], []


def watch(item: pytest.Item, runner: Any) -> None:
    """Have what `runner` runs explored when its test has passed."""
    item.stash[_runners].append(runner)


def ran(engine: Any, start: Any) -> None:
    """Note what the test that runs has run, if that is to be explored."""
    if _current is not None and any(engine is each._engine for each in _current.stash[_runners]):
        _current.stash[_ran].append((engine, start))


def begin(item: pytest.Item) -> None:
    global _current
    _current = item if item.get_closest_marker("durable") else None


def explore(item: pytest.Item) -> None:
    """Explore what the test has run, and fail it with the report where a crash shows."""
    global _current
    if _current is None:
        return
    _current = None
    from ..runner.base import explorer
    from ..runner.engine import DEFAULT_TIMEOUT

    marker = item.get_closest_marker("explore_crashes")
    options = {} if marker is None else dict(marker.kwargs)
    depth, timeout = options.get("depth", 1), options.get("timeout", DEFAULT_TIMEOUT)
    play = [options.get(name) for name in ("check", "callbacks", "outside")]
    fixtures = getattr(item, "fixturenames", ())
    explored = 0
    failures = []
    to_explore = _distinct(item.stash[_ran])
    if not to_explore and "crash_report" in fixtures:
        return
    for engine, start in to_explore:
        try:
            report = explorer(engine, start, timeout, *play).explore(depth)
        except AssertionError as error:
            failures.append(str(error))
            continue
        explored += report.explored
        if report.failures:
            runner = (
                "durable_runner"
                if "durable_runner" in getattr(item, "fixturenames", ())
                else "runner"
            )
            failures.append(section.text_of(report, runner))
    item.user_properties.append((PROPERTY, explored))
    if failures:
        # The text of the report that is about to be made has it all.
        pytest.fail(
            "The test has passed, but not the exploration of its crashes.\n\n"
            + "\n\n".join(failures),
            pytrace=False,
        )


def _distinct(ran: Any) -> list[tuple[Any, Any]]:
    """Each input once. A run with faults of its own is a test of crashes already, one with the
    faults of its runner cannot be compared with a run that a crash leads elsewhere, and nothing
    kills an inline worker."""
    from ..runner.fault_plans import EVERY_CHECKPOINT

    found: dict[Any, Any] = {}
    for engine, start in ran:
        attachment = engine.attachment
        if not attachment.is_open or attachment.is_inline(start.function):
            continue
        if set(start.faults) <= set(EVERY_CHECKPOINT):
            start = replace(start, name="", faults=(), retry_at_once=False, record_points=True)
            found.setdefault((engine, start.function, start.payload, start.tenant_id), start)
    return [(key[0], start) for key, start in found.items()]


def summary(terminalreporter: Any) -> str:
    """How much was explored after the tests of the session, in a sentence."""
    counts = [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "call"
        for name, value in report.user_properties
        if name == PROPERTY
    ]
    empty = counts.count(0)
    text = f"durable functions: {sum(counts)} crash points of {len(counts) - empty} tests explored"
    if empty:
        text += f"; {empty} tests with the marker ran nothing through run() that can be explored"
    return f"{text}."
