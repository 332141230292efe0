from datetime import timedelta

from async_durable_execution import durable_execution, step, wait


async def charge() -> str:
    return "paid"


@durable_execution
async def order_workflow(event: dict) -> dict:
    payment = await step(charge, name="charge")
    await wait(timedelta(days=2), name="cooling-off")
    return {"order_id": event["order_id"], "payment": payment}
