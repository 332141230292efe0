"""The small programs beside this one, started with the interpreter of some environment.

Whatever is compared with another environment, or under another setting of gRPC, runs in such a
program, so that both sides are measured alike.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

FOLDER = Path(__file__).parent


class Answer(NamedTuple):
    seconds: float
    #: Seconds of all processes of the load.
    processor: float
    #: JSON.
    result: str


def _variables(python: str, grpc_experiments: str | None, log: str = "") -> dict[str, str]:
    """The environment variables of a program that is run by `python`."""
    variables = {
        **os.environ,
        "GRPC_VERBOSITY": "NONE",
        "DURABLE_RUNNER_LOG": log,
    }
    variables.pop("GRPC_EXPERIMENTS", None)
    # What is installed has its bytecode, and so has this checkout after the first turn.
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    if grpc_experiments is not None:
        variables["GRPC_EXPERIMENTS"] = grpc_experiments
    if python != sys.executable:
        # It could hold this checkout.
        variables.pop("PYTHONPATH", None)
    return variables


class Load:
    """A `load.py`, kept and asked again and again. Ended by leaving its context."""

    def __init__(
        self,
        python: str,
        runner: str,
        handler: str,
        grpc_experiments: str | None,
        log: str = "",
        within: Sequence[str] = (),
    ) -> None:
        """Start it; returns while it still starts.

        Args:
            python: The interpreter.
            runner: One of `load.RUNNERS`.
            handler: The name of a function in `handlers.py`, or `official.py`.
            grpc_experiments: What `GRPC_EXPERIMENTS` is set to; None: it is not set.
            log: What `DURABLE_RUNNER_LOG` is set to.
            within: The command that runs it, where it is to be on another machine.
        """
        self._what = f"load.py {runner} {handler}"
        # To a file: run_many shows progress on a terminal.
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            [*within, python, str(FOLDER / "load.py"), runner, handler],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=_variables(python, grpc_experiments, log),
        )

    def order(self, executions: int, steps: int) -> None:
        """Have it run `executions` executions; `answer` waits for them."""
        assert self._process.stdin is not None
        # Where it has ended already, `answer` says why.
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps([executions, steps]) + "\n")
            self._process.stdin.flush()

    def answer(self) -> Answer:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._errors.seek(0)
            raise RuntimeError(f"{self._what} failed:\n{self._errors.read()}")
        return Answer(**json.loads(line))

    def ask(self, executions: int, steps: int) -> Answer:
        self.order(executions, steps)
        return self.answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            # It may hang. All its processes end with it.
            self._process.kill()
        # Closes its standard input, and waits for its end.
        self._process.communicate()
        self._errors.close()


def session(python: str, suite: str, processes: int) -> Answer:
    """Run a suite of the folder `suites` with pytest, from the start of its process to the end.

    Args:
        python: The interpreter.
        suite: The module, with a test's name where only that is to run.
        processes: What pytest-xdist is told with `-n`.
    """
    command = [python, "-m", "pytest", "-n", str(processes), suite]
    used, began = _processor_of_children(), time.perf_counter()
    pytest = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=FOLDER / "suites",
        env=_variables(python, None),
    )
    seconds = time.perf_counter() - began
    if pytest.returncode:
        raise RuntimeError(f"{suite} failed:\n{pytest.stdout}")
    return Answer(seconds, _processor_of_children() - used, "")


def _processor_of_children() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


def output_of(program: str, *arguments: object, grpc_experiments: str | None) -> float:
    """The number that another program beside this one prints."""
    command = [sys.executable, str(FOLDER / program), *map(str, arguments)]
    printed = subprocess.run(
        command,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=_variables(sys.executable, grpc_experiments),
    )
    return float(printed.stdout)
