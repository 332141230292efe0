"""Handlers that the tests of the worker side run in worker processes."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import functools
import gc
import locale
import logging
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from datetime import timedelta
from typing import Any

from async_durable_execution import durable_execution, step, wait

from async_durable_execution_runner.worker import stacks

log = logging.getLogger("orders")
calls = 0


def echo(event: Any, context: Any) -> Any:
    return {"event": event, "context": vars(context), "environment": dict(os.environ)}


def move(event: Any, context: Any) -> Any:
    """Where it was; from then on it is on Mars."""
    region, os.environ["AWS_REGION"] = os.environ["AWS_REGION"], "mars"
    return region


def wait_for_its_own_signal(event: Any, context: Any) -> int:
    mine = {signal.SIGUSR1}
    signal.pthread_sigmask(signal.SIG_BLOCK, mine)
    os.kill(os.getpid(), signal.SIGUSR1)
    return signal.sigwait(mine)


async def async_echo(event: Any, context: Any) -> Any:
    await asyncio.sleep(0)
    return event


def count(event: Any, context: Any) -> int:
    """How often this process was called."""
    global calls
    calls += 1
    return calls


def speak(event: Any, context: Any) -> None:
    print("printed")
    print("to stderr", file=sys.stderr)
    log.warning("logged %d", 1)
    log.debug("too quiet")
    subprocess.run(["echo", "from a child"], check=True)
    print("no newline", end="")


def fail(event: Any, context: Any) -> None:
    raise KeyError("lost")


def unserializable(event: Any, context: Any) -> Any:
    return {1, 2}


def not_a_number(event: Any, context: Any) -> Any:
    return float("nan")


def surrogate(event: Any, context: Any) -> Any:
    return "\udcff"


async def _one() -> str:
    log.info("in the step")
    return "1 2"


@durable_execution
async def order(event: Any) -> Any:
    log.info("before the step")
    first = await step(_one, name="one")
    log.info("after the step")
    await wait(timedelta(days=30), name="a while")
    log.info("after the wait")
    return [first, event]


def shouting(handler: Any) -> Any:
    @functools.wraps(handler)
    def outer(event: Any, context: Any) -> Any:
        print(f"HANDLING {context.function_name}")
        return handler(event, context)

    return outer


shouted_order = shouting(order)


def exit_hard(event: Any, context: Any) -> None:
    print("last words")
    os._exit(7)


def segfault(event: Any, context: Any) -> None:
    print("last words")
    ctypes.string_at(0)


def system_exit(event: Any, context: Any) -> None:
    print("no newline", end="")
    raise SystemExit(event)


@durable_execution
async def system_exit_in_step(event: Any) -> None:
    async def leave() -> None:
        sys.exit(5)

    await step(leave, name="leave")


def interrupt(event: Any, context: Any) -> None:
    raise KeyboardInterrupt


def eat_memory(event: Any, context: Any) -> None:
    eaten = []
    while True:
        eaten.append(b"x" * (4 << 20))


def hold_memory(event: Any, context: Any) -> bool:
    """Say on the event's FIFO that it does, until that is written to."""
    held = b"x" * (300 << 20)
    with open(event["fifo"], "w") as fifo:
        fifo.write("0")
    with open(event["fifo"]) as fifo:
        fifo.read()
    return bool(held)


def block(event: Any, context: Any) -> None:
    """Start a child process and a daemon, say so on the event's FIFO, and wait until that is read
    once more."""
    child = subprocess.Popen(["sleep", "1000"])
    script = "sleep 1000 >/dev/null 2>&1 & echo $!"
    daemon = subprocess.check_output(["sh", "-c", script], start_new_session=True, text=True)
    with open(event["fifo"], "w") as fifo:
        fifo.write(f"{child.pid} {daemon}")
    with open(event["fifo"]) as fifo:
        fifo.read()


def leave_child(event: Any, context: Any) -> None:
    """Exit while a child process and a thread are still there."""
    threading.Thread(target=threading.Event().wait).start()
    block(event, context)
    raise SystemExit(0)


def cripple(event: Any, context: Any) -> None:
    """Make the process useless to whoever comes next."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (8, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    os.umask(0o777)
    os.close(0)
    os.close(1)
    fcntl.fcntl(2, fcntl.F_SETFL, 0)
    for number in (
        *(signal.SIGCHLD, signal.SIGPIPE, signal.SIGTERM, stacks.SIGNAL),
        *(signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2),
    ):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    signal.setitimer(signal.ITIMER_REAL, 60)
    sys.setrecursionlimit(200)
    locale.setlocale(locale.LC_ALL, "C")
    asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())
    gc.disable()
    sys.settrace(lambda *_: None)
    socket.setdefaulttimeout(0.001)


def condition(event: Any, context: Any) -> dict[str, Any]:
    """The process as whoever comes next finds it."""
    with open("/proc/self/status") as status:
        masks = dict(line.split(":\t") for line in status if line.startswith("Sig"))
    os.umask(umask := os.umask(0))
    return {
        "limits": resource.getrlimit(resource.RLIMIT_NOFILE),
        "umask": umask,
        "masks": [masks[name] for name in ("SigBlk", "SigIgn", "SigCgt")],
        "timer": signal.getitimer(signal.ITIMER_REAL),
        "recursion": sys.getrecursionlimit(),
        "locale": locale.setlocale(locale.LC_ALL),
        "policy": id(asyncio.get_event_loop_policy()),
        "flags": fcntl.fcntl(1, fcntl.F_GETFL),
        "python": [gc.isenabled(), sys.gettrace(), socket.getdefaulttimeout()],
        "child": subprocess.run(["echo", "heard"], check=True, stdin=None).returncode,
    }


def close_every_pipe(event: Any, context: Any) -> None:
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{name}").startswith("pipe:"):
                os.close(int(name))
