"""Unmodified boto3."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config

Client = Any


def client_for(endpoint: str, key: str = "AKIDEXAMPLE", secret: str = "secret") -> Client:
    return boto3.client(
        "lambda",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(retries={"max_attempts": 0}, read_timeout=60, max_pool_connections=100),
    )
