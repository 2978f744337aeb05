"""A new project is whole, says what comes next, and writes over nothing; its settings are those of its folder."""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from click.testing import CliRunner

from seqplat_resources.engine.registry import digests
from seqplat_resources.settings_file import PROJECT_SETTINGS, SettingsFileInvalid, apply_settings
from sequence_defs.analysis.runner import analyse
from sequence_defs.compiler.discover import discover
from sequence_defs.compiler.project import Project
from serving.cli.main import root
from serving.cli.projects.init import ProjectNotMade

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with patch.dict(os.environ):  # what a project's file says stays here
        yield tmp_path


@pytest.mark.parametrize(("template", "event_types"), [("blank", 0), ("clickstream", 2), ("retail", 4)])
def test_a_new_project_has_definitions_without_findings(here: Path, template: str, event_types: int) -> None:
    made = CliRunner().invoke(root, ["init", "my-shop", "--template", template], catch_exceptions=False)
    assert made.exit_code == 0
    assert "next: cd my-shop && " in made.output
    project = here / "my-shop"
    os.chdir(project)
    CliRunner().invoke(root, ["check", "--strict"], catch_exceptions=False)
    found = discover("definitions")
    all_of_it = Project(found.definitions, digests())
    assert (found.errors, list(analyse(all_of_it)), len(all_of_it.event_types)) == ((), [], event_types)
    assert set(all_of_it.tenants) == {"my_shop"}
    kept = [each.retention_days for each in all_of_it.event_types.values()]
    assert all(days is None or days >= 5000 for days in kept) or template != "retail", "its data are of 2017"
    texts = [path for path in project.rglob("*") if path.is_file() and path.suffix != ".parquet"]
    left = [path for path in texts if re.search(r"@[a-z]+@", path.read_text())]
    assert left == [], "a name that nothing was filled in for"
    assert {"Makefile", "Dockerfile", ".gitignore", "README.md", "seqplat.env"} <= {p.name for p in project.iterdir()}


@pytest.mark.parametrize("name", ["", ".", "Shop", "1st", "a b", "ä", "-x", "x" * 64, "../", "a/../B"])
def test_bad_names_are_refused_with_one_that_is_taken(here: Path, name: str) -> None:
    (here / "Not A Name").mkdir()
    os.chdir(here / "Not A Name")
    with pytest.raises(ProjectNotMade, match=r"is no name for a project.*write seqplat init [a-z]|is not empty"):
        CliRunner().invoke(root, ["init", "--", name], catch_exceptions=False)
    assert list((here / "Not A Name").iterdir()) == []


def test_nothing_is_written_over(here: Path) -> None:
    (here / "shop").mkdir()
    (here / "shop" / "notes").write_text("mine")
    (here / "file").write_text("mine")
    (here / "link").symlink_to(here / "nowhere")
    for name, reason in (("shop", r"is not empty \(notes\)"), ("file", "no folder"), ("link", "no folder")):
        with pytest.raises(ProjectNotMade, match=reason):
            CliRunner().invoke(root, ["init", name], catch_exceptions=False)
    assert [path.name for path in (here / "shop").iterdir()] == ["notes"]


def test_where_no_folder_can_be_made_another_place_is_asked_for(here: Path) -> None:
    (here / "file").write_text("mine")
    for name in ("file/shop", "file/in/shop"):
        with pytest.raises(ProjectNotMade, match=r"cannot be made \(Not a directory\); say a folder"):
            CliRunner().invoke(root, ["init", name], catch_exceptions=False)


def test_what_to_write_instead_is_one_word_of_a_shell(here: Path) -> None:
    with pytest.raises(ProjectNotMade, match=re.escape("write seqplat init 'my projects/shop'")):
        CliRunner().invoke(root, ["init", "my projects/Shop"], catch_exceptions=False)


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "seqplat.env").write_text("\ufeff# a note\n\nSEQPLAT_HOME=.here\nSEQPLAT_SOURCES=da ta=1\n")
    environment = {"SEQPLAT_HOME": "/elsewhere"}
    apply_settings(environment, tmp_path)
    assert environment == {"SEQPLAT_HOME": "/elsewhere", "SEQPLAT_SOURCES": "da ta=1"}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            "SEQPLAT_DEFINITION=x",
            r"seqplat.env:2: SEQPLAT_DEFINITION is no setting; did you mean SEQPLAT_DEFINITIONS\?",
        ),
        ("PATH=/tmp", "PATH is no setting; known are SEQPLAT_HOME"),
        ("export SEQPLAT_HOME=x", "is no setting; write NAME=value"),
        ('SEQPLAT_HOME="x"', "without quotes"),
        ("SEQPLAT_HOME = x", "write NAME=value"),
        ("SEQPLAT_ONLINE_PASSWORD=x", "is a secret"),
        ("AWS_SECRET_ACCESS_KEY=x", "is a secret"),
        ("SEQPLAT_CHANNEL=prod", "said twice"),
        ("\x00" * 70000, "larger than"),
    ],
)
def test_a_line_that_is_no_setting_is_refused_whole(tmp_path: Path, line: str, reason: str) -> None:
    (tmp_path / "seqplat.env").write_text(f"SEQPLAT_CHANNEL=prod\n{line}\n")
    environment: dict[str, str] = {}
    with pytest.raises(SettingsFileInvalid, match=reason):
        apply_settings(environment, tmp_path)
    assert environment == {}


def test_every_setting_that_is_no_secret_may_stand_in_the_file(tmp_path: Path) -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \|[^|]*\| (.*) \|$", (DOCS / "settings.md").read_text(), re.M)
    # What Dagster's code location gives to its own runs is nobody's to write.
    plain = [name for name, text in rows if "Secret" not in text and name != "SEQPLAT_LOCATION_RELEASE"]
    assert set(PROJECT_SETTINGS) <= set(plain)
    (tmp_path / "seqplat.env").write_text("".join(f"{name}=1\n" for name in plain))
    apply_settings(environment := {}, tmp_path)
    assert list(environment) == plain
