"""Every error of the package, as a tree.

RunnerError
├── ServiceError                      the emulated service refuses, in the service's own words
│   ├── InvalidParameterValue         400
│   │   └── InvalidCheckpointToken    its text is "Invalid checkpoint token"
│   ├── ResourceNotFound              404
│   ├── DurableExecutionAlreadyStarted 409
│   ├── CallbackTimeout               400
│   ├── TooManyRequests               429
│   └── ServiceFailure                500
├── HandlerNotLoadable                a handler cannot travel to a worker, or is not durable
├── OperationNotFound                 a result has none, or several, of that name; a LookupError
├── NoResult                          the execution failed, or runs yet; an AssertionError
├── NonDeterministicHandler           a replay asked for other operations; an AssertionError
├── InvalidConfiguration              a file of functions, or a command's argument, makes no sense
├── NotStarted                        the runner is used outside its `with`
├── FaultNeverFired                   a fault plan tested nothing; an AssertionError
├── CoordinatorUnavailable            the coordinator died, or does not answer
├── WorkersUnavailable                no worker process can be started
├── LambdaCallFailed                  Lambda cannot be asked: no region, no access, no such endpoint
├── VersionMismatch                   two parts of the runner speak different protocol versions
└── Unauthenticated                   a missing or wrong token, or one that is not good for the call
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
    """A request breaks a rule of the service; its text says which. Nothing was changed."""

    code = "InvalidParameterValueException"
    http_status = 400
    grpc_status = "INVALID_ARGUMENT"


class InvalidCheckpointToken(InvalidParameterValue):
    """A stale, foreign or malformed token. The text is the service's, which SDKs match, and says no
    more; `why` does."""

    def __init__(self, why: str = "") -> None:
        super().__init__("Invalid checkpoint token")
        self.why = why


class ResourceNotFound(ServiceError):
    """There is no such function or execution."""

    code = "ResourceNotFoundException"
    http_status = 404
    grpc_status = "NOT_FOUND"


class DurableExecutionAlreadyStarted(ServiceError):
    """An execution of this name was started with another input: choose another name, or none."""

    code = "DurableExecutionAlreadyStartedException"
    http_status = 409
    grpc_status = "ALREADY_EXISTS"


class CallbackTimeout(ServiceError):
    """The callback had timed out before it was answered."""

    code = "CallbackTimeoutException"
    http_status = 400
    grpc_status = "FAILED_PRECONDITION"


class TooManyRequests(ServiceError):
    """The service is asked too often. The SDK fails the invocation, which is tried again."""

    code = "TooManyRequestsException"
    http_status = 429
    grpc_status = "RESOURCE_EXHAUSTED"


class ServiceFailure(ServiceError):
    """The service itself failed. The SDK fails the invocation, which is tried again."""

    code = "ServiceException"
    http_status = 500
    grpc_status = "INTERNAL"


class HandlerNotLoadable(RunnerError):
    """A handler cannot travel to a worker, or is not durable; the text has the remedies."""

    grpc_status = "INVALID_ARGUMENT"


class SetupFailed(RunnerError):
    """What `worker_setup=` names cannot be imported, or raised an error; the text says where. What
    fails in a worker comes after the retries, as `Runtime.ImportModuleError` of a FAILED result.
    """

    grpc_status = "INVALID_ARGUMENT"


class InvalidConfiguration(RunnerError):
    """A file of functions, or an argument of a command, makes no sense; the text says where."""

    grpc_status = "INVALID_ARGUMENT"


class OperationNotFound(RunnerError, LookupError):
    """No operation, or more than one, answers to that name. The text says which are there."""

    grpc_status = "NOT_FOUND"


class NoResult(RunnerError, AssertionError):
    """An execution that has not succeeded was asked for its result; the text describes it."""

    grpc_status = "FAILED_PRECONDITION"


class NonDeterministicHandler(RunnerError, AssertionError):
    """A replay asked for other operations than are recorded; the text has both sides of each."""

    grpc_status = "FAILED_PRECONDITION"


class NonDeterministicWarning(UserWarning):
    """A replay asked for other operations than are recorded, so that results may go to the wrong
    one, or an operation was never awaited."""


class NotStarted(RunnerError):
    """The runner is used outside its `with` block, or before an execution was started."""

    grpc_status = "FAILED_PRECONDITION"


class FaultNeverFired(RunnerError, AssertionError):
    """A planned fault found no moment to fire at: the test shows nothing. Change its place."""


class CoordinatorUnavailable(RunnerError):
    """The coordinator process has ended or does not answer; the next runner starts another."""

    grpc_status = "UNAVAILABLE"


class WorkersUnavailable(RunnerError):
    """No worker process can be started; the text has the reason that the last one gave."""

    grpc_status = "UNAVAILABLE"


class LambdaCallFailed(RunnerError):
    """Lambda cannot be asked, or refuses for a reason of its own: no region, no credentials, no
    permission, nobody at the endpoint. The text says which."""

    grpc_status = "UNAVAILABLE"


class VersionMismatch(RunnerError):
    """Two parts speak different protocol versions: install one release on both sides."""

    grpc_status = "FAILED_PRECONDITION"


class Unauthenticated(RunnerError):
    """A token is missing or wrong, or not good for this call; worker hosts take it from
    `DURABLE_RUNNER_TOKEN`."""

    grpc_status = "UNAUTHENTICATED"
