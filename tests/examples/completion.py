"""map and parallel with a rule of one's own for when enough is done."""

from __future__ import annotations

from datetime import timedelta

from async_durable_execution import (
    CompletionConfig,
    CompletionDecision,
    CompletionReason,
    CompletionStatus,
    durable_callable,
    durable_execution,
    map,
    step,
    wait,
)


def half_is_enough(status: CompletionStatus) -> CompletionDecision:
    if status.success_count * 2 >= status.total_count:
        return CompletionDecision.complete(CompletionReason.CUSTOM_COMPLETION_SUCCEEDED)
    if status.all_completed:
        return CompletionDecision.complete(CompletionReason.CUSTOM_COMPLETION_FAILED)
    return CompletionDecision.continue_execution()


@durable_callable
async def vote(member: str) -> str:
    return f"{member}: yes"


@durable_execution
async def ask_board(event: dict) -> dict:
    """Members think for 1, 2, 3 ... days; half of the votes decide."""

    async def ask(member: str) -> str:
        days = event["board"].index(member) + 1
        await wait(timedelta(days=days), name=f"{member}-thinks")
        return await step(vote(member), name=f"{member}-votes")

    batch = await map(
        ask, event["board"], name="board", completion_config=CompletionConfig.custom(half_is_enough)
    )
    return {"votes": batch.get_results(), "reason": batch.completion_reason.value}
