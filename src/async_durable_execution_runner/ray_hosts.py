"""Worker hosts on the nodes of a Ray cluster.

Each worker host is a child process of a Ray actor, and connects to the coordinator itself: tokens,
payloads and checkpoints never go through Ray. Ray places the actors, and restarts those that have
died, on other nodes where theirs are gone.

This needs the package `ray`, which the extra `ray` brings.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from .client.kept_host import KeptHost
from .errors import InvalidConfiguration, NotStarted, WorkersUnavailable
from .rpc import TOKEN_VARIABLE
from .security import access

#: Seconds: no invocation on Lambda takes longer than 15 minutes.
_DRAIN_TIMEOUT = 900.0
#: Seconds that an actor has to answer.
_PATIENCE = 10.0
#: Has Ray leave the children of an actor alone when the actor ends: it would kill the host before
#: the actor can drain it. Of those whose actor has no time for that, none outlives it either.
_RUNTIME_ENV = {"env_vars": {"RAY_kill_child_processes_on_worker_exit": "0"}}
#: How Ray calls those resources in an actor's options that it has names of its own for.
_OPTIONS = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory"}


class RayWorkerHosts:
    """Worker hosts for a coordinator, on the nodes of the Ray cluster that this process has joined
    by `ray.init`.

    They are started when the `with` block begins or by `open()`, and drained when it ends or by
    `close()`: they take no more invocations then, and end when those that run have ended.
    """

    def __init__(
        self,
        coordinator: str,
        *,
        hosts: int = 1,
        resources: Mapping[str, float] | None = None,
        slots: int | None = None,
        label_selector: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        app_dir: str = ".",
        token_file: str = "",
        ca_file: str = "",
        cert_file: str = "",
        key_file: str = "",
        insecure_plaintext: bool = False,
        drain_timeout: float = _DRAIN_TIMEOUT,
        start_timeout: float = 60.0,
    ) -> None:
        """Check what is asked for. Nothing is started yet.

        Args:
            coordinator: "HOST:PORT" of the coordinator, as the Ray nodes call it.
            hosts: How many worker hosts there are to be. Ray spreads them over its nodes.
            resources: What each takes of its node, by Ray's names, such as {"CPU": 4, "disk": 1};
                one CPU by default.
            slots: How many workers each may have; as many as it has CPUs by default.
            label_selector: The labels that Ray has to find at a node to place a worker host there.
            labels: The labels that the worker hosts have for runners, who ask for them with
                `labels=`.
            app_dir: The folder of the handlers on the Ray nodes; by default the one in which Ray
                runs actors, which is the `working_dir` of the runtime environment.
            token_file: The path of the worker hosts' token on the Ray nodes; by default what
                `DURABLE_RUNNER_TOKEN_FILE` says there. So it is with the other files.
            ca_file: The path of the authorities that sign the coordinator's certificate.
            cert_file: The path of the certificate to show, where the coordinator wants one.
            key_file: The path of the key of that certificate.
            insecure_plaintext: Whether to speak no TLS with another machine.
            drain_timeout: Seconds that invocations have to end when worker hosts are drained.
            start_timeout: Seconds that all of them have to join the coordinator.

        Raises:
            InvalidConfiguration: Ray is not installed, or an argument makes no sense.
        """
        if hosts < 1:
            raise InvalidConfiguration(f"hosts={hosts}: there must be one at least.")
        files = {
            "token_file": token_file,
            "ca_file": ca_file,
            "cert_file": cert_file,
            "key_file": key_file,
        }
        for name, path in files.items():
            if path and not os.path.isabs(path):
                raise InvalidConfiguration(
                    f"{name}={path!r} is read on each Ray node, and not here: give the path there, "
                    "from the root on."
                )
        self._ray = _import_ray()
        self._coordinator = coordinator
        self._hosts = hosts
        self._resources = dict(resources or {"CPU": 1})
        self._label_selector = dict(label_selector or {})
        self._drain_timeout = drain_timeout
        self._start_timeout = start_timeout
        self._arguments = [
            *("--connect", coordinator, "--app-dir", app_dir),
            *("--slots", str(slots or max(1, int(self._resources.get("CPU", 1))))),
            *(text for pair in (labels or {}).items() for text in ("--label", "=".join(pair))),
            *access.arguments({**files, "insecure_plaintext": insecure_plaintext}, {}),
        ]
        self._actors: list[Any] = []

    def open(self) -> RayWorkerHosts:
        """Start the worker hosts, and wait until all of them have joined the coordinator.

        Raises:
            NotStarted: This process has not joined a Ray cluster.
            WorkersUnavailable: Not all have joined in time, or one of them cannot; the text has the
                reason.
        """
        if not self._ray.is_initialized():
            raise NotStarted("Ray is not connected here: call ray.init() with its address before.")
        if not self._actors:
            try:
                self._start()
            except BaseException:
                # Nothing of theirs is worth waiting for.
                self._kill()
                raise
        return self

    def close(self) -> None:
        """Drain the worker hosts and end them. Those that do not answer, as their nodes are gone,
        are given up."""
        try:
            if self._actors and self._ray.is_initialized():
                answers = {actor.answers.remote(): actor for actor in self._actors}
                answered, _ = self._wait(list(answers), _PATIENCE)
                drained = [answers[each].drain.remote() for each in answered]
                self._wait(drained, self._drain_timeout + 2 * _PATIENCE)
        finally:
            self._kill()

    def __enter__(self) -> RayWorkerHosts:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        ours = {name: n for name, n in self._resources.items() if name not in _OPTIONS}
        options = {_OPTIONS[name]: n for name, n in self._resources.items() if name in _OPTIONS}
        actor_class = self._ray.remote(WorkerHostActor).options(
            **{"num_cpus": 0, **options},
            resources=ours,
            label_selector=self._label_selector,
            runtime_env=_RUNTIME_ENV,
            scheduling_strategy="SPREAD",
            max_restarts=-1,
            # One who waits until the host has joined must not keep it from being drained.
            max_concurrency=4,
        )
        self._actors = [
            actor_class.remote(self._arguments, self._drain_timeout) for _ in range(self._hosts)
        ]
        deadline = time.monotonic() + self._start_timeout
        # An actor that is restarted meanwhile is asked again.
        again = {"max_task_retries": -1}
        waiting = {actor.joined.options(**again).remote(): actor for actor in self._actors}
        while waiting:
            ready, _ = self._wait(list(waiting), deadline - time.monotonic(), 1)
            if not ready:
                raise WorkersUnavailable(self._what_is_missing(list(waiting.values())))
            for each in ready:
                del waiting[each]
                try:
                    why_not = self._ray.get(each)
                except self._ray.exceptions.RayError as error:
                    text = str(error).strip().splitlines()[-1]
                    raise WorkersUnavailable(f"Ray cannot start a worker host: {text}") from error
                if why_not:
                    raise WorkersUnavailable(why_not)

    def _what_is_missing(self, actors: Sequence[Any]) -> str:
        started, nowhere = self._wait([actor.answers.remote() for actor in actors], 1.0)
        why = []
        if nowhere:
            where = f" with the labels {_shown(self._label_selector)}"
            why.append(
                f"Ray has not started {len(nowhere)} of them, and each wants "
                f"{_shown(self._resources)} of a node{where if self._label_selector else ''}; "
                "`ray status` shows what there is"
            )
        if started:
            why.append(f"nothing answers {len(started)} of them there")
        return (
            f"{len(actors)} of {self._hosts} worker hosts have not joined the coordinator at "
            f"{self._coordinator} within {self._start_timeout:g} s: {', and '.join(why)}."
        )

    def _wait(
        self, references: list[Any], timeout: float, number: int = 0
    ) -> tuple[list[Any], list[Any]]:
        """Wait until some calls have ended, all of them by default; return those that have, and
        those that have not."""
        if not references:
            return [], []
        ready, rest = self._ray.wait(
            references, num_returns=number or len(references), timeout=max(0.0, timeout)
        )
        return ready, rest

    def _kill(self) -> None:
        actors, self._actors = self._actors, []
        if self._ray.is_initialized():
            for actor in actors:
                self._ray.kill(actor)


class WorkerHostActor(KeptHost):
    """What Ray runs on a node."""

    def __init__(self, arguments: Sequence[str], drain_timeout: float) -> None:
        """Start a worker host.

        Raises:
            InvalidConfiguration: The token is where handlers could read it.
        """
        if TOKEN_VARIABLE in os.environ:
            raise InvalidConfiguration(
                f"{TOKEN_VARIABLE} is in the environment of Ray's processes, where handlers can "
                "read it: write the token into a file on each node, and say its path as "
                f"token_file= or in {TOKEN_VARIABLE}_FILE."
            )
        super().__init__(arguments, drain_timeout, _environment(os.environ))

    def answers(self) -> bool:
        """Return, which shows that this actor runs."""
        return True

    def __ray_shutdown__(self) -> None:
        # Ray calls this when nobody refers to the actor any more, and waits for half a minute.
        self.drain()


def _shown(named: Mapping[str, object]) -> str:
    return f"{{{', '.join(f'{name}: {value}' for name, value in named.items())}}}"


def _environment(own: Mapping[str, str]) -> dict[str, str]:
    """Return what handlers may find of an environment of Ray's: not Ray's own variables, among
    which its token may be, and not its debugger."""
    return {
        name: value
        for name, value in own.items()
        if not (name.startswith("RAY_") or (name, value[:4]) == ("PYTHONBREAKPOINT", "ray."))
    }


def _import_ray() -> Any:
    try:
        import ray
    except ImportError:
        raise InvalidConfiguration(
            "Worker hosts on Ray need the package ray, which is not installed: "
            'pip install "async-durable-execution-runner[ray]"'
        ) from None
    return ray
