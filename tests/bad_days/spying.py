"""A handler that looks around for the runner's token, and a program that looks where it was.

Run as a program by a user without privileges, as a root user's processes hide nothing from it.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from pathlib import Path
from typing import Any

from async_durable_execution import durable_execution

_PR_SET_SECUREBITS = 28
#: Root has no capabilities of its own, and cannot get them back.
_NO_ROOT = 0b11


@durable_execution
async def look_around(event: Any) -> dict[str, Any]:
    """The environments of this process and of those above it, and what else may be read there."""
    found, pid = {}, os.getpid()
    while pid != event["until"]:
        found[str(pid)] = {name: _read(pid, name) for name in ("environ", "cmdline", "mem")}
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    coordinator = event["coordinator"]
    found[str(coordinator)] = {name: _read(coordinator, name) for name in ("environ", "mem")}
    found["pipes"] = _pipes(event["until"])
    return found


def _read(pid: int, name: str) -> str:
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return "may be read" if name == "mem" else repr(file.read())
    except PermissionError:
        return "refused"


def _pipes(pid: int) -> list[str]:
    """The pipes of a process that can be opened, but for its standard streams."""
    descriptors = sorted(Path(f"/proc/{pid}/fd").iterdir(), key=lambda each: int(each.name))
    return [str(each) for each in descriptors[3:] if each.is_fifo()]


def holds(pid: int, text: str) -> bool:
    """Whether the text is anywhere in what the process may write to in its memory."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            place, rights, *_ = line.split()
            if rights.startswith("rw"):
                begin, end = (int(each, 16) for each in place.split("-"))
                memory.seek(begin)
                if text.encode() in memory.read(end - begin):
                    return True
    return False


def main() -> None:
    libc = ctypes.CDLL(None)
    if os.geteuid() == 0:
        libc.prctl(_PR_SET_SECUREBITS, _NO_ROOT, 0, 0, 0)
        libc.capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)())
    from async_durable_execution_runner import DurableFunctionTestRunner

    with DurableFunctionTestRunner(handler=look_around, workers=1, listen=sys.argv[1]) as runner:
        result = runner.run({"until": os.getpid(), "coordinator": runner.status().pid})
        found = json.loads(result.result)
        worker = result.invocations[0].worker_id
        status = runner.status()
        (pid,) = (each.pid for each in status.workers)
        (host,) = (each.pid for each in status.hosts)
        pipes = found.pop("pipes")
        above = [int(each) for each in found if int(each) not in (pid, host, status.pid)]
        answer = {
            "token": runner.token,
            "worker": found.pop(str(pid)),
            "forkserver": found.pop(str(above[0])),
            "host": found.pop(str(host)),
            "coordinator": found.pop(str(status.pid)),
            "others": found,
            "pipes": pipes,
            "in memory": holds(pid, runner.token),
            "known in memory": holds(pid, worker),
        }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
