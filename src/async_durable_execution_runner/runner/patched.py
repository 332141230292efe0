"""What a test has patched or changed in its own process, of which workers know nothing.

This is noted when an execution starts, since a `with patch(...)` is over when its test has failed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .registration import Attachment

_SHOWN = 3


@dataclass
class _Noted:
    test: str
    #: The names of the test's own module and of each conftest.py.
    of_test: frozenset[str] = frozenset()
    #: The modules of the handlers that ran in workers.
    modules: dict[str, ModuleType] = field(default_factory=dict)
    #: What was patched there, without repetitions.
    names: dict[str, None] = field(default_factory=dict)
    #: The variables that were changed after the runner was opened, and "the working folder".
    changes: dict[str, None] = field(default_factory=dict)


_noted = _Noted("")


def note_all(attachment: Attachment) -> None:
    """Note what the test that runs under pytest has patched, and changed since it opened the
    runner."""
    if "PYTEST_CURRENT_TEST" in os.environ:
        note(attachment.modules_of_workers(), attachment.changed_around())


def note(modules: Iterable[str], changes: Iterable[str] = ()) -> None:
    """Note what the test that runs under pytest has patched.

    Args:
        modules: The modules of the handlers that workers run.
        changes: What the test has changed since it opened the runner.
    """
    global _noted
    # pytest's name of the test, with the phase that it is in.
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
    if not test:
        return
    if test != _noted.test:
        _noted = _Noted(test, _modules_of(test.partition("::")[0]))
    _noted.changes.update(dict.fromkeys(changes))
    for name in modules:
        if (module := sys.modules.get(name)) is not None:
            _noted.modules[name] = module
            _noted.names.update(dict.fromkeys(_patches(module, _noted.of_test)))


def hint(test: str, replaced: Iterable[tuple[object, str]]) -> str:
    """Return what to tell whose test has failed, or "" where nothing is patched that counts.

    Args:
        test: pytest's id of the test.
        replaced: The attributes that monkeypatch has set, as (target, name).
    """
    if test != _noted.test:
        return ""
    names = dict(_noted.names)
    for target, name in replaced:
        if any(target is holder for each in _noted.modules.values() for holder in _holders(each)):
            names[f"{_name(target)}.{name}"] = None
    hints = []
    if names:
        hints.append(
            f"{_listed([f'`{name}`' for name in names])} {'is' if len(names) == 1 else 'are'} "
            "patched in this process, but the handler ran in another one, which has the "
            f"original{'s'[: len(names) - 1]}: see docs/fakes.md (worker_setup=, env=, a server, "
            "isolation='inline')."
        )
    if changes := list(_noted.changes):
        hints.append(
            f"{_listed(changes)} {'was' if len(changes) == 1 else 'were'} changed after the runner "
            "was opened: handlers do not see that. Give env=, or change it before: in a fixture "
            "that comes before durable_runner, or above a `with` of your own."
        )
    return "\n".join(hints)


def _listed(names: Sequence[str]) -> str:
    """The names in words, a few of them at most."""
    *shown, last = names
    if len(names) > _SHOWN:
        shown, last = [*names[:_SHOWN]], f"{len(names) - _SHOWN} more"
    return f"{', '.join(shown)} and {last}" if shown else last


def _holders(module: ModuleType) -> Iterator[Any]:
    """The handler's module, and the modules and classes that are among its globals."""
    yield module
    for value in list(vars(module).values()):
        if isinstance(value, ModuleType | type) and value is not module:
            yield value


def _patches(module: ModuleType, of_test: frozenset[str]) -> Iterator[str]:
    mock = getattr(sys.modules.get("unittest.mock"), "NonCallableMock", ())
    for holder in _holders(module):
        own = _module_name(holder) in of_test
        for name, value in list(vars(holder).items()):
            kind = type(value)
            if kind is FunctionType:
                # `autospec=True` makes functions. Only a test puts what is its own elsewhere.
                patched = (not own and value.__module__ in of_test) or "mock" in vars(value)
            else:
                # A mock that a test's own module has made for itself bears no name.
                patched = issubclass(kind, mock) and (
                    not own or vars(value).get("_mock_name") == name
                )
            if patched:
                yield f"{_name(holder)}.{name}"
    stubber = getattr(sys.modules.get("moto.core.models"), "botocore_stubber", None)
    if getattr(stubber, "enabled", False) and any(map(_is_boto, list(vars(module).values()))):
        yield "boto3 (by moto's mock_aws)"


def _is_boto(value: object) -> bool:
    name = value.__name__ if isinstance(value, ModuleType) else type(value).__module__
    return str(name).partition(".")[0] in ("boto3", "botocore")


def _modules_of(test_file: str) -> frozenset[str]:
    ends = tuple(os.sep + os.path.normpath(each) for each in (test_file, "conftest.py"))
    found = set()
    for name, module in list(sys.modules.items()):
        # Reading an attribute of a module may import another one.
        file = getattr(module, "__dict__", {}).get("__file__")
        if isinstance(file, str) and file.endswith(ends):
            found.add(name)
    return frozenset(found)


def _module_name(holder: Any) -> str:
    return str(holder.__name__ if isinstance(holder, ModuleType) else holder.__module__)


def _name(holder: Any) -> str:
    name = _module_name(holder)
    return name if isinstance(holder, ModuleType) else f"{name}.{holder.__qualname__}"
