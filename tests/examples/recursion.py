"""recurse: a function calls itself, each time as an execution of its own."""

from __future__ import annotations

from async_durable_execution import (
    durable_callable,
    durable_execution,
    get_current_context,
    recurse,
    step,
)


@durable_callable
async def weigh(parcel: int) -> int:
    return parcel


@durable_execution
async def load_truck(event: dict) -> dict:
    """Divide and conquer: halves of a load are weighed by executions of this function."""
    parcels = event["parcels"]
    level = get_current_context().recursive_level
    if len(parcels) == 1:
        return {"weight": await step(weigh(parcels[0]), name="weigh"), "depth": level}
    middle = len(parcels) // 2
    left = await recurse({"parcels": parcels[:middle]}, name="left", with_recursive_level=True)
    right = await recurse({"parcels": parcels[middle:]}, name="right", with_recursive_level=True)
    return {
        "weight": left["weight"] + right["weight"],
        "depth": max(left["depth"], right["depth"]),
    }
