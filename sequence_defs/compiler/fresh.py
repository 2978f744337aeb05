"""Imports of definitions from what their files say now: no bytecode cache, no module of an earlier look.

Python takes compiled code from its cache while a file has the same size and second of change. A definition that was
edited twice within a second would be published as it was before.
"""

import importlib
import linecache
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType

# Files of these folders are installed once and not edited between two looks at the definitions.
_INSTALLED = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
_PLATFORM = __name__.partition(".")[0]


class _FromSource(SourceFileLoader):
    """Compiles the file at every load, and writes no cache. Tracebacks and ``inspect`` see the file as ever."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        linecache.cache.pop(path, None)  # it compares size and time as well
        return self.source_to_code(self.get_data(path), path)


class _Finder(MetaPathFinder):
    """Finds what the other finders find, and loads modules of the definitions from their source.

    Those are the modules of ``package`` and whatever else lies in no installed package and in none that the running
    program uses already.
    """

    def __init__(self, package: str) -> None:
        self._package = package
        self._in_use = {name.partition(".")[0] for name in sys.modules} - {_root(package)}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        found = (finder.find_spec(fullname, path, target) for finder in sys.meta_path if finder is not self)
        spec = next((spec for spec in found if spec is not None), None)
        is_ours = _is_within(fullname, self._package) or fullname.partition(".")[0] not in self._in_use
        if spec is not None and type(spec.loader) is SourceFileLoader and is_ours and not _is_installed(spec.origin):
            spec.loader = _FromSource(fullname, spec.loader.path)
        return spec


@contextmanager
def imports_from_source(target: str) -> Iterator[None]:
    """While this is open, modules are compiled from their files; those an earlier look left behind are forgotten.

    ``target`` is the package, file or folder the definitions are in: its modules are imported anew, and so are the
    modules beside it that definitions imported. The platform's own modules stay what they are.
    """
    for name in _left_behind(target):
        del sys.modules[name]
    importlib.invalidate_caches()  # a folder's listing is kept for as long as its time of change
    finder = _Finder(target)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def import_file(name: str, file: Path) -> ModuleType:
    """Execute a file as the module ``name``.

    Raises:
        Exception: whatever its code raises.
    """
    spec = spec_from_file_location(name, file, loader=_FromSource(name, str(file)))
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not a Python module")
    module = module_from_spec(spec)
    sys.modules[name] = module  # before execution: pydantic resolves annotations through it
    spec.loader.exec_module(module)
    return module


def _left_behind(target: str) -> list[str]:
    """Modules of the target, and those that an earlier look loaded for it."""
    return [
        name
        for name, module in list(sys.modules.items())
        if (_is_within(name, target) and not _is_within(_PLATFORM, target))
        or isinstance(getattr(getattr(module, "__spec__", None), "loader", None), _FromSource)
    ]


def _root(package: str) -> str:
    """The outermost package of the definitions; none where that is the platform, which is never loaded twice."""
    root = package.partition(".")[0]
    return "" if root == _PLATFORM else root


def _is_within(name: str, package: str) -> bool:
    return f"{name}.".startswith(f"{package}.")


def _is_installed(origin: str | None) -> bool:
    return origin is not None and any(Path(origin).is_relative_to(folder) for folder in _INSTALLED)
