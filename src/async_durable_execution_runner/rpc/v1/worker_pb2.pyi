from async_durable_execution_runner.rpc.v1 import model_pb2 as _model_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WorkerSignal(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WORKER_SIGNAL_UNSPECIFIED: _ClassVar[WorkerSignal]
    WORKER_SIGNAL_STOP: _ClassVar[WorkerSignal]
    WORKER_SIGNAL_CONTINUE: _ClassVar[WorkerSignal]

class ExitCause(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EXIT_CAUSE_UNSPECIFIED: _ClassVar[ExitCause]
    EXIT_CAUSE_EXITED: _ClassVar[ExitCause]
    EXIT_CAUSE_SIGNALED: _ClassVar[ExitCause]
    EXIT_CAUSE_MEMORY: _ClassVar[ExitCause]
    EXIT_CAUSE_NOT_STARTED: _ClassVar[ExitCause]
    EXIT_CAUSE_UNKNOWN: _ClassVar[ExitCause]

class MisdeedKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MISDEED_KIND_UNSPECIFIED: _ClassVar[MisdeedKind]
    MISDEED_KIND_EXIT: _ClassVar[MisdeedKind]
    MISDEED_KIND_SEGFAULT: _ClassVar[MisdeedKind]
    MISDEED_KIND_OUT_OF_MEMORY: _ClassVar[MisdeedKind]
    MISDEED_KIND_HANG_PYTHON: _ClassVar[MisdeedKind]
    MISDEED_KIND_HANG_C: _ClassVar[MisdeedKind]
    MISDEED_KIND_RAISE: _ClassVar[MisdeedKind]
    MISDEED_KIND_ASK_AGAIN: _ClassVar[MisdeedKind]
WORKER_SIGNAL_UNSPECIFIED: WorkerSignal
WORKER_SIGNAL_STOP: WorkerSignal
WORKER_SIGNAL_CONTINUE: WorkerSignal
EXIT_CAUSE_UNSPECIFIED: ExitCause
EXIT_CAUSE_EXITED: ExitCause
EXIT_CAUSE_SIGNALED: ExitCause
EXIT_CAUSE_MEMORY: ExitCause
EXIT_CAUSE_NOT_STARTED: ExitCause
EXIT_CAUSE_UNKNOWN: ExitCause
MISDEED_KIND_UNSPECIFIED: MisdeedKind
MISDEED_KIND_EXIT: MisdeedKind
MISDEED_KIND_SEGFAULT: MisdeedKind
MISDEED_KIND_OUT_OF_MEMORY: MisdeedKind
MISDEED_KIND_HANG_PYTHON: MisdeedKind
MISDEED_KIND_HANG_C: MisdeedKind
MISDEED_KIND_RAISE: MisdeedKind
MISDEED_KIND_ASK_AGAIN: MisdeedKind

class SuperviseRequest(_message.Message):
    __slots__ = ("hello", "exited", "stacks", "draining", "code_changed")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    EXITED_FIELD_NUMBER: _ClassVar[int]
    STACKS_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    CODE_CHANGED_FIELD_NUMBER: _ClassVar[int]
    hello: HostHello
    exited: WorkerExited
    stacks: WorkerStacks
    draining: Draining
    code_changed: CodeChanged
    def __init__(self, hello: _Optional[_Union[HostHello, _Mapping]] = ..., exited: _Optional[_Union[WorkerExited, _Mapping]] = ..., stacks: _Optional[_Union[WorkerStacks, _Mapping]] = ..., draining: _Optional[_Union[Draining, _Mapping]] = ..., code_changed: _Optional[_Union[CodeChanged, _Mapping]] = ...) -> None: ...

class Draining(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CodeChanged(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class HostHello(_message.Message):
    __slots__ = ("host_id", "protocol_version", "runner_version", "python_version", "slots", "labels", "pid")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    HOST_ID_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    RUNNER_VERSION_FIELD_NUMBER: _ClassVar[int]
    PYTHON_VERSION_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    host_id: str
    protocol_version: int
    runner_version: str
    python_version: str
    slots: int
    labels: _containers.ScalarMap[str, str]
    pid: int
    def __init__(self, host_id: _Optional[str] = ..., protocol_version: _Optional[int] = ..., runner_version: _Optional[str] = ..., python_version: _Optional[str] = ..., slots: _Optional[int] = ..., labels: _Optional[_Mapping[str, str]] = ..., pid: _Optional[int] = ...) -> None: ...

class SuperviseResponse(_message.Message):
    __slots__ = ("welcome", "start", "kill", "limit_memory", "signal", "die", "take_stacks", "code_dropped")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    KILL_FIELD_NUMBER: _ClassVar[int]
    LIMIT_MEMORY_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    DIE_FIELD_NUMBER: _ClassVar[int]
    TAKE_STACKS_FIELD_NUMBER: _ClassVar[int]
    CODE_DROPPED_FIELD_NUMBER: _ClassVar[int]
    welcome: HostWelcome
    start: StartWorker
    kill: KillWorker
    limit_memory: LimitMemory
    signal: SignalWorker
    die: Die
    take_stacks: TakeStacks
    code_dropped: CodeDropped
    def __init__(self, welcome: _Optional[_Union[HostWelcome, _Mapping]] = ..., start: _Optional[_Union[StartWorker, _Mapping]] = ..., kill: _Optional[_Union[KillWorker, _Mapping]] = ..., limit_memory: _Optional[_Union[LimitMemory, _Mapping]] = ..., signal: _Optional[_Union[SignalWorker, _Mapping]] = ..., die: _Optional[_Union[Die, _Mapping]] = ..., take_stacks: _Optional[_Union[TakeStacks, _Mapping]] = ..., code_dropped: _Optional[_Union[CodeDropped, _Mapping]] = ...) -> None: ...

class CodeDropped(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class HostWelcome(_message.Message):
    __slots__ = ("coordinator_id", "workers_port")
    COORDINATOR_ID_FIELD_NUMBER: _ClassVar[int]
    WORKERS_PORT_FIELD_NUMBER: _ClassVar[int]
    coordinator_id: str
    workers_port: int
    def __init__(self, coordinator_id: _Optional[str] = ..., workers_port: _Optional[int] = ...) -> None: ...

class StartWorker(_message.Message):
    __slots__ = ("worker_id", "credential", "sdks", "coverage")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    SDKS_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    credential: str
    sdks: _containers.RepeatedScalarFieldContainer[str]
    coverage: bool
    def __init__(self, worker_id: _Optional[str] = ..., credential: _Optional[str] = ..., sdks: _Optional[_Iterable[str]] = ..., coverage: bool = ...) -> None: ...

class KillWorker(_message.Message):
    __slots__ = ("worker_id",)
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    def __init__(self, worker_id: _Optional[str] = ...) -> None: ...

class LimitMemory(_message.Message):
    __slots__ = ("worker_id", "bytes")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    bytes: int
    def __init__(self, worker_id: _Optional[str] = ..., bytes: _Optional[int] = ...) -> None: ...

class SignalWorker(_message.Message):
    __slots__ = ("worker_id", "signal")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    signal: WorkerSignal
    def __init__(self, worker_id: _Optional[str] = ..., signal: _Optional[_Union[WorkerSignal, str]] = ...) -> None: ...

class Die(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TakeStacks(_message.Message):
    __slots__ = ("worker_id", "request_id")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    request_id: str
    def __init__(self, worker_id: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class WorkerStacks(_message.Message):
    __slots__ = ("worker_id", "request_id", "dumps", "verdict", "output")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    DUMPS_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    request_id: str
    dumps: _containers.RepeatedScalarFieldContainer[str]
    verdict: str
    output: _containers.RepeatedCompositeFieldContainer[_model_pb2.OutputLine]
    def __init__(self, worker_id: _Optional[str] = ..., request_id: _Optional[str] = ..., dumps: _Optional[_Iterable[str]] = ..., verdict: _Optional[str] = ..., output: _Optional[_Iterable[_Union[_model_pb2.OutputLine, _Mapping]]] = ...) -> None: ...

class WorkerExited(_message.Message):
    __slots__ = ("worker_id", "cause", "exit_code", "signal", "detail", "output", "output_truncated", "peak_memory_bytes")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    PEAK_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    cause: ExitCause
    exit_code: int
    signal: int
    detail: str
    output: _containers.RepeatedCompositeFieldContainer[_model_pb2.OutputLine]
    output_truncated: bool
    peak_memory_bytes: int
    def __init__(self, worker_id: _Optional[str] = ..., cause: _Optional[_Union[ExitCause, str]] = ..., exit_code: _Optional[int] = ..., signal: _Optional[int] = ..., detail: _Optional[str] = ..., output: _Optional[_Iterable[_Union[_model_pb2.OutputLine, _Mapping]]] = ..., output_truncated: bool = ..., peak_memory_bytes: _Optional[int] = ...) -> None: ...

class SessionRequest(_message.Message):
    __slots__ = ("hello", "result")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    hello: WorkerHello
    result: InvocationResult
    def __init__(self, hello: _Optional[_Union[WorkerHello, _Mapping]] = ..., result: _Optional[_Union[InvocationResult, _Mapping]] = ...) -> None: ...

class WorkerHello(_message.Message):
    __slots__ = ("worker_id", "protocol_version", "pid", "inline_workspace_id")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    INLINE_WORKSPACE_ID_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    protocol_version: int
    pid: int
    inline_workspace_id: str
    def __init__(self, worker_id: _Optional[str] = ..., protocol_version: _Optional[int] = ..., pid: _Optional[int] = ..., inline_workspace_id: _Optional[str] = ...) -> None: ...

class SessionResponse(_message.Message):
    __slots__ = ("welcome", "invocation", "misdeed")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    INVOCATION_FIELD_NUMBER: _ClassVar[int]
    MISDEED_FIELD_NUMBER: _ClassVar[int]
    welcome: WorkerWelcome
    invocation: Invocation
    misdeed: Misdeed
    def __init__(self, welcome: _Optional[_Union[WorkerWelcome, _Mapping]] = ..., invocation: _Optional[_Union[Invocation, _Mapping]] = ..., misdeed: _Optional[_Union[Misdeed, _Mapping]] = ...) -> None: ...

class WorkerWelcome(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Misdeed(_message.Message):
    __slots__ = ("kind", "code", "message")
    KIND_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    kind: MisdeedKind
    code: int
    message: str
    def __init__(self, kind: _Optional[_Union[MisdeedKind, str]] = ..., code: _Optional[int] = ..., message: _Optional[str] = ...) -> None: ...

class FunctionCode(_message.Message):
    __slots__ = ("reference", "pickled", "inline_key", "surroundings", "setup", "sdk")
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    PICKLED_FIELD_NUMBER: _ClassVar[int]
    INLINE_KEY_FIELD_NUMBER: _ClassVar[int]
    SURROUNDINGS_FIELD_NUMBER: _ClassVar[int]
    SETUP_FIELD_NUMBER: _ClassVar[int]
    SDK_FIELD_NUMBER: _ClassVar[int]
    reference: ModuleReference
    pickled: bytes
    inline_key: str
    surroundings: Surroundings
    setup: FunctionCode
    sdk: str
    def __init__(self, reference: _Optional[_Union[ModuleReference, _Mapping]] = ..., pickled: _Optional[bytes] = ..., inline_key: _Optional[str] = ..., surroundings: _Optional[_Union[Surroundings, _Mapping]] = ..., setup: _Optional[_Union[FunctionCode, _Mapping]] = ..., sdk: _Optional[str] = ...) -> None: ...

class Surroundings(_message.Message):
    __slots__ = ("variables", "unset", "folder", "coverage")
    class VariablesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    VARIABLES_FIELD_NUMBER: _ClassVar[int]
    UNSET_FIELD_NUMBER: _ClassVar[int]
    FOLDER_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    variables: _containers.ScalarMap[str, str]
    unset: _containers.RepeatedScalarFieldContainer[str]
    folder: bytes
    coverage: Coverage
    def __init__(self, variables: _Optional[_Mapping[str, str]] = ..., unset: _Optional[_Iterable[str]] = ..., folder: _Optional[bytes] = ..., coverage: _Optional[_Union[Coverage, _Mapping]] = ...) -> None: ...

class Coverage(_message.Message):
    __slots__ = ("config", "folder")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    FOLDER_FIELD_NUMBER: _ClassVar[int]
    config: str
    folder: bytes
    def __init__(self, config: _Optional[str] = ..., folder: _Optional[bytes] = ...) -> None: ...

class ModuleReference(_message.Message):
    __slots__ = ("module", "file", "qualname", "import_path", "digest")
    MODULE_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    QUALNAME_FIELD_NUMBER: _ClassVar[int]
    IMPORT_PATH_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    module: str
    file: str
    qualname: str
    import_path: _containers.RepeatedScalarFieldContainer[str]
    digest: bytes
    def __init__(self, module: _Optional[str] = ..., file: _Optional[str] = ..., qualname: _Optional[str] = ..., import_path: _Optional[_Iterable[str]] = ..., digest: _Optional[bytes] = ...) -> None: ...

class FunctionConfig(_message.Message):
    __slots__ = ("function_id", "name", "version", "arn", "durable", "timeout_seconds", "memory_mb", "enforce_memory", "environment", "log_format")
    class EnvironmentEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    FUNCTION_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ARN_FIELD_NUMBER: _ClassVar[int]
    DURABLE_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_MB_FIELD_NUMBER: _ClassVar[int]
    ENFORCE_MEMORY_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    LOG_FORMAT_FIELD_NUMBER: _ClassVar[int]
    function_id: str
    name: str
    version: str
    arn: str
    durable: bool
    timeout_seconds: float
    memory_mb: int
    enforce_memory: bool
    environment: _containers.ScalarMap[str, str]
    log_format: str
    def __init__(self, function_id: _Optional[str] = ..., name: _Optional[str] = ..., version: _Optional[str] = ..., arn: _Optional[str] = ..., durable: bool = ..., timeout_seconds: _Optional[float] = ..., memory_mb: _Optional[int] = ..., enforce_memory: bool = ..., environment: _Optional[_Mapping[str, str]] = ..., log_format: _Optional[str] = ...) -> None: ...

class Invocation(_message.Message):
    __slots__ = ("request_id", "function", "code", "execution_arn", "checkpoint_token", "operations", "next_marker", "payload", "tenant_id", "sources", "updated_operation_ids", "client_context", "log_levels", "coverage_context", "debugging", "other_code", "clock_ahead_ms", "misdeed")
    class LogLevelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_ARN_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_TOKEN_FIELD_NUMBER: _ClassVar[int]
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_MARKER_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    UPDATED_OPERATION_IDS_FIELD_NUMBER: _ClassVar[int]
    CLIENT_CONTEXT_FIELD_NUMBER: _ClassVar[int]
    LOG_LEVELS_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_CONTEXT_FIELD_NUMBER: _ClassVar[int]
    DEBUGGING_FIELD_NUMBER: _ClassVar[int]
    OTHER_CODE_FIELD_NUMBER: _ClassVar[int]
    CLOCK_AHEAD_MS_FIELD_NUMBER: _ClassVar[int]
    MISDEED_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    function: FunctionConfig
    code: FunctionCode
    execution_arn: str
    checkpoint_token: str
    operations: _containers.RepeatedCompositeFieldContainer[_model_pb2.Operation]
    next_marker: str
    payload: str
    tenant_id: str
    sources: _model_pb2.Sources
    updated_operation_ids: _containers.RepeatedScalarFieldContainer[str]
    client_context: str
    log_levels: _containers.ScalarMap[str, int]
    coverage_context: str
    debugging: Debugging
    other_code: bool
    clock_ahead_ms: int
    misdeed: Misdeed
    def __init__(self, request_id: _Optional[str] = ..., function: _Optional[_Union[FunctionConfig, _Mapping]] = ..., code: _Optional[_Union[FunctionCode, _Mapping]] = ..., execution_arn: _Optional[str] = ..., checkpoint_token: _Optional[str] = ..., operations: _Optional[_Iterable[_Union[_model_pb2.Operation, _Mapping]]] = ..., next_marker: _Optional[str] = ..., payload: _Optional[str] = ..., tenant_id: _Optional[str] = ..., sources: _Optional[_Union[_model_pb2.Sources, _Mapping]] = ..., updated_operation_ids: _Optional[_Iterable[str]] = ..., client_context: _Optional[str] = ..., log_levels: _Optional[_Mapping[str, int]] = ..., coverage_context: _Optional[str] = ..., debugging: _Optional[_Union[Debugging, _Mapping]] = ..., other_code: bool = ..., clock_ahead_ms: _Optional[int] = ..., misdeed: _Optional[_Union[Misdeed, _Mapping]] = ...) -> None: ...

class Debugging(_message.Message):
    __slots__ = ("user_id", "port")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    port: int
    def __init__(self, user_id: _Optional[str] = ..., port: _Optional[int] = ...) -> None: ...

class InvocationResult(_message.Message):
    __slots__ = ("request_id", "output", "error", "lines", "lines_truncated", "divergences", "unfit")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    LINES_TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    DIVERGENCES_FIELD_NUMBER: _ClassVar[int]
    UNFIT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    output: str
    error: _model_pb2.ErrorObject
    lines: _containers.RepeatedCompositeFieldContainer[_model_pb2.OutputLine]
    lines_truncated: bool
    divergences: _containers.RepeatedCompositeFieldContainer[_model_pb2.Divergence]
    unfit: str
    def __init__(self, request_id: _Optional[str] = ..., output: _Optional[str] = ..., error: _Optional[_Union[_model_pb2.ErrorObject, _Mapping]] = ..., lines: _Optional[_Iterable[_Union[_model_pb2.OutputLine, _Mapping]]] = ..., lines_truncated: bool = ..., divergences: _Optional[_Iterable[_Union[_model_pb2.Divergence, _Mapping]]] = ..., unfit: _Optional[str] = ...) -> None: ...

class CheckpointRequest(_message.Message):
    __slots__ = ("execution_arn", "checkpoint_token", "updates", "client_token", "marker", "max_items", "sources")
    EXECUTION_ARN_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_TOKEN_FIELD_NUMBER: _ClassVar[int]
    UPDATES_FIELD_NUMBER: _ClassVar[int]
    CLIENT_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MARKER_FIELD_NUMBER: _ClassVar[int]
    MAX_ITEMS_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    execution_arn: str
    checkpoint_token: str
    updates: _containers.RepeatedCompositeFieldContainer[_model_pb2.OperationUpdate]
    client_token: str
    marker: str
    max_items: int
    sources: _containers.RepeatedCompositeFieldContainer[_model_pb2.Source]
    def __init__(self, execution_arn: _Optional[str] = ..., checkpoint_token: _Optional[str] = ..., updates: _Optional[_Iterable[_Union[_model_pb2.OperationUpdate, _Mapping]]] = ..., client_token: _Optional[str] = ..., marker: _Optional[str] = ..., max_items: _Optional[int] = ..., sources: _Optional[_Iterable[_Union[_model_pb2.Source, _Mapping]]] = ...) -> None: ...

class CheckpointResponse(_message.Message):
    __slots__ = ("checkpoint_token", "operations", "next_marker", "error", "sources", "clock_ahead_ms", "misdeed")
    CHECKPOINT_TOKEN_FIELD_NUMBER: _ClassVar[int]
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_MARKER_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    CLOCK_AHEAD_MS_FIELD_NUMBER: _ClassVar[int]
    MISDEED_FIELD_NUMBER: _ClassVar[int]
    checkpoint_token: str
    operations: _containers.RepeatedCompositeFieldContainer[_model_pb2.Operation]
    next_marker: str
    error: _model_pb2.ServiceError
    sources: _model_pb2.Sources
    clock_ahead_ms: int
    misdeed: Misdeed
    def __init__(self, checkpoint_token: _Optional[str] = ..., operations: _Optional[_Iterable[_Union[_model_pb2.Operation, _Mapping]]] = ..., next_marker: _Optional[str] = ..., error: _Optional[_Union[_model_pb2.ServiceError, _Mapping]] = ..., sources: _Optional[_Union[_model_pb2.Sources, _Mapping]] = ..., clock_ahead_ms: _Optional[int] = ..., misdeed: _Optional[_Union[Misdeed, _Mapping]] = ...) -> None: ...

class RecordEffectRequest(_message.Message):
    __slots__ = ("request_id", "name", "key", "data", "operation_id", "operation_name", "attempt", "outside_step")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATION_NAME_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    OUTSIDE_STEP_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    key: str
    data: str
    operation_id: str
    operation_name: str
    attempt: int
    outside_step: bool
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., key: _Optional[str] = ..., data: _Optional[str] = ..., operation_id: _Optional[str] = ..., operation_name: _Optional[str] = ..., attempt: _Optional[int] = ..., outside_step: bool = ...) -> None: ...

class RecordEffectResponse(_message.Message):
    __slots__ = ("misdeed",)
    MISDEED_FIELD_NUMBER: _ClassVar[int]
    misdeed: Misdeed
    def __init__(self, misdeed: _Optional[_Union[Misdeed, _Mapping]] = ...) -> None: ...
