"""How a handler of `async-durable-execution` reaches the coordinator."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

import async_durable_execution as sdk

from ...core.divergence import Divergence
from ...core.text import utf8
from ...rpc.v1 import worker_pb2
from .lambda_event import lambda_event
from .replay import watched
from .service_client import GrpcServiceClient


class AsyncClient(GrpcServiceClient):
    """The client of one handler of `async-durable-execution`."""

    def event(self, invocation: worker_pb2.Invocation) -> dict[str, Any]:
        """Make an event with an empty first page of state, as the service may send it too.

        The SDK takes a quarter of a millisecond to map one operation of an event. It then asks
        this client for the pages, which takes next to no time.
        """
        return lambda_event(invocation, (), self.begin(invocation))

    def watching(self) -> AbstractContextManager[None]:
        return watched(self.replay)

    def divergences(self, succeeded: bool) -> Iterable[Divergence]:
        return self.replay.divergences(succeeded)

    def locate(self, request: worker_pb2.RecordEffectRequest) -> None:
        try:
            context: Any = sdk.get_current_context()
        except Exception:
            # This thread has no context, or none that may be asked for.
            request.outside_step = True
            return
        in_step = isinstance(context, sdk.StepContext | sdk.WaitForCallbackContext)
        request.outside_step = not in_step
        # The other contexts have no public base class. A child context is known by the parent id
        # of its own operations.
        if operation_id := getattr(context, "operation_id" if in_step else "parent_id", None):
            request.operation_id = operation_id
        if operation_name := getattr(context, "operation_name", None):
            request.operation_name = utf8(operation_name)
        if isinstance(context, sdk.StepContext) and context.attempt is not None:
            request.attempt = context.attempt


def identifier_class() -> Any:
    """Find the SDK's class of operation identifiers.

    The SDK does not export the class, but an annotation of `DurableContext`, which the SDK
    exports, leads to it. The result is None where a release has no such class: its replays are
    not checked.
    """
    for base in sdk.DurableContext.__mro__:
        annotation = vars(base).get("__annotations__", {}).get("operation_identifier")
        if annotation is not None:
            module = sys.modules[base.__module__]
            found = getattr(module, annotation, None) if isinstance(annotation, str) else annotation
            return found if isinstance(found, type) else None
    return None
