"""How functions are configured and registered, and what nothing can be started with."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

import pytest
from async_durable_execution import durable_execution

from async_durable_execution_runner import (
    AsyncDurableFunctionTestRunner,
    DurableFunctionCloudTestRunner,
    DurableFunctionTestRunner,
    HandlerNotLoadable,
    Isolation,
    NotStarted,
)
from async_durable_execution_runner.client.settings import FunctionSettings, settings
from async_durable_execution_runner.runner.registration import function_name_of


@durable_execution
async def echo(event: Any) -> Any:
    return event


def plain(event: Any, context: Any) -> Any:
    return event


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"payload": '"\ud800"'}, "payload=.* is not UTF-8"),
        ({"payload": {}}, r"payload=\{\} must be a string"),
        ({"execution_name": 5}, "execution_name=5 must be a string"),
        ({"function_name": 5}, "function_name=5 must be a string"),
        ({"tenant_id": 5}, "tenant_id=5 must be a string"),
        ({"tenant_id": "\ud800"}, "tenant_id=.* is not UTF-8"),
        ({"faults": 5}, "5 is not a fault: give text, like kill@after-commit:17, or a Fault"),
        ({"faults": ["kill@invocation-start:1", None]}, "None is not a fault"),
    ],
)
def test_what_nothing_can_be_started_with(given: dict[str, Any], problem: str) -> None:
    with pytest.raises((TypeError, ValueError), match=problem):
        DurableFunctionTestRunner(handler=echo).start(**given)


@pytest.mark.parametrize(("given", "kept"), [(0.2, 1), (1.6, 2), (timedelta(minutes=1), 60)])
def test_an_executions_time_out_is_in_whole_seconds(given: Any, kept: int) -> None:
    assert settings(FunctionSettings(), execution_timeout=given).execution_timeout == kept


def test_a_runner_of_no_handler_asks_for_a_name() -> None:
    with pytest.raises(ValueError, match="was given no handler: say function_name="):
        DurableFunctionTestRunner(None).run()


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ({"workers": "2"}, "workers='2' must be a whole number, from 0 to 2147483647"),
        ({"workers": 0}, "workers=0: at least one is needed"),
        ({"memory": 10**12}, "memory=1000000000000 must be a whole number, from 1"),
        ({"memory": 0}, "memory=0 must be a whole number, from 1"),
        ({"invocation_retries": 10**12}, "invocation_retries=1000000000000 must be a whole"),
        ({"invocation_retries": -1}, "invocation_retries=-1 must be a whole number, from 0"),
        ({"retry_backoff": -5}, "retry_backoff=-5 must not be negative"),
        ({"limits": {"step": 1}}, "'step' is none of step_output, context_output, callback_result"),
        ({"limits": {"error": 0}}, r"limits\['error'\]=0 must be a whole number, from 1"),
        ({"region": "mars"}, "region='mars' must be a region, such as 'eu-west-1'"),
        ({"account": "12"}, "account='12' must be the 12 digits of an account"),
        ({"start_time": "2020"}, "start_time='2020' must be an aware datetime"),
        ({"start_time": datetime(2020, 1, 1)}, "must be an aware datetime"),
    ],
)
def test_what_no_runner_can_be_made_with(option: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        DurableFunctionTestRunner(handler=echo, **option)


@pytest.mark.parametrize("use", ["run", "start", "run_async"])
def test_a_runner_that_is_not_open_says_so(use: str) -> None:
    with pytest.raises(NotStarted, match="use it in a `with`"):
        getattr(DurableFunctionTestRunner(handler=echo), use)(input=1)


def test_the_function_is_named_after_its_handler() -> None:
    assert DurableFunctionTestRunner(handler=echo).function_name == "echo"
    assert function_name_of(lambda event, context: None) == "lambda"
    assert len(function_name_of(type("X" * 100, (), {"__call__": plain})())) == 64


def test_settings_are_inherited_and_overridden() -> None:
    base = settings(FunctionSettings(), isolation="execution", memory=64, env={"A": "1", "B": "1"})
    own = settings(base, invocation_timeout=timedelta(seconds=1.5), env={"B": "2"})
    assert own == FunctionSettings(
        isolation=Isolation.EXECUTION,
        execution_timeout=31_622_400,
        invocation_timeout=1.5,
        memory=64,
        env={"A": "1", "B": "2"},
    )


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"execution_timeout": 0}, "execution_timeout"),
        ({"execution_timeout": timedelta(days=400)}, "31622400 seconds"),
        ({"invocation_timeout": -1}, "invocation_timeout"),
        ({"invocation_timeout": math.inf}, "invocation_timeout"),
        ({"memory": 0}, "memory"),
        ({"env": {"A": 1}}, "env"),
        ({"env": {"A=B": "1"}}, "env"),
        ({"env": {"": "1"}}, "env"),
        ({"env": {"A": "\0"}}, "env"),
        ({"isolation": "nonsense"}, "nonsense.*worker.*execution.*invocation.*inline"),
        ({"workers": 0}, "workers"),
        ({"workers": -1, "listen": "127.0.0.1:0"}, "workers"),
        ({"invocation_retries": -1}, "invocation_retries"),
        ({"start_time": datetime(2030, 1, 1)}, "start_time"),
    ],
)
def test_settings_that_cannot_be_are_refused_at_once(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        DurableFunctionTestRunner(handler=echo, **given)


def test_a_bad_handler_is_refused_at_registration() -> None:
    with pytest.raises(HandlerNotLoadable, match="not decorated with @durable_execution"):
        DurableFunctionTestRunner(handler=plain)
    runner = DurableFunctionTestRunner(handler=echo)
    with pytest.raises(HandlerNotLoadable, match="durable"):
        runner.register_function("other", echo)
    with pytest.raises(HandlerNotLoadable, match="not decorated with @durable_execution"):
        runner.register_durable_function("other", plain, isolation="inline")
    with pytest.raises(HandlerNotLoadable):
        runner.register_function("other", 17)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (DurableFunctionTestRunner, echo),
        (AsyncDurableFunctionTestRunner, echo),
        (DurableFunctionCloudTestRunner, "echo"),
    ],
)
def test_a_keyword_that_is_nearly_right_is_named(kind: Any, given: Any) -> None:
    near, meant = ("clients", "client") if isinstance(given, str) else ("worker", "workers")
    with pytest.raises(TypeError) as raised:
        kind(given, **{near: 4})
    expected = f"{kind.__name__}() has no keyword argument {near!r}: did you mean {meant!r}?"
    assert str(raised.value) == expected
    with pytest.raises(TypeError, match=r"has no keyword argument 'xyzzy'\.$"):
        kind(given, xyzzy=4)


@pytest.mark.parametrize(
    ("method", "near", "meant"),
    [
        ("run", "inptu", "input"),
        ("run", "fault", "faults"),
        ("run", "execution_timeout", "timeout"),
        ("run", "replay_every_checkpont", "replay_every_checkpoint"),
        ("start", "execution_nam", "execution_name"),
        ("explore_crashes", "callback", "callbacks"),
        ("mock_function", "reslt", "result"),
        ("register_function", "memry", "memory"),
        ("register_durable_function", "function_name", "name"),
        ("send_callback_success", "resutl", "result"),
    ],
)
@pytest.mark.parametrize("kind", [DurableFunctionTestRunner, AsyncDurableFunctionTestRunner])
async def test_a_method_s_keyword_that_is_nearly_right_is_named(
    kind: Any, method: str, near: str, meant: str
) -> None:
    async def call() -> None:
        await getattr(kind(echo), method)("name", **{near: 1})

    with pytest.raises(TypeError) as raised:
        await call()
    expected = f"{method}() has no keyword argument {near!r}: did you mean {meant!r}?"
    assert str(raised.value) == expected


@pytest.mark.parametrize("kind", [DurableFunctionTestRunner, AsyncDurableFunctionTestRunner])
def test_functions_are_registered_in_one_line(kind: Any) -> None:
    runner = kind(echo)
    assert runner.register_durable_function("a", echo).register_function("b", plain) is runner


def test_a_runner_says_where_handlers_run() -> None:
    runners = (DurableFunctionTestRunner(echo), DurableFunctionCloudTestRunner("echo", "eu-west-1"))
    assert [runner.mode for runner in runners] == ["local", "cloud"]
