"""Machines on one Linux host: network namespaces, and a wire between them that can be slow or cut.

Each machine has a TUN device; a thread of the test hands packets from one to another, late, or not
at all. All above the packets is the kernel's: a machine that is cut off sees what it would see.
"""

from __future__ import annotations

import fcntl
import functools
import heapq
import itertools
import os
import random
import selectors
import struct
import subprocess
import threading
import time
from dataclasses import dataclass

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_names = itertools.count()


@functools.cache
def why_not() -> str:
    """Why there can be no machines here; "" where there can."""
    try:
        with Network() as network:
            network.machine()
    except (OSError, subprocess.CalledProcessError) as error:
        return f"no network namespaces with TUN devices can be made here: {error}"
    return ""


@dataclass(frozen=True, slots=True)
class Machine:
    namespace: str
    address: str
    fd: int

    def command(self, *arguments: str) -> list[str]:
        """A command that runs there."""
        return ["ip", "netns", "exec", self.namespace, *arguments]


class Network:
    """The machines and the wire."""

    def __init__(self) -> None:
        #: The seconds that each packet to or from an address takes.
        self._delays: dict[str, float] = {}
        #: The share of packets that are lost.
        self.loss = 0.0
        self._cut: set[str] = set()
        self._machines: list[Machine] = []
        # Others wait for whole milliseconds.
        self._selector = selectors.SelectSelector()
        self._late: list[tuple[float, int, int, bytes]] = []
        self._chance = random.Random(1)
        self._ended = threading.Event()
        self._carrier = threading.Thread(target=self._carry, daemon=True)

    def machine(self) -> Machine:
        """A new machine."""
        number = next(_names)
        name = f"dr{os.getpid()}n{number}"
        address = f"10.98.0.{len(self._machines) + 1}"
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        machine = Machine(name, address, fd)
        self._machines.append(machine)
        device = f"t{os.getpid()}x{number}"
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH", device.encode(), _IFF_TUN | _IFF_NO_PI))
        for command in (
            f"ip netns add {name}",
            f"ip link set {device} netns {name}",
            f"ip -n {name} addr add {address}/24 dev {device}",
            f"ip -n {name} link set {device} up",
            f"ip -n {name} link set lo up",
        ):
            subprocess.run(command.split(), check=True, capture_output=True)
        self._selector.register(fd, selectors.EVENT_READ)
        return machine

    def delay(self, machine: Machine, seconds: float) -> None:
        """Have each packet to or from a machine take so long."""
        self._delays[machine.address] = seconds

    def cut(self, machine: Machine) -> None:
        """Lose all packets to and from a machine."""
        self._cut.add(machine.address)

    def mend(self, machine: Machine) -> None:
        self._cut.discard(machine.address)

    def _carry(self) -> None:
        order = itertools.count()
        while not self._ended.is_set():
            wait = max(0.0, self._late[0][0] - time.monotonic()) if self._late else 0.1
            for key, _ in self._selector.select(min(wait, 0.1)):
                packet = os.read(key.fd, 65536)
                ends = {".".join(map(str, packet[at : at + 4])) for at in (12, 16)}
                to = next((m.fd for m in self._machines if m.address in ends and m.fd != key.fd), 0)
                if to and not ends & self._cut and self._chance.random() >= self.loss:
                    delay = sum(self._delays.get(each, 0.0) for each in ends)
                    due = time.monotonic() + delay
                    heapq.heappush(self._late, (due, next(order), to, packet))
            while self._late and self._late[0][0] <= time.monotonic():
                _, _, to, packet = heapq.heappop(self._late)
                os.write(to, packet)

    def __enter__(self) -> Network:
        self._carrier.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._carrier.join()
        for machine in self._machines:
            os.close(machine.fd)
            subprocess.run(
                ["ip", "netns", "del", machine.namespace], check=False, capture_output=True
            )
