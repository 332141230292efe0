"""Plugins, which the async SDK has none of: hooks around a handler, its steps and its children.

An imitation on the SDK's contexts, enough to emit what the plugin suite looks for. Its order
and its operation ids are those of the execution; the dispatch of hooks is not the SDK's own.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Awaitable, Callable
from typing import Any

from async_durable_execution import (
    get_current_context,
    get_step_context,
    run_in_child_context,
    step,
)

Record = dict[str, Any]


class Plugin:
    """Its subclasses have hooks, `invocation_start(info)` and so on, each of which `log`s."""

    label = "CONFPLUGIN"
    arn = ""

    def log(self, hook: str, **record: Any) -> None:
        head = {"plugin": self.label, "hook": hook, "durableExecutionArn": self.arn}
        print(json.dumps(head | record), flush=True)


class Instrumentation:
    def __init__(self, *plugins: Plugin) -> None:
        self._plugins = plugins

    def _emit(self, hook: str, **info: Any) -> None:
        for plugin in self._plugins:
            try:
                getattr(plugin, hook, lambda info: None)(info)
            except Exception:
                # A plugin's fault is neither the handler's nor the next plugin's.
                continue

    def handler(self, func: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(func)
        async def run(event: Any) -> Any:
            context = get_current_context()
            for plugin in self._plugins:
                plugin.arn = context.durable_execution_arn
            operations = [_shown(each) for each in context.execution_state.operations.values()]
            before = [each for each in operations if each["type"] != "EXECUTION"]
            self._emit("invocation_start", first=not before, operations=before)
            try:
                result = await func(event)
            except Exception:
                self._emit("invocation_end", status="FAILED")
                raise
            self._emit("invocation_end", status="SUCCEEDED")
            return result

        return run

    async def step(self, func: Callable[[], Awaitable[Any]], **options: Any) -> Any:
        ran: list[str] = []

        async def body() -> Any:
            context = get_step_context()
            attempt = {"id": context.operation_id, "attempt": context.attempt}
            ran.append(context.operation_id)
            named = {"name": context.operation_name, "type": "STEP", "subType": "Step"}
            self._emit("operation_start", **attempt, **named, isReplay=context.attempt > 1)
            self._emit("attempt_start", **attempt)
            try:
                result = await func()
            except Exception:
                self._emit("attempt_end", **attempt, outcome="FAILED")
                raise
            self._emit("attempt_end", **attempt, outcome="SUCCEEDED")
            return result

        try:
            return await step(body, **options)
        finally:
            for operation_id in ran:
                self._ended(operation_id)

    async def child(self, func: Callable[[], Awaitable[Any]], **options: Any) -> Any:
        ran: list[str] = []

        async def body() -> Any:
            ran.append(get_current_context().step_id_prefix)
            return await func()

        try:
            return await run_in_child_context(body, **options)
        finally:
            for operation_id in ran:
                self._ended(operation_id)

    def _ended(self, operation_id: str) -> None:
        """The operation as the last checkpoint's answer shows it; nothing where it goes on."""
        context = get_current_context()
        operations = context.execution_state.operations
        operation = _shown(operations[operation_id])
        if operation["status"] in ("SUCCEEDED", "FAILED"):
            changed = operation | {
                "executionArn": context.durable_execution_arn,
                "updatedOperationsCount": 1,
                "operationsCount": len(operations),
                "inFullMap": operation_id in operations,
            }
            self._emit("operation_change", **changed)
            self._emit("operation_end", **operation)


def _shown(operation: Any) -> Record:
    """The SDK's operation under the suite's names, without what it has not."""
    details = operation.step_details
    error = details.error if details else None
    record = {
        "id": operation.operation_id,
        "name": operation.name,
        "type": operation.operation_type.value,
        "subType": operation.sub_type.value if operation.sub_type else None,
        "parentId": operation.parent_id,
        "status": operation.status.value,
        "startTimestamp": _iso(operation.start_timestamp),
        "endTimestamp": _iso(operation.end_timestamp),
        "error": error.message if error else None,
        "attempt": details.attempt if details else None,
        "isReplay": False,
    }
    return {key: value for key, value in record.items() if value is not None}


def _iso(timestamp: Any) -> str | None:
    return timestamp.isoformat() if timestamp else None
