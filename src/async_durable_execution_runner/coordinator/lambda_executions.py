"""The operations of Lambda on durable executions, for AWS's own clients and for handlers.

Each operation takes and returns dicts with the service model's member names. The gateway has
checked each request against the model.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import TypeVar

from ..core import events as ev
from ..core import limits, shapes
from ..core.model import (
    EventType,
    HistoryEvent,
)
from ..core.shapes import Json
from ..errors import InvalidCheckpointToken, InvalidParameterValue, ResourceNotFound
from .executor import Executor
from .lambda_functions import find_function
from .runs import Run, Workspace

T = TypeVar("T")

#: The number of items of a page, where the request does not say another.
_PAGE_ITEMS = 100
#: The bytes that a page may have, which is made at once and holds up the others.
_PAGE_BYTES = 1024 * 1024


class LambdaExecutions:
    """The operations on the executions of one workspace, which see nothing of other workspaces."""

    def __init__(self, executor: Executor, workspace: Workspace) -> None:
        self._executor = executor
        self._workspace = workspace

    # -- executions ------------------------------------------------------------------------

    async def get(self, given: Json) -> Json:
        run = self._run(given["DurableExecutionArn"])
        root = run.execution.root
        answer = self._summary(run) | {"Version": run.function.version}
        if given.get("IncludeExecutionData", True):
            answer["InputPayload"] = root.input
            answer["Result"] = root.result
            answer["Error"] = root.error and shapes.ERROR.to_json(root.error)
        return answer

    @staticmethod
    def _summary(run: Run) -> Json:
        execution = run.execution
        arn, end_ms = run.arn, execution.root.end_ms
        return {
            "DurableExecutionArn": arn,
            "DurableExecutionName": execution.config.name,
            "FunctionArn": arn.partition("/")[0],
            "Status": execution.status.value,
            "StartTimestamp": shapes.seconds(execution.root.start_ms),
            "EndTimestamp": None if end_ms is None else shapes.seconds(end_ms),
        }

    async def get_history(self, given: Json) -> Json:
        run = self._run(given["DurableExecutionArn"])
        data = given.get("IncludeExecutionData", True)
        history = run.execution.history
        # Event ids count from 1, so that a marker holds whatever is appended meanwhile.
        first = _position(given, most=len(history))
        count = given.get("MaxItems") or _PAGE_ITEMS
        page: Sequence[HistoryEvent]
        if given.get("ReverseOrder"):
            end = first or len(history)
            page = history[max(0, end - count) : end][::-1]
        else:
            page = history[first : first + count]
        page = _weighing(page, _weight if data else lambda _: 0)
        if not page:
            return {"Events": []}
        if given.get("ReverseOrder"):
            rest = page[-1].event_id - 1
        else:
            rest = page[-1].event_id if page[-1].event_id < len(history) else 0
        self._disclose(run, page)
        events = list(map(shapes.EVENT.to_json, page))
        if not data:
            events = list(map(shapes.without_data, events))
        return {"Events": events, "NextMarker": _marker(str(rest)) if rest else None}

    def _disclose(self, run: Run, events: Sequence[HistoryEvent]) -> None:
        """Note which callbacks a reader learns of, so that no time is skipped while the reader may
        answer them."""
        for event in events:
            if event.type is EventType.CALLBACK_STARTED and event.id is not None:
                run.disclosed[event.id] = asyncio.get_running_loop().time()

    async def list_by_function(self, given: Json) -> Json:
        function = find_function(self._workspace, given)
        name, statuses = given.get("DurableExecutionName"), given.get("Statuses")
        after, before = given.get("StartedAfter"), given.get("StartedBefore")
        runs = list(self._workspace.runs.values())
        found = [
            (run.execution.root.start_ms, place)
            for place, run in enumerate(runs)
            if run.function.is_reached_as(function)
            and (name is None or run.execution.config.name == name)
            and (statuses is None or run.execution.status.value in statuses)
            and (after is None or run.execution.root.start_ms > after * 1000)
            and (before is None or run.execution.root.start_ms < before * 1000)
        ]
        found.sort()
        if marker := given.get("Marker"):
            # The marker is the last execution that was given out, so that executions that began
            # since then do not move the page.
            last = _place(marker)
            if given.get("ReverseOrder"):
                found = found[: bisect_left(found, last)]
            else:
                found = found[bisect_right(found, last) :]
        if given.get("ReverseOrder"):
            found.reverse()
        page = found[: given.get("MaxItems") or _PAGE_ITEMS]
        more = len(page) < len(found)
        return {
            "DurableExecutions": [self._summary(runs[place]) for _, place in page],
            "NextMarker": _marker(f"{page[-1][0]} {page[-1][1]}") if more else None,
        }

    async def stop(self, given: Json) -> Json:
        run = self._run(given["DurableExecutionArn"])
        now, error = run.now, shapes.ERROR.from_json(given.get("Error", {}))
        run.execution.config.limits.check_error(error, "EXECUTION")
        self._executor.feed(run, ev.Stopped(now, error))
        return {"StopTimestamp": shapes.seconds(run.execution.root.end_ms or now)}

    def _run(self, arn: str) -> Run:
        run = self._workspace.runs.get(arn)
        if run is None:
            raise ResourceNotFound(f"Durable execution not found: {arn}")
        return run

    # -- what handlers ask -----------------------------------------------------------------

    async def checkpoint(self, given: Json) -> Json:
        run = self._running(given["DurableExecutionArn"])
        limits.check_updates(len(given.get("Updates", ())))
        updates = tuple(map(shapes.UPDATE.from_json, given.get("Updates", ())))
        reply = self._executor.checkpoint(
            run.arn, given["CheckpointToken"], updates, given.get("ClientToken")
        )
        return {
            "CheckpointToken": reply.token,
            "NewExecutionState": {
                "Operations": list(map(shapes.OPERATION.to_json, reply.operations)),
                "NextMarker": reply.next_marker or None,
            },
        }

    async def get_state(self, given: Json) -> Json:
        run = self._running(given["DurableExecutionArn"])
        operations, marker = run.execution.read_state(
            given["CheckpointToken"],
            given.get("Marker") or "0",
            given.get("MaxItems") or _PAGE_ITEMS,
        )
        return {
            "Operations": list(map(shapes.OPERATION.to_json, operations)),
            "NextMarker": marker or None,
        }

    def _running(self, arn: str) -> Run:
        """Return the execution for a caller who brings a token. `InvalidCheckpointToken` is the
        service's only error where there is no such execution."""
        run = self._workspace.runs.get(arn)
        if run is None:
            raise InvalidCheckpointToken("there is no such execution.")
        return run

    # -- callbacks -------------------------------------------------------------------------

    async def send_callback_success(self, given: Json) -> Json:
        callback_id, result = given["CallbackId"], given.get("Result")
        try:
            text = None if result is None else result.decode()
        except UnicodeDecodeError:
            raise InvalidParameterValue("CALLBACK result must be UTF-8.") from None
        return self._complete(callback_id, lambda now: ev.CallbackSucceeded(now, callback_id, text))

    async def send_callback_failure(self, given: Json) -> Json:
        callback_id, error = given["CallbackId"], shapes.ERROR.from_json(given.get("Error", {}))
        return self._complete(callback_id, lambda now: ev.CallbackFailed(now, callback_id, error))

    async def send_callback_heartbeat(self, given: Json) -> Json:
        callback_id = given["CallbackId"]
        return self._complete(callback_id, lambda now: ev.CallbackHeartbeat(now, callback_id))

    def _complete(
        self,
        callback_id: str,
        make: Callable[[int], ev.CallbackSucceeded | ev.CallbackFailed | ev.CallbackHeartbeat],
    ) -> Json:
        self._executor.complete_callback(callback_id, make, self._workspace)
        return {}


# -- pages -----------------------------------------------------------------------------------


def _marker(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


def _numbers(marker: str, count: int) -> list[int]:
    """Return the numbers in a marker; raise `InvalidParameterValue` for anything else."""
    try:
        parts = base64.b64decode(marker, altchars=b"-_", validate=True).decode("ascii").split(" ")
    except (binascii.Error, ValueError):
        parts = []
    if len(parts) != count or not all(part.isdecimal() and len(part) < 20 for part in parts):
        raise InvalidParameterValue("Invalid marker.")
    return [int(part) for part in parts]


def _position(given: Json, most: int) -> int:
    marker = given.get("Marker")
    if not marker:
        return 0
    (position,) = _numbers(marker, 1)
    if position > most:
        raise InvalidParameterValue("Invalid marker.")
    return position


def _place(marker: str) -> tuple[int, int]:
    start_ms, place = _numbers(marker, 2)
    return start_ms, place


def _weighing(items: Sequence[T], weight: Callable[[T], int]) -> Sequence[T]:
    """Return as many of the items as an answer can carry, and at least one."""
    room = _PAGE_BYTES
    for place, item in enumerate(items):
        room -= weight(item) + 512
        if room < 0 and place:
            return items[:place]
    return items


def _weight(event: HistoryEvent) -> int:
    weight = limits.size(event.payload) if event.payload else 0
    return weight + (event.error.size if event.error is not None else 0)
