"""A command answers at once: what its module imports before it runs. Read from the sources of all commands."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from serving.cli.main import COMMANDS

ROOT = Path(__file__).parents[3]
# Each takes half a second or more to import: what needs one of them imports it when it runs.
HEAVY = ("dagster", "litestar", "scipy.optimize", "scipy.stats", "sqlalchemy", "kafka", "redis", "uvicorn", "granian")


@cache
def _imported(module: str) -> frozenset[str]:
    """Names that a module imports when it is imported, whatever becomes of them."""
    path = _path(module)
    return frozenset(_names(ast.parse(path.read_text("utf-8")).body)) if path else frozenset()


def _names(body: list[ast.stmt]) -> Iterator[str]:
    for statement in body:
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom) and statement.module:
            yield statement.module
            yield from (f"{statement.module}.{alias.name}" for alias in statement.names)
        elif isinstance(statement, ast.If) and "TYPE_CHECKING" not in ast.unparse(statement.test):
            yield from _names([*statement.body, *statement.orelse])
        elif isinstance(statement, ast.Try):
            yield from _names([*statement.body, *(s for each in statement.handlers for s in each.body)])


def _path(module: str) -> Path | None:
    plain = ROOT.joinpath(*module.split("."))
    return next((path for path in (plain.with_suffix(".py"), plain / "__init__.py") if path.is_file()), None)


def _with_parents(module: str) -> Iterator[str]:
    parts = module.split(".")
    yield from (".".join(parts[:length]) for length in range(1, len(parts) + 1))


def _way_to_heavy(command: str) -> list[str]:
    """Of the first module found that is heavy, by which of ours it is imported; empty for none."""
    start = f"serving.cli.{COMMANDS[command][0]}"
    came_from = dict.fromkeys([*_with_parents(start), "serving.cli.main"], "")
    new = list(came_from)
    while new:
        module = new.pop()
        for name in sorted(_imported(module)):
            for each in _with_parents(name):
                if each in came_from:
                    continue
                came_from[each] = module
                if each in HEAVY:
                    return _back(came_from, each)
                if _path(each):
                    new.append(each)
    return []


def _back(came_from: dict[str, str], module: str) -> list[str]:
    way = [module]
    while came_from[way[-1]]:
        way.append(came_from[way[-1]])
    return way


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_a_command_begins_without_what_takes_long_to_import(command: str) -> None:
    assert _way_to_heavy(command) == [], f"seqplat {command} imports it before it says a word"
