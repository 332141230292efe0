"""SerDes pipelines: a value becomes text, and the text goes through stages."""

from __future__ import annotations

import base64
import zlib
from datetime import timedelta

from async_durable_execution import (
    ExtendedTypeSerDes,
    FileSystemSerDesMode,
    FileSystemSerDesStageConfig,
    JsonSerDes,
    PreviewConfig,
    PreviewField,
    PreviewMode,
    SerDesContext,
    create_file_system_serdes_stage,
    create_serdes_pipeline,
    durable_callable,
    durable_execution,
    step,
    wait,
)


class Compressed:
    """A stage: text in, text out. It leaves alone what it has not made."""

    PREFIX = "zlib:"

    async def serialize(self, value: str, context: SerDesContext) -> str:
        return self.PREFIX + base64.b64encode(zlib.compress(value.encode())).decode()

    async def deserialize(self, data: str, context: SerDesContext) -> str:
        if not data.startswith(self.PREFIX):
            return data
        return zlib.decompress(base64.b64decode(data.removeprefix(self.PREFIX))).decode()


COMPRESSED = create_serdes_pipeline(ExtendedTypeSerDes(), Compressed())


@durable_callable
async def write_catalogue(pages: int) -> list[str]:
    return ["a page like any other"] * pages


@durable_execution
async def publish_catalogue(event: dict) -> int:
    catalogue = await step(write_catalogue(event["pages"]), name="write", serdes=COMPRESSED)
    await wait(timedelta(days=7), name="print")
    return len(catalogue)


def archive(directory: str):
    """Payloads go to files that all workers share; the checkpoint keeps a reference and a preview.

    `OVERFLOW` stores only what is too large for a checkpoint.
    """
    config = FileSystemSerDesStageConfig(
        storage_mode=FileSystemSerDesMode.OVERFLOW,
        checkpoint_envelope_limit_bytes=2_000,
        preview_config=PreviewConfig(
            mode=PreviewMode.EXCLUDE_ALL,
            include=(PreviewField("order_id"),),
            mask=(PreviewField("card"),),
        ),
    )
    return create_serdes_pipeline(JsonSerDes(), create_file_system_serdes_stage(directory, config))


@durable_callable
async def scan_documents(order_id: str, pages: int) -> dict:
    return {"order_id": order_id, "card": "4111 1111", "scans": ["x" * 1_000] * pages}


@durable_execution
async def archive_order(event: dict) -> dict:
    serdes = archive(event["directory"])
    small = await step(scan_documents("o-1", 1), name="small", serdes=serdes)
    large = await step(scan_documents("o-2", 50), name="large", serdes=serdes)
    await wait(timedelta(days=365), name="retention")
    return {"small": len(small["scans"]), "large": len(large["scans"])}
