"""What `worker_setup=` names: a process that runs handlers runs it once, before it loads them."""

from __future__ import annotations

import importlib
import inspect
import re
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ..errors import SetupFailed
from ..rpc.v1 import worker_pb2 as pb
from . import loading

# pytest shows the line of the test, not ours.
__tracebackhide__ = True

Setup = Callable[[], object] | str
"""A callable without parameters, or where a worker imports one: "module:function"."""

#: Frames of these files come before those of the user's code.
_BEFORE = (str(Path(__file__).parent), "<frozen importlib", importlib.__file__)


def check(setup: Setup) -> None:
    """Check what can be checked without calling `setup`, or importing it.

    Raises:
        ValueError: It is a text of another form.
        TypeError: It cannot be called without arguments, or would not run when it is called.
    """
    if isinstance(setup, str):
        if not re.fullmatch(r"\w+(\.\w+)*:\w+(\.\w+)*", setup):
            raise ValueError(f"worker_setup={setup!r} is not of the form 'module:function'.")
        return
    if not callable(setup):
        raise TypeError(f"worker_setup={setup!r} is neither callable nor 'module:function'.")
    if inspect.iscoroutinefunction(setup) or inspect.isgeneratorfunction(setup):
        raise TypeError(
            f"{_name(setup)} only makes a coroutine or a generator when it is called: write it as "
            "a plain function, or with @contextmanager."
        )
    try:
        inspect.signature(setup).bind()
    except TypeError:
        raise TypeError(f"{_name(setup)} must be callable without arguments.") from None
    except ValueError:
        pass  # A built-in function does not say.


def describe(setup: Setup) -> pb.FunctionCode:
    """Say where a worker finds `setup`.

    Raises:
        HandlerNotLoadable: It can be neither imported nor pickled.
    """
    if isinstance(setup, str):
        module, _, qualname = setup.partition(":")
        return loading.by_name(module, "", qualname)
    return loading.travelling(setup, _name(setup))


def enter(setup: Setup | pb.FunctionCode, kept: ExitStack) -> None:
    """Call `setup`, and enter the context manager that it may return.

    Args:
        setup: The setup itself, or what `describe` said of it.
        kept: Leaves the context manager when it is closed.

    Raises:
        SetupFailed: It cannot be imported, or raises an error.
    """
    function: Any = setup
    try:
        if isinstance(function, str):
            function = describe(function)
        if isinstance(function, pb.FunctionCode):
            function = loading.load(function)
        _enter(function(), kept)
    except Exception as error:
        raise SetupFailed(
            f"{_name(function)} failed{_place(function, error)}: {type(error).__name__}: {error}"
        ).with_traceback(error.__traceback__) from error


def _enter(returned: Any, kept: ExitStack) -> None:
    if hasattr(type(returned), "__enter__"):
        kept.enter_context(returned)
    elif hasattr(type(returned), "__aenter__") or inspect.isawaitable(returned):
        if inspect.iscoroutine(returned):
            returned.close()
        raise TypeError(f"it returned {returned!r:.100}, which a worker cannot await")


def _name(setup: Any) -> str:
    if isinstance(setup, pb.FunctionCode):
        reference = setup.reference
        return f"worker_setup {reference.module}:{reference.qualname}".rstrip(" :")
    qualname = getattr(setup, "__qualname__", None)
    return (
        f"worker_setup {setup!r:.100}"
        if qualname is None
        else (f"worker_setup {setup.__module__}:{qualname}")
    )


def _place(setup: Any, error: Exception) -> str:
    """Return the line at which `setup` failed, or its first line where others failed for it."""
    code = getattr(inspect.unwrap(setup), "__code__", None) if callable(setup) else None
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(_BEFORE)
    ]
    if code is not None:
        own = [frame.lineno for frame in frames if frame.filename == code.co_filename]
        return f" ({code.co_filename}:{own[-1] if own else code.co_firstlineno})"
    return f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
