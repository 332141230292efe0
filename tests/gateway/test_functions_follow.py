"""Requests to a server whose functions follow: nobody is answered before these are known."""

from __future__ import annotations

import asyncio

import pytest
from coordinator.world import World, succeeded

from async_durable_execution_runner.coordinator import lambda_service
from async_durable_execution_runner.gateway.refusals import Refusal


async def test_a_request_waits_until_the_functions_are_known() -> None:
    world = World()
    workspace = world.workspace()
    operations = lambda_service.operations(
        world.executor, workspace, lambda: "name", True, None, functions_follow=True
    )
    world.function(workspace, lambda _: succeeded())
    listing = asyncio.ensure_future(operations["ListFunctions"]({}))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not listing.done()
    world.executor.replace_functions(workspace, list(workspace.functions.values()))
    (only,) = (await listing)["Functions"]
    assert [only["FunctionName"]] == list(workspace.functions)


async def test_who_has_waited_long_is_told_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lambda_service, "_PATIENCE", 0.0)
    world = World()
    operations = lambda_service.operations(
        world.executor, world.workspace(), lambda: "name", True, None, functions_follow=True
    )
    with pytest.raises(Refusal, match="still being imported, after 0 s: ask again") as refused:
        await operations["Invoke"]({"FunctionName": "f"})
    assert (refused.value.code, refused.value.http_status) == ("ServiceException", 500)
