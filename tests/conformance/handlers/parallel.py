"""Suite 8: parallel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from async_durable_execution import (
    BatchResult,
    CompletionConfig,
    NestingType,
    durable_callable,
    durable_execution,
    parallel,
    step,
    wait,
)

from .step import give


@durable_callable
async def stepping(value: Any) -> Any:
    return await step(give(value))


@durable_callable
async def plain(value: Any) -> Any:
    return value


async def failing() -> None:
    raise RuntimeError("this branch fails")


def counts(batch: BatchResult[Any], *names: str) -> dict[str, Any]:
    """A projection; branches that were never started are not counted."""
    everything = {
        "completionReason": batch.completion_reason.value,
        "status": batch.status.value,
        "successCount": batch.success_count,
        "failureCount": batch.failure_count,
        "totalCount": batch.success_count + batch.failure_count + batch.started_count,
    }
    return {name: everything[name] for name in names or everything}


async def one_by_one(
    name: str, branches: list[Callable[..., Any]], **config: Any
) -> BatchResult[Any]:
    return await parallel(branches, name=name, max_concurrency=1, **config)


@durable_execution
async def two_steps(event: None) -> list[Any]:
    batch = await one_by_one("parallel", [stepping("task-1"), stepping("task-2")])
    return batch.get_results()


@durable_execution
async def named_branches(event: None) -> list[Any]:
    async def first() -> str:
        return "one"

    async def second() -> str:
        return "two"

    return (await one_by_one("named", [first, second])).get_results()


@durable_execution
async def no_branches(event: None) -> list[Any]:
    return (await parallel([], name="empty")).get_results()


@durable_execution
async def fail_fast(event: None) -> dict[str, Any]:
    config = CompletionConfig(tolerated_failure_count=0)
    branches = [plain("ok"), failing, plain("never")]
    return counts(await one_by_one("failfast", branches, completion_config=config))


@durable_execution
async def tolerated(event: None) -> dict[str, Any]:
    config = CompletionConfig(tolerated_failure_count=1)
    branches = [plain("a"), failing, plain("b")]
    return counts(await one_by_one("tolerated", branches, completion_config=config))


@durable_execution
async def flat(event: None) -> list[Any]:
    branches = [stepping("fa"), stepping("fb")]
    return (await one_by_one("flat", branches, nesting_type=NestingType.FLAT)).get_results()


@durable_execution
async def suspended_branch(event: None) -> list[Any]:
    async def waiting() -> str:
        await wait(2)
        return "b1"

    return (await one_by_one("replay", [stepping("b0"), waiting])).get_results()


@durable_execution
async def all_fail(event: None) -> dict[str, Any]:
    config = CompletionConfig(tolerated_failure_count=3)
    return counts(await one_by_one("all-fail", [failing] * 3, completion_config=config))


@durable_execution
async def two_conditions(event: None) -> dict[str, Any]:
    config = CompletionConfig(min_successful=3, tolerated_failure_count=1)
    branches = [failing, failing, plain("a"), plain("b")]
    batch = await one_by_one("combined", branches, completion_config=config)
    return counts(batch, "completionReason", "successCount", "failureCount", "totalCount")


@durable_execution
async def no_concurrency(event: None) -> list[Any]:
    batch = await parallel([plain("a"), plain("b")], name="bad-concurrency", max_concurrency=0)
    return batch.get_results()


@durable_execution
async def nested(event: None) -> list[Any]:
    async def branch() -> list[Any]:
        return (await one_by_one("inner", [stepping("i1"), stepping("i2")])).get_results()

    return (await one_by_one("outer", [branch])).get_results()


CASES = {
    "8-1": two_steps,
    "8-3": named_branches,
    "8-5": no_branches,
    "8-6": fail_fast,
    "8-9": tolerated,
    "8-12": flat,
    "8-14": suspended_branch,
    "8-16": all_fail,
    "8-18": two_conditions,
    "8-19": no_concurrency,
    "8-21": nested,
}
