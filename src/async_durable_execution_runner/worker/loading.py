"""How a handler travels from the test process to a worker.

`describe` runs in the test process and says where the handler is: by reference wherever the
handler can be imported, by value with cloudpickle elsewhere. `load` loads the handler in a
worker, and `bind` decorates the handler anew with a service client. This module makes all
complaints about handlers.

`sdk.choice` knows a durable handler, and its SDK, by what the SDK's decorator made.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import io
import linecache
import os
import pickle
import platform
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle

from .. import errors
from ..rpc.v1 import worker_pb2 as pb
from . import modules
from .sdk import choice
from .sdk.choice import Handler

# pytest shows the line of the test, not ours.
__tracebackhide__ = True

#: The SHA-256 of the files of handlers' modules, as they were when they were imported.
_imported: dict[str, bytes] = {}

_INLINE = 'run it in the test process with isolation="inline"'


def describe(handler: object, *, durable: bool | None = None) -> pb.FunctionCode:
    """Say where a worker finds `handler`.

    Args:
        handler: The handler.
        durable: Whether the handler has to be durable; None takes both kinds.

    Raises:
        HandlerNotLoadable: A worker cannot call `handler`, or it is of the other kind.
    """
    function = check(handler, durable=durable)
    code = travelling(function, describe_name(handler))
    sdk = sdk_of(function)
    code.sdk = choice.preloadable(sdk) if sdk is not None else ""
    return code


def travelling(function: Callable[..., Any], name: str) -> pb.FunctionCode:
    """Say where a worker finds `function`, which errors call `name`."""
    found = _find(function)
    return pb.FunctionCode(pickled=_pickle(function, name)) if found is None else by_name(*found)


def by_name(module: str, file: str, qualname: str) -> pb.FunctionCode:
    """Say that a worker finds a function in a module, of which the file may be unknown ("")."""
    return pb.FunctionCode(
        reference=pb.ModuleReference(
            module=module,
            file=file,
            qualname=qualname,
            import_path=_import_path(),
            digest=_digest(file),
        )
    )


def _digest(file: str) -> bytes:
    """Return the SHA-256 of a file; b"" where there is none."""
    try:
        return hashlib.sha256(Path(file).read_bytes()).digest()
    except OSError:
        return b""


def check(handler: object, *, durable: bool | None = None) -> Handler:
    """Return `handler` if it is a function that a worker can call.

    Raises:
        HandlerNotLoadable: A worker cannot call `handler`.
    """
    name = describe_name(handler)
    if inspect.isclass(handler):
        raise errors.HandlerNotLoadable(f"{name} is a class: pass the handler function itself.")
    if isinstance(handler, functools.partial) and choice.is_decorator(handler.func):
        raise errors.HandlerNotLoadable(
            f"{name} is durable_execution(...) without a function: apply it to the handler, "
            "durable_execution(...)(function)."
        )
    if not callable(handler):
        raise errors.HandlerNotLoadable(
            f"{name} is not callable: pass the handler function itself."
        )
    if not isinstance(handler, types.FunctionType | types.BuiltinFunctionType):
        raise errors.HandlerNotLoadable(
            f"{name} is an instance of {type(handler).__qualname__}, not a function: Lambda calls "
            "a module's function, so wrap it in one."
        )
    if choice.makes_callables(handler):
        raise errors.HandlerNotLoadable(
            f"{name} is decorated with @durable_callable or the like, which makes callables for "
            "steps: decorate the handler with @durable_execution."
        )
    if (sdk := sdk_of(handler)) is not None:
        if complaint := sdk.complaint(inspect.unwrap(handler)):
            raise errors.HandlerNotLoadable(f"{name} {complaint}")
        if durable is False:
            raise errors.HandlerNotLoadable(
                f"{name} is a durable function: register it as one (register_durable_function)."
            )
        bind(handler, None)
    elif not durable:
        _check_parameters(handler, name)
    else:
        kind = "an async function" if inspect.iscoroutinefunction(handler) else "a function"
        raise errors.HandlerNotLoadable(
            f"{name} is {kind} that is not decorated with @durable_execution: decorate it; a "
            "decorator above that one must use functools.wraps."
        )
    return handler


def _check_parameters(handler: Handler, name: str) -> None:
    try:
        signature = inspect.signature(handler)
    except ValueError:
        return  # A built-in function does not say.
    try:
        signature.bind(None, None)
    except TypeError:
        raise errors.HandlerNotLoadable(
            f"{name} takes {signature}, but Lambda calls a handler with (event, context)."
        ) from None


def describe_name(handler: object) -> str:
    """Return a handler's name for people: module and qualified name, or its repr."""
    qualname = getattr(handler, "__qualname__", None)
    if qualname is None:
        return f"Handler {handler!r:.100}"
    return f"Handler {getattr(handler, '__module__', '?')}.{qualname}"


def is_durable(handler: object) -> bool:
    """Whether `handler` is, below decorators that use functools.wraps, a durable handler."""
    return sdk_of(handler) is not None


def sdk_of(handler: object) -> choice.Sdk | None:
    """Find the adapter of a durable handler, below other decorators too.

    It is None where the handler is a plain function.
    """
    seen = set()
    while handler is not None and id(handler) not in seen:
        if (found := choice.of(handler)) is not None:
            return found
        seen.add(id(handler))
        handler = getattr(handler, "__wrapped__", None)
    return None


def bind(handler: Handler, client: Any) -> Handler:
    """Return the durable `handler` with its adapter's `client` in place of the SDK's own.

    Decorators above the durable one stay in effect: they are made again around the newly bound
    handler.
    """
    if (sdk := choice.of(handler)) is not None:
        return sdk.bind(handler, client)
    inner: Any = getattr(handler, "__wrapped__", None)
    cells = getattr(handler, "__closure__", None) or ()
    if not isinstance(handler, types.FunctionType) or not any(
        cell.cell_contents is inner for cell in cells if _is_filled(cell)
    ):
        raise errors.HandlerNotLoadable(
            f"{describe_name(handler)} has a decorator above @durable_execution that does not "
            "keep the decorated function as a plain variable of its wrapper: put "
            "@durable_execution on top, or write the decorator as a function that returns a "
            "functools.wraps wrapper."
        )
    bound = bind(inner, client)
    rebuilt = types.FunctionType(
        handler.__code__,
        handler.__globals__,
        handler.__name__,
        handler.__defaults__,
        tuple(
            types.CellType(bound) if _is_filled(cell) and cell.cell_contents is inner else cell
            for cell in cells
        ),
    )
    functools.update_wrapper(rebuilt, handler)
    rebuilt.__kwdefaults__ = handler.__kwdefaults__
    rebuilt.__wrapped__ = bound  # type: ignore[attr-defined]
    return rebuilt


def _is_filled(cell: types.CellType) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


def _find(handler: Handler) -> tuple[str, str, str] | None:
    """Return the module, file and name under which an import gives this very object."""
    module = choice.module_of(handler)
    if module is None or module.__name__ == "__main__":
        return None
    file = getattr(module, "__file__", None)
    if not file:
        return None
    names = [
        getattr(handler, "__qualname__", ""),
        *(n for n, value in vars(module).items() if value is handler),
    ]
    for name in names:
        if _lookup(module, name) is handler:
            return module.__name__, os.path.abspath(file), name
    return None


def _lookup(module: types.ModuleType, qualname: str) -> Any:
    found: Any = module
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


def _import_path() -> list[str]:
    return [os.path.abspath(entry) for entry in sys.path]


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """A pickler that takes durable handlers apart where their SDK needs that.

    It also notes the files of the modules that the pickle refers to, and the source of its code.
    """

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.files: dict[str, str] = {}
        #: The lines of each file, or cell of a notebook, that code in the pickle comes from.
        self.sources: dict[str, list[str]] = {}

    def reducer_override(self, obj: Any) -> Any:
        sdk = choice.of(obj)
        if (
            sdk is not None
            and _find(obj) is None
            and (rebuilding := sdk.rebuilding(obj)) is not NotImplemented
        ):
            return rebuilding
        if isinstance(obj, types.CodeType):
            # cloudpickle leaves out where code comes from.
            make, arguments = self.dispatch_table[types.CodeType](obj)
            if obj.co_filename not in self.sources:
                self.sources[obj.co_filename] = linecache.getlines(obj.co_filename)
            return _from_file, (make, arguments, obj.co_filename)
        if isinstance(obj, types.ModuleType):
            self._note(obj.__name__)
        elif isinstance(obj, type | types.FunctionType):
            self._note(obj.__module__)
        return super().reducer_override(obj)

    def _note(self, name: str | None) -> None:
        file = getattr(sys.modules.get(name or ""), "__file__", None)
        if name and file and name != "__main__":
            self.files[name] = os.path.abspath(file)


def _from_file(make: Any, arguments: tuple[Any, ...], filename: str) -> types.CodeType:
    code: types.CodeType = make(*arguments)
    return code.replace(co_filename=filename)


def _pickle(handler: Handler, name: str) -> bytes:
    """Return two pickles: what to do before the handler is unpickled, and the handler."""
    body = io.BytesIO()
    pickler = _Pickler(body)
    dynamic = _modules_without_file(handler)
    try:
        for module in dynamic:
            cloudpickle.register_pickle_by_value(module)
        try:
            pickler.dump(handler)
        finally:
            for module in dynamic:
                cloudpickle.unregister_pickle_by_value(module)
    except Exception as error:
        raise errors.HandlerNotLoadable(
            f"{name} cannot be sent to a worker: it is not a module-level "
            f"function, and pickling it failed ({type(error).__name__}: {error}): move it to "
            f"module level, keep what cannot be pickled out of what it refers to, or {_INLINE}."
        ) from error
    head = pickle.dumps(
        {"import_path": _import_path(), "files": pickler.files, "sources": pickler.sources}
    )
    return head + body.getvalue()


def _modules_without_file(handler: Handler) -> list[types.ModuleType]:
    module = sys.modules.get(handler.__module__ or "")
    if module is None or module.__name__ == "__main__" or getattr(module, "__file__", None):
        return []
    return [module]


def check_importable(code: pb.FunctionCode) -> None:
    """Raise `HandlerNotLoadable` where the code of a handler, or of its setup, would travel to
    another machine by value."""
    for each, what in ((code, "The handler"), (code.setup, "worker_setup")):
        if each.HasField("pickled"):
            raise errors.HandlerNotLoadable(
                f"{what} cannot be imported by workers on another machine: it is not a "
                "module-level function. Move it to a module that they have, or give the runner "
                "by_value=True to send its code in a pickle."
            )


def load(code: pb.FunctionCode) -> Handler:
    """Load the handler that `describe` described. An import's errors are raised unchanged."""
    if code.HasField("reference"):
        reference = code.reference
        if modules.app_dir:
            module, _ = _import_here(reference)
        else:
            modules.extend_import_path(reference.import_path)
            module = modules.import_file(reference.module, reference.file)
        handler = _lookup(module, reference.qualname)
        if handler is None:
            raise errors.HandlerNotLoadable(
                f"Handler '{reference.qualname}' missing on module '{reference.module}': the "
                "module defines it in the test process, but not when a worker imports it."
            )
        return handler  # type: ignore[no-any-return]
    stream = io.BytesIO(code.pickled)
    head = pickle.load(stream)
    if not modules.app_dir:
        modules.extend_import_path(head["import_path"])
        for name, file in head["files"].items():
            modules.know(name, file)
    for name, lines in head["sources"].items():
        if lines:
            # Without a time of modification, `linecache` does not look for a file.
            linecache.cache[name] = sum(map(len, lines)), None, lines, name
    return pickle.load(stream)  # type: ignore[no-any-return]


def _import_here(reference: pb.ModuleReference) -> tuple[types.ModuleType, bytes]:
    """Import a module as this machine has it; return the module, and its file's digest by now."""
    module = modules.import_here(reference.module)
    now = _digest(getattr(module, "__file__", None) or "")
    _imported.setdefault(reference.module, now)
    return module, now


def check_same(code: pb.FunctionCode) -> None:
    """Import the module of a handler, or of its setup, and raise `HandlerNotLoadable` where its
    file on another machine is not what the client has. Where there is no other machine, this does
    nothing."""
    if not (modules.app_dir and code.HasField("reference")):
        return
    reference = code.reference
    module, now = _import_here(reference)
    file, here = module.__file__, _imported[reference.module]
    if not reference.digest or here == reference.digest:
        return
    if now == reference.digest:
        raise errors.HandlerNotLoadable(
            f"Module {reference.module} has changed since a worker imported it: its file {file} on "
            f"{platform.node()} is what the runner has, and the worker still has the old code. "
            "Start the worker host again, or with --reload."
        )
    raise errors.HandlerNotLoadable(
        f"Module {reference.module} is not the same on both sides: its file {file} on "
        f"{platform.node()} has the SHA-256 {here.hex()[:12]}…, and {reference.file}, from "
        f"which the runner has it, {reference.digest.hex()[:12]}…: bring the same code to both, or "
        "ask for other code by the label `code` of its worker host."
    )
