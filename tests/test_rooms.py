"""The house is in order: rooms are small, every module says what it is, a name means one thing, and somebody calls it.

What imports what is the business of the contracts in ``pyproject.toml``; here stands what they cannot say.
"""

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("sequence_defs", "seqplat_resources", "seqplat_assets", "serving")
ROOM_LIMIT = 12
PLAIN_DECORATORS = {"dataclass", "lru_cache", "contextmanager"}

# Callers that are no code of ours: Dagster's settings, the server, users' tests and programs, and authors' definitions.
CALLED_FROM_OUTSIDE = (
    "seqplat_assets/definitions.py",
    "seqplat_assets/event_log/",
    "serving/client/",
    "seqplat_resources/testing/",
    "seqplat_resources/cases/",
    "sequence_defs/definitions/",
    "seqplat_resources/sources/schema_registry/fastavro_records.py",  # these three by the name of their library
    "seqplat_resources/sources/schema_registry/jsonschema_rs_records.py",
    "seqplat_resources/sources/schema_registry/protobuf_records.py",
)


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Path below the repository and syntax tree of every module of the product."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), tree(path)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def rooms() -> dict[str, list[str]]:
    """The modules on the level of each folder; what Python names is no module of ours."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for path, _ in modules():
        folder, _, name = path.rpartition("/")
        if not name.startswith("__"):
            found[folder].append(name.removesuffix(".py"))
    return dict(found)


def test_every_module_says_what_it_is_for() -> None:
    assert [path for path, module in modules() if not ast.get_docstring(module)] == []


@pytest.mark.parametrize("page", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_files_that_a_page_names_are_there(page: str) -> None:
    """From the top of the repository, or the end of a module's path."""
    named = set(re.findall(r"[`(]([\w./-]+/[\w.-]+\.(?:py|md|yaml|json|toml|png))[`)]", (ROOT / page).read_text()))
    ours = [path for path, _ in modules()]
    assert named
    assert [n for n in named if not (ROOT / n).exists() and not any(path.endswith(f"/{n}") for path in ours)] == []


def test_no_room_has_more_than_twelve_modules() -> None:
    crowded = {folder: len(names) for folder, names in rooms().items() if len(names) > ROOM_LIMIT}
    assert crowded == {}, "find the second idea in it and give that a room of its own"


def test_every_room_says_who_may_enter() -> None:
    """A purpose, a door, and who may enter: three sentences at least, so that a stranger need not open a module."""
    silent = [
        folder
        for folder in rooms()
        if len((ast.get_docstring(tree(ROOT / folder / "__init__.py")) or "").splitlines()) < 4
    ]
    assert silent == []


def test_no_two_files_of_a_room_differ_by_a_suffix() -> None:
    """``explained`` beside ``explaining`` is one too many, ``kept_answers`` beside ``kept_bodies`` a missing room."""
    for folder, names in rooms().items():
        twice = [root for root, count in Counter(map(root_of, names)).items() if count > 1]
        alike = [name for name in names if root_of(name) in twice]
        assert alike == [], f"{folder}: files whose names begin alike"


def root_of(name: str) -> str:
    """The first word of a file's name without what bends it: ``answering`` and ``answers`` are both ``answer``."""
    word = name.strip("_").split("_")[0]
    return re.sub(r"(?<=[a-z]{3})(?:ing|ed|es|er|en|s|d|e)$", "", word)


def test_a_class_name_means_one_thing() -> None:
    places: defaultdict[str, list[str]] = defaultdict(list)
    for path, module in modules():
        for node in module.body:
            if isinstance(node, ast.ClassDef):
                places[node.name].append(path)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_somebody_calls_every_public_name() -> None:
    """A public function or class that no module of the product and no benchmark uses is kept up for tests alone."""
    code = dict(modules()) | {
        path.relative_to(ROOT).as_posix(): tree(path) for path in (ROOT / "benchmarks").rglob("*.py")
    }
    used = {name for path, module in code.items() for name in uses(path, module)}
    uncalled = [
        f"{path}:{node.lineno} {node.name}"
        for path, module in modules()
        if not path.startswith(CALLED_FROM_OUTSIDE)
        for node in module.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not is_registered(node)
        and (dotted(path), node.name) not in used
    ]
    assert uncalled == [], "delete it, or wire it to what needs it"


def is_registered(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    """A decorator hands it to somebody: a rule, an executor, a command, a route."""
    made = [each.func for each in node.decorator_list if isinstance(each, ast.Call)]
    return any(getattr(each, "id", "") not in PLAIN_DECORATORS for each in made)


def dotted(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def uses(path: str, module: ast.Module) -> Iterator[tuple[str, str]]:
    """Module and name of all that a module uses: its own names, imported ones, and attributes of imported modules.

    Handing a name on, as ``__init__`` does, is no use of it.
    """
    here, local = dotted(path), dict[str, str]()
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                local[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                if not path.endswith("__init__.py"):
                    yield defined(node.module, alias.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield here, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield local.get(node.value.id, ""), node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and ":" in node.value:
            owner, _, name = node.value.partition(":")  # "package.module:name", as servers take it
            yield owner, name


def defined(module: str, name: str) -> tuple[str, str]:
    """Where a name is defined that packages hand on."""
    face = ROOT / module.replace(".", "/") / "__init__.py"
    for node in tree(face).body if face.exists() else ():
        if isinstance(node, ast.ImportFrom) and node.module and name in {a.asname or a.name for a in node.names}:
            return defined(node.module, name)
    return module, name
