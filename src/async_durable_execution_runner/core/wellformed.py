"""Checks that a history is consistent, whatever the handler did and whatever befell it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from .model import EventType, HistoryEvent

_ENDS = frozenset(
    {
        EventType.EXECUTION_SUCCEEDED,
        EventType.EXECUTION_FAILED,
        EventType.EXECUTION_TIMED_OUT,
        EventType.EXECUTION_STOPPED,
    }
)


def problems(events: Sequence[HistoryEvent]) -> list[str]:
    """Return what is wrong with the history of an execution that has ended, in a text for each."""
    found = []
    if [event.event_id for event in events] != list(range(1, len(events) + 1)):
        found.append("event ids do not count from 1 without a gap")
    if any(after.timestamp_ms < event.timestamp_ms for event, after in pairwise(events)):
        found.append("events are not in the order of their time")
    if not events or events[0].type is not EventType.EXECUTION_STARTED:
        found.append("the history does not begin with ExecutionStarted")
    ends = [event.type.value for event in events if event.type in _ENDS]
    if len(ends) != 1:
        found.append(f"the execution ends {len(ends)} times: {', '.join(ends) or 'never'}")
    return found + _of_operations(events)


def _of_operations(events: Sequence[HistoryEvent]) -> list[str]:
    found = []
    last: dict[str, HistoryEvent] = {}
    for event in events:
        if event.id is None:
            continue
        before = last.get(event.id)
        label = event.name or event.id[:8]
        if event.parent_id is not None and event.parent_id not in last:
            found.append(f"{event.type.value} of {label} comes before its parent's start")
        if before is None:
            # Steps and contexts may begin and end in one checkpoint, but they have a start all the
            # same.
            if not event.type.value.endswith("Started"):
                found.append(f"{event.type.value} of {label} comes without a start")
        elif event.type is before.type is EventType.STEP_STARTED:
            found.append(f"step {label} was started twice in one attempt")
        elif _is_final(before):
            found.append(f"{event.type.value} of {label} comes after {before.type.value}")
        last[event.id] = event
    return found


def _is_final(event: HistoryEvent) -> bool:
    # An attempt that another is to follow has the delay.
    return not event.type.value.endswith("Started") and event.next_attempt_delay_seconds is None
