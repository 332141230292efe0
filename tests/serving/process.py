"""`durable-runner serve` as a process, and unmodified boto3 to ask it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

COMMAND = [sys.executable, "-m", "async_durable_execution_runner.cli.main"]


@contextmanager
def serving(folder: Path, *arguments: str, **environment: str) -> Iterator[tuple[Any, str, str]]:
    """The process, what it said until all functions are served, and the URL in the line to copy."""
    with subprocess.Popen(
        [*COMMAND, "serve", *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        said = ""
        try:
            for line in process.stdout:
                said += line
                if line.endswith(" served.\n"):
                    yield process, said, url_in(said)
                    break
            else:
                pytest.fail(process.stderr.read())
        finally:
            process.kill()


def url_in(said: str) -> str:
    return re.search("^export AWS_ENDPOINT_URL_LAMBDA=(.*)$", said, re.MULTILINE)[1]


def client(url: str, key: str = "any", secret: str = "any") -> Any:
    return boto3.client(
        "lambda",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
    )


def invoked(aws: Any, function: str, payload: bytes = b"{}", **given: Any) -> Any:
    """What a function that succeeds returns."""
    answer = aws.invoke(FunctionName=function, Payload=payload, **given)
    result = answer["Payload"].read()
    assert "FunctionError" not in answer, result
    return json.loads(result)
