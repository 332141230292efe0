"""An execution as text: what a person wants to see when an assertion fails.

The text is plain, without colour, aligned, and as wide as its content needs; long payloads are
cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from async_durable_execution import ErrorObject, OperationType

from ..core.divergence import divergences_text
from ..core.text import visible
from .operations import (
    CallbackOperation,
    Operation,
    StepOperation,
    WaitOperation,
    brief,
    error_text,
    shorten,
)
from .tables import effects_table, elide, table
from .tracebacks import FATAL, own_frames, pieces
from .values import shown

if TYPE_CHECKING:
    from .result import DurableFunctionTestResult, Invocation

_SHOWN_OUTPUT_LINES = 10
_SHOWN_TRACE_LINES = 12
_INVOKE = OperationType.CHAINED_INVOKE
_NOT_FOUND = re.compile(r"Function not found: arn:[^ ]*:function:([^ ]+)")


def describe(result: DurableFunctionTestResult, output_lines: int = _SHOWN_OUTPUT_LINES) -> str:
    """Return the text, with that many lines of what each invocation wrote."""
    name = result.function_name or result.execution_name or "execution"
    heading = [name, result.status.value]
    if result.duration is not None:
        heading.append(duration_text(result.duration))
    if result.invocations:
        count = len(result.invocations)
        heading.append(f"{count} invocation{'' if count == 1 else 's'}")
    lines = [" · ".join(heading)]
    facts = [
        ("execution", result.execution_arn),
        ("input", shorten(result.input, 100) if result.input is not None else ""),
        ("result", shorten(shown(result.result), 100) if result.result is not None else ""),
        ("error", _error(result.error) if result.error is not None else ""),
        ("waiting for", result.waiting_for),
    ]
    lines += _facts(facts)
    if result.operations:
        header = ("operations", "status", "attempts", "took", "")
        rows = [_operation_row(prefix, each) for prefix, each in _branches(result.operations)]
        lines += ["", *table(header, rows), *_unregistered(result)]
    if result.invocations:
        lines += ["", *_invocations(result.invocations, output_lines)]
    if result.faults or result.unfired_faults:
        lines += ["", *_faults(result)]
    if result.ledger:
        lines += ["", *effects_table(result.ledger)]
    if result.divergences:
        lines += ["", "not deterministic", *divergences_text(result.divergences).splitlines()]
    return visible("\n".join(lines))


def duration_text(duration: timedelta) -> str:
    """The two largest units that say something: "3 d 4 h", "1 min 30 s", "1.25 s", "12 ms"."""
    ms = round(duration.total_seconds() * 1000)
    if ms < 1000:
        return f"{ms} ms"
    if ms < 60_000:
        return f"{ms / 1000:.4g} s"
    seconds = ms // 1000
    amounts = (
        (seconds // 86_400, "d"),
        (seconds // 3600 % 24, "h"),
        (seconds // 60 % 60, "min"),
        (seconds % 60, "s"),
    )
    first = next(index for index, (amount, _) in enumerate(amounts) if amount)
    return " ".join(f"{amount} {unit}" for amount, unit in amounts[first : first + 2] if amount)


def _facts(facts: Iterable[tuple[str, str]]) -> Iterator[str]:
    for label, text in facts:
        if text:
            first, *rest = text.splitlines()
            yield f"{label:<12} {first}"
            yield from (f"{'':<12} {line}" for line in rest)


def _branches(
    operations: Sequence[Operation], indent: str = ""
) -> Iterator[tuple[str, Operation | str]]:
    shown = elide(operations)
    for number, operation in enumerate(shown, start=1):
        last = number == len(shown)
        yield f"{indent}{'└─' if last else '├─'} ", operation
        if isinstance(operation, Operation):
            yield from _branches(operation.child_operations, indent + ("   " if last else "│  "))


def _operation_row(prefix: str, operation: Operation | str) -> tuple[str, ...]:
    if isinstance(operation, str):
        return prefix + operation, "", "", "", ""
    label = f"{prefix}{operation.kind} {operation.name or operation.operation_id[:8]}"
    attempts = str(operation.attempt) if isinstance(operation, StepOperation) else ""
    took = "" if operation.duration is None else duration_text(operation.duration)
    return label, operation.status.value, attempts, took, _remark(operation)


def _remark(operation: Operation) -> str:
    if operation.error is not None:
        return brief(operation.error)
    if operation.result is not None:
        return shorten(shown(operation.result), 60)
    if operation.end_timestamp is not None:
        return ""
    if isinstance(operation, StepOperation) and operation.next_attempt_timestamp is not None:
        return f"next attempt at {operation.next_attempt_timestamp:%Y-%m-%d %H:%M:%S}"
    if isinstance(operation, WaitOperation) and operation.scheduled_end_timestamp is not None:
        return f"until {operation.scheduled_end_timestamp:%Y-%m-%d %H:%M:%S}"
    if isinstance(operation, CallbackOperation) and operation.callback_id:
        return f"callback id {shorten(operation.callback_id)}"
    if operation.operation_type is OperationType.STEP:
        return "in progress"
    return ""


def _unregistered(result: DurableFunctionTestResult) -> Iterator[str]:
    """Say which call registers a function that was invoked in a chain and is not there."""
    # Only a local runner knows the process of an invocation; nobody registers Lambda's functions.
    if not any(each.pid for each in result.invocations):
        return
    errors = (each.error for each in result.get_all_operations() if each.operation_type is _INVOKE)
    missing = (_NOT_FOUND.fullmatch(error.message or "") for error in errors if error is not None)
    for name in dict.fromkeys(match[1] for match in missing if match):
        yield (
            f"{name!r} is not registered with this runner: "
            f"runner.register_durable_function({name!r}, handler) registers a durable function, "
            "runner.register_function(…) a plain one."
        )


def _invocations(invocations: Sequence[Invocation], most: int) -> Iterator[str]:
    header = ("invocations", "outcome", "took", "worker", "")
    numbered = elide(list(enumerate(invocations, start=1)))
    rows = [
        (f"     {each}", "", "", "", "") if isinstance(each, str) else _invocation_row(*each)
        for each in numbered
    ]
    heading, *lines = table(header, rows)
    yield heading
    outputs = [None if isinstance(each, str) else list(_output(each[1], most)) for each in numbered]
    same: list[int] = []
    for line, each, output, following in zip(
        lines, numbered, outputs, [*outputs[1:], None], strict=True
    ):
        yield line
        if isinstance(each, str) or output is None:
            continue
        number, invocation = each
        if not same:
            yield from output
        elif output != following or invocation.verdict:
            yield f"     | {_numbers(same)}: the same"
        is_repeated = len(output) > 1 and output == following and not invocation.verdict
        same = [*same, number + 1] if is_repeated else []
        yield from _doing(invocation)


def _numbers(numbers: list[int]) -> str:
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"


def _invocation_row(number: int, invocation: Invocation) -> tuple[str, ...]:
    return (
        f"{number:>3}  {invocation.request_id[:8]}",
        invocation.outcome or "running",
        "" if invocation.duration is None else duration_text(invocation.duration),
        # Lambda does not say where an invocation ran.
        f"{invocation.worker_id[:13]} (pid {invocation.pid})" if invocation.pid else "",
        brief(invocation.error) if invocation.error is not None else "",
    )


def _faults(result: DurableFunctionTestResult) -> Iterator[str]:
    header = ("faults", "invocation", "struck at", "")
    rows = [
        (each.fault, str(each.invocation), each.label or each.moment, each.note)
        for each in elide(result.faults)
        if not isinstance(each, str)
    ]
    rows += [(text, "", "never fired", "") for text in result.unfired_faults]
    yield from table(header, rows)


def _error(error: ErrorObject) -> str:
    # The entries of a Python traceback end with a line break and may have several; those of other
    # stack traces do not.
    trace = [line for entry in error.stack_trace or () for line in entry.splitlines()]
    return "\n".join([error_text(error), *_telling(own_frames(trace), _SHOWN_TRACE_LINES)])


def _telling(lines: list[str], most: int) -> list[str]:
    """The last lines, or where a fatal signal left them the first: the innermost frames come
    first there."""
    for number, line in enumerate(lines):
        if line.startswith(FATAL):
            return lines[number : number + most]
    return lines[-most:]


def _output(invocation: Invocation, most: int) -> Iterator[str]:
    printed = list(pieces(invocation.output.splitlines()))
    yield from (f"     | {line}" for line in _last(printed, most))


def _last(printed: list[list[str]], most: int) -> list[str]:
    """The last lines, but the first ones of a traceback: its cause is there."""
    left_out = sum(map(len, printed)) - most
    # A line takes no more room than the note that it was left out.
    if left_out < 2:
        return [line for piece in printed for line in piece]
    lines: list[str] = []
    for piece in reversed(printed):
        room = most - len(lines)
        if len(piece) > room:
            # The heading of a traceback says nothing by itself.
            first = piece[:room] if room > 1 else []
            return [*first, f"… {left_out + room - len(first)} more lines", *lines]
        lines = piece + lines
    return lines


def _doing(invocation: Invocation) -> Iterator[str]:
    if invocation.verdict:
        yield f"     {invocation.verdict}"
        lines = [line for dump in invocation.stacks[-1:] for line in dump.splitlines()]
        yield from (f"       {line}" for line in _last([lines], _SHOWN_TRACE_LINES))
