"""`durable-runner serve`: functions behind the AWS API, until somebody ends it."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from .config import FunctionConfig
from .engine import DEFAULT_INVOCATION_RETRIES, Engine
from .errors import HandlerNotLoadable, InvalidConfiguration


def serve(
    functions: Sequence[FunctionConfig],
    *,
    host: str,
    port: int,
    say: Callable[[str], object],
    workers: int | None = None,
    isolation: str = "worker",
    skip_time: bool = False,
    access_keys: Mapping[str, str] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM; `say` is given what a person should know.

    `InvalidConfiguration`, `HandlerNotLoadable`, `InvalidParameterValue` where it cannot begin.
    """
    if not functions:
        raise InvalidConfiguration("Nothing to serve: give --function, --functions or --template.")
    engine = Engine(
        None,
        workers=workers,
        skip_time=skip_time,
        isolation=isolation,
        # As on Lambda; but where a pause takes no time, an execution that only fails would spin.
        invocation_retries=DEFAULT_INVOCATION_RETRIES if skip_time else None,
    )
    lines = [_register(engine, function) for function in functions]
    engine.open()
    try:
        url = engine.drive(engine.serve_aws_api(host, port, access_keys))
        for line in lines:
            say(f"{line}\n")
        say(f"\nexport AWS_ENDPOINT_URL_LAMBDA={url}\n")
        _wait_for_the_end()
    finally:
        engine.close()


def _wait_for_the_end() -> None:
    ended = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: ended.set()) for number in numbers]
    try:
        ended.wait()
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _register(engine: Engine, config: FunctionConfig) -> str:
    """Have the engine know it under its name and its aliases; a line on it."""
    from .worker import loading

    handler = load(config)
    durable = loading.is_durable(handler)
    own: dict[str, Any] = {
        "invocation_timeout": config.timeout,
        "memory": config.memory,
        "env": config.environment,
    }
    if durable:
        own["execution_timeout"] = config.execution_timeout
    for name in (config.name, *(f"{config.name}:{alias}" for alias in config.aliases)):
        engine.register(name, handler, durable=durable, **own)
    aliases = f" (:{', :'.join(config.aliases)})" if config.aliases else ""
    return f"{config.name}{aliases}  {config.handler}  {'durable' if durable else 'plain'}"


def load(config: FunctionConfig) -> Callable[..., Any]:
    """Its handler, imported from its code's root."""
    module, attribute = config.module_and_attribute
    root = str(config.code.resolve()) if config.code is not None else ""
    if root and root not in sys.path:
        sys.path.insert(0, root)
    try:
        found: Any = import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise HandlerNotLoadable(f"There is no {config.handler}: {error}.") from None
    handler: Callable[..., Any] = found
    return handler
