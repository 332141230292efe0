"""A worker on a thread of the test process: it isolates nothing, for debuggers and monkeypatch.

It has the same session and protocol as a worker process. A `SystemExit` or the like, which would
end a worker process, fails the invocation here.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import uuid4

from ..core.model import OutputLine
from ..errors import RunnerError
from ..rpc import codec
from ..rpc.v1 import worker_pb2
from .connection import Connection
from .invocation import Functions, error_object
from .output import InlineCapture
from .session import Session
from .stacks import Report, take


class InlineWorker:
    """A worker that serves the functions of one workspace.

    Args:
        connection: The coordinator's address and token.
        workspace_id: The workspace whose functions the worker serves.
        handlers: The handlers by inline key; the mapping may grow.
    """

    def __init__(
        self, connection: Connection, workspace_id: str, handlers: Mapping[str, Any]
    ) -> None:
        self.worker_id = f"inline-{uuid4().hex[:12]}"
        self.error: RunnerError | None = None
        connection = replace(connection, worker_id=self.worker_id)
        self._functions = Functions(connection, handlers)
        self._capture = InlineCapture()
        self._session = Session(connection, self.worker_id, workspace_id)
        self._thread = threading.Thread(target=self._run, name=self.worker_id, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """End the session. A handler that blocks is left behind on its daemon thread."""
        self._session.stop()
        self.join(timeout)

    def join(self, timeout: float | None = None) -> None:
        """Wait for the end of the session; `error` then holds the coordinator's refusal, if any."""
        self._thread.join(timeout)

    def stacks(self) -> Report:
        """Look twice at what the worker's thread is doing. This blocks for a moment."""
        assert self._thread.ident is not None
        return take(self._thread.ident)

    def written(self) -> list[OutputLine]:
        """Return the lines that the invocation under way has written so far."""
        return self._capture.so_far()

    def _run(self) -> None:
        try:
            self._session.run(self._serve)
        except RunnerError as error:
            self.error = error
        finally:
            self._functions.abandon()

    def _serve(self, invocation: worker_pb2.Invocation) -> worker_pb2.InvocationResult:
        try:
            with self._capture.capturing():
                result = self._functions.invoke(invocation)
        except BaseException as error:
            result = _exited(invocation, error)
            # Nothing that this invocation began may go on in the next one.
            self._functions.abandon()
        lines, truncated = self._capture.collect()
        result.lines.extend(codec.line_to_proto(line) for line in lines)
        result.lines_truncated = truncated
        return result


def exit_code(exit: SystemExit) -> int:
    """Return the exit code with which the interpreter would end the process for `exit`."""
    match exit.code:
        case None:
            return 0
        case int(code):
            return code & 0xFF
        case _:
            return 1


def _exited(invocation: worker_pb2.Invocation, end: BaseException) -> worker_pb2.InvocationResult:
    how = f"exit status {exit_code(end)}" if isinstance(end, SystemExit) else repr(end)
    error = error_object(end)
    error.type = "Runtime.ExitError"
    error.message = f"RequestId: {invocation.request_id} Error: Runtime exited with error: {how}"
    return worker_pb2.InvocationResult(request_id=invocation.request_id, error=error)
