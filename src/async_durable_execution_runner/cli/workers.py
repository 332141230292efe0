"""`durable-runner workers`: the worker hosts and workers of a coordinator, and what they run."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ..core.text import visible
from ..rpc import OURS
from ..security import access
from . import arguments as kinds

if TYPE_CHECKING:
    from ..client.control import HostStatus, RunnerStatus, WorkerStatus

_VARIABLE = f"{OURS}COORDINATOR"
#: Seconds between two looks, and those after which it is said that an answer is waited for.
_PAUSE, _SILENCE = 1.0, 2.0
_HEADER = ("pid", "state", "for", "invocation", "of")


def add_command(commands: Any) -> None:
    workers = commands.add_parser(
        "workers",
        help="list a coordinator's worker hosts and workers, and what they run",
        description="List the worker hosts and workers of a coordinator, and what they run. "
        f"Without --token-file the token is read from the environment variable {OURS}TOKEN.",
    )
    address = os.environ.get(_VARIABLE)
    workers.add_argument(
        "--connect",
        type=kinds.address,
        default=address,
        required=not address,
        metavar="HOST:PORT",
        help=f"the coordinator's address (default: ${_VARIABLE})",
    )
    workers.add_argument(
        "--watch",
        action="store_true",
        help="keep the list on the screen until SIGINT; where standard output is no terminal, "
        "print it anew at each change",
    )
    workers.add_argument(
        "--json",
        action="store_true",
        help="print it as a JSON object; with --watch, one in a line at each change",
    )
    access.add_options(workers)
    workers.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    ask = _asking(options)
    if not options.watch:
        status = ask()
        text = _json(status, indent=2) if options.json else "\n".join(listing(status))
        sys.stdout.write(f"{text}\n")
        return 0
    try:
        if not options.json and sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
            _keep_on_screen(ask)
        else:
            _print_changes(ask, options.json)
    except KeyboardInterrupt:
        pass
    return 0


def _asking(options: argparse.Namespace) -> Callable[[], RunnerStatus]:
    """Return what asks the coordinator."""
    given = access.read(options.connect, vars(options), os.environ)
    from ..rpc import set_up_grpc

    set_up_grpc()
    from ..client.cluster import unavailable
    from ..client.control import ControlClient
    from ..client.drive import drive
    from ..client.remote import RemoteCluster
    from ..client.transport import BlockingTransport, channel_to

    cluster = RemoteCluster(options.connect, given)
    transport = BlockingTransport(channel_to(cluster), given.token)
    control = ControlClient(transport, "", lambda what, detail: unavailable(cluster, what, detail))
    waits = f"Nothing has come from the coordinator at {options.connect} yet; waiting for it.\n"

    def ask() -> RunnerStatus:
        saying = threading.Timer(_SILENCE, sys.stderr.write, [waits])
        saying.start()
        try:
            return drive(control.status())
        finally:
            saying.cancel()

    return ask


# -- once and again ------------------------------------------------------------------------


def _keep_on_screen(ask: Callable[[], RunnerStatus]) -> None:
    """Draw the list over itself, on the terminal's other screen; leave the last one behind."""
    status = ask()
    # The screen is put back whatever ends this.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    # The other screen, without a cursor.
    sys.stdout.write("\x1b[?1049h\x1b[?25l")
    try:
        while True:
            width, height = shutil.get_terminal_size()
            lines = [line[:width] for line in listing(status, width, height)]
            # To the upper left corner; what was there is erased after each line and below.
            sys.stdout.write("\x1b[H" + "\x1b[K\n".join(lines) + "\x1b[K\x1b[J")
            sys.stdout.flush()
            time.sleep(_PAUSE)
            status = ask()
    finally:
        sys.stdout.write("\x1b[?25h\x1b[?1049l" + "\n".join(listing(status)) + "\n")
        sys.stdout.flush()


def _print_changes(ask: Callable[[], RunnerStatus], as_json: bool) -> None:
    shown = None
    while True:
        status = ask()
        if (now := _without_times(status)) != shown:
            if as_json:
                sys.stdout.write(f"{_json(status)}\n")
            else:
                lines = [time.strftime("%Y-%m-%d %H:%M:%S"), *listing(status), ""]
                sys.stdout.write("\n".join(lines) + "\n")
            sys.stdout.flush()
            shown = now
        time.sleep(_PAUSE)


def _without_times(status: RunnerStatus) -> object:
    """Return what makes another list of it when it changes: all but what grows by itself."""
    return (
        status.hosts,
        [(each.worker_id, each.state, each.request_id) for each in status.workers],
        [each.host_id for each in status.lost_hosts],
        (status.pid, status.queued_invocations, status.trouble),
    )


def _json(status: RunnerStatus, indent: int | None = None) -> str:
    return json.dumps(asdict(status), indent=indent)


# -- the list ------------------------------------------------------------------------------


def listing(status: RunnerStatus, width: int = 0, height: int = 0) -> list[str]:
    """Return the list, line by line.

    Args:
        status: What there is.
        width: The width into which the labels are to fit; 0 for any.
        height: How many lines there may be; 0 for any number. As many workers of each host are
            left out as it takes, those that run nothing first.
    """
    lines = _lines(status, len(status.workers), width)
    most = height
    while height and len(lines) > height and most:
        most -= 1
        lines = _lines(status, most, width)
    if height and len(lines) > height:
        left_out = len(lines) - (height - 1)
        lines[height - 1 :] = [f"… {left_out} more lines, for which this terminal is too low"]
    return [visible(line) for line in lines]


def _lines(status: RunnerStatus, most: int, width: int) -> list[str]:
    """Return all lines, with no more than `most` workers of each host."""
    from ..results.tables import table

    busy = Counter(each.host_id for each in status.workers if each.request_id)
    waiting = status.queued_invocations
    lines = [
        f"{_several(len(status.hosts), 'worker host')}, "
        f"{sum(busy[each.host_id] for each in status.hosts)} of "
        f"{_several(sum(each.slots for each in status.hosts), 'slot')} busy, "
        f"{_several(waiting, 'invocation')} {'waits' if waiting == 1 else 'wait'}"
    ]
    if status.trouble:
        lines += [f"Workers cannot be started: {line}" for line in status.trouble.splitlines()[:1]]
    # Those that run for long come first, and those that run nothing last.
    order = sorted(status.workers, key=lambda each: (not each.request_id, -each.running_seconds))
    heading, *rows = table(_HEADER, [_row(each) for each in order])

    def add_workers(host_id: str) -> None:
        own = [row for row, each in zip(rows, order, strict=True) if each.host_id == host_id]
        if own and most:
            lines.extend(f"  {row}" for row in (heading, *own[:most]))
        if own[most:]:
            lines.append(f"  … {len(own[most:])} more")

    for host in sorted(status.hosts, key=_name):
        load = f"{busy[host.host_id]} of {_several(host.slots, 'slot')} busy"
        lines += ["", f"{_name(host)}  {'draining, ' if host.draining else ''}{load}"]
        lines += _labels(host, width)
        add_workers(host.host_id)
    for host in status.lost_hosts:
        ago, had = _duration(host.lost_seconds), _several(host.lost_workers, "worker")
        lines += ["", f"{_name(host)}  lost {ago} ago, with {had}", *_labels(host, width)]
    if any(not each.host_id for each in status.workers):
        lines += ["", "inline workers, in the processes of their tests"]
        add_workers("")
    return lines


def _row(worker: WorkerStatus) -> tuple[str, ...]:
    runs = worker.function_name
    if worker.execution_arn:
        # As the other commands take it.
        runs = f"{runs}/{worker.execution_arn.split('/')[-2]}"
    return (
        str(worker.pid or ""),
        worker.state,
        _duration(worker.running_seconds) if worker.request_id else "",
        str(worker.invocation or ""),
        runs,
    )


def _name(host: HostStatus) -> str:
    return f"{host.labels.get('name') or host.host_id}  pid {host.pid}"


def _labels(host: HostStatus, width: int) -> list[str]:
    labels = [f"{name}={value}" for name, value in sorted(host.labels.items()) if name != "name"]
    lines: list[str] = []
    for label in labels:
        if lines and (not width or len(lines[-1]) + 1 + len(label) <= width):
            lines[-1] += f" {label}"
        else:
            lines.append(f"  {label}")
    return lines


def _duration(seconds: float) -> str:
    from ..results.text import duration_text

    return duration_text(timedelta(seconds=round(seconds, 1 if seconds < 60 else 0)))


def _several(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
