"""A coordinator and worker hosts as a team starts them by their commands, and its runners."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue

from async_durable_execution_runner import DurableFunctionTestRunner

COMMAND = [sys.executable, "-m", "async_durable_execution_runner"]
#: Seconds after which something that should happen soon counts as hanging.
LIMIT = 30.0
TESTS = Path(__file__).parents[1]


class Process:
    """A command that runs. What it says is read all the time: it never waits for a reader."""

    def __init__(
        self,
        *arguments: object,
        env: Mapping[str, str] | None = None,
        command: Sequence[str] = COMMAND,
    ) -> None:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("DURABLE_RUNNER")}
        self.popen = subprocess.Popen(
            [*command, *map(str, arguments)],
            env={**clean, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said: list[str] = []
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.popen.stdout is not None
        with self.popen.stdout as said:
            for line in said:
                self._lines.put(line)
        self._lines.put(None)

    def says(self, text: str, within: float = LIMIT) -> str:
        """The next line that has a text."""
        until = time.monotonic() + within
        while (line := self._next(until, text)) is not None:
            if text in line:
                return line
        raise AssertionError(f"It ended ({self.popen.wait()}) without saying {text!r}: {self.said}")

    def _next(self, until: float, awaited: str) -> str | None:
        try:
            line = self._lines.get(timeout=max(0.0, until - time.monotonic()))
        except Empty:
            raise AssertionError(f"It has not yet said {awaited!r}: {self.said}") from None
        if line is None:
            # It is still so when somebody asks again.
            self._lines.put(None)
        else:
            self.said.append(line)
        return line

    def end(self, within: float = LIMIT) -> tuple[int, str]:
        """Its exit code, and all that it has said."""
        until = time.monotonic() + within
        while self._next(until, "its last line") is not None:
            pass
        return self.popen.wait(), "".join(self.said)

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.popen.kill()
        self.popen.wait()


class Team:
    """What `durable-runner certificates` has written into a folder."""

    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        self.folder = folder
        with Process("certificates", folder, "--host", host) as made:
            assert made.end()[0] == 0

    def server(self) -> list[object]:
        return [
            *("--cert-file", self.folder / "coordinator.pem"),
            *("--key-file", self.folder / "coordinator.key"),
        ]

    def tokens(self) -> list[object]:
        return [
            *("--token-file", self.folder / "client.token"),
            *("--worker-host-token-file", self.folder / "worker-host.token"),
        ]

    def mutual(self) -> list[object]:
        return ["--client-ca-file", self.folder / "ca.pem", "--listen-workers", "127.0.0.1:0"]

    def by_token(self, role: str) -> dict[str, str]:
        return {
            "DURABLE_RUNNER_CA_FILE": str(self.folder / "ca.pem"),
            "DURABLE_RUNNER_TOKEN_FILE": str(self.folder / f"{role}.token"),
        }

    def by_certificate(self, role: str) -> dict[str, str]:
        return {
            "DURABLE_RUNNER_CA_FILE": str(self.folder / "ca.pem"),
            "DURABLE_RUNNER_CERT_FILE": str(self.folder / f"{role}.pem"),
            "DURABLE_RUNNER_KEY_FILE": str(self.folder / f"{role}.key"),
        }


@contextmanager
def coordinator(*options: object, listen: str = "127.0.0.1:0") -> Iterator[str]:
    """The address of a coordinator that listens."""
    with Process("coordinator", "--listen", listen, *options) as process:
        yield process.says("listens on").split(" listens on ")[1].split(",")[0]


def worker_host(
    address: str, env: Mapping[str, str], *options: object, command: Sequence[str] = COMMAND
) -> Process:
    """A worker host that logs."""
    arguments = ["worker-host", "--connect", address, "--slots", 2, "--verbose"]
    return Process(*arguments, "--app-dir", TESTS, *options, env=env, command=command)


class Words:
    """What `until_told` handlers say when they begin, and the words that they wait for."""

    def __init__(self, folder: Path) -> None:
        self.event = {name: str(folder / name) for name in ("begun", "go")}
        for path in self.event.values():
            os.mkfifo(path)
        self._begun, self._go = (os.open(path, os.O_RDWR) for path in self.event.values())
        self._heard = b""

    def hear(self, count: int) -> list[int]:
        while self._heard.count(b"\n") < count:
            self._heard += os.read(self._begun, 1000)
        *lines, self._heard = self._heard.split(b"\n", count)
        return sorted(map(int, lines))

    def say(self, count: int) -> None:
        os.write(self._go, b"!" * count)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


__all__ = [
    "LIMIT",
    "DurableFunctionTestRunner",
    "Process",
    "Team",
    "Words",
    "coordinator",
    "free_port",
    "worker_host",
]
