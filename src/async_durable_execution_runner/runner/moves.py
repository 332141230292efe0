"""Executions that go on with the worker hosts of `resume_on`: where to, after which suspensions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from ..client.drive import drive
from ..errors import WorkersUnavailable
from ..results.operations import Operation
from ..results.result import DurableFunctionTestResult

if TYPE_CHECKING:
    from ..client.control import ControlClient, HostStatus, Start

# pytest shows the line of the test, not ours.
__tracebackhide__ = True


def text(control: ControlClient, start: Start) -> str:
    """Where an execution goes on, and in place of what; "" where it stays.

    Raises:
        WorkersUnavailable: There is no worker host to which it could go.
    """
    if not start.resume_on:
        return ""
    hosts = drive(control.status()).hosts
    return f"with {_hosts(hosts, start.resume_on)}, in place of {_hosts(hosts, start.labels)}"


def _hosts(hosts: Sequence[HostStatus], labels: Mapping[str, str]) -> str:
    """The worker hosts with these labels, as their labels and releases of the SDK."""
    found = [each.labels for each in hosts if labels.items() <= each.labels.items()]
    wanted = _shown(labels) or "any worker host"
    if not found:
        there = "; ".join(_shown(each.labels) for each in hosts) or "none at all"
        raise WorkersUnavailable(
            f"Nothing was explored: there is no worker host with {wanted}. Those that are have "
            f"{there}."
        )
    sdks = sorted({each["sdk"] for each in found if "sdk" in each})
    return wanted if "sdk" in labels else f"{wanted} (SDK {' and '.join(sdks)})"


def _shown(labels: Mapping[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(labels.items()))


def suspensions(result: DurableFunctionTestResult) -> Iterator[tuple[int, str]]:
    """The number of each invocation that the execution was suspended after, and what for."""
    for number, invocation in enumerate(result.invocations, 1):
        if invocation.outcome == "PENDING" and invocation.end is not None:
            waits = [
                f"{each.kind} {each.name or each.operation_id[:8]}"
                for each in result.get_all_operations()
                if _is_open(each, invocation.start, invocation.end)
            ]
            yield number, ", ".join(waits)


def _is_open(operation: Operation, start: datetime, end: datetime) -> bool:
    """Whether the operation may suspend an execution after an invocation of these times."""
    if operation.kind == "context" or operation.start_timestamp > end:
        return False
    ended = operation.end_timestamp
    # An answer may come within the same millisecond.
    return ended is None or ended > end or (ended == end > start and operation.kind != "step")
