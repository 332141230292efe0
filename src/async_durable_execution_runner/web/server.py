"""`WebRunner`: durable executions for functions that another Lambda endpoint invokes.

This is the earlier package's server, kept for the users of that one; `durable-runner serve` needs
no other endpoint.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from ..client.drive import drive
from ..client.settings import FunctionSettings
from ..core.model import Isolation
from ..errors import InvalidConfiguration, NotStarted
from ..runner.engine import Engine
from ..runner.registration import Attachment

#: The seconds that an invocation may take on Lambda; the endpoint has time-outs of its own.
_LONGEST_INVOCATION = 900.0
_PATIENCE = _LONGEST_INVOCATION - 1
#: How many invocations run at once. Each is a thread that waits.
_AT_ONCE = 16


@dataclass(frozen=True)
class WebServiceConfig:
    """Where the server listens.

    Args:
        host, port: The address. It may be one beyond loopback only if there are `access_keys`.
        log_level: For the command line, which sets up logging.
        max_request_size: Has no effect: requests may be as large as the service allows.
        access_keys: Secrets by key id; requests must be signed with one, if there are any.
        allow_hosts: The hosts, besides loopback's, that requests may be for and web pages may come
            from, if there are no `access_keys`.
    """

    host: str = "127.0.0.1"
    port: int = 5000
    log_level: int | str = "INFO"
    max_request_size: int = 8 * 1024 * 1024
    access_keys: Mapping[str, str] = field(default_factory=dict)
    allow_hosts: Sequence[str] = ()


@dataclass(frozen=True)
class WebRunnerConfig:
    """How the functions are served.

    Args:
        web_service: Where the server listens.
        lambda_endpoint: The URL that is asked to invoke the functions.
        local_runner_endpoint: Has no effect.
        local_runner_region: The region of the requests to `lambda_endpoint`.
        local_runner_mode: Has no effect.
        store_type: "memory", or a member of an enumeration with this value.
        store_path: Has no effect.

    Raises:
        InvalidConfiguration: The store is another one than memory.
    """

    web_service: WebServiceConfig = field(default_factory=WebServiceConfig)
    lambda_endpoint: str = "http://127.0.0.1:3001"
    local_runner_endpoint: str = "http://0.0.0.0:5000"
    local_runner_region: str = "us-west-2"
    local_runner_mode: str = "local"
    store_type: object = "memory"
    store_path: str | None = None

    def __post_init__(self) -> None:
        store = getattr(self.store_type, "value", self.store_type)
        if store != "memory":
            raise InvalidConfiguration(
                f"Executions cannot be kept in a store of type {store!r}: there is none but "
                "'memory' yet."
            )


class WebRunner:
    """Serves the AWS API between `start()` and `stop()`, or in a `with` block. Every name is taken
    for a durable function that the endpoint knows."""

    def __init__(self, config: WebRunnerConfig) -> None:
        self._config = config
        self._engine: Engine | None = None
        self._stopped = threading.Event()
        self._url = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def endpoint_url(self) -> str:
        """The URL at which handlers make their checkpoints."""
        if self._engine is None:
            raise NotStarted("The web runner is not started: call start(), or use it in a `with`.")
        return self._url

    def start(self) -> None:
        """Begin to serve; `InvalidParameterValue` where nothing can listen there."""
        from ..aws.api import make_client
        from ..core.operations.chained_invoke import ANY_FUNCTION
        from ..worker.sdk.elsewhere import invoked_elsewhere

        if self._engine is not None:
            raise NotStarted("This web runner is started already.")
        config, service = self._config, self._config.web_service
        lambda_client = make_client(config.local_runner_region, config.lambda_endpoint, _PATIENCE)
        inline = FunctionSettings(Isolation.INLINE, invocation_timeout=_LONGEST_INVOCATION)
        attachment = Attachment(inline, workers=_AT_ONCE)
        attachment.register(ANY_FUNCTION, invoked_elsewhere(lambda_client), durable=True)
        engine = Engine(attachment, skip_time=False)
        engine.open()
        try:
            self._url = drive(
                engine.serve_aws_api(
                    service.host, service.port, service.access_keys, service.allow_hosts
                )
            )
        except BaseException:
            engine.close()
            raise
        self._engine = engine
        self._stopped.clear()

    def serve_forever(self) -> None:
        """Serve until another thread calls `stop()`, or a signal ends this."""
        _ = self.endpoint_url
        self._stopped.wait()

    def stop(self) -> None:
        """Stop serving. The executions are lost."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()
        self._stopped.set()


__all__ = ["WebRunner", "WebRunnerConfig", "WebServiceConfig"]
