"""What one runner brought: its functions, its limits, its executions."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from ..core.operations.chained_invoke import ANY_FUNCTION, parse_function_name
from ..errors import ResourceNotFound

if TYPE_CHECKING:
    from .following import Follower
    from .pool import Share
    from .runs import Run

REGION = "us-east-1"
ACCOUNT = "123456789012"
VERSION = "$LATEST"


class Isolation(Enum):
    WORKER = "worker"
    EXECUTION = "execution"
    INVOCATION = "invocation"
    INLINE = "inline"


@dataclass(frozen=True, slots=True)
class Function:
    """A function as it was registered. `code` is opaque here: it goes to workers as it came."""

    id: str
    name: str
    durable: bool
    timeout_seconds: float
    memory_mb: int
    enforce_memory: bool
    environment: dict[str, str]
    isolation: Isolation
    execution_timeout_seconds: int
    code: Any
    version: str = VERSION
    #: Of what is logged: "JSON", "Text" or, where none was chosen, "".
    log_format: str = ""
    #: How long an execution is remembered after its end; 0: as long as its workspace is open.
    retention_days: int = 0
    #: Warm workers serve it and no other, as on Lambda.
    own_processes: bool = False

    @property
    def arn(self) -> str:
        return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{self.name}"

    @property
    def qualifier(self) -> str:
        """The alias or version that it was registered as, if any."""
        return self.name.partition(":")[2]

    def is_reached_as(self, other: Function) -> bool:
        """Whether it is `other`, or an alias of it: every alias is of the one version there is."""
        return other.name in (self.name, self.name.partition(":")[0])


@dataclass(slots=True, eq=False, repr=False)
class Workspace:
    """Closed when its runner goes away; executions and functions go with it."""

    id: str
    share: Share
    invocation_retries: int
    retry_backoff_ms: int
    epoch_ms: int | None
    functions: dict[str, Function] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    #: By function and execution name, which is unique.
    names: dict[tuple[str, str], Run] = field(default_factory=dict)
    #: Of what its handlers write.
    followers: list[Follower] = field(default_factory=list)

    @property
    def needs_processes(self) -> bool:
        return any(each.isolation is not Isolation.INLINE for each in self.functions.values())

    def find(self, function_name: str) -> Function:
        """By name, `name:qualifier` or ARN; the qualified name is preferred to the bare one."""
        _, _, name, qualifier = parse_function_name(function_name)
        function = self.functions.get(f"{name}:{qualifier}") or self.functions.get(name)
        if function is None and (every := self.functions.get(ANY_FUNCTION)):
            function = self.functions[name] = replace(every, name=name)
        if function is None:
            raise ResourceNotFound(
                f"Function not found: arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
                f"{':' + qualifier if qualifier else ''}"
            )
        return function
