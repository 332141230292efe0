"""`GetFunction`, `GetFunctionConfiguration`, `ListFunctions`."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from async_durable_execution_runner import DurableFunctionTestRunner
from gateway import handlers
from gateway.clients import Client, client_for

pytestmark = pytest.mark.processes


def test_a_function_s_configuration(client: Client) -> None:
    found = client.get_function_configuration(FunctionName="short")
    assert found["FunctionName"] == "short"
    assert found["FunctionArn"] == "arn:aws:lambda:us-east-1:123456789012:function:short"
    assert found["Handler"].endswith("handlers.approval")
    assert found["Runtime"] == f"python3.{sys.version_info.minor}"
    assert (found["Timeout"], found["MemorySize"]) == (30, 128)
    assert found["DurableConfig"] == {"ExecutionTimeout": 300}
    assert (found["State"], found["Version"]) == ("Active", "$LATEST")
    assert client.get_function(FunctionName="short")["Configuration"] == {
        key: value for key, value in found.items() if key != "ResponseMetadata"
    }


def test_a_plain_function_has_no_durable_configuration(client: Client) -> None:
    assert "DurableConfig" not in client.get_function_configuration(FunctionName="plain")


@pytest.mark.parametrize("operation", ["get_function", "get_function_configuration"])
def test_an_unknown_function_is_not_found(client: Client, operation: str) -> None:
    with pytest.raises(client.exceptions.ResourceNotFoundException, match="Function not found"):
        getattr(client, operation)(FunctionName="missing")


def test_all_functions_in_pages() -> None:
    with DurableFunctionTestRunner(handler=handlers.order, env={"STAGE": "test"}) as runner:
        for name in ("c", "a", "b:live"):
            runner.register_function(name, handlers.plain)
        client: Any = client_for(runner.serve_aws_api())
        pages = list(
            client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 3})
        )
        names = [[each["FunctionName"] for each in page["Functions"]] for page in pages]
        assert names == [["a", "b", "c"], ["order"]]
        found = pages[1]["Functions"][0]
        assert found["Environment"] == {"Variables": {"STAGE": "test"}}
