"""How the functions of a runner are configured, and lengths of time."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from math import inf, isfinite

from ..core.limits import DURATION_SECONDS, Limits
from ..core.model import DEFAULT_PLACE, Isolation, Place

# pytest shows the line of the test, not ours.
__tracebackhide__ = True

Seconds = float | timedelta
"""A length of time: seconds, or a `timedelta`."""

DEFAULT_INVOCATION_TIMEOUT = 30.0
DEFAULT_MEMORY_MB = 128
_MOST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class FunctionSettings:
    """What Lambda would have configured. Times are in seconds, memory is in MiB."""

    isolation: Isolation = Isolation.WORKER
    execution_timeout: int = DURATION_SECONDS
    invocation_timeout: float = DEFAULT_INVOCATION_TIMEOUT
    #: A worker that uses more is killed; None: there is no limit.
    memory: int | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    #: "JSON" or "Text".
    log_format: str | None = None
    #: How long an execution is remembered after its end; None: until the runner is closed.
    retention_days: int | None = None
    #: What each process runs before it loads the handler: a callable, or "module:function".
    worker_setup: Callable[[], object] | str | None = None
    #: Whether warm workers that serve this function serve no other: the function's modules may read
    #: its `env` when they are imported.
    own_processes: bool = False


def settings(
    base: FunctionSettings,
    *,
    isolation: Isolation | str | None = None,
    execution_timeout: Seconds | None = None,
    invocation_timeout: Seconds | None = None,
    memory: int | None = None,
    env: Mapping[str, str] | None = None,
    log_format: str | None = None,
    retention_days: int | None = None,
    worker_setup: Callable[[], object] | str | None = None,
    own_processes: bool | None = None,
) -> FunctionSettings:
    """The settings of `base`, with those that are given here instead.

    Args:
        base: The settings that hold where the others are None.
        isolation: An `Isolation` or its value.
        execution_timeout: Seconds on the execution's clock, or a timedelta.
        invocation_timeout: Seconds of real time, or a timedelta.
        memory: MiB that a worker may use.
        env: Environment variables, which are added to those of `base`.
        log_format: "JSON" or "Text".
        retention_days: How long an execution is remembered after its end.
        worker_setup: What each process runs before it loads the handler.
        own_processes: Whether warm workers that serve the function serve no other.

    Raises:
        ValueError: One of these cannot be.
    """
    timeout = base.execution_timeout
    if execution_timeout is not None:
        # The service counts whole seconds.
        timeout = max(1, round(positive("execution_timeout", execution_timeout)))
        if timeout > DURATION_SECONDS:
            raise ValueError(
                f"execution_timeout={timeout} is more than the {DURATION_SECONDS} seconds "
                "that the service allows."
            )
    if memory is not None:
        whole("memory", memory)
    for name, value in (env or {}).items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise ValueError(f"env must map strings to strings; {name!r}: {value!r} does not.")
        if not name or "=" in name or "\0" in name + value:
            raise ValueError(f"env: no process can have {name!r}={value!r} in its environment.")
    return FunctionSettings(
        isolation=base.isolation if isolation is None else _isolation(isolation),
        execution_timeout=timeout,
        invocation_timeout=(
            base.invocation_timeout
            if invocation_timeout is None
            else positive("invocation_timeout", invocation_timeout)
        ),
        memory=base.memory if memory is None else memory,
        env={**base.env, **(env or {})},
        log_format=log_format or base.log_format,
        retention_days=retention_days or base.retention_days,
        worker_setup=worker_setup or base.worker_setup,
        own_processes=base.own_processes if own_processes is None else own_processes,
    )


def _isolation(value: Isolation | str) -> Isolation:
    try:
        return Isolation(value)
    except ValueError:
        known = ", ".join(repr(each.value) for each in Isolation)
        raise ValueError(f"isolation={value!r} is not one of {known}.") from None


def seconds(length: Seconds) -> float:
    """The number of seconds in a length of time; `TypeError` for what is not a length of time,
    `ValueError` for one that is not finite."""
    try:
        value = length.total_seconds() if isinstance(length, timedelta) else float(length)
    except OverflowError:
        raise ValueError("The number of seconds is too large.") from None
    except (TypeError, ValueError):
        raise TypeError(f"A number of seconds or a timedelta is needed, not {length!r}.") from None
    if not isfinite(value):
        raise ValueError(f"A finite number of seconds is needed, not {length!r}.")
    return value


def positive(name: str, length: Seconds) -> float:
    if length == inf or (value := seconds(length)) <= 0:
        raise ValueError(f"{name}={length!r} must be a positive number of seconds.")
    return value


def whole(name: str, value: int, least: int = 1) -> int:
    """`value`; `ValueError` unless it is a whole number from `least` to the largest that the wire
    carries."""
    if not isinstance(value, int) or not least <= value <= _MOST:
        raise ValueError(f"{name}={value!r} must be a whole number, from {least} to {_MOST}.")
    return value


def checked_limits(limits: Mapping[str, int]) -> dict[str, int]:
    """`limits` of payloads in bytes; `ValueError` unless each is known and a whole number."""
    names = [each.name for each in fields(Limits)]
    if unknown := [name for name in limits if name not in names]:
        raise ValueError(f"limits={limits!r}: {unknown[0]!r} is none of {', '.join(names)}.")
    return {name: whole(f"limits[{name!r}]", most) for name, most in limits.items()}


def place(region: str | None, account: str | None) -> Place:
    """The place that is meant, by default the region of AWS_REGION and the account 123456789012;
    `ValueError` for what is neither a region nor an account."""
    found = Place(region or os.environ.get("AWS_REGION") or DEFAULT_PLACE.region)
    if not re.fullmatch("[a-z]{2,}(-[a-z]+)+-[0-9]+", found.region):
        whence = "region" if region else "The environment variable AWS_REGION"
        raise ValueError(f"{whence}={found.region!r} must be a region, such as 'eu-west-1'.")
    if account is None:
        return found
    if not re.fullmatch("[0-9]{12}", account):
        raise ValueError(f"account={account!r} must be the 12 digits of an account.")
    return Place(found.region, account)


def checked_labels(name: str, labels: Mapping[str, str]) -> dict[str, str]:
    """`labels` of worker hosts; `ValueError` unless they are a mapping of texts to texts."""
    if not isinstance(labels, Mapping) or not all(
        isinstance(text, str) for pair in labels.items() for text in pair
    ):
        raise ValueError(f'{name}={labels!r} must map texts to texts, as in {{"sdk": "2.5.0"}}.')
    return dict(labels)
