"""Suite 9: map."""

from __future__ import annotations

from typing import Any

from async_durable_execution import (
    BatchItem,
    BatchItemStatus,
    BatchResult,
    CompletionConfig,
    CompletionReason,
    JsonSerDes,
    SerDes,
    durable_execution,
    get_current_context,
    map,
    step,
    wait,
)

from .parallel import counts
from .step import greet


async def upper(item: str) -> str:
    return item.upper()


async def failing(item: str) -> None:
    raise RuntimeError(f"{item} fails")


async def greeting(item: str) -> str:
    return await step(greet(item))


async def with_index(item: int) -> int:
    return item + get_current_context().index


async def large(item: str) -> str:
    return item * 70_000


async def one_by_one(name: str, func: Any, items: list[Any], **config: Any) -> BatchResult[Any]:
    return await map(func, items, name=name, max_concurrency=1, **config)


@durable_execution
async def greetings(event: list[str]) -> list[Any]:
    return (await one_by_one("map", greeting, event)).get_results()


@durable_execution
async def indexed(event: list[int]) -> list[Any]:
    return (await one_by_one("indexed", with_index, event)).get_results()


@durable_execution
async def throwing(event: None) -> None:
    config = CompletionConfig(tolerated_failure_count=0)
    batch = await one_by_one("throwing", failing, ["a", "b"], completion_config=config)
    batch.throw_if_error()


@durable_execution
async def min_successful(event: None) -> dict[str, Any]:
    config = CompletionConfig(min_successful=2)
    batch = await one_by_one("min-successful", upper, ["a"] * 4, completion_config=config)
    return counts(batch, "completionReason", "successCount", "totalCount")


@durable_execution
async def tolerated_percentage(event: None) -> dict[str, Any]:
    items = ["a", "b", "c", "d"]
    # The SDK has no percentage: a quarter of four is one.
    config = CompletionConfig(tolerated_failure_count=len(items) * 25 // 100)
    batch = await one_by_one("tolerated-pct", failing, items, completion_config=config)
    return counts(batch, "completionReason", "successCount", "failureCount", "totalCount")


@durable_execution
async def concurrent(event: None) -> list[Any]:
    async def constant(item: int) -> str:
        return f"r{item}"

    return (await map(constant, range(3), name="concurrent", max_concurrency=2)).get_results()


class Wrapped(SerDes[str]):
    async def serialize(self, value: str) -> str:
        return f"wrapped:{value}"

    async def deserialize(self, data: str) -> str:
        return data.removeprefix("wrapped:")


@durable_execution
async def item_serdes(event: None) -> list[Any]:
    return (await one_by_one("serdes", upper, ["x", "y"], item_serdes=Wrapped())).get_results()


@durable_execution
async def large_items(event: None) -> dict[str, Any]:
    batch = await one_by_one("large", large, ["a", "b", "c", "d"])
    return counts(batch, "successCount", "totalCount")


@durable_execution
async def then_wait(event: None) -> list[Any]:
    batch = await one_by_one("then-wait", upper, ["a", "b"])
    await wait(1)
    return batch.get_results()


class Joined(SerDes[BatchResult[str]]):
    """The results alone, which is all there is to a batch in which everything succeeded."""

    async def serialize(self, value: BatchResult[str]) -> str:
        return "OPSERDE:" + ",".join(value.get_results())

    async def deserialize(self, data: str) -> BatchResult[str]:
        results = data.removeprefix("OPSERDE:").split(",")
        items = [
            BatchItem(index, BatchItemStatus.SUCCEEDED, result)
            for index, result in enumerate(results)
        ]
        return BatchResult(items, CompletionReason.ALL_COMPLETED)


@durable_execution
async def operation_serdes(event: None) -> list[Any]:
    batch = await one_by_one(
        "op-serde", upper, ["x", "y"], serdes=Joined(), item_serdes=JsonSerDes()
    )
    return batch.get_results()


CASES = {
    "9-1": greetings,
    "9-3": indexed,
    "9-6": throwing,
    "9-7": min_successful,
    "9-10": tolerated_percentage,
    "9-11": concurrent,
    "9-14": item_serdes,
    "9-16": large_items,
    "9-17": then_wait,
    "9-19": operation_serdes,
}
