"""Find definitions: import every module of a package, file or folder and collect what it declares."""

import importlib
import importlib.util
import pkgutil
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from pydantic import ValidationError

from sequence_defs.schema import Definition, Location


@dataclass(frozen=True)
class LoadError:
    """A module that could not be imported, or a definition its model refused."""

    where: Location
    message: str


@dataclass(frozen=True)
class Discovered:
    """Definitions in declaration order, and what kept others from loading."""

    definitions: tuple[Definition, ...]
    errors: tuple[LoadError, ...]


def discover(target: str) -> Discovered:
    """Import ``target`` (package name, ``.py`` file or folder) and collect its definitions.

    Every module is tried, so one broken file does not hide the findings of the others.
    """
    found: dict[int, Definition] = {}
    errors: list[LoadError] = []
    for load in _loaders(target):
        try:
            module = load()
        except Exception as error:
            errors.append(_load_error(error, target))
            continue
        for value in vars(module).values():
            for definition in value if isinstance(value, list | tuple) else [value]:
                if isinstance(definition, Definition):
                    found.setdefault(id(definition), definition)
    if not found and not errors:
        errors.append(LoadError(Location(target, 0), "no definition found; set SEQPLAT_DEFINITIONS to a package or folder"))
    ordered = sorted(found.values(), key=lambda d: d.declared_at)
    return Discovered(tuple(ordered), tuple(errors))


def _loaders(target: str) -> Iterator["_Loader"]:
    path = Path(target)
    if path.suffix == ".py" or path.is_dir():
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*.py") if not p.name.startswith("_"))
        yield from (_Loader(file=file) for file in files)
        return
    yield _Loader(name=target)
    try:
        spec = importlib.util.find_spec(target)
    except ImportError:
        return  # the loader above reports it
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for module in pkgutil.walk_packages([folder], prefix=f"{target}."):
            yield _Loader(name=module.name)


@dataclass(frozen=True)
class _Loader:
    name: str = ""
    file: Path | None = None

    def __call__(self) -> ModuleType:
        if self.file is None:
            return importlib.import_module(self.name)
        # A file is loaded afresh under its own path's name: two folders may both hold an `events.py`.
        spec = importlib.util.spec_from_file_location(f"_seqplat_definitions_{abs(hash(self.file))}", self.file)
        if spec is None or spec.loader is None:
            raise ImportError(f"{self.file} is not a Python module")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # before execution: pydantic resolves annotations through it
        spec.loader.exec_module(module)
        return module


def _load_error(error: Exception, target: str) -> LoadError:
    if isinstance(error, SyntaxError) and error.filename:
        return LoadError(Location(error.filename, error.lineno or 0), f"syntax error: {error.msg}")
    where = Location(target, 0)
    for frame in traceback.extract_tb(error.__traceback__):
        if "pydantic" in frame.filename or frame.filename.startswith("<") or "importlib" in frame.filename:
            continue
        if frame.filename != __file__:
            where = Location(frame.filename, frame.lineno or 0)
    if isinstance(error, ValidationError):
        parts = (f"{'.'.join(map(str, e['loc'])) or error.title}: {e['msg']}" for e in error.errors())
        return LoadError(where, f"{error.title} is not valid: " + "; ".join(parts))
    return LoadError(where, f"{type(error).__name__}: {error}")
