"""Executions on machines of their own, with a network between them that takes its time.

The machines are those of the tests of `tests/remote`, and so this needs Linux, and the right to
make network namespaces.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))

from programs import Load  # noqa: E402
from remote.network import Machine, Network, why_not  # noqa: E402
from remote.team import COMMAND, Process, Team  # noqa: E402


class Machines:
    """A coordinator, a worker host and a client that runs executions, on a machine each."""

    def __init__(self, network: Network, host: Machine, client: Machine, load: Load) -> None:
        self._network = network
        self._machines = {"worker host": host, "client": client}
        self._load = load

    def seconds(self, where: str, delay: float, steps: int, times: int) -> float:
        """How long an execution takes.

        Args:
            where: Who is far from the coordinator: "worker host" or "client".
            delay: The seconds that a packet takes each way.
            steps: How many steps the execution has.
            times: How many executions there are, of which the median is taken.
        """
        self._network.delay(self._machines[where], delay)
        try:
            return median(self._load.ask(1, steps).seconds for _ in range(times))
        finally:
            self._network.delay(self._machines[where], 0.0)


@contextmanager
def machines(handler: str) -> Iterator[Machines]:
    """Machines on which the executions of a function of `handlers.py` are warm."""
    if reason := why_not():
        raise RuntimeError(reason)
    with Network() as network, tempfile.TemporaryDirectory() as folder:
        here, there, client = (network.machine() for _ in range(3))
        team = Team(Path(folder) / "team", here.address)
        address = f"{here.address}:7000"
        listen = ["coordinator", "--listen", address, *team.server(), *team.tokens()]
        join = ["worker-host", "--connect", address, "--slots", "2", "--verbose"]
        join += ["--app-dir", str(FOLDER)]
        known = team.by_token("client") | {"DURABLE_RUNNER_COORDINATOR": address}
        with Process(*listen, command=here.command(*COMMAND)) as coordinator:
            coordinator.says("listens on")
            host = Process(*join, env=team.by_token("worker-host"), command=there.command(*COMMAND))
            with host:
                host.says("connected to")
                os.environ.update(known)
                try:
                    load = Load(sys.executable, "pool", handler, None, within=client.command())
                finally:
                    for name in known:
                        del os.environ[name]
                with load:
                    load.ask(20, 5)
                    yield Machines(network, there, client, load)
