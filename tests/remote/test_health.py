"""grpc.health.v1, as probes ask for it, which have no token and often no TLS."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from async_durable_execution_runner.rpc.v1 import control_pb2
from async_durable_execution_runner.rpc.v1.control_pb2_grpc import ControlServiceStub

from .handlers import patient
from .team import (
    LIMIT,
    DurableFunctionTestRunner,
    Process,
    Team,
    coordinator,
    free_port,
    worker_host,
)

pytestmark = pytest.mark.processes
SERVING, NOT_SERVING = "SERVING", "NOT_SERVING"
PROBES = ["--health", "127.0.0.1:0"]


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Team:
    return Team(tmp_path_factory.mktemp("team") / "certificates")


def probed(process: Process) -> str:
    return process.says("Probes are answered on ").split(" on ")[1].split(",")[0]


def health(channel: grpc.Channel, method: str = "Check") -> Any:
    ask = getattr(health_pb2_grpc.HealthStub(channel), method)
    return ask(health_pb2.HealthCheckRequest(service="any"), timeout=LIMIT)


def check(address: str) -> str:
    with grpc.insecure_channel(address) as channel:
        return health_pb2.HealthCheckResponse.ServingStatus.Name(health(channel).status)


def test_a_coordinator_answers_probes_and_reads_nothing_of_what_they_send(team: Team) -> None:
    options = [*team.server(), *team.tokens(), *PROBES]
    with Process("coordinator", "--listen", "127.0.0.1:0", *options) as process:
        plain = probed(process)
        address = process.says("listens on").split(" listens on ")[1].split(",")[0]
        assert check(plain) == SERVING
        credentials = grpc.ssl_channel_credentials((team.folder / "ca.pem").read_bytes())
        with grpc.secure_channel(address, credentials) as channel:
            assert health(channel).status == health_pb2.HealthCheckResponse.SERVING
            # Whoever shows no token may ask for that, and for nothing else.
            with pytest.raises(grpc.RpcError) as refused:
                next(health(channel, "Watch"))
            assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
            never = threading.Event()

            def says_nothing() -> Iterator[bytes]:
                never.wait()
                yield b""

            ask = channel.stream_unary("/grpc.health.v1.Health/Check", bytes, bytes)
            answer = ask(says_nothing(), timeout=LIMIT)
            never.set()
            assert health_pb2.HealthCheckResponse.FromString(answer).status == 1
        with grpc.insecure_channel(plain) as channel, pytest.raises(grpc.RpcError) as refused:
            ControlServiceStub(channel).GetStatus(control_pb2.GetStatusRequest(), timeout=LIMIT)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_worker_host_serves_while_it_takes_invocations(
    team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in team.by_token("client").items():
        monkeypatch.setenv(name, value)
    event = {"begun": str(tmp_path / "begun"), "go": str(tmp_path / "go")}
    for path in event.values():
        os.mkfifo(path)
    address = f"127.0.0.1:{free_port()}"
    with worker_host(address, team.by_token("worker-host"), *PROBES) as host:
        probes = probed(host)
        assert check(probes) == NOT_SERVING
        with coordinator(*team.server(), *team.tokens(), listen=address):
            host.says("connected to")
            assert check(probes) == SERVING
        host.says("Lost the coordinator")
        assert check(probes) == NOT_SERVING
        with (
            coordinator(*team.server(), *team.tokens(), listen=address),
            DurableFunctionTestRunner(patient, coordinator=address) as runner,
        ):
            host.says("Joined the coordinator")
            assert check(probes) == SERVING
            handle = runner.start(event)
            assert Path(event["begun"]).read_text() == "begun"
            host.popen.send_signal(signal.SIGTERM)
            host.says("takes no more invocations")
            assert check(probes) == NOT_SERVING
            Path(event["go"]).write_text("done")
            assert handle.result(timeout=LIMIT).get_deserialized_result() == "done"
            assert host.end()[0] == 0


@pytest.mark.parametrize("command", ["coordinator", "worker-host"])
def test_an_address_for_probes_that_is_taken_is_one_sentence(team: Team, command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        if command == "coordinator":
            process = Process(
                *(command, "--listen", "127.0.0.1:0", "--health", address), *team.tokens()
            )
        else:
            env = {"DURABLE_RUNNER_TOKEN": "any"}
            process = Process(command, "--connect", "127.0.0.1:1", "--health", address, env=env)
        with process:
            code, said = process.end()
    assert code == 2
    assert said.startswith(f"Cannot listen on {address}: the address is in use")
    assert said.count("\n") == 1
