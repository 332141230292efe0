"""A worker process, from the fork to its end: it never returns to the forkserver's code.

Nothing that a handler leaves behind (threads, atexit hooks) may keep the process alive, so the
process always ends by `os._exit`.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import signal
import sys
import traceback
from typing import NoReturn

from ..errors import RunnerError
from ..rpc import codec
from ..rpc.v1 import worker_pb2
from ..security import secrecy
from . import covered, debugging, over_socket
from .condition import Condition
from .connection import Connection, cut_off
from .inline import exit_code
from .invocation import Functions
from .output import FileCapture
from .session import Session
from .stacks import install


def main(worker_id: str, output: int, secret: int, stacks: int) -> NoReturn:
    """Be the worker `worker_id` until the end of this process.

    Args:
        worker_id: The id by which the coordinator knows the worker.
        output: The descriptor of the file that takes what the worker writes.
        secret: The descriptor of the socket with the worker's credential.
        stacks: The descriptor of the pipe for the stacks of the worker's threads and tasks.
    """
    code = 1
    try:
        _take_over(output, stacks)
        told = secrecy.read(secret)
        os.close(secret)
        secrecy.unshield()
        if told is not None and told[0]:
            credential, address, tls = told
            connection = Connection(address, credential, worker_id, tls)
            code = _serve(connection, worker_id, output, stacks)
        else:
            sys.stderr.write(
                f"No credential came for worker {worker_id}: another process took it, or the host "
                "ended.\n"
            )
    except BaseException:
        traceback.print_exc()
    finally:
        _exit(code)


def _take_over(output: int, stacks: int) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.set_inheritable(output, False)
    os.dup2(output, 1)
    os.dup2(output, 2)
    # `faulthandler` says where in the code a signal such as SIGSEGV struck. With all threads,
    # gRPC's and others would come first and take up the lines that are kept.
    faulthandler.enable(2, all_threads=False)
    install(stacks)
    sys.breakpointhook = debugging.stop
    gc.enable()


def _serve(connection: Connection, worker_id: str, output: int, stacks: int) -> int:
    capture = FileCapture(output)
    capture.install()
    condition = Condition(output, stacks)
    functions = Functions(connection, loaded=condition.keep)

    def serve(invocation: worker_pb2.Invocation) -> worker_pb2.InvocationResult:
        try:
            result = functions.invoke(invocation)
            covered.end()
        except SystemExit as exit:
            covered.end()
            if not isinstance(exit.code, int | None):
                print(exit.code, file=sys.stderr)  # noqa: T201 - what the interpreter does
            _exit(exit_code(exit))
        except BaseException:
            covered.end()
            traceback.print_exc()
            _exit(1)
        result.unfit = condition.restore() or over_socket.unfit() or cut_off()
        lines, truncated = capture.collect()
        result.lines.extend(codec.line_to_proto(line) for line in lines)
        result.lines_truncated = truncated
        return result

    try:
        Session(connection, worker_id).run(serve)
    except RunnerError as error:
        sys.stderr.write(f"The coordinator refused worker {worker_id}: {error}\n")
        return 2
    return 0


def _exit(code: int) -> NoReturn:
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)
