from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OperationType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OPERATION_TYPE_UNSPECIFIED: _ClassVar[OperationType]
    OPERATION_TYPE_EXECUTION: _ClassVar[OperationType]
    OPERATION_TYPE_CONTEXT: _ClassVar[OperationType]
    OPERATION_TYPE_STEP: _ClassVar[OperationType]
    OPERATION_TYPE_WAIT: _ClassVar[OperationType]
    OPERATION_TYPE_CALLBACK: _ClassVar[OperationType]
    OPERATION_TYPE_CHAINED_INVOKE: _ClassVar[OperationType]

class OperationStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OPERATION_STATUS_UNSPECIFIED: _ClassVar[OperationStatus]
    OPERATION_STATUS_STARTED: _ClassVar[OperationStatus]
    OPERATION_STATUS_PENDING: _ClassVar[OperationStatus]
    OPERATION_STATUS_READY: _ClassVar[OperationStatus]
    OPERATION_STATUS_SUCCEEDED: _ClassVar[OperationStatus]
    OPERATION_STATUS_FAILED: _ClassVar[OperationStatus]
    OPERATION_STATUS_CANCELLED: _ClassVar[OperationStatus]
    OPERATION_STATUS_TIMED_OUT: _ClassVar[OperationStatus]
    OPERATION_STATUS_STOPPED: _ClassVar[OperationStatus]

class OperationAction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OPERATION_ACTION_UNSPECIFIED: _ClassVar[OperationAction]
    OPERATION_ACTION_START: _ClassVar[OperationAction]
    OPERATION_ACTION_SUCCEED: _ClassVar[OperationAction]
    OPERATION_ACTION_FAIL: _ClassVar[OperationAction]
    OPERATION_ACTION_RETRY: _ClassVar[OperationAction]
    OPERATION_ACTION_CANCEL: _ClassVar[OperationAction]

class ExecutionStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EXECUTION_STATUS_UNSPECIFIED: _ClassVar[ExecutionStatus]
    EXECUTION_STATUS_RUNNING: _ClassVar[ExecutionStatus]
    EXECUTION_STATUS_SUCCEEDED: _ClassVar[ExecutionStatus]
    EXECUTION_STATUS_FAILED: _ClassVar[ExecutionStatus]
    EXECUTION_STATUS_TIMED_OUT: _ClassVar[ExecutionStatus]
    EXECUTION_STATUS_STOPPED: _ClassVar[ExecutionStatus]

class DivergenceKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DIVERGENCE_KIND_UNSPECIFIED: _ClassVar[DivergenceKind]
    DIVERGENCE_KIND_TYPE: _ClassVar[DivergenceKind]
    DIVERGENCE_KIND_NAME: _ClassVar[DivergenceKind]
    DIVERGENCE_KIND_PARENT: _ClassVar[DivergenceKind]
    DIVERGENCE_KIND_ORDER: _ClassVar[DivergenceKind]
    DIVERGENCE_KIND_SOURCE: _ClassVar[DivergenceKind]
    DIVERGENCE_KIND_LEFT_OVER: _ClassVar[DivergenceKind]
    DIVERGENCE_KIND_NEVER_AWAITED: _ClassVar[DivergenceKind]

class OutputStream(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTPUT_STREAM_UNSPECIFIED: _ClassVar[OutputStream]
    OUTPUT_STREAM_RAW: _ClassVar[OutputStream]
    OUTPUT_STREAM_STDOUT: _ClassVar[OutputStream]
    OUTPUT_STREAM_STDERR: _ClassVar[OutputStream]
    OUTPUT_STREAM_LOG: _ClassVar[OutputStream]
OPERATION_TYPE_UNSPECIFIED: OperationType
OPERATION_TYPE_EXECUTION: OperationType
OPERATION_TYPE_CONTEXT: OperationType
OPERATION_TYPE_STEP: OperationType
OPERATION_TYPE_WAIT: OperationType
OPERATION_TYPE_CALLBACK: OperationType
OPERATION_TYPE_CHAINED_INVOKE: OperationType
OPERATION_STATUS_UNSPECIFIED: OperationStatus
OPERATION_STATUS_STARTED: OperationStatus
OPERATION_STATUS_PENDING: OperationStatus
OPERATION_STATUS_READY: OperationStatus
OPERATION_STATUS_SUCCEEDED: OperationStatus
OPERATION_STATUS_FAILED: OperationStatus
OPERATION_STATUS_CANCELLED: OperationStatus
OPERATION_STATUS_TIMED_OUT: OperationStatus
OPERATION_STATUS_STOPPED: OperationStatus
OPERATION_ACTION_UNSPECIFIED: OperationAction
OPERATION_ACTION_START: OperationAction
OPERATION_ACTION_SUCCEED: OperationAction
OPERATION_ACTION_FAIL: OperationAction
OPERATION_ACTION_RETRY: OperationAction
OPERATION_ACTION_CANCEL: OperationAction
EXECUTION_STATUS_UNSPECIFIED: ExecutionStatus
EXECUTION_STATUS_RUNNING: ExecutionStatus
EXECUTION_STATUS_SUCCEEDED: ExecutionStatus
EXECUTION_STATUS_FAILED: ExecutionStatus
EXECUTION_STATUS_TIMED_OUT: ExecutionStatus
EXECUTION_STATUS_STOPPED: ExecutionStatus
DIVERGENCE_KIND_UNSPECIFIED: DivergenceKind
DIVERGENCE_KIND_TYPE: DivergenceKind
DIVERGENCE_KIND_NAME: DivergenceKind
DIVERGENCE_KIND_PARENT: DivergenceKind
DIVERGENCE_KIND_ORDER: DivergenceKind
DIVERGENCE_KIND_SOURCE: DivergenceKind
DIVERGENCE_KIND_LEFT_OVER: DivergenceKind
DIVERGENCE_KIND_NEVER_AWAITED: DivergenceKind
OUTPUT_STREAM_UNSPECIFIED: OutputStream
OUTPUT_STREAM_RAW: OutputStream
OUTPUT_STREAM_STDOUT: OutputStream
OUTPUT_STREAM_STDERR: OutputStream
OUTPUT_STREAM_LOG: OutputStream

class ErrorObject(_message.Message):
    __slots__ = ("message", "type", "data", "stack_trace")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    STACK_TRACE_FIELD_NUMBER: _ClassVar[int]
    message: str
    type: str
    data: str
    stack_trace: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, message: _Optional[str] = ..., type: _Optional[str] = ..., data: _Optional[str] = ..., stack_trace: _Optional[_Iterable[str]] = ...) -> None: ...

class Operation(_message.Message):
    __slots__ = ("id", "type", "status", "parent_id", "name", "sub_type", "start_ms", "end_ms", "input", "result", "error", "replay_children", "attempt", "next_attempt_ms", "scheduled_end_ms", "callback_id")
    ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PARENT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SUB_TYPE_FIELD_NUMBER: _ClassVar[int]
    START_MS_FIELD_NUMBER: _ClassVar[int]
    END_MS_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    REPLAY_CHILDREN_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    NEXT_ATTEMPT_MS_FIELD_NUMBER: _ClassVar[int]
    SCHEDULED_END_MS_FIELD_NUMBER: _ClassVar[int]
    CALLBACK_ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    type: OperationType
    status: OperationStatus
    parent_id: str
    name: str
    sub_type: str
    start_ms: int
    end_ms: int
    input: str
    result: str
    error: ErrorObject
    replay_children: bool
    attempt: int
    next_attempt_ms: int
    scheduled_end_ms: int
    callback_id: str
    def __init__(self, id: _Optional[str] = ..., type: _Optional[_Union[OperationType, str]] = ..., status: _Optional[_Union[OperationStatus, str]] = ..., parent_id: _Optional[str] = ..., name: _Optional[str] = ..., sub_type: _Optional[str] = ..., start_ms: _Optional[int] = ..., end_ms: _Optional[int] = ..., input: _Optional[str] = ..., result: _Optional[str] = ..., error: _Optional[_Union[ErrorObject, _Mapping]] = ..., replay_children: bool = ..., attempt: _Optional[int] = ..., next_attempt_ms: _Optional[int] = ..., scheduled_end_ms: _Optional[int] = ..., callback_id: _Optional[str] = ...) -> None: ...

class OperationUpdate(_message.Message):
    __slots__ = ("id", "type", "action", "parent_id", "name", "sub_type", "payload", "error", "replay_children", "next_attempt_delay_seconds", "wait_seconds", "timeout_seconds", "heartbeat_timeout_seconds", "function_name", "tenant_id")
    ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    PARENT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SUB_TYPE_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    REPLAY_CHILDREN_FIELD_NUMBER: _ClassVar[int]
    NEXT_ATTEMPT_DELAY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    WAIT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_NAME_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    type: OperationType
    action: OperationAction
    parent_id: str
    name: str
    sub_type: str
    payload: str
    error: ErrorObject
    replay_children: bool
    next_attempt_delay_seconds: int
    wait_seconds: int
    timeout_seconds: int
    heartbeat_timeout_seconds: int
    function_name: str
    tenant_id: str
    def __init__(self, id: _Optional[str] = ..., type: _Optional[_Union[OperationType, str]] = ..., action: _Optional[_Union[OperationAction, str]] = ..., parent_id: _Optional[str] = ..., name: _Optional[str] = ..., sub_type: _Optional[str] = ..., payload: _Optional[str] = ..., error: _Optional[_Union[ErrorObject, _Mapping]] = ..., replay_children: bool = ..., next_attempt_delay_seconds: _Optional[int] = ..., wait_seconds: _Optional[int] = ..., timeout_seconds: _Optional[int] = ..., heartbeat_timeout_seconds: _Optional[int] = ..., function_name: _Optional[str] = ..., tenant_id: _Optional[str] = ...) -> None: ...

class HistoryEvent(_message.Message):
    __slots__ = ("event_id", "type", "timestamp_ms", "id", "parent_id", "name", "sub_type", "payload", "error", "attempt", "next_attempt_delay_seconds", "duration_seconds", "scheduled_end_ms", "callback_id", "timeout_seconds", "heartbeat_timeout_seconds", "function_name", "tenant_id", "executed_version", "execution_arn", "request_id", "start_ms", "end_ms")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_MS_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    PARENT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SUB_TYPE_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    NEXT_ATTEMPT_DELAY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    DURATION_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SCHEDULED_END_MS_FIELD_NUMBER: _ClassVar[int]
    CALLBACK_ID_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_NAME_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    EXECUTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_ARN_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    START_MS_FIELD_NUMBER: _ClassVar[int]
    END_MS_FIELD_NUMBER: _ClassVar[int]
    event_id: int
    type: str
    timestamp_ms: int
    id: str
    parent_id: str
    name: str
    sub_type: str
    payload: str
    error: ErrorObject
    attempt: int
    next_attempt_delay_seconds: int
    duration_seconds: int
    scheduled_end_ms: int
    callback_id: str
    timeout_seconds: int
    heartbeat_timeout_seconds: int
    function_name: str
    tenant_id: str
    executed_version: str
    execution_arn: str
    request_id: str
    start_ms: int
    end_ms: int
    def __init__(self, event_id: _Optional[int] = ..., type: _Optional[str] = ..., timestamp_ms: _Optional[int] = ..., id: _Optional[str] = ..., parent_id: _Optional[str] = ..., name: _Optional[str] = ..., sub_type: _Optional[str] = ..., payload: _Optional[str] = ..., error: _Optional[_Union[ErrorObject, _Mapping]] = ..., attempt: _Optional[int] = ..., next_attempt_delay_seconds: _Optional[int] = ..., duration_seconds: _Optional[int] = ..., scheduled_end_ms: _Optional[int] = ..., callback_id: _Optional[str] = ..., timeout_seconds: _Optional[int] = ..., heartbeat_timeout_seconds: _Optional[int] = ..., function_name: _Optional[str] = ..., tenant_id: _Optional[str] = ..., executed_version: _Optional[str] = ..., execution_arn: _Optional[str] = ..., request_id: _Optional[str] = ..., start_ms: _Optional[int] = ..., end_ms: _Optional[int] = ...) -> None: ...

class Source(_message.Message):
    __slots__ = ("line", "in_task")
    LINE_FIELD_NUMBER: _ClassVar[int]
    IN_TASK_FIELD_NUMBER: _ClassVar[int]
    line: str
    in_task: bool
    def __init__(self, line: _Optional[str] = ..., in_task: bool = ...) -> None: ...

class Sources(_message.Message):
    __slots__ = ("distinct", "numbers")
    DISTINCT_FIELD_NUMBER: _ClassVar[int]
    NUMBERS_FIELD_NUMBER: _ClassVar[int]
    distinct: _containers.RepeatedCompositeFieldContainer[Source]
    numbers: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, distinct: _Optional[_Iterable[_Union[Source, _Mapping]]] = ..., numbers: _Optional[_Iterable[int]] = ...) -> None: ...

class Divergence(_message.Message):
    __slots__ = ("kind", "operation_id", "recorded", "replayed")
    KIND_FIELD_NUMBER: _ClassVar[int]
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    RECORDED_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    kind: DivergenceKind
    operation_id: str
    recorded: Identity
    replayed: Identity
    def __init__(self, kind: _Optional[_Union[DivergenceKind, str]] = ..., operation_id: _Optional[str] = ..., recorded: _Optional[_Union[Identity, _Mapping]] = ..., replayed: _Optional[_Union[Identity, _Mapping]] = ...) -> None: ...

class Identity(_message.Message):
    __slots__ = ("type", "sub_type", "name", "parent_id", "source", "parent_name")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SUB_TYPE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PARENT_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    PARENT_NAME_FIELD_NUMBER: _ClassVar[int]
    type: str
    sub_type: str
    name: str
    parent_id: str
    source: str
    parent_name: str
    def __init__(self, type: _Optional[str] = ..., sub_type: _Optional[str] = ..., name: _Optional[str] = ..., parent_id: _Optional[str] = ..., source: _Optional[str] = ..., parent_name: _Optional[str] = ...) -> None: ...

class OutputLine(_message.Message):
    __slots__ = ("stream", "text", "logger", "level", "time_ms", "attributes")
    STREAM_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    LOGGER_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    TIME_MS_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    stream: OutputStream
    text: str
    logger: str
    level: int
    time_ms: int
    attributes: str
    def __init__(self, stream: _Optional[_Union[OutputStream, str]] = ..., text: _Optional[str] = ..., logger: _Optional[str] = ..., level: _Optional[int] = ..., time_ms: _Optional[int] = ..., attributes: _Optional[str] = ...) -> None: ...

class ServiceError(_message.Message):
    __slots__ = ("code", "message", "http_status")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    HTTP_STATUS_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    http_status: int
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ..., http_status: _Optional[int] = ...) -> None: ...

class Effect(_message.Message):
    __slots__ = ("name", "key", "data", "execution_arn", "function_name", "request_id", "invocation", "time_ms", "operation_id", "operation_name", "attempt", "outside_step", "stale", "invocation_error")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_ARN_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    INVOCATION_FIELD_NUMBER: _ClassVar[int]
    TIME_MS_FIELD_NUMBER: _ClassVar[int]
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATION_NAME_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    OUTSIDE_STEP_FIELD_NUMBER: _ClassVar[int]
    STALE_FIELD_NUMBER: _ClassVar[int]
    INVOCATION_ERROR_FIELD_NUMBER: _ClassVar[int]
    name: str
    key: str
    data: str
    execution_arn: str
    function_name: str
    request_id: str
    invocation: int
    time_ms: int
    operation_id: str
    operation_name: str
    attempt: int
    outside_step: bool
    stale: bool
    invocation_error: ErrorObject
    def __init__(self, name: _Optional[str] = ..., key: _Optional[str] = ..., data: _Optional[str] = ..., execution_arn: _Optional[str] = ..., function_name: _Optional[str] = ..., request_id: _Optional[str] = ..., invocation: _Optional[int] = ..., time_ms: _Optional[int] = ..., operation_id: _Optional[str] = ..., operation_name: _Optional[str] = ..., attempt: _Optional[int] = ..., outside_step: bool = ..., stale: bool = ..., invocation_error: _Optional[_Union[ErrorObject, _Mapping]] = ...) -> None: ...
