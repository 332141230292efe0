from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class FollowRequest(_message.Message):
    __slots__ = ("user_id",)
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    def __init__(self, user_id: _Optional[str] = ...) -> None: ...

class FollowResponse(_message.Message):
    __slots__ = ("stop_id", "began", "output", "reads", "over")
    STOP_ID_FIELD_NUMBER: _ClassVar[int]
    BEGAN_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    READS_FIELD_NUMBER: _ClassVar[int]
    OVER_FIELD_NUMBER: _ClassVar[int]
    stop_id: str
    began: str
    output: str
    reads: bool
    over: bool
    def __init__(self, stop_id: _Optional[str] = ..., began: _Optional[str] = ..., output: _Optional[str] = ..., reads: bool = ..., over: bool = ...) -> None: ...

class AnswerRequest(_message.Message):
    __slots__ = ("user_id", "stop_id", "line")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    STOP_ID_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    stop_id: str
    line: str
    def __init__(self, user_id: _Optional[str] = ..., stop_id: _Optional[str] = ..., line: _Optional[str] = ...) -> None: ...

class AnswerResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StopRequest(_message.Message):
    __slots__ = ("request_id", "place", "known", "output", "reads", "holds", "quits")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    READS_FIELD_NUMBER: _ClassVar[int]
    HOLDS_FIELD_NUMBER: _ClassVar[int]
    QUITS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    place: str
    known: bool
    output: str
    reads: bool
    holds: bool
    quits: bool
    def __init__(self, request_id: _Optional[str] = ..., place: _Optional[str] = ..., known: bool = ..., output: _Optional[str] = ..., reads: bool = ..., holds: bool = ..., quits: bool = ...) -> None: ...

class StopResponse(_message.Message):
    __slots__ = ("line",)
    LINE_FIELD_NUMBER: _ClassVar[int]
    line: str
    def __init__(self, line: _Optional[str] = ...) -> None: ...
