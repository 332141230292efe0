"""How an execution is named on a command line: by its ARN, or as FUNCTION/NAME."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..client.drive import drive
from ..errors import InvalidParameterValue, ResourceNotFound

if TYPE_CHECKING:
    from ..aws.api import Client

HELP = "the execution, by its ARN or as FUNCTION/NAME"
#: FUNCTION/NAME, the function with a qualifier or without.
NAMED = re.compile(r"[\w:$-]+/[\w-]+")
#: What a shell leaves of `function:order:$LATEST/` where the ARN is not in single quotes.
_EATEN = re.compile(r"(:function:[^:/]+):(?=/durable-execution/)")


def is_arn(text: str) -> bool:
    return "/durable-execution/" in text


def repaired(text: str) -> str:
    """The ARN, with the `$LATEST` that a shell has taken for a variable."""
    return _EATEN.sub(r"\1:$LATEST", text)


def arn_of(text: str, client: Client) -> str:
    """The ARN of an execution; FUNCTION/NAME is looked up where `client` asks.

    Raises:
        InvalidParameterValue: The text is neither.
        ResourceNotFound: The function has no execution of this name.
    """
    if is_arn(text):
        return repaired(text)
    function, slash, name = text.rpartition("/")
    if not (function and slash and name):
        raise InvalidParameterValue(
            f"{text} does not name an execution: give its ARN, or FUNCTION/NAME."
        )
    from ..aws.api import BlockingClock, LambdaApi

    call = LambdaApi(client, BlockingClock()).call(
        "list_durable_executions_by_function",
        FunctionName=function,
        DurableExecutionName=name,
        MaxItems=1,
        ReverseOrder=True,
    )
    found = drive(call).get("DurableExecutions", ())
    if not found:
        raise ResourceNotFound(f"{function} has no execution named {name}.")
    arn: str = found[0]["DurableExecutionArn"]
    return arn
