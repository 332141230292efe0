"""Handlers whose worker dies in the middle."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from async_durable_execution import durable_execution


def dying(handler: Any, folder: Path, *checkpoints: int) -> Any:
    """`handler`, in processes that are gone as soon as these checkpoints of an execution are
    accepted, counted from 1 over all its invocations, in files in `folder`."""

    @durable_execution
    async def dies(event: Any) -> Any:
        from async_durable_execution_runner.worker.sdk.service_client import GrpcServiceClient

        checkpoint = GrpcServiceClient.checkpoint

        async def count_and_die(self: Any, **request: Any) -> Any:
            answer = await checkpoint(self, **request)
            counter = Path(folder, request["durable_execution_arn"].rpartition("/")[2])
            with counter.open("a") as file:
                file.write(".")
            if counter.stat().st_size in checkpoints:
                os._exit(1)
            return answer

        GrpcServiceClient.checkpoint = count_and_die
        try:
            return await handler.__wrapped__(event)
        finally:
            GrpcServiceClient.checkpoint = checkpoint

    return dies
