"""A test module in a package, with a relative import."""

from async_durable_execution import durable_execution

from ..helper import WHERE


def relative(event, context):
    return [WHERE, event]


@durable_execution
async def durable(event):
    return [f"durable, {WHERE}", event]


def test_travel(travel):
    travel("relative", relative)
    travel("durable", durable)
