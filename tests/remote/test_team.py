"""Runners, a coordinator and worker hosts that find each other over TLS."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from async_durable_execution import durable_execution

from async_durable_execution_runner import DurableFunctionTestResult, DurableFunctionTestRunner
from async_durable_execution_runner.errors import (
    CoordinatorUnavailable,
    HandlerNotLoadable,
    Unauthenticated,
)

from .handlers import order, patient
from .team import COMMAND, LIMIT, TESTS, Process, Team, coordinator, free_port, worker_host

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def address(team: Team) -> Iterator[str]:
    """A coordinator that knows callers by their tokens, with a worker host."""
    with (
        coordinator(*team.server(), *team.tokens()) as address,
        worker_host(address, team.by_token("worker-host")) as host,
    ):
        host.says("connected to")
        yield address


def use(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_a_runner_runs_on_another_host(
    team: Team, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, team.by_token("client"))
    with DurableFunctionTestRunner(order, coordinator=address) as runner:
        result = runner.run({"id": 1}, timeout=LIMIT)
        assert result.get_deserialized_result()["id"] == 1
        # Not even where the token is.
        assert str(team.folder) not in result.get_deserialized_result()["environment"]
        assert len(result.invocations) == 2
    monkeypatch.setenv("DURABLE_RUNNER_COORDINATOR", address)
    with DurableFunctionTestRunner(order) as runner:
        assert runner.address == address
        many = runner.run_many([{"id": number} for number in range(20)], timeout=LIMIT)
    assert [each.get_deserialized_result()["id"] for each in many] == list(range(20))


def test_a_token_that_comes_as_a_descriptor_is_out_of_handlers_reach(
    team: Team, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, team.by_token("client"))
    token = team.folder / "worker-host.token"
    options = ["--connect", address, "--ca-file", team.folder / "ca.pem", "--verbose"]
    options += ["--token-file", "/dev/fd/3", "--app-dir", TESTS, "--label", "by=descriptor"]
    opened = ["bash", "-c", f'exec "$@" 3<{token}', "bash", *COMMAND]
    with (
        Process("worker-host", *options, command=opened) as host,
        DurableFunctionTestRunner(
            order, coordinator=address, labels={"by": "descriptor"}
        ) as runner,
    ):
        host.says("connected to")
        result = runner.run({"id": 1}, timeout=LIMIT).get_deserialized_result()
    assert "/dev/null" in result["files"]
    assert str(token) not in result["files"]


def test_a_worker_hosts_token_registers_no_code(
    team: Team, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, team.by_token("worker-host"))
    with (
        pytest.raises(Unauthenticated, match="The token is missing or wrong"),
        DurableFunctionTestRunner(order, coordinator=address),
    ):
        pass


def test_a_clients_token_gives_no_invocations(team: Team, address: str) -> None:
    with worker_host(address, team.by_token("client")) as host:
        code, said = host.end()
    assert code == 2
    assert f"The coordinator at {address} refused this host: The token is missing" in said


@pytest.mark.parametrize("wrong", ["no TLS", "another authority"])
def test_who_speaks_tls_otherwise_is_told_where_it_fails(
    team: Team, address: str, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, team.by_token("client"))
    if wrong == "no TLS":
        monkeypatch.delenv("DURABLE_RUNNER_CA_FILE")
    else:
        monkeypatch.setenv("DURABLE_RUNNER_CA_FILE", str(team.folder / "client.pem"))
    with (
        pytest.raises(CoordinatorUnavailable, match=f"coordinator at {address} runs, and whether"),
        DurableFunctionTestRunner(order, coordinator=address),
    ):
        pass


def test_certificates_say_who_calls(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        coordinator(*team.server(), *team.mutual()) as address,
        worker_host(address, team.by_certificate("worker-host")) as host,
    ):
        host.says("connected to")
        use(monkeypatch, team.by_certificate("worker-host"))
        with (
            pytest.raises(Unauthenticated),
            DurableFunctionTestRunner(order, coordinator=address),
        ):
            pass
        use(monkeypatch, team.by_certificate("client"))
        with DurableFunctionTestRunner(order, coordinator=address) as runner:
            assert runner.run({"id": 2}, timeout=LIMIT).get_deserialized_result()["id"] == 2
        with worker_host(address, team.by_certificate("client")) as stranger:
            code, said = stranger.end()
        assert code == 2
        assert "refused this host" in said


def test_tokens_are_changed_without_a_restart(
    team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens, hosts = tmp_path / "clients", tmp_path / "hosts"
    tokens.write_text("old\n")
    hosts.write_text("another\n")
    given = ["--token-file", tokens, "--worker-host-token-file", hosts]
    monkeypatch.setenv("DURABLE_RUNNER_CA_FILE", str(team.folder / "ca.pem"))

    def is_good(token: str) -> bool:
        monkeypatch.setenv("DURABLE_RUNNER_TOKEN", token)
        try:
            with DurableFunctionTestRunner(order, coordinator=address):
                return True
        except Unauthenticated:
            return False

    with coordinator(*team.server(), *given) as address:
        assert is_good("old")
        assert not is_good("new")
        tokens.write_text("old\nnew\n")
        assert is_good("old")
        assert is_good("new")
        tokens.write_text("new")
        assert not is_good("old")
        tokens.unlink()
        assert is_good("new")


def test_a_worker_host_joins_again(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, team.by_token("client"))
    options, listen = [*team.server(), *team.tokens()], f"127.0.0.1:{free_port()}"
    with coordinator(*options, listen=listen):
        host = worker_host(listen, team.by_token("worker-host"))
        host.says("connected to")
    with host:
        host.says("Lost the coordinator at")
        with coordinator(*options, listen=listen):
            host.says("Joined the coordinator at")
            with DurableFunctionTestRunner(order, coordinator=listen) as runner:
                assert runner.run({"id": 3}, timeout=LIMIT).get_deserialized_result()["id"] == 3


def test_a_worker_host_lets_invocations_end_before_it_does(
    team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, team.by_token("client"))
    event, another = (
        {"begun": str(tmp_path / f"begun {n}"), "go": str(tmp_path / f"go {n}")} for n in (1, 2)
    )
    for path in (*event.values(), *another.values()):
        os.mkfifo(path)
    with (
        coordinator(*team.server(), *team.tokens()) as address,
        worker_host(address, team.by_token("worker-host")) as host,
        DurableFunctionTestRunner(patient, coordinator=address) as runner,
    ):
        handle = runner.start(event)
        assert Path(event["begun"]).read_text() == "begun"
        host.popen.send_signal(signal.SIGTERM)
        host.says("takes no more invocations")
        # It would keep the host: nobody reads yet that it has begun.
        later = runner.start(another)
        Path(event["go"]).write_text("done")
        assert handle.result(timeout=LIMIT).get_deserialized_result() == "done"
        assert host.end()[0] == 0
        with worker_host(address, team.by_token("worker-host")):
            assert Path(another["begun"]).read_text() == "begun"
            Path(another["go"]).write_text("done later")
            assert later.result(timeout=LIMIT).get_deserialized_result() == "done later"


def test_a_worker_host_is_drained_though_nobody_hears_it(
    team: Team, address: str, tmp_path: Path
) -> None:
    fifo = tmp_path / "what it says"
    os.mkfifo(fifo)
    command = ["sh", "-c", 'exec "$@" 2>"$0"', str(fifo), *COMMAND]
    with worker_host(address, team.by_token("worker-host"), command=command) as host:
        with fifo.open() as said:
            assert any("connected to" in line for line in said)
        host.popen.send_signal(signal.SIGTERM)
        assert host.popen.wait(LIMIT) == 0


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--listen", "0.0.0.0:0"], "can be reached from other machines"),
        (["--listen", "127.0.0.1:0"], "Give --token-file and --worker-host-token-file"),
        (
            ["--listen", "127.0.0.1:0", "--token-file", "none", "--worker-host-token-file", "none"],
            "The token file none cannot be read: No such file or directory.",
        ),
        (
            ["--listen", "127.0.0.1:0", "--cert-file", "{team}/ca.pem"],
            "TLS needs both --cert-file and --key-file.",
        ),
        (
            [
                "--listen",
                "127.0.0.1:0",
                "--cert-file",
                "{team}/ca.pem",
                "--key-file",
                "{team}/ca.pem",
            ],
            "holds no private key in PEM.",
        ),
        (
            [
                *("--listen", "127.0.0.1:0", "--cert-file", "{team}/ca.pem"),
                *("--key-file", "{team}/client.key"),
            ],
            "are not a certificate and its key",
        ),
        (
            [
                *("--listen", "127.0.0.1:0", "--token-file", "{team}/client.token"),
                *("--worker-host-token-file", "{team}/client.token"),
            ],
            "have a token in common",
        ),
    ],
)
def test_a_coordinator_that_is_started_wrongly_says_why(
    team: Team, options: list[str], complaint: str
) -> None:
    with Process("coordinator", *(each.format(team=team.folder) for each in options)) as process:
        code, said = process.end()
    assert code == 2
    assert complaint in said
    assert said.count("\n") == 1


def test_no_secret_is_anybodys_to_read(team: Team) -> None:
    secret = [path for path in team.folder.iterdir() if path.suffix in (".key", ".token")]
    assert len(secret) == 6
    assert {os.stat(path).st_mode & 0o777 for path in secret} == {0o600}
    with Process("certificates", team.folder, "--host", "h") as again:
        code, said = again.end()
    assert code == 2
    assert "is not empty" in said


def test_code_that_differs_on_a_worker_host_is_one_sentence(
    team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, team.by_token("client"))
    here, there = tmp_path / "here", tmp_path / "there"
    # Of another length, since Python takes bytecode for current by a file's length and second.
    for folder, amount in (here, 1), (there, 22):
        folder.mkdir()
        (folder / "shop.py").write_text(
            "from async_durable_execution import durable_execution\n"
            "@durable_execution\n"
            f"async def pay(event): return {amount}\n"
        )
    monkeypatch.syspath_prepend(here)
    shop = importlib.import_module("shop")
    with (
        coordinator(*team.server(), *team.tokens()) as address,
        DurableFunctionTestRunner(shop.pay, coordinator=address, invocation_retries=0) as runner,
    ):
        with worker_host(address, team.by_token("worker-host"), "--app-dir", there):
            error = runner.run({}, timeout=LIMIT).error
            assert error is not None
            assert "Module shop is not the same on both sides" in str(error.message)
            assert str(here / "shop.py") in str(error.message)
            assert str(there / "shop.py") in str(error.message)
        (there / "shop.py").write_bytes((here / "shop.py").read_bytes())
        with worker_host(address, team.by_token("worker-host"), "--app-dir", there):
            assert runner.run({}, timeout=LIMIT).get_deserialized_result() == 1


def test_code_travels_by_value_only_when_asked_for(
    team: Team, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, team.by_token("client"))

    @durable_execution
    async def local(event: dict) -> str:
        return "by value"

    with (
        pytest.raises(HandlerNotLoadable, match="by_value=True"),
        DurableFunctionTestRunner(local, coordinator=address),
    ):
        pass
    with DurableFunctionTestRunner(local, coordinator=address, by_value=True) as runner:
        assert runner.run({}, timeout=LIMIT).get_deserialized_result() == "by value"


def test_an_execution_begins_and_goes_on_where_it_says(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, team.by_token("client"))
    host = team.by_token("worker-host")
    with (
        coordinator(*team.server(), *team.tokens()) as address,
        worker_host(address, host, "--label", "release=old") as old,
        worker_host(address, host, "--label", "release=new") as new,
        DurableFunctionTestRunner(
            order, coordinator=address, labels={"release": "old"}, resume_on={"release": "new"}
        ) as runner,
    ):
        old.says("connected to")
        new.says("connected to")
        hosts = {each.host_id: each.labels for each in runner.status().hosts}
        assert {each["sdk"] for each in hosts.values()} == {version("async-durable-execution")}

        def releases(result: DurableFunctionTestResult) -> list[str]:
            workers = {each.worker_id: each.host_id for each in runner.status().workers}
            return [hosts[workers[each.worker_id]]["release"] for each in result.invocations]

        assert releases(runner.run({"id": 1}, timeout=LIMIT)) == ["old", "new"]
        again = runner.run({"id": 2}, timeout=LIMIT, resume_on={"release": "old"})
        assert releases(again) == ["old", "old"]
        with pytest.raises(TimeoutError, match="a worker host with release=none, but there is no"):
            runner.run({"id": 3}, timeout=0.5, labels={"release": "none"})


def test_a_full_disk_below_what_a_coordinator_says_is_one_sentence(team: Team) -> None:
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [*COMMAND, "coordinator", "--listen", "127.0.0.1:0", *map(str, team.tokens())],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=LIMIT,
            check=False,
        )
    assert ended.returncode == 2
    assert ended.stderr == "Standard output cannot be written to: No space left on device.\n"


def test_a_folder_of_handlers_that_is_not_there_is_one_sentence(team: Team) -> None:
    variables = team.by_token("worker-host")
    with worker_host("127.0.0.1:9", variables, "--app-dir", "/nowhere") as host:
        code, said = host.end()
    assert code == 2
    assert said == "The --app-dir /nowhere cannot be entered: No such file or directory.\n"
