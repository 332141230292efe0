"""Offers what the coordinator is and does to Prometheus, by the package `prometheus_client`."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from .executor import Executor
from .tallies import CHECKPOINT_BOUNDS
from .workers import SHOWN_STATES

_PREFIX = "durable_runner"
#: Seconds that whoever asks waits for the event loop.
_PATIENCE = 5.0


def offer(executor: Executor, address: str) -> str:
    """Offer the figures over HTTP, on threads of their own, until the process ends.

    Args:
        executor: What the figures are of.
        address: "HOST:PORT"; port 0 stands for any free port.

    Returns:
        The URL.

    Raises:
        OSError: The address cannot be listened on.
    """
    registry = CollectorRegistry()
    registry.register(_Collector(executor))
    host, _, port = address.rpartition(":")
    try:
        server, _ = start_http_server(int(port), host.strip("[]"), registry)
    except OSError as error:
        raise OSError(f"Cannot listen on {address}: {error.strerror}.") from None
    return f"http://{host}:{server.server_port}/metrics"


class _Collector:
    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._loop = asyncio.get_running_loop()

    def collect(self) -> Iterable[Metric]:
        """Return the figures of one moment between two turns of the event loop."""
        return asyncio.run_coroutine_threadsafe(self._now(), self._loop).result(_PATIENCE)

    async def _now(self) -> list[Metric]:
        executor, pool = self._executor, self._executor.pool
        tallies = pool.tallies
        states = Counter(each.state.shown for each in pool.workers.values())
        draining = sum(each.draining for each in pool.hosts.values())
        busy = [each for each in pool.workers.values() if each.job is not None]
        running = tallies.executions_started - sum(tallies.executions_ended.values())
        return [
            _counter(
                "executions_started",
                "Executions that have begun, also those that others invoked in a chain.",
                tallies.executions_started,
            ),
            _counters(
                "executions_ended",
                "Executions that have ended; those withdrawn were running when their runner was "
                "closed.",
                "status",
                tallies.executions_ended,
            ),
            _gauge("executions_running", "Executions that have begun and not ended.", running),
            _gauge(
                "executions_remembered",
                "Executions in memory, with those that have ended and whose runner is open.",
                len(executor.runs),
            ),
            _counters(
                "invocations",
                "Invocations that have ended; error: the handler raised one, or its output is "
                "none; died: its worker went away; withdrawn: its runner was closed.",
                "outcome",
                tallies.invocations,
            ),
            _gauge("invocations_queued", "Invocations that wait for a worker.", pool.queued),
            _counter("leases_granted", "Invocations given to a worker.", tallies.leases_granted),
            _gauge("leases_held", "Invocations that a worker holds.", len(busy)),
            _counter(
                "leases_lost",
                "Invocations whose worker went away, by itself or with its host.",
                tallies.invocations["died"],
            ),
            _checkpoints(tallies.checkpoints, tallies.checkpoint_seconds),
            _counters(
                "worker_exits",
                "Worker processes that have ended: exited, signaled or out of memory by "
                "themselves, host_lost with their host, not_started; killed by the coordinator at "
                "an invocation's deadline, for a planned fault, or dismissed as not needed.",
                "cause",
                tallies.worker_exits,
            ),
            _gauges(
                "worker_hosts",
                "Worker hosts.",
                "state",
                {"connected": len(pool.hosts) - draining, "draining": draining},
            ),
            _gauges(
                "workers",
                "Workers.",
                "state",
                {each: states[each] for each in SHOWN_STATES},
            ),
            _gauge(
                "slots",
                "Workers that there may be at most.",
                sum(each.slots for each in pool.hosts.values()),
            ),
            _gauge(
                "slots_busy",
                "Slots whose worker holds an invocation.",
                sum(each.host is not None for each in busy),
            ),
        ]


def _counter(name: str, text: str, value: int) -> Metric:
    return CounterMetricFamily(f"{_PREFIX}_{name}", text, value)


def _counters(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    return _labelled(CounterMetricFamily(f"{_PREFIX}_{name}", text, labels=[label]), values)


def _gauge(name: str, text: str, value: int) -> Metric:
    return GaugeMetricFamily(f"{_PREFIX}_{name}", text, value)


def _gauges(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    return _labelled(GaugeMetricFamily(f"{_PREFIX}_{name}", text, labels=[label]), values)


def _labelled(family: CounterMetricFamily | GaugeMetricFamily, values: Mapping[str, int]) -> Metric:
    for value, count in values.items():
        family.add_metric([value], count)
    return family


def _checkpoints(counts: list[int], seconds: float) -> Metric:
    bounds = [*map(str, CHECKPOINT_BOUNDS), "+Inf"]
    buckets = list(zip(bounds, accumulate(counts), strict=True))
    return HistogramMetricFamily(
        f"{_PREFIX}_checkpoint_duration_seconds",
        "From when a worker's checkpoint has been read until its answer has been written.",
        buckets=buckets,
        sum_value=seconds,
    )
