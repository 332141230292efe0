"""What handlers do that they should not. `misbehave` does the one that its event names."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import ctypes
import inspect
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any, NoReturn

from async_durable_execution import create_callback, durable_execution, invoke, step, wait

MISDEEDS: dict[str, Callable[[], Any]] = {}


def misdeed(function: Callable[[], Any]) -> Callable[[], Any]:
    MISDEEDS[function.__name__] = function
    return function


@durable_execution
async def misbehave(event: dict[str, Any]) -> Any:
    """Does `do`, in a step where `in_step`; one that does nothing is the well-behaved one."""
    deed = MISDEEDS[event.get("do", "nothing")]
    print(f"about to do {deed.__name__}")

    async def work() -> Any:
        done = deed()
        return await done if inspect.isawaitable(done) else done

    return await (step(work, name="work") if event.get("in_step") else work())


async def exist() -> str:
    return "before"


@durable_execution
async def recover(mark: str) -> str:
    """Dies once; `mark` is a file that remembers it."""
    await step(exist, name="before")
    try:
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return "recovered"
    os._exit(1)


@durable_execution
async def work_in_steps(event: dict[str, Any]) -> list[int]:
    """Five steps and a wait; says on a named pipe whenever a step begins."""
    done = []
    for number in range(5):

        async def work(number: int = number) -> int:
            say_begun(event["begun"])
            await asyncio.sleep(0.005)
            return number

        done.append(await step(work, name=f"step-{number}"))
    await wait(timedelta(hours=1), name="pause")
    return done


@durable_execution
async def begin_and(event: dict[str, Any]) -> Any:
    """Says on a named pipe that it has begun, then does `do`."""
    say_begun(event["begun"])
    return MISDEEDS[event["do"]]()


@durable_execution
async def call_plain(event: dict[str, Any]) -> Any:
    return await invoke("plain", event)


def begin_and_nap(event: dict[str, Any], context: Any) -> None:
    say_begun(event["begun"])
    nap()


@durable_execution
async def ask(event: Any) -> Any:
    callback = await create_callback(name="question")
    return await callback.result()


def say_begun(pipe: str) -> None:
    # For reading too: a handler of a test that has ended must not wait for a reader for ever.
    with open(pipe, "r+b", buffering=0) as begun:
        begun.write(b"!")


@misdeed
def stop_at_a_breakpoint() -> None:
    breakpoint()


@misdeed
def nothing() -> str:
    return "fine"


# -- ends ----------------------------------------------------------------------------------


@misdeed
def exit_7() -> NoReturn:
    os._exit(7)


@misdeed
def exit_0() -> NoReturn:
    os._exit(0)


@misdeed
def sys_exit_3() -> NoReturn:
    sys.exit(3)


@misdeed
def sys_exit() -> NoReturn:
    sys.exit()


@misdeed
def sys_exit_with_text() -> NoReturn:
    sys.exit("the end is near")


@misdeed
def raise_system_exit() -> NoReturn:
    raise SystemExit(1)


@misdeed
def raise_keyboard_interrupt() -> NoReturn:
    raise KeyboardInterrupt


@misdeed
def segfault() -> None:
    ctypes.string_at(0)


@misdeed
def abort() -> None:
    os.abort()


@misdeed
def kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@misdeed
def terminate_itself() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)


@misdeed
def interrupt_itself() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)


@misdeed
def exit_in_a_thread() -> None:
    threading.Thread(target=os._exit, args=(9,)).start()
    time.sleep(60)


@misdeed
def hang_at_exit() -> NoReturn:
    atexit.register(time.sleep, 60)
    threading.Thread(target=time.sleep, args=(60,), daemon=False).start()
    sys.exit(4)


@misdeed
def close_all_descriptors() -> None:
    os.closerange(3, 1000)


# -- hangs ---------------------------------------------------------------------------------


@misdeed
def sleep() -> None:
    time.sleep(60)


@misdeed
def nap() -> None:
    time.sleep(1)


@misdeed
def spin() -> None:
    while True:
        pass


@misdeed
def wait_for_a_lock() -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


@misdeed
def sleep_in_c() -> None:
    """With the GIL held: not even another thread of the worker runs."""
    ctypes.PyDLL(None).sleep(60)


@misdeed
def lock_in_c() -> None:
    """With the GIL held, and no signal ends it."""
    mutex = ctypes.create_string_buffer(64)
    ctypes.PyDLL(None).pthread_mutex_lock(mutex)
    ctypes.PyDLL(None).pthread_mutex_lock(mutex)


@misdeed
def wait_for_an_event() -> None:
    threading.Event().wait()


#: For a handler in the test's own process.
released = threading.Event()


@misdeed
def wait_for_the_test() -> None:
    released.wait(20)


@misdeed
def wait_in_a_thread() -> None:
    waiting = threading.Thread(target=wait_for_an_event)
    waiting.start()
    waiting.join()


@misdeed
def compute_on_and_on() -> None:
    """On another line all the time."""
    source = "sum(range(100_000))\n" * 2000
    exec(compile(source, "<long>", "exec"))


@misdeed
def mask_every_signal() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    time.sleep(60)


@misdeed
def take_every_signal() -> None:
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    time.sleep(60)


@misdeed
async def wait_in_vain() -> None:
    await asyncio.create_task(count())


async def count() -> None:
    async for _ in numbers():
        pass


async def numbers() -> AsyncIterator[int]:
    await asyncio.Event().wait()
    yield 1


@misdeed
async def wait_in_a_crowd() -> None:
    await asyncio.gather(*(stand_about() for _ in range(4000)))


async def stand_about() -> None:
    await asyncio.Event().wait()


@misdeed
def freeze() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


@misdeed
def ignore_every_signal() -> None:
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
    time.sleep(60)


@misdeed
def swallow_everything() -> None:
    while True:
        try:
            time.sleep(60)
        except BaseException:
            continue


# -- leftovers -----------------------------------------------------------------------------


@misdeed
def leave_a_thread() -> str:
    threading.Thread(target=time.sleep, args=(60,), daemon=False).start()
    return "left a thread"


@misdeed
def leave_a_child() -> int:
    return subprocess.Popen(["sleep", "60"]).pid


@misdeed
def leave_a_forked_child() -> int:
    pid = os.fork()
    if pid == 0:
        time.sleep(60)
        os._exit(0)
    return pid


@misdeed
def leave_a_multiprocessing_child() -> int:
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    child.start()
    return child.pid or 0


@misdeed
def leave_a_child_and_hang() -> None:
    leave_a_child()
    time.sleep(60)


@misdeed
def leave_a_child_and_die() -> NoReturn:
    print(f"child {leave_a_child()}")
    os._exit(5)


# -- too much ------------------------------------------------------------------------------


@misdeed
def eat_memory() -> None:
    eaten = []
    while True:
        eaten.append(bytearray(8 * 2**20))
        print(f"ate {len(eaten) * 8} MiB")


@misdeed
def print_50_mb() -> str:
    for number in range(50_000):
        print(f"{number:06}" + "x" * 993)
    print("the last line")
    return "printed"


@misdeed
def write_50_mb_without_python() -> str:
    block = b"y" * 999 + b"\n"
    for _ in range(50):
        # As C code does it, which looks at no error.
        with contextlib.suppress(OSError):
            os.write(1, block * 1000)
    return "written"


# -- results -------------------------------------------------------------------------------


@misdeed
def return_a_set() -> set[int]:
    return {1, 2}


@misdeed
def return_an_object() -> object:
    return object()


@misdeed
def return_itself() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


@misdeed
def return_7_mib() -> str:
    return "z" * (7 * 2**20)


@misdeed
def return_half_a_character() -> str:
    return "\udce9"


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


@misdeed
def raise_without_text() -> NoReturn:
    raise Unprintable


@misdeed
def print_what_no_message_can_carry() -> str:
    print("half a character: \udce9")
    logging.getLogger("odd").warning("another: %s", "\ud800")
    frames = (
        '["stdout", 1, 2]',
        '["log", "x", "y", "z", 1]',
        '["log", "x", 1e400, "z", 1]',
        '["log", "x", 1, "z", 99999999999999999999]',
        '["log", "x", 1, "\\udce9", 1]',
        "[" * 10_000,
    )
    for frame in frames:
        os.write(1, f"\x1e{frame}\n".encode())
    os.write(1, b"\xff\xfe no text\n\0\n")
    return "printed"


@misdeed
def print_what_no_message_can_carry_and_die() -> NoReturn:
    print_what_no_message_can_carry()
    os._exit(6)


@misdeed
def raise_half_a_character() -> NoReturn:
    raise ValueError("no file caf\udce9")


@misdeed
def raise_a_long_text() -> NoReturn:
    raise ValueError("w" * 100 * 1024)
