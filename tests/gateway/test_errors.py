"""Errors as boto3 wants them: a header, a status, and a body in the modelled exception's shape."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.parsers import create_parser

from async_durable_execution_runner import errors
from async_durable_execution_runner.gateway import responses
from async_durable_execution_runner.gateway.model import API
from async_durable_execution_runner.gateway.refusals import Refusal
from gateway.clients import Client
from gateway.served import GET, Saying, connected, serving

CODES = sorted({code for operation in API.operations.values() for code in operation.errors})


@pytest.mark.parametrize("code", CODES)
def test_every_modelled_error_is_read_as_itself(code: str) -> None:
    response = responses.failure(code, "why", 400)
    shape = API.error_shape(code)
    raw = {
        "status_code": response.status,
        "headers": {name.lower(): value for name, value in response.headers},
        "body": response.body,
    }
    parsed = create_parser("rest-json").parse(raw, API.operations["Invoke"].output)
    assert parsed["Error"] == {"Code": code, "Message": "why"}
    modelled = create_parser("rest-json").parse(raw, shape)
    assert modelled.pop("Type", "User") == ("User" if response.status < 500 else "Service")
    assert list(modelled.values()) == ["why"]
    assert response.status == shape.metadata["error"]["httpStatusCode"]


SERVICE_ERRORS = [
    each
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, errors.ServiceError) and "code" in vars(each)
]


@pytest.mark.parametrize("kind", SERVICE_ERRORS)
async def test_every_error_of_ours_has_its_code_and_status(kind: Any) -> None:
    status, headers, body = await answer_to(kind("not so"))
    assert status == kind.http_status
    assert headers["x-amzn-errortype"] == kind.code
    assert "not so" in body.values()


async def answer_to(error: Exception) -> tuple[int, dict[str, str], Any]:
    async with serving(Saying(error)) as gateway, connected(gateway.endpoint_url) as connection:
        return await connection.ask(GET)


async def test_an_unmodelled_refusal_keeps_its_status() -> None:
    status, headers, body = await answer_to(Refusal("OddException", "odd", 418))
    assert (status, headers["x-amzn-errortype"]) == (418, "OddException")
    assert body == {"Type": "User", "message": "odd"}


async def test_a_known_trouble_is_the_service_s() -> None:
    status, headers, body = await answer_to(errors.WorkersUnavailable("no workers"))
    assert (status, headers["x-amzn-errortype"]) == (500, "ServiceException")
    assert body == {"Type": "Service", "Message": "no workers"}


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Refusal("OddException", "odd", 418), "OddException: odd"),
        (
            errors.ResourceNotFound("no such function"),
            "ResourceNotFoundException: no such function",
        ),
        (errors.WorkersUnavailable("no workers"), "ServiceException: no workers"),
    ],
)
async def test_a_refusal_is_in_the_log(
    caplog: pytest.LogCaptureFixture, error: Exception, said: str
) -> None:
    with caplog.at_level("INFO", "async_durable_execution_runner.gateway"):
        await answer_to(error)
    assert caplog.messages == [f"GET /2015-03-31/functions refused, {said}"]


async def test_an_unexpected_error_is_one_sentence_and_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR):
        status, headers, body = await answer_to(ZeroDivisionError("secret of ours"))
    assert (status, headers["x-amzn-errortype"]) == (500, "ServiceException")
    assert "ZeroDivisionError" in body["Message"]
    assert "secret" not in body["Message"]
    (record,) = [each for each in caplog.records if "functions failed" in each.getMessage()]
    assert record.exc_info is not None


@pytest.mark.parametrize(
    "line",
    [
        "GET /",
        "GET /nothing",
        "PATCH /2015-03-31/functions",
        "OPTIONS *",
        "HEAD /2015-03-31/functions",
        "GET /2015-03-31/functions/f/g/h/i",
        "POST /2015-03-31/functions",
        "DELETE /2015-03-31/functions/f",
    ],
)
async def test_an_unknown_operation_is_no_failure(line: str) -> None:
    async with serving() as gateway, connected(gateway.endpoint_url) as connection:
        connection.writer.write(f"{line} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head = await connection.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 404 ")
        assert b"x-amzn-errortype: unknownoperationexception" in head.lower()


@pytest.mark.processes
def test_an_operation_that_is_not_served_says_so(client: Client) -> None:
    with pytest.raises(ClientError, match="DeleteFunction is not among") as caught:
        client.delete_function(FunctionName="order")
    assert caught.value.response["Error"]["Code"] == "UnknownOperationException"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
