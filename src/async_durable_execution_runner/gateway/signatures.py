"""Signature Version 4: the check whether a request was signed with a known key.

botocore's own signer computes the signature anew, over the parts that the request says are signed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

from .refusals import Refusal

#: The seconds by which a request's time may differ from the gateway's.
_SKEW = 300
_SERVICE = "lambda"
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=(?P<key>[^/,\s]+)/(?P<day>\d{8})/(?P<region>[^/,\s]+)"
    r"/(?P<service>[^/,\s]+)/aws4_request\s*,\s*SignedHeaders=(?P<headers>[^,\s]+)\s*,\s*"
    r"Signature=(?P<signature>[0-9a-f]+)"
)


class _Verifier(SigV4Auth):  # type: ignore[misc]
    """A signer that signs exactly the headers that it is given."""

    def headers_to_sign(self, request: Any) -> HTTPHeaders:
        return request.headers


class Keyring:
    """The secrets of the access keys, by id. Where there are none, nobody need sign."""

    def __init__(self, secrets: Mapping[str, str], now: Callable[[], float] = time.time) -> None:
        self._secrets = dict(secrets)
        self._now = now

    def check(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> None:
        """Check that a request is signed with one of the keys.

        Args:
            method: The request's method.
            target: The request's path and query, as they were sent.
            headers: The request's headers, by lower-case name.
            body: The request's body.

        Raises:
            Refusal: The request is not so signed (403).
        """
        if not self._secrets:
            return
        authorization = headers.get("authorization")
        if not authorization:
            raise _refused("MissingAuthenticationTokenException", "Missing Authentication Token")
        given = _AUTHORIZATION.fullmatch(authorization.strip())
        if given is None:
            raise _refused(
                "IncompleteSignatureException",
                "Authorization header is not a complete AWS4-HMAC-SHA256 signature.",
            )
        secret = self._secrets.get(given["key"])
        if secret is None:
            raise _refused(
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
            )
        stamp = headers.get("x-amz-date", "")
        self._check_time(stamp, given["day"])
        # A header that counts must be signed: the host, and all that the service itself reads.
        signed = frozenset(given["headers"].split(";"))
        needed = {"host", *(name for name in headers if name.startswith("x-amz-"))}
        if given["service"] != _SERVICE or not needed <= signed <= headers.keys():
            raise _mismatch()
        digest = headers.get("x-amz-content-sha256")
        if digest not in (None, hashlib.sha256(body).hexdigest()):
            raise _mismatch()
        # Only the path and the query of the URL are signed, and the host as the header has it.
        if not target.startswith("/") or "#" in target:
            raise _mismatch()
        request = AWSRequest(method, f"http://localhost{target}", data=body)
        for name in signed:
            request.headers[name] = headers[name]
        request.context["timestamp"] = stamp
        signer = _Verifier(Credentials(given["key"], secret), given["service"], given["region"])
        canonical = signer.canonical_request(request)
        expected = signer.signature(signer.string_to_sign(request, canonical), request)
        if not hmac.compare_digest(expected, given["signature"]):
            raise _mismatch()

    def _check_time(self, stamp: str, day: str) -> None:
        try:
            moment = datetime.strptime(stamp, SIGV4_TIMESTAMP).replace(tzinfo=UTC)
        except ValueError:
            raise _refused(
                "IncompleteSignatureException",
                "Date must be in ISO-8601 'basic format'; the X-Amz-Date header is not.",
            ) from None
        if not stamp.startswith(day):
            raise _mismatch()
        if abs(moment.timestamp() - self._now()) > _SKEW:
            raise _refused(
                "InvalidSignatureException",
                f"Signature expired or not yet current: {stamp} is more than 5 minutes off.",
            )


def _mismatch() -> Refusal:
    return _refused(
        "InvalidSignatureException",
        "The request signature we calculated does not match the signature you provided. Check "
        "your AWS Secret Access Key and signing method. Consult the service documentation for "
        "details.",
    )


def _refused(code: str, message: str) -> Refusal:
    return Refusal(code, message, 403)
