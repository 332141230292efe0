"""Results, inputs and output that are too much, or that JSON cannot carry."""

from __future__ import annotations

import re
from typing import Any

import pytest
from async_durable_execution import create_callback, durable_execution, invoke, step

from async_durable_execution_runner import InvalidParameterValue, InvocationStatus

from .conftest import RunnerFor

pytestmark = pytest.mark.processes

MIB = 2**20


@durable_execution
async def approval(event: Any) -> Any:
    callback = await create_callback(name="approval")
    return len(await callback.result() or "")


@durable_execution
async def calls_with(size: int) -> str:
    try:
        return str(await invoke("target", "x" * size, name="call"))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


@durable_execution
async def keeps(size: int) -> int:
    async def large() -> str:
        # With its quotation marks.
        return "x" * (size - 2)

    return len(await step(large))


def size_of(payload: Any, context: Any) -> int:
    return len(payload)


def as_much(size: int, context: Any) -> str:
    return "y" * len(size)  # type: ignore[arg-type]


def no_json(payload: Any, context: Any) -> object:
    return {1, 2}


# -- results -------------------------------------------------------------------------------


@pytest.mark.parametrize("deed", ["return_a_set", "return_an_object", "return_itself"])
@pytest.mark.parametrize("in_step", [False, True], ids=["handler", "step"])
def test_a_result_that_json_cannot_carry(runner_for: RunnerFor, deed: str, in_step: bool) -> None:
    result = runner_for().run({"do": deed, "in_step": in_step}, timeout=20)
    assert result.status is InvocationStatus.FAILED
    assert result.error is not None
    assert re.search(
        r"[Ss]erializ|Circular|Unsupported", f"{result.error.type} {result.error.message}"
    )
    assert len(result.invocations) == 1


def test_a_plain_functions_result_that_json_cannot_carry(runner_for: RunnerFor) -> None:
    runner = runner_for(handler=calls_with)
    runner.register_function("target", no_json)
    result = runner.run(1, timeout=20)
    error = result.get_invoke("call").error
    assert error is not None
    assert error.type == "Runtime.MarshalError"
    assert error.message == (
        "Unable to marshal response: Object of type set is not JSON serializable"
    )


def test_a_result_over_6_mib_fails_the_execution_clearly(runner_for: RunnerFor) -> None:
    result = runner_for().run({"do": "return_7_mib"}, timeout=20)
    assert result.status is InvocationStatus.FAILED
    assert result.error is not None
    assert "must be less than or equal to 6291456 bytes" in str(result.error.message)


def test_a_step_result_over_the_limit_fails_the_execution_clearly(runner_for: RunnerFor) -> None:
    """The SDK (2.5) never sends an update over 750 KiB that is not the first of its batch, and
    waits for it for ever: the invocation's time-out is what ends that."""
    runner = runner_for(invocation_timeout=0.5, invocation_retries=0)
    result = runner.run({"do": "return_7_mib", "in_step": True}, timeout=20)
    assert result.status is InvocationStatus.FAILED
    assert result.error is not None
    assert result.error.type in ("Sandbox.Timedout", "CheckpointError")


def test_a_step_may_return_256_kib_or_what_the_runner_chooses(runner_for: RunnerFor) -> None:
    runner = runner_for(handler=keeps)
    assert runner.run(256 * 1024, timeout=20).status is InvocationStatus.SUCCEEDED
    result = runner.run(256 * 1024 + 1, timeout=20)
    assert result.status is InvocationStatus.FAILED
    assert result.error is not None
    assert str(result.error.message).endswith(
        "STEP output payload size must be less than or equal to 262144 bytes."
    )
    wider = runner_for(handler=keeps, limits={"step_output": 2**19})
    assert wider.run(256 * 1024 + 1, timeout=20).status is InvocationStatus.SUCCEEDED


@pytest.mark.parametrize("in_step", [False, True], ids=["handler", "step"])
def test_half_a_character_in_a_result_arrives_or_fails_clearly(
    runner_for: RunnerFor, in_step: bool
) -> None:
    result = runner_for().run({"do": "return_half_a_character", "in_step": in_step}, timeout=20)
    assert result.status is InvocationStatus.SUCCEEDED
    assert result.get_deserialized_result() == "\udce9"


@pytest.mark.parametrize("in_step", [False, True], ids=["handler", "step"])
@pytest.mark.parametrize(
    ("deed", "text"),
    [
        ("raise_without_text", ""),
        ("raise_half_a_character", "no file caf"),
        ("raise_a_long_text", "w"),
    ],
)
def test_an_error_that_can_hardly_travel(
    runner_for: RunnerFor, deed: str, text: str, in_step: bool
) -> None:
    result = runner_for().run({"do": deed, "in_step": in_step}, timeout=20)
    assert result.status is InvocationStatus.FAILED
    assert result.error is not None
    assert text in str(result.error.message)


# -- callbacks and chained invokes ---------------------------------------------------------


def test_a_callback_result_over_256_kib_is_refused_and_a_smaller_one_goes_through(
    runner_for: RunnerFor,
) -> None:
    runner = runner_for(handler=approval)
    handle = runner.start({})
    callback_id = handle.wait_for_callback("approval")
    with pytest.raises(InvalidParameterValue) as refusal:
        runner.send_callback_success(callback_id, "x" * (256 * 1024 + 1))
    assert str(refusal.value) == (
        "CALLBACK result payload size must be less than or equal to 262144 bytes."
    )
    runner.send_callback_success(callback_id, "x" * (256 * 1024))
    assert handle.result(timeout=20).result == str(256 * 1024)


def test_a_chained_input_over_1_mib_is_refused_clearly(runner_for: RunnerFor) -> None:
    runner = runner_for(handler=calls_with)
    runner.register_function("target", size_of)
    assert runner.run(MIB - 2, timeout=20).result == f'"{MIB - 2}"'
    assert "CHAINED_INVOKE input payload size must be less than or equal to 1048576 bytes" in str(
        runner.run(MIB, timeout=20).result
    )


def test_a_chained_output_over_1_mib_fails_the_invoke(runner_for: RunnerFor) -> None:
    runner = runner_for(handler=calls_with)
    runner.register_function("target", as_much)
    result = runner.run(MIB - 2, timeout=20)
    assert result.get_invoke("call").status.value == "SUCCEEDED"
    runner.register_function("target", too_much)
    result = runner.run(1, timeout=20)
    assert "CHAINED_INVOKE output payload size must be less than or equal to 1048576 bytes" in str(
        result.result
    )


def too_much(payload: Any, context: Any) -> str:
    return "y" * MIB


# -- output --------------------------------------------------------------------------------


@pytest.mark.parametrize("deed", ["print_50_mb", "write_50_mb_without_python"])
def test_50_mb_of_output_do_not_drown_the_result(runner_for: RunnerFor, deed: str) -> None:
    result = runner_for().run({"do": deed}, timeout=20)
    assert result.status is InvocationStatus.SUCCEEDED
    (invocation,) = result.invocations
    assert invocation.output_truncated
    assert 2**19 < len(str(invocation.output)) < 2 * MIB


@durable_execution
async def talks(event: Any) -> str:
    print("a\n" * 30_000)
    return "said"


def returns_9_mib(payload: Any, context: Any) -> str:
    return "y" * 9 * MIB


def test_a_result_that_no_message_may_have_arrives_as_far_as_it_may(runner_for: RunnerFor) -> None:
    result = runner_for(handler=talks).run(timeout=20)
    assert result.result == '"said"'
    (invocation,) = result.invocations
    assert invocation.output_truncated
    assert result.output.endswith(
        "a\n[runner] more than 15000 lines of output in one invocation: the rest is not kept.\n"
    )
    runner = runner_for(handler=calls_with)
    runner.register_function("target", returns_9_mib)
    assert "Response payload size exceeded maximum allowed payload size (6291456 bytes)." in str(
        runner.run(1, timeout=20).result
    )


def test_output_that_no_message_can_carry_is_made_harmless(runner_for: RunnerFor) -> None:
    result = runner_for().run({"do": "print_what_no_message_can_carry"}, timeout=20)
    assert result.result == '"printed"'
    assert r"half a character: \udce9" in result.output
    assert r"another: \ud800" in result.output


def test_the_last_words_of_a_worker_may_be_such_output_too(runner_for: RunnerFor) -> None:
    result = runner_for().run({"do": "print_what_no_message_can_carry_and_die"}, timeout=20)
    assert result.error is not None
    assert str(result.error.message).endswith("exit status 6")
    assert r"half a character: \udce9" in (result.error.stack_trace or ())
