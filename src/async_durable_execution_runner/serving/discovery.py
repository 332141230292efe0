"""What the handlers of served functions are, found out in a process of its own.

Whatever importing handlers does is done there and gone with that process, and a changed file is
seen as it is. Run as a module, this is that process: it writes one line of JSON to standard output,
and what the imported code prints goes to standard error.
"""

from __future__ import annotations

import base64
import json
import math
import os
import select
import signal
import sys
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from ..client.child_process import STOP_TIMEOUT, ChildProcess
from ..errors import HandlerNotLoadable
from ..rpc.v1 import worker_pb2
from .functions_file import FunctionConfig

#: Seconds that importing a handler may take; as many are imported at once as there are processors.
_PATIENCE = 60.0
_AT_ONCE = os.cpu_count() or 1


def find(
    functions: Sequence[FunctionConfig], progress: Callable[[int], object] = lambda _: None
) -> list[tuple[bool, worker_pb2.FunctionCode]]:
    """For each function whether it is durable, and where workers find its handler.

    `progress` is called with the number of functions that have been looked at. `HandlerNotLoadable`
    names the first handler that cannot be loaded.
    """
    asked = [
        [each.name, each.handler, str(each.code.resolve()) if each.code else "", each.environment]
        for each in functions
    ]
    process = ChildProcess("serving.discovery", json.dumps([sys.path, asked]))
    patience = _PATIENCE * math.ceil(len(functions) / _AT_ONCE)
    try:
        while (line := process.read_line(patience)).strip().isdigit():
            progress(int(line))
        if not line and process.alive and not process.wait(STOP_TIMEOUT):
            raise HandlerNotLoadable(f"Importing the handlers took more than {patience:.0f} s.")
        if not line:
            raise HandlerNotLoadable(f"The process that imports handlers {process.epitaph()}.")
    finally:
        process.end()
    answer = json.loads(line)
    if isinstance(answer, str):
        raise HandlerNotLoadable(answer)
    return [
        (durable, worker_pb2.FunctionCode.FromString(base64.b64decode(code)))
        for durable, code in answer
    ]


def load(config: FunctionConfig) -> Callable[..., Any]:
    """The handler of a function, imported into this process from the root of its code."""
    module, attribute = config.module_and_attribute
    root = str(config.code.resolve()) if config.code is not None else ""
    if root and root not in sys.path:
        sys.path.insert(0, root)
    try:
        found: Any = import_module(module)
    except (ImportError, TypeError) as error:
        if module.endswith(".py"):
            name = module.removesuffix(".py").removeprefix("./").replace("/", ".")
            raise HandlerNotLoadable(
                f"There is no {config.handler}: a module is named, not its file, as in "
                f"{name}:{attribute}."
            ) from None
        if isinstance(error, TypeError):
            raise HandlerNotLoadable(_cannot_be_imported(config, error)) from None
        raise HandlerNotLoadable(
            f"There is no {config.handler}: {error}{_place_of(error)}."
        ) from None
    except (Exception, SystemExit) as error:
        raise HandlerNotLoadable(_cannot_be_imported(config, error)) from None
    try:
        for part in attribute.split("."):
            found = getattr(found, part)
    except AttributeError as error:
        near = get_close_matches(part, dir(found), 1)
        end = f": did you mean {near[0]!r}?" if near else "."
        raise HandlerNotLoadable(f"There is no {config.handler}: {error}{end}") from None
    handler: Callable[..., Any] = found
    return handler


def _cannot_be_imported(config: FunctionConfig, error: BaseException) -> str:
    return f"{config.handler} cannot be imported: {_description(error)}."


def _place_of(error: ImportError) -> str:
    """The line of the handler's code that imports what is not there; "" where it is the handler's
    own module that is not there."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<frozen importlib") and frame.filename != __file__
    ]
    # `import_module` itself is in a file, too.
    if len(frames) < 2:
        return ""
    return f" ({frames[-1].filename}, line {frames[-1].lineno})"


def _description(error: BaseException) -> str:
    """The error in one line, with the place where it was raised."""
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    if isinstance(error, SyntaxError):
        return text
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{text} ({place.filename}, line {place.lineno})"


# -- in the other process --------------------------------------------------------------------

#: A function that is asked about: its name, handler, code folder and environment.
_Asked = tuple[str, str, str, dict[str, str]]


def main() -> None:
    path, asked = json.loads(sys.argv[1])
    sys.path[:] = path
    answer_fd = os.dup(1)
    os.dup2(2, 1)
    # These are imported once, for all forks.
    from ..worker import environment, loading  # noqa: F401

    worker = loading.__name__.rpartition(".")[0]
    import_module(f"{worker}.sdk.asynchronous")
    # That SDK is an extra.
    with suppress(ImportError):
        import_module(f"{worker}.sdk.official")

    def say(count: int, more: int = 0) -> None:
        os.write(answer_fd, f"{count + more}\n".encode())

    folders: dict[str, list[int]] = {}
    for number, (_, _, code, _) in enumerate(asked):
        folders.setdefault(code, []).append(number)
    waiting, begun = deque(folders.values()), deque[tuple[list[int], _Fork]]()
    found: dict[int, Any] = {}
    while (begun or waiting) and not any(isinstance(each, str) for each in found.values()):
        while waiting and len(begun) < _AT_ONCE:
            numbers = waiting.popleft()
            begun.append((numbers, _Fork([asked[each] for each in numbers])))
        numbers, fork = begun.popleft()
        answers = dict(zip(numbers, fork.answers(partial(say, len(found))), strict=False))
        if len(numbers) == 1:
            found |= answers
        else:
            found |= {each: it for each, it in answers.items() if not isinstance(it, str)}
            # Another module or variable may have been in the way: in a process of its own, a
            # function fails for its own reasons only.
            waiting.extendleft([each] for each in reversed(numbers) if each not in found)
        say(len(found))
    failed = [each for each in found.values() if isinstance(each, str)]
    answer = failed[0] if failed else [found[number] for number in range(len(asked))]
    os.write(answer_fd, f"{json.dumps(answer)}\n".encode())
    # Nobody waits for forks that have begun. No process but these is in the group.
    os.killpg(0, signal.SIGKILL)


class _Fork:
    """The process for the functions of one code folder: two folders may have modules of the same
    name."""

    def __init__(self, asked: Sequence[_Asked]) -> None:
        self._asked = asked
        self._pipe, write_end = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                for each in asked:
                    os.write(write_end, f"{json.dumps(_find_one(*each))}\n".encode())
            finally:
                # SystemExit ends up here too, and threads that a module has started do not matter.
                os._exit(1)
        os.close(write_end)

    def answers(self, progress: Callable[[int], object]) -> list[Any]:
        """For each function whether it is durable and its code in base64, or a text that says why
        the handler cannot be loaded. An import that ends the process has the last answer.
        `progress` is called with the number of answers that there are."""
        data = b""
        while data.count(b"\n") < len(self._asked):
            ready, _, _ = select.select([0, self._pipe], [], [])
            if 0 in ready and not os.read(0, 4096):
                # Nobody waits for this process any more.
                os.killpg(0, signal.SIGKILL)
            if self._pipe in ready:
                piece = os.read(self._pipe, 65536)
                if not piece:
                    break
                data += piece
                progress(data.count(b"\n"))
        os.close(self._pipe)
        status = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        answers: list[Any] = [json.loads(line) for line in data.split(b"\n")[:-1]]
        if len(answers) < len(self._asked):
            name, handler, _, _ = self._asked[len(answers)]
            how = f"by {signal.Signals(-status).name}" if status < 0 else "with an exit"
            answers.append(f"{name}: importing {handler} ended the process that did it, {how}.")
        return answers


def _find_one(name: str, handler: str, code: str, variables: dict[str, str]) -> Any:
    from ..worker import environment, loading

    config = FunctionConfig(name, handler, Path(code) if code else None)
    function = worker_pb2.FunctionConfig(name=name, version="$LATEST", environment=variables)
    # The environment is that of a worker, since modules read it when they are imported.
    with environment.applied(environment.variables(function, handler, "", "")):
        try:
            found = load(config)
            durable = loading.is_durable(found)
            described = loading.describe(found, durable=durable)
        except HandlerNotLoadable as error:
            return f"{name}: {' '.join(str(error).split())}"
    return durable, base64.b64encode(described.SerializeToString()).decode()


if __name__ == "__main__":
    main()
