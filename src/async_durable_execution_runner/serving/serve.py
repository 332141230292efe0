"""`durable-runner serve`: functions behind the AWS API, until somebody ends the process."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from ..client.cluster import own_cluster
from ..client.drive import drive
from ..client.settings import FunctionSettings, settings
from ..core.model import Place
from ..errors import (
    CoordinatorUnavailable,
    HandlerNotLoadable,
    InvalidConfiguration,
    RunnerError,
)
from ..host.watching import FileWatcher, not_reloaded
from ..rpc import codec
from ..runner.engine import Engine
from ..runner.registration import DEFAULT_INVOCATION_RETRIES, Attachment, Registration
from ..worker.environment import has_credentials
from . import discovery
from .functions_file import FunctionConfig
from .log_folder import LogFolder

#: Seconds that writing the last lines may take.
_LOGS_TIMEOUT = 5.0

#: Seconds between two words on how far the imports are.
_PROGRESS_SECONDS = 2.0

Say = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Reload:
    """How to serve what has changed: `read` returns the functions as `files` describe them now."""

    read: Callable[[], Sequence[FunctionConfig]]
    files: Sequence[Path]


def serve(
    functions: Sequence[FunctionConfig],
    *,
    host: str,
    port: int,
    place: Place,
    say: Say,
    warn: Say,
    workers: int | None = None,
    isolation: str = "worker",
    skip_time: bool = False,
    access_keys: Mapping[str, str] | None = None,
    allow_hosts: Sequence[str] = (),
    logs: Path | None = None,
    reload: Reload | None = None,
) -> None:
    """Serve functions until SIGINT or SIGTERM.

    Args:
        functions: What to serve.
        host, port: Where to listen; port 0 takes any that is free.
        place: The region and account in the functions' ARNs.
        say: Is called with what a person should know.
        warn: Is called with sentences about what has gone wrong meanwhile.
        workers: How many invocations run at once; by default one per CPU.
        isolation: "worker", "execution" or "invocation", see `Isolation`.
        skip_time: Whether waits, retries and time-outs take no real time.
        access_keys: Secrets by key id; requests must be signed with one, if there are any.
        allow_hosts: The hosts, besides loopback's, that requests may be for and web pages may come
            from, if there are no access keys.
        logs: The folder for what the functions write.
        reload: How to serve what has changed; without it changes are not looked for.

    Raises:
        InvalidConfiguration, HandlerNotLoadable, InvalidParameterValue: Serving cannot begin.
        CoordinatorUnavailable: Serving cannot go on.
    """
    if not functions:
        raise InvalidConfiguration("Nothing to serve: give --function, --functions or --template.")
    with _until_a_signal(), ExitStack() as stack:
        folder = LogFolder(logs, warn) if logs is not None else None
        defaults = settings(FunctionSettings(), isolation=isolation, own_processes=True)
        attachment = Attachment(
            defaults,
            workers=workers,
            # Lambda retries until the time-out, too. Where a pause takes no time, a function that
            # only fails would spin.
            invocation_retries=DEFAULT_INVOCATION_RETRIES if skip_time else None,
            region=place.region,
            account=place.account,
        )
        engine = Engine(attachment, skip_time=skip_time)
        served = _Served(attachment, folder)
        stack.callback(served.close)
        if reload is not None:
            # Python dates bytecode to the second, in which a file may change twice.
            os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        # The workers' host starts beside the coordinator, and while the handlers are imported.
        cluster = own_cluster(shown=True)
        cluster.ensure_slots(attachment.workers)
        attachment.open()
        if folder is not None:
            served.follow()
        url = drive(
            engine.serve_aws_api(host, port, access_keys, allow_hosts, functions_follow=True)
        )
        for export in _exports(place.region, access_keys or {}):
            say(f"{export}\n")
        say(f"export AWS_ENDPOINT_URL_LAMBDA={url}\n\n")
        found, lines = served.find(functions, _progress(len(functions), say))
        if reload is not None:
            # A change before this is seen all the same: the first invocation loads the file.
            reloading = _Reloading(served, reload, say, warn)
            stack.callback(reloading.close)
            reloading.begin(functions)
        attachment.replace_functions(found)
        for line in lines:
            say(f"{line}\n")
        say(f"\n{_count(len(lines))} served.\n")
        cluster.coordinator.wait(threading.TIMEOUT_MAX)
        raise CoordinatorUnavailable(
            f"{cluster.obituary()}: serving has ended, and its executions are lost."
        )


def _exports(region: str, access_keys: Mapping[str, str]) -> Iterator[str]:
    """What a client needs beside the URL and is not configured on this machine."""
    import boto3

    if boto3.Session().region_name is None:
        yield f"export AWS_DEFAULT_REGION={region}"
    if access_keys:
        yield f"export AWS_ACCESS_KEY_ID={next(iter(access_keys))}"
        yield 'export AWS_SECRET_ACCESS_KEY="$DURABLE_RUNNER_SECRET_KEY"'
    elif not has_credentials():
        yield "export AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any"


def _count(number: int) -> str:
    return f"{number} functions are" if number != 1 else "1 function is"


def _progress(count: int, say: Say) -> Callable[[int], object]:
    """What says every few seconds how many of so many handlers have been imported."""
    last = time.monotonic()

    def done(number: int) -> None:
        nonlocal last
        if number < count and time.monotonic() - last > _PROGRESS_SECONDS:
            last = time.monotonic()
            say(f"{number} of {count} handlers are imported.\n")

    return done


class _Ended(BaseException):
    """Somebody wants serving to end."""


@contextmanager
def _until_a_signal() -> Iterator[None]:
    """SIGINT and SIGTERM end the block, wherever it is; after the first they have no effect."""
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
    """The functions that are served, and the folder for what they write."""

    def __init__(self, attachment: Attachment, folder: LogFolder | None) -> None:
        self._attachment = attachment
        self._folder = folder
        self._writing: threading.Thread | None = None

    def load(self, functions: Sequence[FunctionConfig]) -> list[str]:
        """Serve these functions as they are in their files now, and no others; return a line on
        each of them."""
        found, lines = self.find(functions)
        self._attachment.replace_functions(found)
        return lines

    def find(
        self,
        functions: Sequence[FunctionConfig],
        progress: Callable[[int], object] = lambda _: None,
    ) -> tuple[dict[str, Registration], list[str]]:
        """Return what these functions are in their files now, by name, and a line on each."""
        names: set[str] = set()
        for config in functions:
            if config.name in names:
                raise InvalidConfiguration(f"Two functions have the name {config.name}.")
            names.add(config.name)
            if config.code is not None and not config.code.is_dir():
                raise InvalidConfiguration(
                    f"{config.name}: its code, {config.code}, is not a folder."
                )
        found = discovery.find(functions, progress)
        made: dict[str, Registration] = {}
        lines = []
        for config, (durable, code) in zip(functions, found, strict=True):
            function = Registration(code, durable, self._settings(config, durable))
            for name in (config.name, *(f"{config.name}:{alias}" for alias in config.aliases)):
                made[name] = function
            aliases = f" (:{', :'.join(config.aliases)})" if config.aliases else ""
            kind = "durable" if durable else "plain"
            lines.append(f"{config.name}{aliases}  {config.handler}  {kind}")
        if self._folder is not None:
            self._folder.begin(config.name for config in functions)
        return made, lines

    def _settings(self, config: FunctionConfig, durable: bool) -> FunctionSettings:
        return settings(
            self._attachment.defaults,
            execution_timeout=config.execution_timeout if durable else None,
            invocation_timeout=config.timeout,
            memory=config.memory,
            env=config.environment,
            log_format=config.log_format,
            retention_days=config.retention_days if durable else None,
        )

    def follow(self) -> None:
        """Write what the handlers write from now on to the folder."""
        output = self._attachment.follow_output()
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
        self._attachment.close()
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
            self._load(paths)
        except HandlerNotLoadable as error:
            # The file is as it is, and a worker that starts now reads it.
            self._warn(not_reloaded(str(error)))
        except RunnerError as error:
            self._warn(f"Not reloaded, and served as before: {error}")
        except Exception as error:
            # The thread that watches has to live through whatever a half-written file leads to.
            why = f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(".")
            self._warn(f"Not reloaded, and served as before: {why}.")

    def _load(self, paths: Collection[Path]) -> None:
        functions = self._reload.read()
        lines = self._served.load(functions)
        names = ", ".join(sorted(path.name for path in paths))
        self._say(f"Reloaded: {names}\n")
        if functions != self._loaded:
            for line in lines:
                self._say(f"{line}\n")
        self.begin(functions)
