from async_durable_execution_runner.rpc.v1 import model_pb2 as _model_pb2
from async_durable_execution_runner.rpc.v1 import worker_pb2 as _worker_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Isolation(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ISOLATION_UNSPECIFIED: _ClassVar[Isolation]
    ISOLATION_WORKER: _ClassVar[Isolation]
    ISOLATION_EXECUTION: _ClassVar[Isolation]
    ISOLATION_INVOCATION: _ClassVar[Isolation]
    ISOLATION_INLINE: _ClassVar[Isolation]

class AwaitUntil(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AWAIT_UNTIL_UNSPECIFIED: _ClassVar[AwaitUntil]
    AWAIT_UNTIL_ENDED: _ClassVar[AwaitUntil]
    AWAIT_UNTIL_SUSPENDED: _ClassVar[AwaitUntil]
    AWAIT_UNTIL_NOW: _ClassVar[AwaitUntil]

class WorkerState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WORKER_STATE_UNSPECIFIED: _ClassVar[WorkerState]
    WORKER_STATE_STARTING: _ClassVar[WorkerState]
    WORKER_STATE_IDLE: _ClassVar[WorkerState]
    WORKER_STATE_BUSY: _ClassVar[WorkerState]
    WORKER_STATE_ENDING: _ClassVar[WorkerState]
    WORKER_STATE_STUCK: _ClassVar[WorkerState]
ISOLATION_UNSPECIFIED: Isolation
ISOLATION_WORKER: Isolation
ISOLATION_EXECUTION: Isolation
ISOLATION_INVOCATION: Isolation
ISOLATION_INLINE: Isolation
AWAIT_UNTIL_UNSPECIFIED: AwaitUntil
AWAIT_UNTIL_ENDED: AwaitUntil
AWAIT_UNTIL_SUSPENDED: AwaitUntil
AWAIT_UNTIL_NOW: AwaitUntil
WORKER_STATE_UNSPECIFIED: WorkerState
WORKER_STATE_STARTING: WorkerState
WORKER_STATE_IDLE: WorkerState
WORKER_STATE_BUSY: WorkerState
WORKER_STATE_ENDING: WorkerState
WORKER_STATE_STUCK: WorkerState

class OpenWorkspaceRequest(_message.Message):
    __slots__ = ("protocol_version", "workers", "invocation_retries", "retry_backoff_ms", "epoch_ms", "debugging", "limits", "region", "account", "functions")
    class LimitsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    INVOCATION_RETRIES_FIELD_NUMBER: _ClassVar[int]
    RETRY_BACKOFF_MS_FIELD_NUMBER: _ClassVar[int]
    EPOCH_MS_FIELD_NUMBER: _ClassVar[int]
    DEBUGGING_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    protocol_version: int
    workers: int
    invocation_retries: int
    retry_backoff_ms: int
    epoch_ms: int
    debugging: _worker_pb2.Debugging
    limits: _containers.ScalarMap[str, int]
    region: str
    account: str
    functions: _containers.RepeatedCompositeFieldContainer[RegisterFunctionRequest]
    def __init__(self, protocol_version: _Optional[int] = ..., workers: _Optional[int] = ..., invocation_retries: _Optional[int] = ..., retry_backoff_ms: _Optional[int] = ..., epoch_ms: _Optional[int] = ..., debugging: _Optional[_Union[_worker_pb2.Debugging, _Mapping]] = ..., limits: _Optional[_Mapping[str, int]] = ..., region: _Optional[str] = ..., account: _Optional[str] = ..., functions: _Optional[_Iterable[_Union[RegisterFunctionRequest, _Mapping]]] = ...) -> None: ...

class OpenWorkspaceResponse(_message.Message):
    __slots__ = ("workspace_id",)
    WORKSPACE_ID_FIELD_NUMBER: _ClassVar[int]
    workspace_id: str
    def __init__(self, workspace_id: _Optional[str] = ...) -> None: ...

class RegisterFunctionRequest(_message.Message):
    __slots__ = ("workspace_id", "config", "code", "isolation", "execution_timeout_seconds", "retention_days", "process_group")
    WORKSPACE_ID_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    ISOLATION_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    RETENTION_DAYS_FIELD_NUMBER: _ClassVar[int]
    PROCESS_GROUP_FIELD_NUMBER: _ClassVar[int]
    workspace_id: str
    config: _worker_pb2.FunctionConfig
    code: _worker_pb2.FunctionCode
    isolation: Isolation
    execution_timeout_seconds: int
    retention_days: int
    process_group: str
    def __init__(self, workspace_id: _Optional[str] = ..., config: _Optional[_Union[_worker_pb2.FunctionConfig, _Mapping]] = ..., code: _Optional[_Union[_worker_pb2.FunctionCode, _Mapping]] = ..., isolation: _Optional[_Union[Isolation, str]] = ..., execution_timeout_seconds: _Optional[int] = ..., retention_days: _Optional[int] = ..., process_group: _Optional[str] = ...) -> None: ...

class RegisterFunctionResponse(_message.Message):
    __slots__ = ("function_id",)
    FUNCTION_ID_FIELD_NUMBER: _ClassVar[int]
    function_id: str
    def __init__(self, function_id: _Optional[str] = ...) -> None: ...

class ReplaceFunctionsRequest(_message.Message):
    __slots__ = ("workspace_id", "functions")
    WORKSPACE_ID_FIELD_NUMBER: _ClassVar[int]
    FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    workspace_id: str
    functions: _containers.RepeatedCompositeFieldContainer[RegisterFunctionRequest]
    def __init__(self, workspace_id: _Optional[str] = ..., functions: _Optional[_Iterable[_Union[RegisterFunctionRequest, _Mapping]]] = ...) -> None: ...

class ReplaceFunctionsResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StartExecutionRequest(_message.Message):
    __slots__ = ("workspace_id", "function_name", "payload", "execution_name", "skip_time", "tenant_id", "hold_time", "log_levels", "coverage_context", "faults", "record_points", "retry_at_once", "labels", "resume_on", "resume_after")
    class LogLevelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class ResumeOnEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    WORKSPACE_ID_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_NAME_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_NAME_FIELD_NUMBER: _ClassVar[int]
    SKIP_TIME_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    HOLD_TIME_FIELD_NUMBER: _ClassVar[int]
    LOG_LEVELS_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_CONTEXT_FIELD_NUMBER: _ClassVar[int]
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    RECORD_POINTS_FIELD_NUMBER: _ClassVar[int]
    RETRY_AT_ONCE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    RESUME_ON_FIELD_NUMBER: _ClassVar[int]
    RESUME_AFTER_FIELD_NUMBER: _ClassVar[int]
    workspace_id: str
    function_name: str
    payload: str
    execution_name: str
    skip_time: bool
    tenant_id: str
    hold_time: bool
    log_levels: _containers.ScalarMap[str, int]
    coverage_context: str
    faults: _containers.RepeatedScalarFieldContainer[str]
    record_points: bool
    retry_at_once: bool
    labels: _containers.ScalarMap[str, str]
    resume_on: _containers.ScalarMap[str, str]
    resume_after: int
    def __init__(self, workspace_id: _Optional[str] = ..., function_name: _Optional[str] = ..., payload: _Optional[str] = ..., execution_name: _Optional[str] = ..., skip_time: bool = ..., tenant_id: _Optional[str] = ..., hold_time: bool = ..., log_levels: _Optional[_Mapping[str, int]] = ..., coverage_context: _Optional[str] = ..., faults: _Optional[_Iterable[str]] = ..., record_points: bool = ..., retry_at_once: bool = ..., labels: _Optional[_Mapping[str, str]] = ..., resume_on: _Optional[_Mapping[str, str]] = ..., resume_after: _Optional[int] = ...) -> None: ...

class StartExecutionResponse(_message.Message):
    __slots__ = ("execution_arn",)
    EXECUTION_ARN_FIELD_NUMBER: _ClassVar[int]
    execution_arn: str
    def __init__(self, execution_arn: _Optional[str] = ...) -> None: ...

class RunExecutionsRequest(_message.Message):
    __slots__ = ("starts", "at_once", "timeout_ms")
    STARTS_FIELD_NUMBER: _ClassVar[int]
    AT_ONCE_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    starts: _containers.RepeatedCompositeFieldContainer[StartExecutionRequest]
    at_once: int
    timeout_ms: int
    def __init__(self, starts: _Optional[_Iterable[_Union[StartExecutionRequest, _Mapping]]] = ..., at_once: _Optional[int] = ..., timeout_ms: _Optional[int] = ...) -> None: ...

class RunExecutionsResponse(_message.Message):
    __slots__ = ("pages",)
    PAGES_FIELD_NUMBER: _ClassVar[int]
    pages: _containers.RepeatedCompositeFieldContainer[RunPage]
    def __init__(self, pages: _Optional[_Iterable[_Union[RunPage, _Mapping]]] = ...) -> None: ...

class RunPage(_message.Message):
    __slots__ = ("page", "error", "more")
    PAGE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    page: ExecutionPage
    error: RunError
    more: bool
    def __init__(self, page: _Optional[_Union[ExecutionPage, _Mapping]] = ..., error: _Optional[_Union[RunError, _Mapping]] = ..., more: bool = ...) -> None: ...

class RunError(_message.Message):
    __slots__ = ("code", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class AwaitExecutionRequest(_message.Message):
    __slots__ = ("execution_arn", "until", "timeout_ms")
    EXECUTION_ARN_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    execution_arn: str
    until: AwaitUntil
    timeout_ms: int
    def __init__(self, execution_arn: _Optional[str] = ..., until: _Optional[_Union[AwaitUntil, str]] = ..., timeout_ms: _Optional[int] = ...) -> None: ...

class AwaitExecutionResponse(_message.Message):
    __slots__ = ("page",)
    PAGE_FIELD_NUMBER: _ClassVar[int]
    page: ExecutionPage
    def __init__(self, page: _Optional[_Union[ExecutionPage, _Mapping]] = ...) -> None: ...

class ExecutionPage(_message.Message):
    __slots__ = ("head", "operations", "events", "invocations", "effects", "faults", "points")
    HEAD_FIELD_NUMBER: _ClassVar[int]
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    INVOCATIONS_FIELD_NUMBER: _ClassVar[int]
    EFFECTS_FIELD_NUMBER: _ClassVar[int]
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    head: ExecutionHead
    operations: _containers.RepeatedCompositeFieldContainer[_model_pb2.Operation]
    events: _containers.RepeatedCompositeFieldContainer[_model_pb2.HistoryEvent]
    invocations: _containers.RepeatedCompositeFieldContainer[InvocationRecord]
    effects: _containers.RepeatedCompositeFieldContainer[_model_pb2.Effect]
    faults: _containers.RepeatedCompositeFieldContainer[FaultRecord]
    points: _containers.RepeatedCompositeFieldContainer[CrashPoint]
    def __init__(self, head: _Optional[_Union[ExecutionHead, _Mapping]] = ..., operations: _Optional[_Iterable[_Union[_model_pb2.Operation, _Mapping]]] = ..., events: _Optional[_Iterable[_Union[_model_pb2.HistoryEvent, _Mapping]]] = ..., invocations: _Optional[_Iterable[_Union[InvocationRecord, _Mapping]]] = ..., effects: _Optional[_Iterable[_Union[_model_pb2.Effect, _Mapping]]] = ..., faults: _Optional[_Iterable[_Union[FaultRecord, _Mapping]]] = ..., points: _Optional[_Iterable[_Union[CrashPoint, _Mapping]]] = ...) -> None: ...

class FaultRecord(_message.Message):
    __slots__ = ("fault", "moment", "label", "invocation", "time_ms", "note")
    FAULT_FIELD_NUMBER: _ClassVar[int]
    MOMENT_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    INVOCATION_FIELD_NUMBER: _ClassVar[int]
    TIME_MS_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    fault: str
    moment: str
    label: str
    invocation: int
    time_ms: int
    note: str
    def __init__(self, fault: _Optional[str] = ..., moment: _Optional[str] = ..., label: _Optional[str] = ..., invocation: _Optional[int] = ..., time_ms: _Optional[int] = ..., note: _Optional[str] = ...) -> None: ...

class CrashPoint(_message.Message):
    __slots__ = ("moment", "label", "key")
    MOMENT_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    moment: str
    label: str
    key: str
    def __init__(self, moment: _Optional[str] = ..., label: _Optional[str] = ..., key: _Optional[str] = ...) -> None: ...

class ExecutionHead(_message.Message):
    __slots__ = ("execution_arn", "execution_name", "function_name", "status", "start_ms", "end_ms", "result", "error", "timed_out", "waiting_for", "unfired_faults")
    EXECUTION_ARN_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_NAME_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_NAME_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    START_MS_FIELD_NUMBER: _ClassVar[int]
    END_MS_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    TIMED_OUT_FIELD_NUMBER: _ClassVar[int]
    WAITING_FOR_FIELD_NUMBER: _ClassVar[int]
    UNFIRED_FAULTS_FIELD_NUMBER: _ClassVar[int]
    execution_arn: str
    execution_name: str
    function_name: str
    status: _model_pb2.ExecutionStatus
    start_ms: int
    end_ms: int
    result: str
    error: _model_pb2.ErrorObject
    timed_out: bool
    waiting_for: str
    unfired_faults: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, execution_arn: _Optional[str] = ..., execution_name: _Optional[str] = ..., function_name: _Optional[str] = ..., status: _Optional[_Union[_model_pb2.ExecutionStatus, str]] = ..., start_ms: _Optional[int] = ..., end_ms: _Optional[int] = ..., result: _Optional[str] = ..., error: _Optional[_Union[_model_pb2.ErrorObject, _Mapping]] = ..., timed_out: bool = ..., waiting_for: _Optional[str] = ..., unfired_faults: _Optional[_Iterable[str]] = ...) -> None: ...

class InvocationRecord(_message.Message):
    __slots__ = ("request_id", "worker_id", "start_ms", "end_ms", "outcome", "error", "output", "output_truncated", "pid", "divergences", "stacks", "verdict")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    START_MS_FIELD_NUMBER: _ClassVar[int]
    END_MS_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    DIVERGENCES_FIELD_NUMBER: _ClassVar[int]
    STACKS_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    worker_id: str
    start_ms: int
    end_ms: int
    outcome: str
    error: _model_pb2.ErrorObject
    output: _containers.RepeatedCompositeFieldContainer[_model_pb2.OutputLine]
    output_truncated: bool
    pid: int
    divergences: _containers.RepeatedCompositeFieldContainer[_model_pb2.Divergence]
    stacks: _containers.RepeatedScalarFieldContainer[str]
    verdict: str
    def __init__(self, request_id: _Optional[str] = ..., worker_id: _Optional[str] = ..., start_ms: _Optional[int] = ..., end_ms: _Optional[int] = ..., outcome: _Optional[str] = ..., error: _Optional[_Union[_model_pb2.ErrorObject, _Mapping]] = ..., output: _Optional[_Iterable[_Union[_model_pb2.OutputLine, _Mapping]]] = ..., output_truncated: bool = ..., pid: _Optional[int] = ..., divergences: _Optional[_Iterable[_Union[_model_pb2.Divergence, _Mapping]]] = ..., stacks: _Optional[_Iterable[str]] = ..., verdict: _Optional[str] = ...) -> None: ...

class AwaitCallbackRequest(_message.Message):
    __slots__ = ("execution_arn", "name", "timeout_ms")
    EXECUTION_ARN_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    execution_arn: str
    name: str
    timeout_ms: int
    def __init__(self, execution_arn: _Optional[str] = ..., name: _Optional[str] = ..., timeout_ms: _Optional[int] = ...) -> None: ...

class AwaitCallbackResponse(_message.Message):
    __slots__ = ("callback_id", "waiting_for", "status")
    CALLBACK_ID_FIELD_NUMBER: _ClassVar[int]
    WAITING_FOR_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    callback_id: str
    waiting_for: str
    status: _model_pb2.ExecutionStatus
    def __init__(self, callback_id: _Optional[str] = ..., waiting_for: _Optional[str] = ..., status: _Optional[_Union[_model_pb2.ExecutionStatus, str]] = ...) -> None: ...

class CompleteCallbackRequest(_message.Message):
    __slots__ = ("callback_id", "success", "failure", "heartbeat")
    CALLBACK_ID_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    callback_id: str
    success: CallbackSuccess
    failure: CallbackFailure
    heartbeat: CallbackHeartbeat
    def __init__(self, callback_id: _Optional[str] = ..., success: _Optional[_Union[CallbackSuccess, _Mapping]] = ..., failure: _Optional[_Union[CallbackFailure, _Mapping]] = ..., heartbeat: _Optional[_Union[CallbackHeartbeat, _Mapping]] = ...) -> None: ...

class CallbackSuccess(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: str
    def __init__(self, result: _Optional[str] = ...) -> None: ...

class CallbackFailure(_message.Message):
    __slots__ = ("error",)
    ERROR_FIELD_NUMBER: _ClassVar[int]
    error: _model_pb2.ErrorObject
    def __init__(self, error: _Optional[_Union[_model_pb2.ErrorObject, _Mapping]] = ...) -> None: ...

class CallbackHeartbeat(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CompleteCallbackResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StopExecutionRequest(_message.Message):
    __slots__ = ("execution_arn", "error")
    EXECUTION_ARN_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    execution_arn: str
    error: _model_pb2.ErrorObject
    def __init__(self, execution_arn: _Optional[str] = ..., error: _Optional[_Union[_model_pb2.ErrorObject, _Mapping]] = ...) -> None: ...

class StopExecutionResponse(_message.Message):
    __slots__ = ("stop_ms",)
    STOP_MS_FIELD_NUMBER: _ClassVar[int]
    stop_ms: int
    def __init__(self, stop_ms: _Optional[int] = ...) -> None: ...

class AdvanceTimeRequest(_message.Message):
    __slots__ = ("execution_arn", "workspace_id", "duration_ms")
    EXECUTION_ARN_FIELD_NUMBER: _ClassVar[int]
    WORKSPACE_ID_FIELD_NUMBER: _ClassVar[int]
    DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    execution_arn: str
    workspace_id: str
    duration_ms: int
    def __init__(self, execution_arn: _Optional[str] = ..., workspace_id: _Optional[str] = ..., duration_ms: _Optional[int] = ...) -> None: ...

class AdvanceTimeResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStatusResponse(_message.Message):
    __slots__ = ("coordinator_id", "pid", "hosts", "workers", "executions", "queued_invocations", "trouble", "lost_hosts")
    COORDINATOR_ID_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    HOSTS_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    EXECUTIONS_FIELD_NUMBER: _ClassVar[int]
    QUEUED_INVOCATIONS_FIELD_NUMBER: _ClassVar[int]
    TROUBLE_FIELD_NUMBER: _ClassVar[int]
    LOST_HOSTS_FIELD_NUMBER: _ClassVar[int]
    coordinator_id: str
    pid: int
    hosts: _containers.RepeatedCompositeFieldContainer[HostStatus]
    workers: _containers.RepeatedCompositeFieldContainer[WorkerStatus]
    executions: int
    queued_invocations: int
    trouble: str
    lost_hosts: _containers.RepeatedCompositeFieldContainer[HostStatus]
    def __init__(self, coordinator_id: _Optional[str] = ..., pid: _Optional[int] = ..., hosts: _Optional[_Iterable[_Union[HostStatus, _Mapping]]] = ..., workers: _Optional[_Iterable[_Union[WorkerStatus, _Mapping]]] = ..., executions: _Optional[int] = ..., queued_invocations: _Optional[int] = ..., trouble: _Optional[str] = ..., lost_hosts: _Optional[_Iterable[_Union[HostStatus, _Mapping]]] = ...) -> None: ...

class HostStatus(_message.Message):
    __slots__ = ("host_id", "pid", "slots", "labels", "draining", "lost_ms", "lost_workers")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    HOST_ID_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    LOST_MS_FIELD_NUMBER: _ClassVar[int]
    LOST_WORKERS_FIELD_NUMBER: _ClassVar[int]
    host_id: str
    pid: int
    slots: int
    labels: _containers.ScalarMap[str, str]
    draining: bool
    lost_ms: int
    lost_workers: int
    def __init__(self, host_id: _Optional[str] = ..., pid: _Optional[int] = ..., slots: _Optional[int] = ..., labels: _Optional[_Mapping[str, str]] = ..., draining: bool = ..., lost_ms: _Optional[int] = ..., lost_workers: _Optional[int] = ...) -> None: ...

class WorkerStatus(_message.Message):
    __slots__ = ("worker_id", "host_id", "pid", "request_id", "state", "function_name", "execution_arn", "invocation", "running_ms")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    HOST_ID_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_NAME_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_ARN_FIELD_NUMBER: _ClassVar[int]
    INVOCATION_FIELD_NUMBER: _ClassVar[int]
    RUNNING_MS_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    host_id: str
    pid: int
    request_id: str
    state: WorkerState
    function_name: str
    execution_arn: str
    invocation: int
    running_ms: int
    def __init__(self, worker_id: _Optional[str] = ..., host_id: _Optional[str] = ..., pid: _Optional[int] = ..., request_id: _Optional[str] = ..., state: _Optional[_Union[WorkerState, str]] = ..., function_name: _Optional[str] = ..., execution_arn: _Optional[str] = ..., invocation: _Optional[int] = ..., running_ms: _Optional[int] = ...) -> None: ...

class ServeAwsApiRequest(_message.Message):
    __slots__ = ("workspace_id", "host", "port", "access_keys", "skip_time", "faults", "allow_hosts", "functions_follow")
    class AccessKeysEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    WORKSPACE_ID_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    ACCESS_KEYS_FIELD_NUMBER: _ClassVar[int]
    SKIP_TIME_FIELD_NUMBER: _ClassVar[int]
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    ALLOW_HOSTS_FIELD_NUMBER: _ClassVar[int]
    FUNCTIONS_FOLLOW_FIELD_NUMBER: _ClassVar[int]
    workspace_id: str
    host: str
    port: int
    access_keys: _containers.ScalarMap[str, str]
    skip_time: bool
    faults: _containers.RepeatedScalarFieldContainer[str]
    allow_hosts: _containers.RepeatedScalarFieldContainer[str]
    functions_follow: bool
    def __init__(self, workspace_id: _Optional[str] = ..., host: _Optional[str] = ..., port: _Optional[int] = ..., access_keys: _Optional[_Mapping[str, str]] = ..., skip_time: bool = ..., faults: _Optional[_Iterable[str]] = ..., allow_hosts: _Optional[_Iterable[str]] = ..., functions_follow: bool = ...) -> None: ...

class ServeAwsApiResponse(_message.Message):
    __slots__ = ("endpoint_url",)
    ENDPOINT_URL_FIELD_NUMBER: _ClassVar[int]
    endpoint_url: str
    def __init__(self, endpoint_url: _Optional[str] = ...) -> None: ...

class FollowOutputRequest(_message.Message):
    __slots__ = ("workspace_id",)
    WORKSPACE_ID_FIELD_NUMBER: _ClassVar[int]
    workspace_id: str
    def __init__(self, workspace_id: _Optional[str] = ...) -> None: ...

class FollowOutputResponse(_message.Message):
    __slots__ = ("function_name", "execution_arn", "request_id", "time_ms", "lines", "dropped")
    FUNCTION_NAME_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_ARN_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_MS_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    function_name: str
    execution_arn: str
    request_id: str
    time_ms: int
    lines: _containers.RepeatedCompositeFieldContainer[_model_pb2.OutputLine]
    dropped: int
    def __init__(self, function_name: _Optional[str] = ..., execution_arn: _Optional[str] = ..., request_id: _Optional[str] = ..., time_ms: _Optional[int] = ..., lines: _Optional[_Iterable[_Union[_model_pb2.OutputLine, _Mapping]]] = ..., dropped: _Optional[int] = ...) -> None: ...
