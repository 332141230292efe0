"""The generated code: it imports, and it numbers what the core names."""

from __future__ import annotations

import importlib
import pkgutil
from enum import Enum

import pytest

from async_durable_execution_runner.core.model import (
    ExecutionStatus,
    OperationAction,
    OperationStatus,
    OperationType,
    OutputStream,
)
from async_durable_execution_runner.rpc import v1
from async_durable_execution_runner.rpc.v1 import (
    control_pb2,
    control_pb2_grpc,
    debug_pb2,
    debug_pb2_grpc,
    model_pb2,
    worker_pb2,
    worker_pb2_grpc,
)

MODULES = [module.name for module in pkgutil.iter_modules(v1.__path__)]


def test_there_is_a_module_and_a_service_module_per_proto() -> None:
    protos = ["control", "debug", "model", "worker"]
    assert sorted(MODULES) == sorted(f"{p}_pb2{s}" for p in protos for s in ("", "_grpc"))


@pytest.mark.parametrize("module", MODULES)
def test_it_imports(module: str) -> None:
    importlib.import_module(f"{v1.__name__}.{module}")


@pytest.mark.parametrize(
    ("enum", "name"),
    [
        (OperationType, "OPERATION_TYPE"),
        (OperationStatus, "OPERATION_STATUS"),
        (OperationAction, "OPERATION_ACTION"),
        (ExecutionStatus, "EXECUTION_STATUS"),
    ],
)
def test_members_are_numbered_in_the_order_of_the_core(enum: type[Enum], name: str) -> None:
    expected = [f"{name}_UNSPECIFIED", *(f"{name}_{member.value}" for member in enum)]
    numbered = getattr(model_pb2, enum.__name__).items()
    assert numbered == list(zip(expected, range(len(expected)), strict=True))


def test_streams_are_numbered_in_the_order_of_the_core() -> None:
    expected = ["UNSPECIFIED", *(stream.name for stream in OutputStream)]
    names = [name for name, _ in model_pb2.OutputStream.items()]
    assert names == [f"OUTPUT_STREAM_{name}" for name in expected]


@pytest.mark.parametrize(
    ("module", "service", "stubs"),
    [
        (control_pb2, "ControlService", control_pb2_grpc),
        (debug_pb2, "DebugService", debug_pb2_grpc),
        (worker_pb2, "WorkerService", worker_pb2_grpc),
    ],
)
def test_every_call_has_a_request_and_a_response_of_its_own(
    module: object, service: str, stubs: object
) -> None:
    assert hasattr(stubs, f"{service}Stub")
    methods = module.DESCRIPTOR.services_by_name[service].methods
    assert methods
    for method in methods:
        assert hasattr(getattr(stubs, f"{service}Servicer"), method.name)
        assert method.input_type.name == f"{method.name}Request"
        assert method.output_type.name == f"{method.name}Response"
