"""The commands that run a handler on this machine: run and explore."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.text import visible
from ..errors import InvalidParameterValue, OperationNotFound
from . import arguments as kinds

if TYPE_CHECKING:
    from ..results.result import DurableFunctionTestResult
    from ..runner.blocking import DurableFunctionTestRunner


def add_commands(commands: Any) -> None:
    run = commands.add_parser(
        "run",
        help="run a handler once",
        description="Run a handler once and show how it went. "
        "The exit code is 1 unless it succeeded.",
    )
    _add_handler(run)
    run.add_argument(
        "--fault",
        action="append",
        type=_fault,
        default=[],
        metavar="WHAT@WHERE",
        help='make something go wrong, such as "kill@after-commit:3"; may be repeated',
    )
    run.add_argument(
        "--faults",
        type=_plan,
        default=[],
        metavar="FILE",
        help="read a fault plan: a fault on each line, # for comments",
    )
    run.add_argument(
        "--replay-every-checkpoint",
        action="store_true",
        help="kill the worker after each checkpoint",
    )
    run.set_defaults(run=_run)

    explore = commands.add_parser(
        "explore",
        help="kill a handler's worker at every moment and compare the outcomes",
        description="Run a handler cleanly, then once for each moment at which its worker can die. "
        "The exit code is 1 if any run has another outcome.",
    )
    _add_handler(explore)
    explore.add_argument(
        "--depth",
        type=kinds.count,
        default=1,
        help="crashes in a run; 2 tries pairs of crashes too (default: %(default)s)",
    )
    explore.set_defaults(run=_explore)


def _add_handler(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "handler",
        type=kinds.handler,
        metavar="MODULE:HANDLER",
        help="the handler, in a module that is in the current folder or installed",
    )
    parser.add_argument(
        "--input",
        type=kinds.payload,
        default="null",
        metavar="INPUT",
        help="the execution's input: JSON, any other text, @FILE, or - for standard input "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--workers", type=kinds.count, help="worker processes (default: one per core)"
    )
    add_verbose(parser)
    parser.add_argument(
        "--timeout",
        type=kinds.seconds,
        default=60.0,
        help="seconds that a run may take (default: %(default)s)",
    )
    parser.add_argument(
        "--function",
        action="append",
        type=kinds.pair,
        default=[],
        metavar="NAME=MODULE:HANDLER",
        help="have this function too, for chained invokes; may be repeated",
    )
    parser.add_argument(
        "--callback",
        action="append",
        type=kinds.pair,
        default=[],
        metavar="NAME=RESULT",
        help="answer the callback of this name; may be repeated, in the order of the answers",
    )


def add_verbose(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--verbose",
        action="store_true",
        help="log what executions and workers do, like DURABLE_RUNNER_LOG=debug",
    )


def import_from_here() -> None:
    # `python -m` does the same.
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())


def _handler(name: str) -> Callable[..., Any]:
    from ..serving.discovery import load
    from ..serving.functions_file import FunctionConfig

    import_from_here()
    return load(FunctionConfig("", name))


def _runner(arguments: argparse.Namespace) -> DurableFunctionTestRunner:
    """A runner of the handler, and of the functions that it may invoke in a chain."""
    from ..runner.blocking import DurableFunctionTestRunner
    from ..worker.loading import is_durable

    runner = DurableFunctionTestRunner(_handler(arguments.handler), workers=arguments.workers)
    for name, reference in arguments.function:
        function = _handler(reference)
        if is_durable(function):
            runner.register_durable_function(name, function)
        else:
            runner.register_function(name, function)
    return runner


def _run(arguments: argparse.Namespace) -> int:
    from ..results.statuses import InvocationStatus
    from ..results.text import describe

    with _runner(arguments) as runner:
        # The description has it.
        runner._engine.relays_output = False
        result, unasked = _result(runner, arguments)
    sys.stdout.write(f"{describe(result, output_lines=sys.maxsize)}\n")
    if unasked:
        raise OperationNotFound(unasked)
    return 0 if result.status is InvocationStatus.SUCCEEDED else 1


def _result(
    runner: DurableFunctionTestRunner, arguments: argparse.Namespace
) -> tuple[DurableFunctionTestResult, str]:
    """The result, and what says that an answer in --callback was not asked for, or ""."""
    from ..client.drive import drive
    from ..runner.explore import answer
    from ..runner.fault_plans import check_deterministic

    engine, every = runner._engine, arguments.replay_every_checkpoint
    faults = [*arguments.fault, *arguments.faults]
    engine.plan.lister = ""
    start = engine.start_of(
        None, None, arguments.input, faults=faults, replay_every_checkpoint=every
    )
    if not arguments.callback:
        return drive(engine.run(start, arguments.timeout)), ""
    arn, unasked = drive(engine.start(start)), ""
    # The execution may end before it asks for a callback; its result is shown all the same.
    try:
        answer(engine, arn, dict(arguments.callback), arguments.timeout)
    except OperationNotFound as error:
        unasked = str(error).splitlines()[0]
    result = drive(engine.wait(arn, "ended", arguments.timeout))
    if every:
        check_deterministic(result)
    return result, unasked


def _plan(path: str) -> list[str]:
    """Read the faults of a file."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"the fault plan cannot be read: {error}") from None
    texts = (line.split("#")[0].strip() for line in lines)
    return [_fault(text) for text in texts if text]


def _fault(text: str) -> str:
    from ..core.faults import Fault

    try:
        Fault.parse(text)
    except InvalidParameterValue as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _explore(arguments: argparse.Namespace) -> int:
    with _runner(arguments) as runner:
        try:
            report = runner.explore_crashes(
                payload=arguments.input,
                callbacks=dict(arguments.callback),
                depth=arguments.depth,
                timeout=arguments.timeout,
            )
        except AssertionError as error:
            sys.stdout.write(f"{visible(str(error))}\n")
            return 1
    sys.stdout.write(f"{report.text(lambda run: _again(arguments, run.faults))}\n")
    return 0 if report.ok else 1


def _again(arguments: argparse.Namespace, faults: Sequence[str]) -> str:
    """The command that runs the handler with these faults."""
    command = ["durable-runner", "run", arguments.handler, "--input", arguments.input]
    for option, pairs in (("--function", arguments.function), ("--callback", arguments.callback)):
        for name, value in pairs:
            command += [option, f"{name}={value}"]
    for fault in faults:
        command += ["--fault", fault]
    return shlex.join(command)
