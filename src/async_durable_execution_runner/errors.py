"""Every error of the package, as a tree.

RunnerError
├── ServiceError                      the emulated service refuses; code, text and HTTP status are the service's
│   ├── InvalidParameterValue         400
│   │   └── InvalidCheckpointToken    its text starts with "Invalid Checkpoint Token"
│   ├── ResourceNotFound              404
│   ├── DurableExecutionAlreadyStarted 409
│   ├── CallbackTimeout               400
│   ├── TooManyRequests               429
│   └── ServiceFailure                500
├── HandlerNotLoadable                a handler cannot travel to a worker, or is no durable function
├── NotStarted                        the runner is used outside its `with`
├── CoordinatorUnavailable            the coordinator died, or does not answer
├── WorkersUnavailable                no worker process can be started
├── VersionMismatch                   two parts of the runner speak different protocol versions
└── Unauthenticated                   a missing or wrong token
"""

from __future__ import annotations

from typing import ClassVar


class RunnerError(Exception):
    """Base of every error that this package raises itself."""

    #: Name of the gRPC status code that carries it.
    grpc_status: ClassVar[str] = "INTERNAL"


class ServiceError(RunnerError):
    """The service refuses a request. `code` and `http_status` are what boto3 would show."""

    code: ClassVar[str]
    http_status: ClassVar[int]

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidParameterValue(ServiceError):
    code = "InvalidParameterValueException"
    http_status = 400
    grpc_status = "INVALID_ARGUMENT"


class InvalidCheckpointToken(InvalidParameterValue):
    """A stale, foreign or malformed token. The SDK retries on the prefix of this text alone."""

    def __init__(self, why: str = "") -> None:
        super().__init__(f"Invalid Checkpoint Token{': ' + why if why else ''}")


class ResourceNotFound(ServiceError):
    code = "ResourceNotFoundException"
    http_status = 404
    grpc_status = "NOT_FOUND"


class DurableExecutionAlreadyStarted(ServiceError):
    code = "DurableExecutionAlreadyStartedException"
    http_status = 409
    grpc_status = "ALREADY_EXISTS"


class CallbackTimeout(ServiceError):
    """The callback had timed out before it was answered."""

    code = "CallbackTimeoutException"
    http_status = 400
    grpc_status = "FAILED_PRECONDITION"


class TooManyRequests(ServiceError):
    code = "TooManyRequestsException"
    http_status = 429
    grpc_status = "RESOURCE_EXHAUSTED"


class ServiceFailure(ServiceError):
    code = "ServiceException"
    http_status = 500
    grpc_status = "INTERNAL"


class HandlerNotLoadable(RunnerError):
    grpc_status = "INVALID_ARGUMENT"


class NotStarted(RunnerError):
    grpc_status = "FAILED_PRECONDITION"


class CoordinatorUnavailable(RunnerError):
    grpc_status = "UNAVAILABLE"


class WorkersUnavailable(RunnerError):
    grpc_status = "UNAVAILABLE"


class VersionMismatch(RunnerError):
    grpc_status = "FAILED_PRECONDITION"


class Unauthenticated(RunnerError):
    grpc_status = "UNAUTHENTICATED"
