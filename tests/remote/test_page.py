"""The commands of `docs/remote-workers.md` run as they are written, on machines of their own."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from .network import Machine, Network, why_not
from .team import Process

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "never"),
]

PAGE = (Path(__file__).parents[2] / "docs" / "remote-workers.md").read_text(encoding="utf-8")
#: The commands of a block, and what is said to be printed by the last.
BLOCK = re.compile(r"^```console\n((?:\$ .*\n(?: {4}.*\n)*)+)((?:.*\n)*?)```$", re.M)
SECTIONS = {
    title: BLOCK.findall(text)
    for title, text in re.findall(r"^##+ (.*)\n((?:(?!##).*\n)*)", PAGE, re.M)
}
CERTIFICATES = SECTIONS["Begin"].pop(0)
HANDLER = """
from async_durable_execution import durable_execution, step

async def one():
    return 1

@durable_execution
async def buy(event):
    return await step(one, name="one")
"""
TEST = """
import shop

def test_a_purchase(make_durable_runner):
    runner = make_durable_runner(shop.buy)
    while len(runner.status().hosts) < 2:
        pass
    assert all(each.get_deserialized_result() == 1 for each in runner.run_many([{}] * 20))
"""


class Place:
    """A machine that calls the coordinator by its name, and a folder there."""

    def __init__(self, machine: Machine, folder: Path, hosts: Path) -> None:
        self._machine = machine
        self._hosts = hosts
        #: Where others reach it.
        self.address = machine.address
        self.folder = folder
        folder.mkdir()

    def bring(self, commands: str, team: Path) -> None:
        """Bring the code, and those files of the team that the commands name."""
        (self.folder / "shop.py").write_text(HANDLER)
        (self.folder / "team").mkdir()
        for name in re.findall(r"team/(\S+)", commands):
            shutil.copy(team / name, self.folder / "team" / name)

    def run(self, commands: str) -> Process:
        script = re.sub(r"^\$ ", "", commands, flags=re.M)
        # What a test's own pytest has said to its processes is not for that of the page.
        ours = [f"--unset={name}" for name in os.environ if name.startswith(("PYTEST", "COV_"))]
        # The machine has a mount table of its own. The last command takes the shell's place.
        setup = f"mount --bind {self._hosts} /etc/hosts; cd {self.folder}; "
        path = f"PATH={Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        script = re.sub(r"^(?=\S.*(\n .*)*\Z)", "exec ", script.strip(), flags=re.M)
        shell = self._machine.command("env", *ours, path, "bash", "-ec", setup + script)
        return Process(command=shell)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("section", ["Begin", "Mutual TLS"])
def test_the_commands_run_as_they_are_written(section: str, tmp_path: Path) -> None:
    (coordinator, listens), (host, _), (test, _) = SECTIONS[section]
    listing, _ = SECTIONS["Operations"][0]
    hosts = tmp_path / "hosts"
    with Network() as network:
        here, one, two, desk = (
            Place(network.machine(), tmp_path / name, hosts)
            for name in ("here", "one", "two", "desk")
        )
        hosts.write_text(f"127.0.0.1 localhost\n{here.address} coordinator.example\n")
        code, said = here.run(CERTIFICATES[0]).end()
        assert code == 0, said
        for place, commands in (one, host), (two, host), (desk, test):
            place.bring(commands, here.folder / "team")
        (desk.folder / "test_shop.py").write_text(TEST)
        with here.run(coordinator) as listening, one.run(host), two.run(host):
            assert listening.says("listens") == listens
            code, said = desk.run(test).end(within=60)
            assert code == 0, said
            assert "1 passed" in said
            code, said = desk.run(test.replace("$ pytest\n", listing)).end()
            assert code == 0, said
            assert said.startswith("2 worker hosts, ")
