"""Examples in docstrings of modules say what happens, and whoever enters a room by one of its doors finds one."""

import ast
import doctest
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.docs.example_shop import build_shop, names_for
from tests.shared_servers import built_once

ROOT = Path(__file__).parents[2]
PACKAGES = ("sequence_defs", "seqplat_resources", "seqplat_assets", "serving")
MODULES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
WITH_EXAMPLES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in MODULES
    if re.search(r"^ *>>> ", path.read_text(), re.MULTILINE)
]

# Doors that show no example, and why.
WITHOUT = {
    "seqplat_assets/definitions.py": "reads its whole environment when it is loaded; `seqplat dev` shows it",
    "seqplat_assets/event_log/storage.py": "is opened by Dagster, by the settings of its instance",
    "seqplat_assets/runs/planned.py": "takes what Dagster hands to a step that it runs",
    "seqplat_resources/cases/pytest_plugin.py": "is a fixture, which pytest alone may call",
    "seqplat_resources/online_store/contract.py": "is a protocol; its stores have examples",
    "seqplat_resources/online_store/redis/store.py": "needs a server; that of `lmdb/store.py` holds for it as well",
    "seqplat_resources/online_store/redis/wire/link.py": "needs a server",
    "seqplat_resources/shadow/legacy/http.py": "needs a service that answers",
    "seqplat_resources/sources/log/kafka/confluent.py": "needs a broker; that of `log/opening.py` holds for it as well",
    "seqplat_resources/sources/log/kafka/python.py": "needs a broker; that of `log/opening.py` holds for it as well",
    "serving/client/training/torch.py": "needs PyTorch; tests/serving/client/training/test_torch.py",
    "serving/http/worker.py": "changes settings of the process that calls it",
}


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_examples_are_true(module: str, tmp_path: Path) -> None:
    tested = importlib.import_module(module)
    found = doctest.DocTestFinder(exclude_empty=True).find(tested, module)
    said = "".join(example.source for each in found for example in each.examples)
    with names_for(said, Path(built_once("example_shop", build_shop)), tmp_path) as names:
        results = doctest.testmod(tested, extraglobs=names, optionflags=doctest.ELLIPSIS)
    assert results.attempted > 0
    assert results.failed == 0


def doors() -> Iterator[tuple[Path, str]]:
    """Every room that names doors, with each of them as it is named there (``answer.answer``)."""
    for init in MODULES:
        if init.name != "__init__.py":
            continue
        said = ast.get_docstring(ast.parse(init.read_text())) or ""
        if sentence := re.search(r"^Doors?: (.*?)\.(?:\s|$)", said, re.M | re.S):
            yield from ((init.parent, name) for name in re.findall(r"``([\w.]+)``", sentence[1]))


def behind(room: Path, door: str) -> Path | None:
    """The module that a door leads into; None where it leads nowhere."""
    parts = door.split(".")
    for length in range(len(parts), 0, -1):
        path, within = room.joinpath(*parts[:length]), parts[length:]
        for module in (path.with_suffix(".py"), path / "__init__.py"):
            if module.exists():
                return module if not within or within[0] in defined(module) else None
    for node in ast.parse((room / "__init__.py").read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module and parts[0] in {alias.name for alias in node.names}:
            return behind(ROOT, f"{node.module}.{parts[0]}")
    return None


@cache
def defined(module: Path) -> set[str]:
    return {getattr(node, "name", "") for node in ast.parse(module.read_text()).body}


def test_every_door_leads_somewhere() -> None:
    assert [f"{room.relative_to(ROOT)}: {door}" for room, door in doors() if behind(room, door) is None] == []


def test_every_door_shows_an_example() -> None:
    entered = {module for room, door in doors() if (module := behind(room, door)) and module.name != "__init__.py"}
    silent = {module for module in entered if "\n>>> " not in module.read_text() + _of_room(module)}
    assert {module.relative_to(ROOT).as_posix() for module in silent} == set(WITHOUT)


def _of_room(module: Path) -> str:
    """What the module's room shows, where that is about the module."""
    said = (module.parent / "__init__.py").read_text()
    return said if f".{module.stem} import" in said else ""
