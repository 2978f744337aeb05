"""Definitions are found in packages, files and folders, and one that does not load hides no other."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sequence_defs.compiler.discover import discover

TENANT = "from sequence_defs import Tenant\n{name} = Tenant(name={name!r}, tenant={name!r})\n"


def tenant(name: str) -> str:
    return TENANT.format(name=name)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder packages can be imported from; what was imported is forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    importlib.invalidate_caches()
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_file_gives_its_definitions_with_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "teams.py"
    file.write_text(
        "from sequence_defs import Tenant\n\nteams = [\n    Tenant(\n        name='a',\n        tenant='a',\n"
        "    ),\n    Tenant(name='b', tenant='b'),\n]\nagain = teams[0]\n"
    )
    found = discover(str(file))
    assert found.errors == ()
    assert [(d.name, d.declared_at) for d in found.definitions] == [("a", (str(file), 4)), ("b", (str(file), 8))]


def test_a_folder_gives_all_its_files_but_private_ones(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "events.py").write_text(tenant("inner"))
    (tmp_path / "events.py").write_text(tenant("outer"))
    (tmp_path / "_private.py").write_text(tenant("private"))
    assert [d.name for d in discover(str(tmp_path)).definitions] == ["outer", "inner"]


def test_a_package_gives_its_modules_and_each_definition_once(site: Path) -> None:
    package = site / "team_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "one.py").write_text(tenant("one"))
    (package / "two.py").write_text(f"from team_package.one import one\n{tenant('two')}")
    found = discover("team_package")
    assert found.errors == ()
    assert [d.name for d in found.definitions] == ["one", "two"]


def test_a_broken_subpackage_is_reported_once_and_hides_nothing(site: Path) -> None:
    package = site / "half_package"
    (package / "bad").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "good.py").write_text(tenant("good"))
    (package / "bad" / "__init__.py").write_text("\nraise RuntimeError('not today')\n")
    found = discover("half_package")
    assert [d.name for d in found.definitions] == ["good"]
    assert [(Path(e.where.file).parent.name, e.where.line, e.message) for e in found.errors] == [
        ("bad", 2, "RuntimeError: not today")
    ]


def test_a_syntax_error_has_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\ny = (\n")
    (tmp_path / "b.py").write_text(tenant("fine"))
    found = discover(str(tmp_path))
    assert [d.name for d in found.definitions] == ["fine"]
    (error,) = found.errors
    assert (Path(error.where.file).name, error.where.line) == ("a.py", 2)
    assert error.message == "syntax error: '(' was never closed"


def test_a_refused_definition_has_the_line_of_its_constructor_and_all_its_fields(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text(
        "from sequence_defs import Column, Source\n"
        "def make():\n"
        "    return Source(name='a', tenant='a', location='x', colums=(), shards=0)\n"
        "source = make()\n"
    )
    (error,) = discover(str(file)).errors
    assert error.where == (str(file), 3)
    assert error.message == (
        "Source is not valid: columns: Field required; shards: Input should be greater than or equal to 1; "
        "colums: there is no such field; did you mean 'columns'?"
    )


def test_a_type_that_does_not_exist_is_refused_at_its_column(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("from sequence_defs import Column\nprice = Column(\n    name='price',\n    dtype='decimal',\n)\n")
    (error,) = discover(str(file)).errors
    assert error.where == (str(file), 2)
    assert error.message.startswith("Column is not valid: dtype: Value error, 'decimal' is not a column type; use one")


def test_a_folder_whose_path_mentions_pydantic_keeps_its_lines(tmp_path: Path) -> None:
    folder = tmp_path / "pydantic_demo"
    folder.mkdir()
    (folder / "a.py").write_text(tenant("a"))
    (found,) = discover(str(folder)).definitions
    assert found.declared_at == (str(folder / "a.py"), 2)


@pytest.mark.parametrize("target", ["no_such_package", "no.such.package", "no_such_folder/no_such_file.py"])
def test_a_target_that_is_not_there_is_an_error(target: str) -> None:
    found = discover(target)
    assert found.definitions == ()
    (error,) = found.errors
    assert error.where == (target, 0)
    assert "No" in error.message


def test_nothing_found_is_an_error(tmp_path: Path) -> None:
    (error,) = discover(str(tmp_path)).errors
    assert error.message == "no definition found; set SEQPLAT_DEFINITIONS to a package or folder"
