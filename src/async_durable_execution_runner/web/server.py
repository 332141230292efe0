"""`WebRunner`: durable executions for functions that another Lambda endpoint invokes.

The earlier package's server, kept for its users; `durable-runner serve` needs no other endpoint.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from ..client.drive import drive
from ..client.settings import FunctionSettings, Isolation
from ..errors import InvalidConfiguration, NotStarted
from ..runner.engine import Engine
from ..runner.registration import Attachment

#: As long as an invocation may take on Lambda; the endpoint has time-outs of its own. Seconds.
_LONGEST_INVOCATION = 900.0
_PATIENCE = _LONGEST_INVOCATION - 1
#: Invocations at once. Each is a thread that waits.
_AT_ONCE = 16


@dataclass(frozen=True)
class WebServiceConfig:
    """Where the server listens: beyond this machine only if `access_keys`, from ids to secrets,
    has keys to sign requests with. `log_level` is for the command line's use; the size of
    requests is bounded by what the service allows, whatever `max_request_size` says."""

    host: str = "127.0.0.1"
    port: int = 5000
    log_level: int | str = "INFO"
    max_request_size: int = 8 * 1024 * 1024
    access_keys: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class WebRunnerConfig:
    """`lambda_endpoint` is asked to invoke the functions, and `local_runner_region` is the region
    of these requests. `local_runner_endpoint`, `local_runner_mode` and `store_path` do nothing
    here. `InvalidConfiguration` for a store other than memory."""

    web_service: WebServiceConfig = field(default_factory=WebServiceConfig)
    lambda_endpoint: str = "http://127.0.0.1:3001"
    local_runner_endpoint: str = "http://0.0.0.0:5000"
    local_runner_region: str = "us-west-2"
    local_runner_mode: str = "local"
    #: "memory", or an enumeration's member with this value.
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
    """Serves the AWS API between `start()` and `stop()`, or in a `with` block. Every name is a
    durable function's, of which the endpoint is to know."""

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
        """Where handlers make their checkpoints."""
        if self._engine is None:
            raise NotStarted("The web runner is not started: call start(), or use it in a `with`.")
        return self._url

    def start(self) -> None:
        """Listen; `InvalidParameterValue` where that cannot be."""
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
            self._url = drive(engine.serve_aws_api(service.host, service.port, service.access_keys))
        except BaseException:
            engine.close()
            raise
        self._engine = engine
        self._stopped.clear()

    def serve_forever(self) -> None:
        """Until `stop()`, in another thread, or a signal."""
        _ = self.endpoint_url
        self._stopped.wait()

    def stop(self) -> None:
        """Its executions are gone."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()
        self._stopped.set()


__all__ = ["WebRunner", "WebRunnerConfig", "WebServiceConfig"]
