"""Values that a replay must see again: time, chance, ids."""

from __future__ import annotations

from datetime import timedelta

from async_durable_execution import (
    durable_execution,
    now,
    random,
    timestamp,
    uuid,
    wait,
)


@durable_execution
async def draw_winner(event: dict) -> dict:
    """Taken before the wait, used after it: the same in both invocations."""
    drawn_at = await now(name="drawn-at")
    stamp = await timestamp(name="stamp")
    chance = await random(name="chance")
    prize_id = await uuid(name="prize-id")
    await wait(timedelta(days=7), name="objections")
    return {
        "drawn_at": drawn_at.isoformat(),
        "stamp": stamp,
        "winner": event["customers"][int(chance * len(event["customers"]))],
        "prize_id": str(prize_id),
    }
