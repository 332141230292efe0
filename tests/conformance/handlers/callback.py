"""Suite 4: callbacks."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from async_durable_execution import (
    CallbackError,
    JsonSerDes,
    SerDes,
    create_callback,
    durable_execution,
    wait,
)


@durable_execution
async def basic(event: str) -> Any:
    callback = await create_callback(name=event, serdes=JsonSerDes())
    return await callback.result()


@durable_execution
async def five_seconds(event: str) -> Any:
    callback = await create_callback(name=event, timeout=5)
    return await callback.result()


@durable_execution
async def heartbeats(event: str) -> Any:
    callback = await create_callback(name=event, heartbeat_timeout=10)
    return await callback.result()


@durable_execution
async def answered_during_wait(event: str) -> Any:
    callback = await create_callback(name=event)
    await wait(5)
    return await callback.result()


@durable_execution
async def timed_out_during_wait(event: str) -> Any:
    callback = await create_callback(name=event, timeout=3)
    await wait(6)
    return await callback.result()


@durable_execution
async def failure_caught(event: str) -> str:
    callback = await create_callback(name=event)
    try:
        message = await callback.result()
    except CallbackError as error:
        message = str(error)
    await wait(2)
    return message


class Receipt(SerDes[dict[str, Any]]):
    """A receipt whose time is text on the wire and a datetime here."""

    async def serialize(self, value: dict[str, Any]) -> str:
        return json.dumps(value | {"timestamp": value["timestamp"].isoformat()})

    async def deserialize(self, data: str) -> dict[str, Any]:
        value = json.loads(data)
        return value | {"timestamp": datetime.fromisoformat(value["timestamp"])}


@durable_execution
async def own_serdes(event: str) -> dict[str, Any]:
    callback = await create_callback(name=event, serdes=Receipt())
    receipt = await callback.result()
    return {"received": receipt | {"timestamp": int(receipt["timestamp"].timestamp())}}


@durable_execution
async def one_after_the_other(event: list[str]) -> list[Any]:
    results = []
    for name in event:
        callback = await create_callback(name=name)
        results.append(await callback.result())
    return results


@durable_execution
async def last_first(event: list[str]) -> list[Any]:
    first = await create_callback(name=event[0])
    second = await create_callback(name=event[1])
    last = await second.result()
    return [await first.result(), last]


CASES = {
    "4-1": basic,
    "4-3": five_seconds,
    "4-5": heartbeats,
    "4-6": basic,
    "4-9": answered_during_wait,
    "4-11": timed_out_during_wait,
    "4-13": failure_caught,
    "4-15": own_serdes,
    "4-17": one_after_the_other,
    "4-19": last_first,
}
