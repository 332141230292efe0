"""`InvocationStatus` as results report it: the SDK's members and two more.

An SDK enum has no word for an execution that timed out or was stopped, and an enum
cannot be extended. So this class is a look-alike: `SUCCEEDED`, `FAILED` and `PENDING` *are*
the SDK's members, so that `is` holds whichever of the two a test imports.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:

    class InvocationStatus(Enum):
        """How an execution stands, or how it ended."""

        SUCCEEDED = "SUCCEEDED"
        FAILED = "FAILED"
        PENDING = "PENDING"
        TIMED_OUT = "TIMED_OUT"
        STOPPED = "STOPPED"

else:
    from async_durable_execution import InvocationStatus as SdkInvocationStatus

    class _EndStatus(Enum):
        TIMED_OUT = "TIMED_OUT"
        STOPPED = "STOPPED"

        def __repr__(self) -> str:
            return f"<InvocationStatus.{self.name}: {self.value!r}>"

        def __str__(self) -> str:
            return f"InvocationStatus.{self.name}"

    class _EnumLike(type):
        """What can be done with an enum class: iterate, call, index, test for membership."""

        __members__ = MappingProxyType(
            {
                member.name: member
                for member in (
                    SdkInvocationStatus.SUCCEEDED,
                    SdkInvocationStatus.FAILED,
                    SdkInvocationStatus.PENDING,
                    *_EndStatus,
                )
            }
        )

        def __iter__(cls) -> Iterator[Any]:
            return iter(cls.__members__.values())

        def __len__(cls) -> int:
            return len(cls.__members__)

        def __getitem__(cls, name: str) -> Any:
            return cls.__members__[name]

        def __call__(cls, value: object) -> Any:
            for member in cls:
                if value is member or value == member.value:
                    return member
            raise ValueError(f"{value!r} is not a valid InvocationStatus")

        def __contains__(cls, value: object) -> bool:
            return any(value is member or value == member.value for member in cls)

        def __instancecheck__(cls, instance: object) -> bool:
            return any(instance is member for member in cls)

    class InvocationStatus(metaclass=_EnumLike):
        """How an execution stands, or how it ended."""

        SUCCEEDED = SdkInvocationStatus.SUCCEEDED
        FAILED = SdkInvocationStatus.FAILED
        PENDING = SdkInvocationStatus.PENDING
        TIMED_OUT = _EndStatus.TIMED_OUT
        STOPPED = _EndStatus.STOPPED
