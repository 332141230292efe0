"""`durable-runner serve`: functions behind the AWS API, until somebody ends it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from ..client.cluster import shared_cluster
from ..errors import CoordinatorUnavailable, InvalidConfiguration, RunnerError
from ..rpc import codec
from ..runner.engine import Engine
from ..runner.registration import DEFAULT_INVOCATION_RETRIES
from . import discovery
from .functions_file import FunctionConfig
from .log_folder import LogFolder
from .reload import FileWatcher

#: Seconds for the last lines to be written.
_LOGS_TIMEOUT = 5.0

Say = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Reload:
    """How to serve what has changed: `read` gives the functions anew, as `files` have them now."""

    read: Callable[[], Sequence[FunctionConfig]]
    files: Sequence[Path]


def serve(
    functions: Sequence[FunctionConfig],
    *,
    host: str,
    port: int,
    say: Say,
    warn: Say,
    workers: int | None = None,
    isolation: str = "worker",
    skip_time: bool = False,
    access_keys: Mapping[str, str] | None = None,
    logs: Path | None = None,
    reload: Reload | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM. `say` is given what a person should know, `warn` sentences
    about what has gone wrong meanwhile.

    `InvalidConfiguration`, `HandlerNotLoadable`, `InvalidParameterValue` where it cannot begin;
    `CoordinatorUnavailable` where it cannot go on.
    """
    if not functions:
        raise InvalidConfiguration("Nothing to serve: give --function, --functions or --template.")
    with _until_a_signal(), ExitStack() as stack:
        folder = LogFolder(logs, warn) if logs is not None else None
        engine = Engine(
            None,
            workers=workers,
            skip_time=skip_time,
            isolation=isolation,
            own_processes=True,
            # As on Lambda; but where a pause takes no time, what only fails would spin.
            invocation_retries=DEFAULT_INVOCATION_RETRIES if skip_time else None,
        )
        served = _Served(engine, folder)
        stack.callback(served.close)
        if reload is not None:
            # Bytecode is told from an older one by seconds, in which a file may change twice.
            os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        # It starts while the handlers are looked at.
        shared_cluster()
        lines = served.load(functions)
        engine.open()
        if folder is not None:
            served.follow()
        if reload is not None:
            # What changes before this is loaded with the first invocation.
            reloading = _Reloading(served, reload, say, warn)
            stack.callback(reloading.close)
            reloading.begin(functions)
        url = engine.drive(engine.serve_aws_api(host, port, access_keys))
        for line in lines:
            say(f"{line}\n")
        say(f"\nexport AWS_ENDPOINT_URL_LAMBDA={url}\n")
        engine.cluster.coordinator.wait(threading.TIMEOUT_MAX)
        raise CoordinatorUnavailable(
            f"{engine.cluster.obituary()}: serving has ended, and its executions are lost."
        )


class _Ended(BaseException):
    """Somebody wants it to end."""


@contextmanager
def _until_a_signal() -> Iterator[None]:
    """SIGINT and SIGTERM end what is in here, wherever it is; from then on they change nothing."""
    numbers = (signal.SIGINT, signal.SIGTERM)

    def end(*_: object) -> NoReturn:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise _Ended

    before = [signal.signal(number, end) for number in numbers]
    try:
        yield
    except _Ended:
        pass
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


class _Served:
    """The functions that an engine serves, and where their lines go."""

    def __init__(self, engine: Engine, folder: LogFolder | None) -> None:
        self._engine = engine
        self._folder = folder
        self._writing: threading.Thread | None = None

    def load(self, functions: Sequence[FunctionConfig]) -> list[str]:
        """Serve these as they are in their files now, and no others; a line on each."""
        for config in functions:
            if config.code is not None and not config.code.is_dir():
                raise InvalidConfiguration(f"{config.name}: its code, {config.code}, is no folder.")
        found = discovery.find(functions)
        made: dict[str, tuple[Any, bool, Mapping[str, Any]]] = {}
        lines = []
        for config, (durable, code) in zip(functions, found, strict=True):
            own: dict[str, Any] = {
                "invocation_timeout": config.timeout,
                "memory": config.memory,
                "env": config.environment,
                "log_format": config.log_format,
            }
            if durable:
                own["execution_timeout"] = config.execution_timeout
                own["retention_days"] = config.retention_days
            for name in (config.name, *(f"{config.name}:{alias}" for alias in config.aliases)):
                made[name] = code, durable, own
            aliases = f" (:{', :'.join(config.aliases)})" if config.aliases else ""
            kind = "durable" if durable else "plain"
            lines.append(f"{config.name}{aliases}  {config.handler}  {kind}")
        if self._folder is not None:
            self._folder.begin(config.name for config in functions)
        try:
            self._engine.replace_functions(made)
        except ValueError as error:
            raise InvalidConfiguration(str(error)) from None
        return lines

    def follow(self) -> None:
        """Write down what the handlers write."""
        output = self._engine.follow_output()
        self._writing = threading.Thread(
            target=self._write, args=(output,), name="durable-logs", daemon=True
        )
        self._writing.start()

    def _write(self, output: Iterator[Any]) -> None:
        assert self._folder is not None
        for each in output:
            self._folder.write(
                each.function_name,
                each.execution_arn,
                each.request_id,
                each.time_ms,
                list(map(codec.line_from_proto, each.lines)),
                each.dropped,
            )

    def close(self) -> None:
        self._engine.close()
        if self._writing is not None:
            self._writing.join(_LOGS_TIMEOUT)


class _Reloading:
    """Loads the functions anew when a file has changed."""

    def __init__(self, served: _Served, reload: Reload, say: Say, warn: Say) -> None:
        self._served = served
        self._reload = reload
        self._say = say
        self._warn = warn
        self._watcher = FileWatcher(reload.files, self._changed, warn)
        self._loaded: Sequence[FunctionConfig] = ()

    def begin(self, functions: Sequence[FunctionConfig]) -> None:
        self._loaded = functions
        self._watcher.watch(each.code or Path.cwd() for each in functions)

    def close(self) -> None:
        self._watcher.stop()

    def _changed(self, paths: Collection[Path]) -> None:
        try:
            functions = self._reload.read()
            lines = self._served.load(functions)
        except RunnerError as error:
            self._warn(f"Not reloaded, and served as before: {error}")
            return
        names = ", ".join(sorted(path.name for path in paths))
        self._say(f"Reloaded: {names}\n")
        if functions != self._loaded:
            for line in lines:
                self._say(f"{line}\n")
        self.begin(functions)
