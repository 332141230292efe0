"""Every operation with input of every kind that the service model lets one think of."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from core.test_shapes import check

from async_durable_execution_runner import DurableFunctionTestRunner
from async_durable_execution_runner.gateway.model import API
from gateway.clients import Client
from gateway.matrix import SERVED, Case, cases

pytestmark = pytest.mark.processes

CASES = list(cases())
SERIALIZER = create_serializer("rest-json", include_validation=False)
PARSER = create_parser("rest-json")


@pytest.fixture(scope="module")
def connection(endpoint: str) -> Iterator[http.client.HTTPConnection]:
    """One for all, since it must survive all."""
    connection = http.client.HTTPConnection(endpoint.removeprefix("http://"), timeout=60)
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def live(runner: DurableFunctionTestRunner, client: Client) -> dict[str, str]:
    """What there is, by the member that means it."""
    started = client.invoke(FunctionName="approval", InvocationType="Event")
    arn = started["DurableExecutionArn"]
    return {
        "DurableExecutionArn": arn,
        "CallbackId": runner.wait_for_callback(arn),
        "FunctionName": "plain",
    }


def ask(connection: http.client.HTTPConnection, operation: str, given: dict[str, Any]) -> Any:
    """The answer as botocore's parsers take it; the request is as its serializer makes it."""
    request = SERIALIZER.serialize_to_request(given, API.model.operation_model(operation))
    query = urlencode(request["query_string"], doseq=True)
    target = request["url_path"] + (f"?{query}" if query else "")
    headers = {name: value.encode() for name, value in request["headers"].items()}
    connection.request(request["method"], target, request["body"], headers)
    response = connection.getresponse()
    return {
        "status_code": response.status,
        "headers": {name.lower(): value for name, value in response.getheaders()},
        "body": response.read(),
    }


def error_of(raw: Any, client: Client) -> tuple[str, str]:
    """Code and message, once everything is as boto3 wants a modelled exception."""
    error = PARSER.parse(raw, None)["Error"]
    code: str = error["Code"]
    shape = API.error_shape(code)
    assert raw["status_code"] == shape.metadata["error"]["httpStatusCode"]
    assert set(json.loads(raw["body"])) <= set(shape.members)
    modelled = PARSER.parse(raw, shape)
    assert error["Message"] in modelled.values()
    assert client.exceptions.from_code(code).__name__ == code
    return code, error["Message"]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_input(
    case: Case, connection: http.client.HTTPConnection, live: dict[str, str], client: Client
) -> None:
    operation = API.operations[case.operation]
    given = {
        name: live[name] if name in live and name not in case.label else value
        for name, value in case.parameters.items()
    }
    raw = ask(connection, case.operation, given)
    if raw["status_code"] >= 300:
        code, message = error_of(raw, client)
        assert code in operation.errors
        assert code != "ServiceException", message
        refused = "failed to satisfy constraint" in message or "is not of type" in message
        assert refused is not case.good, message
        if not case.good:
            assert code in ("InvalidParameterValueException", "InvalidRequestContentException")
        return
    assert case.good
    assert raw["status_code"] in (operation.status, 202, 204)
    PARSER.parse(raw, operation.output)
    if not operation.output.serialization.get("payload"):
        check(json.loads(raw["body"]), operation.output, case.operation)


def test_there_are_cases_of_every_kind_for_every_operation() -> None:
    for name in SERVED:
        kinds = {case.good for case in CASES if case.operation == name}
        assert kinds == ({True, False})
    assert len({str(case) for case in CASES}) == len(CASES) > 250


@pytest.mark.parametrize("operation", SERVED)
def test_good_input_is_not_only_refused_otherwise(
    operation: str,
    connection: http.client.HTTPConnection,
    runner: DurableFunctionTestRunner,
    start: Callable[..., str],
    client: Client,
) -> None:
    """What there is is found; the two that need a handler's token have tests of their own."""
    arn = start("approval")
    given: dict[str, str] = {
        "DurableExecutionArn": arn,
        "CallbackId": runner.wait_for_callback(arn),
        "FunctionName": "order",
        "CheckpointToken": "bm9uZQ==",
    }
    needed = API.operations[operation].input.required_members
    raw = ask(connection, operation, {name: given[name] for name in needed})
    if "CheckpointToken" in needed:
        assert error_of(raw, client)[1] == "Invalid checkpoint token"
    else:
        assert raw["status_code"] == 200
