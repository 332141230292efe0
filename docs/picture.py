"""Make `failure.svg`, the README's picture: what pytest says of the example's test if the handler
reads a key that its event lacks.

    python docs/picture.py
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
COMMAND = ["-m", "pytest", "-q", "--show-capture=no", "-p", "no:cacheprovider", "test_order.py"]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in ("order.py", "test_order.py"):
            shutil.copy(HERE.parent / "examples" / "order" / name, folder)
        order = Path(folder, "order.py")
        order.write_text(order.read_text().replace('event["order_id"]', 'event["id"]'))
        done = subprocess.run(
            [sys.executable, *COMMAND, "--color=yes"], cwd=folder, capture_output=True, text=True
        )
    shown = done.stdout.rstrip()
    for place in (f"{folder}/", f"{sysconfig.get_paths()['purelib']}/"):
        shown = shown.replace(place, "")
    console = Console(record=True, width=110, file=io.StringIO(), force_terminal=True)
    console.print(Text("$ python -m pytest -q --show-capture=no test_order.py"))
    console.print(Text.from_ansi(shown))
    svg = console.export_svg(title="a test that fails")
    # No fonts from elsewhere: a reader's browser has one of its own.
    svg = re.sub(r"@font-face \{.*?\}\n", "", svg, flags=re.S)
    svg = svg.replace("Fira Code, monospace", "monospace")
    (HERE / "failure.svg").write_text("\n".join(map(str.rstrip, svg.splitlines())) + "\n")


if __name__ == "__main__":
    main()
