"""`record`: the decorator of data that never changes and is made on every checkpoint.

A frozen dataclass sets each field by a call, which makes a wide one four times as dear as a
plain one, and more where the processor's caches are cold. The type checker therefore sees that
nothing changes a record, and at run time a record is a dataclass with slots.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[T]) -> type[T]:
    """Make a dataclass of `cls`, frozen for the type checker only."""
    return dataclass(slots=True, unsafe_hash=True)(cls)
