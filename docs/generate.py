"""Write `transitions.md` and `errors.md` beside this file from what the code itself says.

`python docs/generate.py` writes them; with `--check` it only says whether they are current.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from async_durable_execution_runner import errors
from async_durable_execution_runner.core.model import OperationStatus, OperationType
from async_durable_execution_runner.core.operations import RULES, TRIGGERS

HERE = Path(__file__).parent
NOTICE = "<!-- Made by docs/generate.py; edits here are lost. -->"

TRANSITIONS = """\
# Transitions

This page lists every state change of every operation type. An *action* is an update in a
checkpoint. Where the operation is not in a state from which the action may start, the whole
checkpoint is refused with `InvalidParameterValueException` and the text given, and nothing is
changed. A row without a refusal is a change that comes about by itself. Any other action on the
type is refused with `Invalid action for the given operation type.`
"""

ERRORS = """\
# Errors

This is the tree of all errors that the runner raises itself. `ServiceError` and the errors below
it are the emulated service's refusals: a handler meets them as boto3 would show them, with this
code and HTTP status. Over gRPC, an error travels with the status of the last column but one. The
text of each error is one sentence that says what happened.
"""

FAILURES = """\
## Why an invocation failed

An invocation that fails is tried again after a back-off. When the limit is reached, the execution
fails with the last cause. The cause is the error of the invocation's `InvocationCompleted` event
and of its entry in `result.invocations`, in Lambda's words. Where the process died, the error's
stack trace holds the last lines that the process wrote. Any other type is the class of an
exception that left the handler.
"""

#: What each cause means and what to do about it, by the cause's name.
CAUSES = {
    "Runtime.ExitError": (
        "The process ended during the invocation: the handler exited (`sys.exit`, `os._exit`, an "
        "uncaught `SystemExit` or `KeyboardInterrupt`), or a signal killed it (a crash in C code, "
        "an outsider). The message has the exit status or the signal.",
        "Look at the last lines of the process's output. "
        '`isolation="invocation"` shows whether a crash '
        "depends on what ran before in the same process.",
    ),
    "Runtime.OutOfMemory": (
        "The process used more memory than the function has, and its worker host killed it.",
        "Give the function more memory, or hold less at once; the message says how much was used.",
    ),
    "Sandbox.Timedout": (
        "The invocation passed its deadline and its process was killed, whatever it was doing. An "
        "inline worker cannot be killed: it is abandoned, and its checkpoints are refused.",
        "Raise `invocation_timeout`, or look for what blocks; a long pause belongs in a durable "
        "`wait`, which takes no invocation time.",
    ),
    "Runtime.ImportModuleError": (
        "The handler's module could not be imported in the worker, "
        "or raised an error when it was imported; or what `worker_setup=` names failed before.",
        "The message and the stack trace are those of the import. A worker imports under the "
        "test's `sys.path`, but in a fresh process: what the test set up before importing is not "
        "there.",
    ),
    "Runtime.UserCodeSyntaxError": (
        "The handler's module has a syntax error, so that no worker can import it.",
        "Correct the error; the message says where it is.",
    ),
    "Runtime.HandlerNotFound": (
        "The module was imported, but the handler is not in it, or is not a durable function "
        "there.",
        "Define the handler at the top level of its module, not under a condition that is false "
        'in the worker (`if __name__ == "__main__"`).',
    ),
    "Runtime.MarshalError": (
        "A plain function or a mock returned something that JSON cannot carry. Where a durable "
        "function does so, its SDK refuses the result.",
        "Return what `json.dumps` takes: no sets, bytes, NaN or objects of your own.",
    ),
    "InvalidParameterValueException": (
        "The handler returned something that is not an invocation's output, or it returned PENDING "
        "while nothing was pending that could ever wake the execution.",
        "Decorate the handler with `@durable_execution`, outermost, and return what it returns.",
    ),
}

ENDINGS = """\
## How executions and operations end

These are errors that the service gives an execution or an operation, rather than an invocation.
"""

#: What each error means, by the error's name.
ENDS = {
    "Callback.Timeout": "Nobody answered the callback before its time-out.",
    "Callback.Heartbeat": "The callback's heartbeats stopped, or never began.",
    "ChainedInvoke.Timeout": "The invoked function's execution passed its `execution_timeout`.",
    "ResourceNotFoundException": "A chained invoke named a function that is not registered.",
}


def transitions() -> str:
    return "\n".join([NOTICE, TRANSITIONS, *map(_operation_type, OperationType)])


def _operation_type(of: OperationType) -> str:
    rows, edges = [], []
    for rule in RULES.values():
        if rule.type is of:
            sources = [None, *OperationStatus]
            for source in (source for source in sources if source in rule.sources):
                edges.append((_state(source), rule.target.value, rule.action.value))
            names = ", ".join(_name(source) for source in sources if source in rule.sources)
            rows.append((f"`{rule.action.value}`", names, rule.target.value, f"`{rule.refusal}`"))
    for trigger in TRIGGERS:
        if trigger.type is of:
            edges.append((trigger.source.value, trigger.target.value, trigger.cause))
            rows.append((trigger.cause, trigger.source.value, trigger.target.value, ""))
    table = _table(("action or cause", "from", "to", "refused otherwise"), rows)
    return f"## {of.value}\n\n{table}\n{_diagram(edges)}"


def _name(status: OperationStatus | None) -> str:
    return "not there" if status is None else status.value


def _state(status: OperationStatus | None) -> str:
    return "[*]" if status is None else status.value


def _diagram(edges: list[tuple[str, str, str]]) -> str:
    labels: dict[tuple[str, str], list[str]] = {}
    if not any(source == "[*]" for source, _, _ in edges):
        labels["[*]", edges[0][0]] = ["it begins"]
    for source, target, label in edges:
        labels.setdefault((source, target), []).append(label)
    lines = [f"    {s} --> {t}: {', '.join(causes)}" for (s, t), causes in labels.items()]
    ends = {target: None for _, target, _ in edges if OperationStatus(target).is_terminal}
    lines += [f"    {end} --> [*]" for end in ends]
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```", ""])


def error_reference() -> str:
    tree = [
        (
            f"{'&emsp;' * depth}`{error.__name__}`",
            f"`{error.code}`" if hasattr(error, "code") else "",
            str(getattr(error, "http_status", "")),
            f"`{error.grpc_status}`",
            " ".join((error.__doc__ or "").split("\n\n")[0].split()),
        )
        for depth, error in _walk(errors.RunnerError, 0)
    ]
    causes = [(f"`{name}`", what, remedy) for name, (what, remedy) in CAUSES.items()]
    return "\n".join(
        [
            NOTICE,
            ERRORS,
            _table(("class", "code", "HTTP", "gRPC", "what it means"), tree),
            FAILURES,
            _table(("cause", "what it means", "what to do"), causes),
            ENDINGS,
            _table(("error", "what it means"), [(f"`{name}`", ENDS[name]) for name in ENDS]),
        ]
    )


def _walk(error: type[errors.RunnerError], depth: int) -> Iterator[tuple[int, type]]:
    yield depth, error
    for below in error.__subclasses__():
        if below.__module__ == errors.__name__:
            yield from _walk(below, depth + 1)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


PAGES = {"transitions.md": transitions, "errors.md": error_reference}


def stale() -> list[str]:
    """Return the names of the pages that do not say what the code says."""
    return [
        name
        for name, make in PAGES.items()
        if not (HERE / name).exists() or (HERE / name).read_text(encoding="utf-8") != make()
    ]


def main() -> None:
    names = stale()
    if "--check" in sys.argv[1:]:
        if names:
            sys.exit(f"Not current: {', '.join(names)}. Run `python docs/generate.py`.")
        return
    for name in names:
        (HERE / name).write_text(PAGES[name](), encoding="utf-8")


if __name__ == "__main__":
    main()
