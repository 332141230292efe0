"""What stands around an executor: worker hosts and workers that do as a script says.

A function's `code`, opaque to the coordinator, is here the script itself: it is called
with a `Script` (what the worker knows of its invocation), checkpoints through it as a
service client would, and returns what the handler returns. An `async` script may wait for
whatever it likes; one that raises `Died` takes its worker with it.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from async_durable_execution_runner.coordinator.executor import Executor
from async_durable_execution_runner.coordinator.runs import Call, Run, Workspace
from async_durable_execution_runner.coordinator.until import until
from async_durable_execution_runner.coordinator.waiting_for import waiting_for
from async_durable_execution_runner.coordinator.workers import (
    ConnectedHost,
    ExitCause,
    Function,
    Job,
    Stacks,
    Worker,
    WorkerExit,
)
from async_durable_execution_runner.core import events as ev
from async_durable_execution_runner.core.commands import Reply
from async_durable_execution_runner.core.limits import Limits
from async_durable_execution_runner.core.model import (
    DEFAULT_PLACE,
    ErrorObject,
    ExecutionStatus,
    HistoryEvent,
    Isolation,
    Operation,
    OperationAction,
    OperationStatus,
    OperationType,
    OperationUpdate,
    OutputLine,
    OutputStream,
)

T0 = 1_750_000_000_000
HOUR = 3600
DAY = 24 * HOUR
PENDING = json.dumps({"Status": "PENDING"})
KILLED = WorkerExit(ExitCause.SIGNALED, signal=9)
#: What a host says of a worker that it is asked about.
SEEN = Stacks((), "waits")


def succeeded(result: object = None) -> str:
    """What a durable handler returns at its end."""
    return json.dumps({"Status": "SUCCEEDED", "Result": json.dumps(result)})


def update(type: OperationType, action: OperationAction, id: str, **fields: Any) -> OperationUpdate:
    return OperationUpdate(id, type, action, **fields)


def step(id: str, payload: str = "1") -> OperationUpdate:
    return update(OperationType.STEP, OperationAction.SUCCEED, id, payload=payload)


def retry(id: str, delay: int) -> OperationUpdate:
    return update(OperationType.STEP, OperationAction.RETRY, id, next_attempt_delay_seconds=delay)


def wait(id: str, seconds: int) -> OperationUpdate:
    return update(OperationType.WAIT, OperationAction.START, id, wait_seconds=seconds)


def callback(id: str, **options: Any) -> OperationUpdate:
    return update(OperationType.CALLBACK, OperationAction.START, id, **options)


def invoke(id: str, function_name: str, **fields: Any) -> OperationUpdate:
    return update(
        OperationType.CHAINED_INVOKE,
        OperationAction.START,
        id,
        function_name=function_name,
        **fields,
    )


class Died(Exception):
    """Raised by a script: its worker process ends like this."""

    def __init__(self, exit: WorkerExit = KILLED) -> None:
        self.exit = exit


class Script:
    """One invocation, from the worker's side. `needs_code`: the function was not known yet."""

    def __init__(self, executor: Executor, worker: FakeWorker, job: Job, needs_code: bool) -> None:
        lease = executor.leases.of(job.request_id)
        self.executor = executor
        self.worker = worker
        self.request_id = job.request_id
        self.needs_code = needs_code
        self.lines: list[OutputLine] = []
        self.arn = job.execution_arn
        self.payload = ""
        self.token = ""
        self.operations: dict[str, Operation] = {}
        if isinstance(lease.subject, Call):
            self.payload = lease.subject.payload
        elif lease.deliver is not None:
            self.token = lease.deliver.token
            self._learn(lease.deliver.operations)

    def checkpoint(self, *updates: OperationUpdate, token: str | None = None) -> Reply:
        reply = self.executor.checkpoint(self.arn, token or self.token, updates, None)
        self.token = reply.token or ""
        self._learn(reply.operations)
        return reply

    def once(self, *updates: OperationUpdate) -> bool:
        """Checkpoint what was not yet; True if that was so."""
        new = [each for each in updates if each.id not in self.operations]
        if new:
            self.checkpoint(*new)
        return bool(new)

    def status(self, id: str) -> OperationStatus | None:
        operation = self.operations.get(id)
        return operation.status if operation is not None else None

    def done(self, *ids: str) -> bool:
        statuses = map(self.status, ids)
        return all(status is not None and status.is_terminal for status in statuses)

    @property
    def input(self) -> Any:
        return json.loads(self.operations[self.arn.rsplit("/", 1)[1]].input or "null")

    def print(self, text: str) -> None:
        self.lines.append(OutputLine(OutputStream.STDOUT, text))

    def _learn(self, operations: list[Operation]) -> None:
        self.operations |= {operation.id: operation for operation in operations}


def does(*updates: OperationUpdate, result: object = None) -> Callable[[Script], str]:
    """A script: start all of these at once, and end when all have ended."""

    def script(run: Script) -> str:
        run.once(*updates)
        return succeeded(result) if run.done(*(each.id for each in updates)) else PENDING

    return script


async def for_ever(script: Script) -> str:
    return await asyncio.Event().wait()  # type: ignore[return-value]


@dataclass(eq=False)
class FakeWorker:
    """A worker with its session open. `host` None: an inline one."""

    world: World
    worker: Worker
    host: FakeHost | None
    scripts: list[Script] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def greet(self) -> None:
        self.world.executor.pool.greet(self.worker, 4711, self.send)

    def send(self, job: Job, needs_code: bool) -> None:
        script = Script(self.world.executor, self, job, needs_code)
        self.scripts.append(script)
        task = asyncio.create_task(self._work(script, job.function.code))
        task.add_done_callback(_report_failure)
        self.tasks.append(task)

    async def _work(self, script: Script, code: Callable[[Script], Any]) -> None:
        outcome: str | ErrorObject
        try:
            outcome = code(script)
            if inspect.isawaitable(outcome):
                outcome = await outcome
        except Died as death:
            self.end(death.exit)
            return
        except Exception as error:
            outcome = ErrorObject(str(error), type(error).__name__)
        self.returns(script, outcome)

    async def finished(self) -> None:
        """Wait until all that it was told to do is done."""
        await asyncio.gather(*self.tasks)

    def returns(self, script: Script, outcome: str | ErrorObject) -> None:
        self.world.executor.leases.returned(
            self.worker, script.request_id, outcome, script.lines, False
        )

    def end(self, exit: WorkerExit | None) -> None:
        """Its session ends; its host says why, or (None) says nothing."""
        pool = self.world.executor.pool
        for task in self.tasks:
            if task is not asyncio.current_task():
                task.cancel()
        pool.session_ended(self.worker)
        if exit is not None:
            pool.worker_exited(self.worker.id, exit)


def _report_failure(task: asyncio.Task[None]) -> None:
    """An exception of the executor's while it took what a worker said."""
    if not task.cancelled() and (error := task.exception()) is not None:
        task.get_loop().call_exception_handler({"message": "in a worker", "exception": error})


class FakeHost:
    """Starts workers at once and kills them on command, as far as `obeys` and `starts` say."""

    def __init__(
        self, world: World, name: str, slots: int, labels: dict[str, str] | None = None
    ) -> None:
        self.world = world
        self.host = ConnectedHost(
            name,
            1,
            slots,
            labels or {},
            self._start,
            self._kill,
            self._limit,
            lambda worker_id, stop: self.stopped.append((worker_id, stop)),
            self.leave,
            self._take_stacks,
        )
        self.started: list[str] = []
        self.killed: list[str] = []
        self.limits: list[tuple[str, int]] = []
        self.stopped: list[tuple[str, bool]] = []
        self.workers: dict[str, FakeWorker] = {}
        #: How a worker ends instead of greeting.
        self.stillborn: WorkerExit | None = None
        #: How a worker ends that it kills.
        self.death = KILLED
        self.starts = self.obeys = True
        self.told_to_kill = asyncio.Event()
        world.executor.pool.add_host(self.host)

    def leave(self) -> None:
        self.world.executor.pool.remove_host(self.host)

    def _start(self, worker_id: str) -> None:
        self.started.append(worker_id)
        if self.starts:
            asyncio.get_running_loop().call_soon(self._up, worker_id)

    def _up(self, worker_id: str) -> None:
        pool = self.world.executor.pool
        if worker_id not in pool.workers:
            return
        if self.stillborn is not None:
            pool.worker_exited(worker_id, self.stillborn)
            return
        worker = FakeWorker(self.world, pool.workers[worker_id], self)
        self.workers[worker_id] = worker
        worker.greet()

    def _kill(self, worker_id: str) -> None:
        self.killed.append(worker_id)
        self.told_to_kill.set()
        if self.obeys and worker_id in self.workers:
            asyncio.get_running_loop().call_soon(self.workers.pop(worker_id).end, self.death)

    def _take_stacks(self, worker_id: str, request_id: str) -> None:
        self.world.executor.leases.inspections.answered(worker_id, request_id, SEEN)

    def _limit(self, worker_id: str, limit: int) -> None:
        self.limits.append((worker_id, limit))


class World:
    """An executor, and what the tests do to it."""

    def __init__(self) -> None:
        ids = itertools.count(1)
        self.executor = Executor(lambda: f"id-{next(ids)}", lambda: f"seed-{next(ids)}")
        self._hosts = itertools.count(1)

    # -- what connects ---------------------------------------------------------------------

    def host(self, slots: int = 8, **labels: str) -> FakeHost:
        return FakeHost(self, f"host-{next(self._hosts)}", slots, labels)

    def inline_worker(self, workspace: Workspace, name: str = "inline") -> FakeWorker:
        worker = Worker(name, None, inline_workspace_id=workspace.id)
        self.executor.pool.add_inline(worker)
        fake = FakeWorker(self, worker, None)
        fake.greet()
        return fake

    def workspace(self, workers: int = 4, retries: int = 2, backoff_ms: int = 1000) -> Workspace:
        return self.executor.open_workspace(
            workers, retries, backoff_ms, T0, Limits(), DEFAULT_PLACE
        )

    def function(
        self, workspace: Workspace, code: Callable[[Script], Any], name: str = "order", **own: Any
    ) -> Function:
        settings: dict[str, Any] = {
            "durable": True,
            "timeout_seconds": 30.0,
            "memory_mb": 128,
            "enforce_memory": False,
            "environment": {},
            "isolation": Isolation.WORKER,
            "execution_timeout_seconds": 366 * DAY,
        }
        function = Function(f"{workspace.id}/{name}", name, code=code, **(settings | own))
        workspace.functions[name] = function
        return function

    # -- what a runner does ----------------------------------------------------------------

    def start(
        self, workspace: Workspace, name: str = "order", payload: str = "{}", **how: Any
    ) -> Run:
        how = {"skip_time": True} | how
        execution_name = how.pop("execution_name", f"run-{len(workspace.runs)}")
        return self.executor.starter.start(workspace, name, payload, execution_name, **how)

    async def run(self, code: Callable[[Script], Any], **how: Any) -> Run:
        """A script from start to end, in a workspace of its own."""
        settings = {key: how.pop(key) for key in ("timeout_seconds",) if key in how}
        workspace = self.workspace(retries=how.pop("retries", 2))
        self.function(workspace, code, **settings)
        return await self.ended(self.start(workspace, **how))

    async def ended(self, run: Run, seconds: float = 5.0) -> Run:
        with self.awaiting_end(run):
            await self.until(run, lambda: run.execution.ended, seconds)
        return run

    async def suspended(self, run: Run) -> Run:
        await self.until(run, lambda: run.execution.suspended)
        return run

    async def invoked(self, run: Run, times: int = 1) -> Script:
        """Wait until the `times`-th invocation runs; what its worker knows."""
        await self.until(run, lambda: len(run.invocations) >= times)
        assert run.lease is not None
        worker = run.lease.worker
        assert worker.send is not None
        fake: FakeWorker = worker.send.__self__  # type: ignore[attr-defined]
        return fake.scripts[-1]

    async def until(self, run: Run, condition: Callable[[], bool], seconds: float = 5.0) -> None:
        in_time = await until(self.executor, run, condition, seconds)
        assert in_time, f"waits for {waiting_for(self.executor.leases, run)}"

    @contextmanager
    def awaiting_end(self, run: Run) -> Iterator[None]:
        with self.executor.timekeeper.awaiting_end(run.family):
            yield

    def stop(self, run: Run) -> None:
        self.executor.feed(run, ev.Stopped(run.now, ErrorObject("enough", "Stopped")))

    def answer(self, run: Run, id: str, result: str = '"yes"') -> None:
        callback_id = run.execution.operations[id].callback_id or ""
        self.executor.complete_callback(
            callback_id, lambda now: ev.CallbackSucceeded(now, callback_id, result)
        )

    @staticmethod
    async def passes(seconds: float) -> None:
        """As much real time, at once: whatever is due by then happens."""
        loop = asyncio.get_running_loop()
        before = loop.time
        loop.time = lambda: before() + seconds  # type: ignore[method-assign]
        for _ in range(10):
            await asyncio.sleep(0)

    # -- what is left ----------------------------------------------------------------------

    def armed(self) -> list[asyncio.TimerHandle]:
        """The timers, of executions or of leases, that would still fire."""
        handles: list[asyncio.TimerHandle] = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
        mine = (self.executor.leases, self.executor.timekeeper)
        return [
            handle
            for handle in handles
            if not handle.cancelled() and getattr(handle._callback, "__self__", None) in mine  # type: ignore[attr-defined]
        ]


def succeeded_with(run: Run) -> Any:
    """The result, as data, of a run that must have succeeded."""
    root = run.execution.root
    assert run.execution.status is ExecutionStatus.SUCCEEDED, root.error
    return json.loads(root.result or "null")


def events_of(run: Run) -> list[str]:
    return [event.type.value for event in run.execution.history]


def event(run: Run, type: str, id: str | None = None) -> HistoryEvent:
    """The first of that type (and operation)."""
    return next(
        each
        for each in run.execution.history
        if each.type.value == type and (id is None or each.id == id)
    )


def seconds_at(run: Run, type: str, id: str | None = None) -> float:
    """When that happened, in seconds since the start, on the execution's clock."""
    return (event(run, type, id).timestamp_ms - run.execution.root.start_ms) / 1000
