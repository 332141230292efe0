"""Signature Version 4: a known key gets in, and nothing else does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from async_durable_execution_runner import DurableFunctionTestRunner, InvalidParameterValue
from async_durable_execution_runner.gateway.refusals import Refusal
from async_durable_execution_runner.gateway.signatures import Keyring
from gateway import handlers
from gateway.clients import client_for

KEYS = {"AKIDONE": "first secret", "AKIDTWO": "second/secret+"}
TARGET = "/2025-12-01/durable-executions/arn%3Aaws%2Fx/history?b=2&a=%2F1&a=0"
BODY = b'{"a": 1}'


def signed(
    key: str = "AKIDONE", secret: str = KEYS["AKIDONE"], service: str = "lambda", **headers: str
) -> dict[str, str]:
    """The headers of a request that botocore has signed."""
    request = AWSRequest("POST", f"http://127.0.0.1:1{TARGET}", data=BODY)
    request.headers["Host"] = "127.0.0.1:1"
    for name, value in headers.items():
        request.headers[name.replace("_", "-")] = value
    SigV4Auth(Credentials(key, secret, "a token"), service, "us-east-1").add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


class Signer(SigV4Auth):
    """Signs these headers, and no others."""

    def __init__(self, *names: str) -> None:
        super().__init__(Credentials("AKIDONE", KEYS["AKIDONE"]), "lambda", "us-east-1")
        self._names = names

    def headers_to_sign(self, request: Any) -> HTTPHeaders:
        headers = HTTPHeaders()
        for name in self._names:
            headers[name] = request.headers.get(name, "")
        return headers


def signed_by(signer: Signer) -> dict[str, str]:
    request = AWSRequest("POST", f"http://127.0.0.1:1{TARGET}", data=BODY)
    request.headers["host"] = "127.0.0.1:1"
    request.headers["user-agent"] = "curl"
    signer.add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


def check(headers: dict[str, str], target: str = TARGET, body: bytes = BODY, **given: Any) -> None:
    Keyring(KEYS, **given).check("POST", target, headers, body)


@pytest.mark.parametrize("key", KEYS)
def test_a_known_key_gets_in(key: str) -> None:
    check(signed(key, KEYS[key], X_Amz_Tenant_Id="two  spaces"))


def test_headers_that_were_not_signed_may_be_there() -> None:
    check(signed() | {"x-amzn-trace-id": "1", "user-agent": "curl"})


def test_which_headers_are_signed_is_the_clients_choice_but_for_the_host() -> None:
    headers = signed_by(Signer("host", "user-agent", "x-amz-date"))
    check(headers)
    assert refusal(headers | {"user-agent": "wget"}) == "InvalidSignatureException"
    assert refusal(signed_by(Signer("x-amz-date"))) == "InvalidSignatureException"


def test_blanks_around_a_signature_are_none_of_it() -> None:
    headers = signed()
    check(headers | {"authorization": f" {headers['authorization']}\t"})


def test_without_keys_nobody_need_sign() -> None:
    Keyring({}).check("POST", TARGET, {}, BODY)


def refusal(headers: dict[str, str], **given: Any) -> str:
    with pytest.raises(Refusal) as caught:
        check(headers, **given)
    assert caught.value.http_status == 403
    return caught.value.code


def test_who_does_not_sign_is_refused() -> None:
    assert refusal({}) == "MissingAuthenticationTokenException"


@pytest.mark.parametrize(
    "authorization", ["Basic abc", "AWS4-HMAC-SHA256 Credential=x", "AWS4-HMAC-SHA256 nonsense"]
)
def test_half_a_signature_is_refused(authorization: str) -> None:
    assert refusal({"authorization": authorization}) == "IncompleteSignatureException"


def test_a_signature_and_more_is_refused() -> None:
    authorization = signed()["authorization"] + " and more"
    assert refusal({"authorization": authorization}) == "IncompleteSignatureException"


def test_an_unknown_key_is_refused() -> None:
    assert refusal(signed("AKIDNONE")) == "UnrecognizedClientException"


def without(headers: dict[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in headers.items() if key != name}


CHANGED: dict[str, Callable[[], dict[str, Any]]] = {
    "a wrong secret": lambda: {"headers": signed(secret="wrong")},
    "another key's secret": lambda: {"headers": signed("AKIDTWO", KEYS["AKIDONE"])},
    "for another service": lambda: {"headers": signed(service="s3")},
    "another query": lambda: {"headers": signed(), "target": f"{TARGET}&c=3"},
    "another path": lambda: {"headers": signed(), "target": TARGET.replace("history", "stop")},
    "another body": lambda: {"headers": signed(), "body": BODY + b" "},
    "another body's digest": lambda: {"headers": signed(X_Amz_Content_SHA256="0" * 64)},
    "another header": lambda: {
        "headers": signed(X_Amz_Tenant_Id="acme") | {"x-amz-tenant-id": "other"}
    },
    "a header too few": lambda: {
        "headers": without(signed(X_Amz_Tenant_Id="a"), "x-amz-tenant-id")
    },
    "another host": lambda: {"headers": signed() | {"host": "elsewhere"}},
    "a header that was not signed": lambda: {"headers": signed() | {"x-amz-tenant-id": "acme"}},
    "a date that was not signed": lambda: {"headers": signed_by(Signer("host"))},
    "a host that cannot be": lambda: {"headers": signed() | {"host": "["}},
    "a header that is signed and absent": lambda: {
        "headers": signed_by(Signer("host", "x-amz-date", "x-amz-tenant-id"))
    },
    "an unsigned body": lambda: {"headers": signed(X_Amz_Content_SHA256="UNSIGNED-PAYLOAD")},
    "a body in signed pieces": lambda: {
        "headers": signed(X_Amz_Content_SHA256="STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
    },
    "a fragment": lambda: {"headers": signed(), "target": f"{TARGET}#x"},
    "a target that is not a path": lambda: {"headers": signed(), "target": f"[{TARGET}"},
    "another session": lambda: {"headers": signed() | {"x-amz-security-token": "other"}},
}


@pytest.mark.parametrize("what", CHANGED)
def test_what_was_changed_is_refused(what: str) -> None:
    assert refusal(**CHANGED[what]()) == "InvalidSignatureException"


@pytest.mark.parametrize("seconds", [-301, 301])
def test_an_old_signature_is_refused(seconds: float) -> None:
    headers = signed()
    signed_at = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    now = signed_at.timestamp() + seconds
    assert refusal(headers, now=lambda: now) == "InvalidSignatureException"
    assert time.time() - signed_at.timestamp() < 300
    # To the second.
    last = signed_at.timestamp() + (300 if seconds > 0 else -300)
    check(headers, now=lambda: last)


def test_a_day_that_is_not_the_date_s_is_refused() -> None:
    headers = signed()
    day = headers["x-amz-date"][:8]
    headers["authorization"] = headers["authorization"].replace(f"/{day}/", "/20200101/")
    assert refusal(headers) == "InvalidSignatureException"


def test_without_a_date_it_is_refused() -> None:
    headers = signed()
    del headers["x-amz-date"]
    assert refusal(headers) == "IncompleteSignatureException"


# -- over HTTP -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runner() -> Iterator[DurableFunctionTestRunner]:
    with DurableFunctionTestRunner(handler=handlers.order) as runner:
        yield runner


@pytest.mark.processes
def test_boto3_with_a_right_and_a_wrong_key(runner: DurableFunctionTestRunner) -> None:
    endpoint = runner.serve_aws_api(access_keys=KEYS)
    for key, secret in KEYS.items():
        client: Any = client_for(endpoint, key, secret)
        answer = client.invoke(FunctionName="order", Payload=b'{"\xc3\xa9": 1}', TenantId="a b")
        found = client.list_durable_executions_by_function(
            FunctionName="order", Statuses=["SUCCEEDED", "FAILED"], StartedAfter=0
        )["DurableExecutions"]
        assert answer["DurableExecutionArn"] in [each["DurableExecutionArn"] for each in found]
    for key, secret in (("AKIDONE", "wrong"), ("AKIDNONE", "x")):
        with pytest.raises(ClientError) as caught:
            client_for(endpoint, key, secret).invoke(FunctionName="order")
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


@pytest.mark.processes
def test_beyond_loopback_a_key_is_demanded(runner: DurableFunctionTestRunner) -> None:
    for host in ("0.0.0.0", "", "::", "example.org"):
        with pytest.raises(InvalidParameterValue, match="give an access key"):
            runner.serve_aws_api(host)
    assert runner.serve_aws_api("0.0.0.0", access_keys=KEYS).startswith("http://0.0.0.0:")


@pytest.mark.processes
def test_where_nothing_can_listen_it_says_why(runner: DurableFunctionTestRunner) -> None:
    taken = int(runner.serve_aws_api().rpartition(":")[2])
    with pytest.raises(InvalidParameterValue, match="Cannot listen on"):
        runner.serve_aws_api(port=taken)
    with pytest.raises(InvalidParameterValue, match="Cannot listen on"):
        runner.serve_aws_api(port=70_000)
