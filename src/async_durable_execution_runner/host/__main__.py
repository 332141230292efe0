"""The entry of the worker host: `python -P -m async_durable_execution_runner.host`.

The token comes on standard input where the host has a lifeline, and from a file or the environment
where it was started by hand; never on a command line. The forkserver, and so every worker, is
forked before the token is read, and has it neither in its memory nor in its environment. A
supervised host is started as by hand, but by a process that it does not outlive.

The exit code is 0 where the host was asked to end, 1 where the coordinator (or the forkserver) went
away, and 2 where the host was refused or used wrongly; 1 and 2 come with one sentence on stderr.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
from functools import partial
from typing import NoReturn

from .. import errors, log
from ..core.text import visible
from ..rpc import OURS, check_descriptors, set_up_grpc
from ..security import access, secrecy
from . import JOINED

#: The environment variable with the descriptor of the socket that has the token, in a host that has
#: executed itself anew.
_SECRET_VARIABLE = "DURABLE_RUNNER_TOKEN_FD"


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    say = partial(_say, options.supervised)
    try:
        check_descriptors()
        if not options.lifeline and _SECRET_VARIABLE not in os.environ:
            _start_anew(options)
        level = log.take()
    except errors.RunnerError as error:
        return say(str(error), 2)
    secret = 0 if options.lifeline else int(os.environ.pop(_SECRET_VARIABLE, -1))
    if options.app_dir:
        try:
            os.chdir(options.app_dir)
        except OSError as error:
            return say(f"The --app-dir {options.app_dir} cannot be entered: {error.strerror}.", 2)
    labels = dict(label.partition("=")[::2] for label in options.label)

    if options.reload:
        # Python dates bytecode to the second, in which a file may change twice.
        sys.dont_write_bytecode = True
    # Imported modules stay: they are frozen afterwards, and no collection looks through them.
    gc.disable()
    set_up_grpc()
    # gRPC is imported once for both processes, and forked before it has any thread.
    from ..worker.connection import Connection
    from .host import WorkerHost

    host_end, forkserver_end = socket.socketpair()
    # Ctrl-C reaches the whole group of a terminal; there must be no moment in which it
    # ends the forkserver instead of the host.
    on_interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
    secrecy.shield()
    pid = os.fork()
    if pid == 0:
        host_end.close()
        _become_forkserver(forkserver_end, secret, os.getcwd() if options.app_dir else "")
    forkserver_end.close()
    told = secrecy.read(secret)
    if told is None:
        return say("No token came on standard input.", 2)
    token, address, tls = told
    # Logging is set up after the fork: handlers must find logging in Python's own state.
    log.set_up(level)
    if not options.lifeline:
        signal.signal(signal.SIGINT, on_interrupt)
    host = WorkerHost(
        Connection(address, token, tls=tls),
        host_end,
        pid,
        slots=options.slots,
        lifeline=0 if options.lifeline or options.supervised else None,
        stays=not options.lifeline,
        joined=partial(_tell_supervisor, options.supervised, JOINED),
        labels=labels,
        drain_timeout=options.drain_timeout,
        health_address=options.health,
        reload_from=os.getcwd() if options.reload else "",
        files=None if options.lifeline else access.Files(address, vars(options)),
    )
    gc.freeze()
    gc.enable()
    try:
        asyncio.run(host.run())
    except errors.CoordinatorUnavailable as error:
        return say(f"The coordinator at {address} is gone: {error}.", 1)
    except errors.WorkersUnavailable as error:
        return say(str(error), 1)
    except errors.InvalidConfiguration as error:
        return say(str(error), 2)
    except errors.RunnerError as error:
        return say(f"The coordinator at {address} refused this host: {error}", 2)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="worker-host", description="Run a worker host.")
    parser.add_argument("--connect", metavar="ADDRESS", help="the coordinator's address")
    parser.add_argument("--slots", type=int, default=os.cpu_count() or 1, help="workers at most")
    parser.add_argument(
        "--label",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="describe this machine; may be repeated",
    )
    parser.add_argument("--app-dir", default="", metavar="FOLDER")
    parser.add_argument("--reload", action="store_true")
    parser.add_argument("--drain-timeout", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--health", default="", metavar="HOST:PORT")
    access.add_options(parser)
    parser.add_argument(
        "--lifeline",
        action="store_true",
        help="end when standard input does, whose first line is the token and the address",
    )
    parser.add_argument(
        "--supervised",
        action="store_true",
        help="end when standard input does, and say on standard output when the coordinator has "
        "taken this host, or else why it ends",
    )
    return parser


def _start_anew(options: argparse.Namespace) -> NoReturn:
    """Execute this program once more, with the token in a socket and not in the environment, where
    the workers could read it: an environment stays readable when a variable is removed.

    Raises:
        InvalidConfiguration: There is no token, or it may not be sent there.
    """
    if not options.connect:
        raise errors.InvalidConfiguration("One of --connect and --lifeline is required.")
    given = access.read(options.connect, vars(options), os.environ)
    files = access.arguments(vars(options), os.environ)
    for secret in access.descriptors(vars(options), os.environ):
        # Nor is it open in what is executed, and so in the workers.
        os.set_inheritable(secret, False)
    for name in [each for each in os.environ if each.startswith(OURS)]:
        if name != log.VARIABLE:
            del os.environ[name]
    secret = secrecy.tell(given.token, options.connect, given.tls)
    os.set_inheritable(secret, True)
    os.environ[_SECRET_VARIABLE] = str(secret)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:], *files])


def _become_forkserver(end: socket.socket, secret: int, app_dir: str) -> NoReturn:
    from ..worker import modules
    from . import forkserver

    modules.app_dir = app_dir
    if secret:
        os.close(secret)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    forkserver.main(end)


def _say(supervised: bool, sentence: str, code: int) -> int:
    sys.stderr.write(f"{visible(sentence)}\n")
    _tell_supervisor(supervised, visible(sentence))
    return code


def _tell_supervisor(supervised: bool, line: str) -> None:
    if supervised:
        # The supervisor may be gone.
        with contextlib.suppress(OSError):
            os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    sys.exit(main())
