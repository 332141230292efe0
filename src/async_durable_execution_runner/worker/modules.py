"""A worker imports each module under the name and from the file that the client has.

pytest imports test modules under names that no import path gives (`--import-mode=importlib`
calls tests/test_x.py "tests.test_x" though tests is not a package). A finder at the front of
`sys.meta_path` knows the client's files and the packages around them; all other imports take
their usual way.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Iterable, Sequence
from types import ModuleType


class _ClientModules:
    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self.directories: dict[str, str] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if (file := self.files.get(name)) is not None:
            return _spec(name, file)
        directory = self.directories.get(name)
        if directory is None:
            return None
        init = os.path.join(directory, "__init__.py")
        if os.path.isfile(init):
            return _spec(name, init)
        # A directory without __init__.py may be one portion of a namespace package.
        spec = self._elsewhere(name, path)
        if spec is None or spec.origin is not None or spec.submodule_search_locations is None:
            spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = [directory] if directory else []
        elif directory not in spec.submodule_search_locations:
            spec.submodule_search_locations = [*spec.submodule_search_locations, directory]
        return spec

    def _elsewhere(
        self, name: str, path: Sequence[str] | None
    ) -> importlib.machinery.ModuleSpec | None:
        for finder in sys.meta_path:
            if finder is not self and (spec := finder.find_spec(name, path)) is not None:
                return spec
        return None


_client = _ClientModules()


def _spec(name: str, file: str) -> importlib.machinery.ModuleSpec | None:
    locations = [os.path.dirname(file)] if _is_init(file) else None
    return importlib.util.spec_from_file_location(name, file, submodule_search_locations=locations)


def _is_init(file: str) -> bool:
    return os.path.basename(file).startswith("__init__.")


def know(name: str, file: str) -> None:
    """Import `name` from `file` from now on, if the file exists, and packages from around it."""
    if not os.path.isfile(file):
        return
    if _client not in sys.meta_path:
        sys.meta_path.insert(0, _client)
    _client.files[name] = file
    directory = os.path.dirname(file)
    if _is_init(file):
        directory = os.path.dirname(directory)
    parent, _, _ = name.rpartition(".")
    while parent:
        parent_of_parent, _, own_name = parent.rpartition(".")
        if os.path.basename(directory) != own_name:
            # The name does not follow the path: nobody can say where the packages are.
            directory = ""
        _client.directories[parent] = directory
        _forget_other(parent, directory)
        parent, directory = parent_of_parent, os.path.dirname(directory)


def _forget_other(package: str, directory: str) -> None:
    loaded = sys.modules.get(package)
    if loaded is not None and directory and directory not in getattr(loaded, "__path__", ()):
        for name in [each for each in sys.modules if f"{each}.".startswith(f"{package}.")]:
            del sys.modules[name]


def _is_from(module: ModuleType, file: str) -> bool:
    loaded = getattr(module, "__file__", None)
    return loaded is not None and os.path.realpath(loaded) == os.path.realpath(file)


#: The folder that a worker of another machine imports from, in place of the client's paths; "" on
#: the client's machine.
app_dir = ""

_versions: dict[str, tuple[int, int]] = {}


def import_here(name: str) -> ModuleType:
    """Import a module as this machine has it, first of all in `app_dir`."""
    if app_dir not in sys.path:
        sys.path.insert(0, app_dir)
        importlib.invalidate_caches()
    return importlib.import_module(name)


def import_file(name: str, file: str) -> ModuleType:
    """Import the module `name` from `file` as the file is now.

    Where the file does not exist on this machine, the module is imported by its name alone.
    """
    try:
        status = os.stat(file)
    except OSError:
        return importlib.import_module(name)
    version = (status.st_mtime_ns, status.st_size)
    loaded = sys.modules.get(name)
    if loaded is not None and (
        not _is_from(loaded, file) or _versions.get(name, version) != version
    ):
        del sys.modules[name]
    know(name, file)
    module = importlib.import_module(name)
    _versions[name] = version
    return module


def extend_import_path(entries: Iterable[str]) -> None:
    """Search where the client searches, in its order, and then where this process does."""
    wanted = list(entries)
    sys.path[:] = [*wanted, *(entry for entry in sys.path if entry not in wanted)]
    importlib.invalidate_caches()
