"""Find definitions: import every module of a package, file or folder and collect what it declares.

>>> discover("sequence_defs.definitions.demo").errors
()
>>> sorted({type(each).__name__ for each in discover("sequence_defs.definitions.demo").definitions})
['Derived', 'EventType', 'Sequence', 'Snapshot', 'Source', 'Tenant', 'Versioned']
"""

import hashlib
import importlib
import importlib.util
import pkgutil
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pydantic
from pydantic import ValidationError

from sequence_defs.authoring.refusals import told, told_of_name
from sequence_defs.compiler import fresh
from sequence_defs.compiler.fresh import import_file, imports_from_source
from sequence_defs.schema import Definition, Location


@dataclass(frozen=True)
class LoadError:
    """A module that could not be imported, or a definition its model refused."""

    where: Location
    message: str


@dataclass(frozen=True)
class Discovery:
    """Definitions in declaration order, and what kept others from loading."""

    definitions: tuple[Definition, ...]
    errors: tuple[LoadError, ...]


def discover(target: str) -> Discovery:
    """Import ``target`` (package name, ``.py`` file or folder) and collect its definitions.

    Every module is tried, so one broken file does not hide the findings of the others. In a folder, files whose
    names start with an underscore are left out. Files are read as they are now, however often this is called.
    """
    with imports_from_source(target):
        return _collected(target)


def _collected(target: str) -> Discovery:
    found: dict[int, Definition] = {}
    errors: dict[LoadError, None] = {}  # a broken package fails again with each of its modules
    for load in _loaders(target):
        try:
            module = load()
        except Exception as error:  # importing runs the author's code, which may raise anything
            errors.setdefault(_load_error(error, target))
            continue
        for value in vars(module).values():
            for definition in value if isinstance(value, list | tuple) else [value]:
                if isinstance(definition, Definition):
                    found.setdefault(id(definition), definition)
    if not found and not errors:
        nothing = "no definition found; set SEQPLAT_DEFINITIONS to a package or folder"
        errors.setdefault(LoadError(Location(target, 0), nothing))
    ordered = sorted(found.values(), key=lambda d: d.declared_at)
    return Discovery(tuple(ordered), tuple(errors))


def _loaders(target: str) -> Iterator["_Loader"]:
    path = Path(target)
    if path.suffix == ".py" or path.is_dir():
        files = [path] if path.suffix == ".py" else sorted(p for p in path.rglob("*.py") if not p.name.startswith("_"))
        yield from (_Loader(file=file) for file in files)
        return
    yield _Loader(name=target)
    try:
        spec = importlib.util.find_spec(target)
    except Exception:  # a parent package that does not import; the loader above reports it
        return
    for folder in (spec.submodule_search_locations or []) if spec else []:
        # Walking imports subpackages; one that fails is reported by its own loader, so it is passed over here.
        for module in pkgutil.walk_packages([folder], prefix=f"{target}.", onerror=lambda _: None):
            yield _Loader(name=module.name)


@dataclass(frozen=True)
class _Loader:
    name: str = ""
    file: Path | None = None

    def __call__(self) -> ModuleType:
        if self.file is None:
            return importlib.import_module(self.name)
        # A file is loaded afresh under its own path's name: two folders may both hold an `events.py`.
        name = f"_seqplat_definitions_{hashlib.sha256(str(self.file).encode()).hexdigest()[:16]}"
        return import_file(name, self.file)


_MACHINERY = (
    str(Path(pydantic.__file__).parent),
    str(Path(importlib.__file__).parent),
    __file__,
    fresh.__file__,
    "<",
)


def _load_error(error: Exception, target: str) -> LoadError:
    if isinstance(error, SyntaxError) and error.filename:
        return LoadError(Location(error.filename, error.lineno or 0), f"syntax error: {error.msg}")
    where = Location(target, 0)
    for frame in traceback.extract_tb(error.__traceback__):
        if not frame.filename.startswith(_MACHINERY):
            where = Location(frame.filename, frame.lineno or 0)
    return LoadError(where, told(error) if isinstance(error, ValidationError) else told_of_name(error))
