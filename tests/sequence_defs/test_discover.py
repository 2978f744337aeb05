"""Definitions are found in packages, files and folders, and one that does not load hides no other."""

import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from sequence_defs import schema
from sequence_defs.compiler.discover import discover
from sequence_defs.compiler.fresh import import_file
from sequence_defs.schema import Definition

TENANT = "from sequence_defs import Tenant\n{name} = Tenant(name={name!r}, tenant={name!r})\n"
NAMED = "from sequence_defs import Tenant\nteam = Tenant(name=NAME, tenant=NAME)\n"


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
        "Source is not valid: shards: it is to be greater than or equal to 1, and not 0; as in shards=4; "
        "colums: there is no such field; did you mean 'columns'?"
    )


def test_a_type_that_does_not_exist_is_refused_at_its_column(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("from sequence_defs import Column\nprice = Column(\n    name='price',\n    dtype='decimal',\n)\n")
    (error,) = discover(str(file)).errors
    assert error.where == (str(file), 2)
    assert error.message.startswith(
        "Column is not valid: dtype: 'decimal' is no column type; did you mean 'float64'? There are"
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("$insert_id", "name it 'insert_id' and say which field it is with field='$insert_id'"),
        ("@timestamp", "name it 'timestamp' and say which field it is with field='@timestamp'"),
        ("event.name", "name it 'event_name' and say which field it is with field='\"event.name\"'"),
        ("7", "name it 'column' and say which field it is with field='7'"),
    ],
)
def test_a_field_that_is_no_name_is_told_how_to_be_read(tmp_path: Path, name: str, said: str) -> None:
    file = tmp_path / "a.py"
    file.write_text(f"from sequence_defs import Column\ncolumn = Column(name={name!r}, dtype='string')\n")
    (error,) = discover(str(file)).errors
    assert error.message.endswith(said)


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


def written(file: Path, text: str) -> None:
    """All in one second: compiled code that Python kept of a text as long is taken for the new one's."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    os.utime(file, (1_700_000_000, 1_700_000_000))


def names_in(target: Path | str) -> list[str]:
    found = discover(str(target))
    assert found.errors == ()
    return [d.name for d in found.definitions]


@pytest.fixture
def cached(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled code is kept in files, as it is unless somebody forbids it."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)


@pytest.mark.usefixtures("cached")
@pytest.mark.parametrize("target", ["teams.py", "."])
def test_a_file_is_read_as_it_is_now(tmp_path: Path, target: str) -> None:
    for name in ("one", "two", "six"):
        written(tmp_path / "teams.py", tenant(name))
        assert names_in(tmp_path / target) == [name]


@pytest.mark.usefixtures("cached")
@pytest.mark.parametrize("before", [False, True], ids=["first seen here", "imported before"])
def test_a_package_is_read_as_it_is_now(site: Path, *, before: bool) -> None:
    package = f"fresh_package_{before}".lower()
    written(site / package / "__init__.py", "")
    for name in ("one", "two", "six"):
        written(site / package / "deep" / "__init__.py", f"from {package}.deep.teams import team\n")
        written(site / package / "deep" / "teams.py", f"from ..names import NAME\n{NAMED}")
        written(site / package / "names.py", f"NAME = {name!r}\n")
        if before:
            importlib.invalidate_caches()
            importlib.import_module(f"{package}.names")
        assert names_in(f"{package}.deep") == [name]
        assert names_in(package) == [name]


@pytest.mark.usefixtures("cached")
def test_helpers_beside_a_file_are_read_as_they_are_now(site: Path) -> None:
    for name in ("one", "two", "six"):
        written(site / "fresh_helper.py", f"NAME = {name!r}\n")
        written(
            site / "defs.py",
            f"from fresh_helper import NAME\n{NAMED}",
        )
        assert names_in(site / "defs.py") == [name]


@pytest.mark.usefixtures("cached")
def test_a_module_that_came_and_one_that_went_are_seen(site: Path) -> None:
    package = site / "moving_package"
    written(package / "__init__.py", "")
    written(package / "one.py", tenant("one"))
    assert names_in("moving_package") == ["one"]
    written(package / "two.py", tenant("two"))
    assert names_in("moving_package") == ["one", "two"]
    (package / "one.py").unlink()
    assert names_in("moving_package") == ["two"]


def test_the_platform_is_not_loaded_twice() -> None:
    for target in ("sequence_defs.definitions", "sequence_defs"):
        found = discover(target)
        assert "grocery" in {d.tenant for d in found.definitions}
        assert all(isinstance(d, Definition) for d in found.definitions)
        assert sys.modules["sequence_defs.schema"] is schema


def test_tracebacks_and_inspect_show_the_text_that_ran(tmp_path: Path) -> None:
    for name in ("one", "two", "six"):
        written(tmp_path / "a.py", f"from sequence_defs import Tenant\nclass {name.upper()}(Tenant):\n    pass\n"
                f"found = {name.upper()}(name='{name}', tenant='{name}')\nraise RuntimeError('{name}')\n")  # fmt: skip
        with pytest.raises(RuntimeError) as raised:
            import_file(f"shown_{name}", tmp_path / "a.py")
        assert f"raise RuntimeError('{name}')" in "".join(traceback.format_exception(raised.value))
        written(tmp_path / "a.py", (tmp_path / "a.py").read_text().replace("raise ", "#aise "))
        (definition,) = discover(str(tmp_path / "a.py")).definitions
        assert inspect.getsource(type(definition)).startswith(f"class {name.upper()}")
