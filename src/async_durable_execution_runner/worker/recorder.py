"""How an effect reaches the coordinator: by one blocking call, which the coordinator answers.

The adapter of the handler's SDK says to which operation the effect belongs.
"""

from __future__ import annotations

import json
import os
import reprlib
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import grpc

from .. import errors
from ..core import limits
from ..core.text import utf8
from ..ledger import Recorder
from ..rpc.v1 import worker_pb2, worker_pb2_grpc
from . import covered
from .connection import REFUSALS, Connection, why_ended
from .misdeeds import commit

Locate = Callable[[worker_pb2.RecordEffectRequest], None]


class EffectRecorder:
    """A worker's way to record effects; the first effect opens the channel."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._channel: grpc.Channel | None = None
        self._call: Any = None

    def of(self, invocation: worker_pb2.Invocation, locate: Locate) -> Recorder:
        """Return the recorder for the effects of one invocation."""
        return partial(self._record, invocation.request_id, locate)

    def close(self) -> None:
        with self._lock:
            channel, self._channel, self._call = self._channel, None, None
        if channel is not None:
            channel.close()

    def _record(
        self, request_id: str, locate: Locate, name: str, key: object, data: dict[str, object]
    ) -> None:
        request = _request(name, key, data)
        request.request_id = request_id
        locate(request)
        if (size := request.ByteSize()) > limits.EFFECT_BYTES:
            raise ValueError(
                f"The effect {name!r} was not recorded: as JSON it has {size} bytes, and "
                f"{limits.EFFECT_BYTES} is the most. Record an id, a length or a digest instead."
            )
        if os.getpid() != self._pid:
            raise RuntimeError(
                f"The effect {name!r} was not recorded: this process was forked off a handler's, "
                "and gRPC does not survive a fork. Record it in the handler's own process."
            )
        covered.save()
        try:
            response = self._unary()(request, metadata=self._connection.metadata)
        except grpc.RpcError as error:
            raise _refusal(name, error) from None
        except ValueError:
            # The runner was closed meanwhile, and the inline worker's channel with it.
            raise errors.CoordinatorUnavailable(
                f"The effect {name!r} was not recorded: its runner is closed."
            ) from None

        if response.HasField("misdeed"):
            commit(response.misdeed)

    def _unary(self) -> Any:
        with self._lock:
            if self._call is None:
                self._channel = self._connection.blocking_channel()
                self._call = worker_pb2_grpc.WorkerServiceStub(self._channel).RecordEffect
            return self._call


def _request(name: object, key: object, data: dict[str, object]) -> worker_pb2.RecordEffectRequest:
    if not isinstance(name, str):
        raise TypeError(f"An effect's name must be a string, not {name!r}.")
    fields = (f"{json.dumps(field)}: {_json(name, field, value)}" for field, value in data.items())
    return worker_pb2.RecordEffectRequest(
        name=utf8(name),
        key=None if key is None else _json(name, "key", key),
        data=f"{{{', '.join(fields)}}}",
    )


def _json(name: str, field: str, value: object) -> str:
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(
            f"The effect {name!r} cannot be recorded: its {field!r}, {reprlib.repr(value)}, is not "
            f"a JSON value ({error})."
        ) from None


def _refusal(name: str, error: Any) -> errors.RunnerError:
    what = f"The effect {name!r} was not recorded: "
    code, details = error.code(), error.details()
    kind = REFUSALS.get(code)
    if kind is None:
        return errors.CoordinatorUnavailable(what + why_ended(code, details or code.name))
    return kind(what + (details or code.name))
