"""Measure the runner beside others, beside the bare transport and beside an earlier revision.

    python tests/benchmarks [--quick] [--only PATTERN] [--against REVISION]

Prints a table of ratios with their bars; exits with the number of bars that were missed. The two
sides of a ratio are measured in turns, and the turn of the median ratio is shown: its times are
there to be read, not to be compared with those of another run. Rows that gRPC's poller matters
to have a second column, measured with the poller that gRPC has by default; the bars are for the
first. Figures against a number of seconds depend on the interpreter's build: one that was
compiled without `--enable-optimizations`, as pyenv does unless told otherwise, takes a third
longer.

The rows of suites run pytest, in the folder `suites`, from the start of its process to the end.

It takes about ten minutes on two idle cores, and needs Linux. Some rows compare with what needs
an environment of its own: AWS's runner, and this project at REVISION, which git must know. Each
is made with pip when it is first needed and kept in `.benchmarks` of the checkout.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import grpc
import one_coordinator  # noqa: F401 - it has rows
from environments import commit
from rows import ROWS, Bench
from table import Table

#: What `GRPC_EXPERIMENTS` is set to, by the head of the column. Where it is not set, our processes
#: choose the older poller for themselves; where it is empty, they have gRPC's defaults.
_SETTINGS = {"gRPC's older poller": None, "gRPC's event engine": ""}
_TURNS = 7
_QUICK_TURNS = 3
#: The last revision before everything between our processes went over gRPC.
_AGAINST = "8f4c1da"


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer turns, for a first look")
    parser.add_argument(
        "--only", default="", metavar="PATTERN", help="only rows whose label contains it"
    )
    parser.add_argument(
        "--against",
        type=commit,
        default=_AGAINST,
        metavar="REVISION",
        help=f"the commit before ({_AGAINST})",
    )
    options = parser.parse_args()
    rows = [row for row in ROWS if options.only.lower() in row.what.lower()]
    if not rows:
        parser.error("no row has such a label; they are:\n" + "\n".join(row.what for row in ROWS))
    turns = _QUICK_TURNS if options.quick else _TURNS
    benches = [Bench(turns, experiments, options.against) for experiments in _SETTINGS.values()]
    # For the rows that start processes from this one.
    os.environ.pop("GRPC_EXPERIMENTS", None)
    print(f"Python {sys.version} on {os.cpu_count()} processors, grpcio {grpc.__version__}")
    print(f"{turns} turns; the commit before is {options.against[:7]}")
    table = Table(*_SETTINGS)
    for row in rows:
        columns = [row.measure(bench) for bench in benches[: None if row.each_setting else 1]]
        table.row(row.what, columns, row.bar, row.least)
    return table.missed


if __name__ == "__main__":
    sys.exit(main())
