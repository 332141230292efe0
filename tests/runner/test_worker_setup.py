"""What a runner's `worker_setup=` does in each process that runs its handlers."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest

from async_durable_execution_runner import DurableFunctionTestRunner, HandlerNotLoadable
from async_durable_execution_runner.errors import SetupFailed

from . import faked, service


@pytest.mark.usefixtures("own_cluster")
@pytest.mark.processes
def test_each_worker_runs_it_once_before_it_imports_the_handler(make_durable_runner: Any) -> None:
    who = "closure"

    def setup() -> Any:
        os.environ["SET_UP"] = os.environ.get("SET_UP", "") + f"{os.environ['FOR']} "
        # The fake is still there in later invocations.
        return patch("runner.service.charge", lambda amount: f"{amount} from {who}")

    runner = make_durable_runner(faked.pay, workers=1, worker_setup=setup, env={"FOR": "test"})
    first = runner.run({"amount": 1}).get_deserialized_result()
    assert first == {
        "charged": "1 from closure",
        "at_import": "test ",
        "set_up": "test ",
        "pid": first["pid"],
    }
    assert runner.run({"amount": 1}).get_deserialized_result() == first
    killed = runner.run({"amount": 2}, faults="kill@before-commit:1").get_deserialized_result()
    assert killed["pid"] != first["pid"]
    assert {**killed, "pid": 0} == {**first, "pid": 0, "charged": "2 from closure"}

    # Neither the warm workers of one setup, nor those of none, serve the functions of another.
    named = make_durable_runner(
        faked.pay,
        workers=1,
        worker_setup="runner.faked:fakes",
        env={"FOR": "test", "WHO": "module"},
    )
    found = named.run({"amount": 3}).get_deserialized_result()
    assert (found["charged"], found["set_up"]) == ("3 from module", None)
    bare = make_durable_runner(faked.pay, workers=1, env={"FOR": "test"}, invocation_retries=0)
    assert "Nobody is there" in str(bare.run({"amount": 4}).error)


@pytest.mark.processes
@pytest.mark.parametrize(
    ("setup", "message"),
    [
        (
            faked.broken,
            f"worker_setup runner.faked:broken failed ({faked.__file__}:"
            f"{faked.broken.__code__.co_firstlineno + 1}): ValueError: no such fake",
        ),
        (
            "runner.no_fakes:setup",
            "worker_setup runner.no_fakes:setup failed: ModuleNotFoundError: "
            "No module named 'runner.no_fakes'",
        ),
    ],
)
def test_one_that_fails_is_the_invocations_error(
    make_durable_runner: Any, setup: Any, message: str
) -> None:
    runner = make_durable_runner(faked.pay, workers=1, worker_setup=setup, invocation_retries=0)
    error = runner.run({"amount": 1}).error
    assert error is not None
    assert (error.type, error.message) == ("Runtime.ImportModuleError", message)


@pytest.mark.processes
def test_inline_it_holds_in_the_test_process_while_the_runner_is_open() -> None:
    seen = []

    @contextmanager
    def setup() -> Iterator[None]:
        seen.append("set up")
        with patch.object(service, "charge", lambda amount: f"{amount} inline"):
            yield
        seen.append("undone")

    original = service.charge
    runner = DurableFunctionTestRunner(faked.pay, workers=2, isolation="inline", worker_setup=setup)
    for count in (1, 2):
        with runner:
            runner.mock_function("other", result=1)
            assert runner.run({"amount": 1}).get_deserialized_result()["charged"] == "1 inline"
        assert service.charge is original
        assert seen == ["set up", "undone"] * count


@pytest.mark.processes
def test_inline_one_that_fails_leaves_the_runner_closed() -> None:
    runner = DurableFunctionTestRunner(
        faked.pay, workers=1, isolation="inline", worker_setup=faked.broken
    )
    with pytest.raises(SetupFailed, match=r"faked:broken failed .*ValueError: no such fake"):
        runner.open()
    with pytest.raises(SetupFailed):
        runner.open()


LOCK = threading.Lock()


async def never_awaited() -> None: ...


def generates() -> Iterator[None]:
    yield


@pytest.mark.parametrize(
    ("setup", "error", "message"),
    [
        ("moto.mock_aws", ValueError, "'moto.mock_aws' is not of the form 'module:function'"),
        (3, TypeError, "worker_setup=3 is neither callable nor 'module:function'"),
        (never_awaited, TypeError, "never_awaited only makes a coroutine or a generator"),
        (generates, TypeError, "generates only makes a coroutine or a generator"),
        (service.charge, TypeError, "service:charge must be callable without arguments"),
        (LOCK.acquire, HandlerNotLoadable, "acquire.* cannot be sent to a worker"),
    ],
)
def test_one_that_cannot_be_run_is_refused_at_once(
    setup: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        DurableFunctionTestRunner(faked.pay, worker_setup=setup)


@pytest.mark.processes
def test_one_that_returns_what_must_be_awaited_fails(make_durable_runner: Any) -> None:
    with pytest.raises(SetupFailed, match=r"it returned <coroutine .*>, which a worker cannot aw"):
        make_durable_runner(faked.pay, isolation="inline", worker_setup=lambda: never_awaited())
