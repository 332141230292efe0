"""The handlers that the requirements describe, in the async SDK, by the id of the case."""

from __future__ import annotations

from .handlers import (
    callback,
    child,
    invoke,
    map,
    own,
    parallel,
    plugin,
    step,
    wait,
    wait_for_callback,
    wait_for_condition,
)
from .handlers.deployment import Deployment

_AREAS = (
    step,
    wait,
    child,
    callback,
    invoke,
    wait_for_condition,
    wait_for_callback,
    parallel,
    map,
    plugin,
    own,
)

DEPLOYMENTS = {
    id: each if isinstance(each, Deployment) else Deployment(each)
    for area in _AREAS
    for id, each in area.CASES.items()
}
