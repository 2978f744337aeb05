"""What a command suggests works next, in that very state and with the settings there are."""

import os
import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from serving.cli.main import root
from tests.conftest import DEMO_DATA

# These do not end by themselves, or take long: that they take their arguments is all that is looked at.
_GO_ON = ("dev", "stream", "serve", "materialize", "reseal")

STEPS_BEFORE = [
    ["keys", "list"],
    ["check"],
    ["publish", "--channel", "other"],
    ["publish"],
    ["releases"],
    ["check"],
]
STEPS_BUILT = [
    ["keys", "list"],
    ["keys", "create", "grocery"],
    ["keys", "list"],
    ["tables"],
    ["epochs"],
    ["lag"],
    ["dirty"],
    ["rejects"],
    ["explain", "household_history", "378"],
    ["explain", "household_history", "nobody"],
    ["compact", "events/purchase"],
    ["vacuum", "events/purchase", "--hours", "500"],
    ["vacuum", "events/purchase"],
    ["expire", "--dry-run"],
]


SHOP = """
from sequence_defs import Tenant

shop = Tenant(name="shop", tenant="shop", owner="team:shop", description="The shop.")
"""


def run(text: str, monkeypatch: pytest.MonkeyPatch) -> Result:
    """A line as it was printed, run as a shell would run it."""
    words = shlex.split(text, comments=True)
    with monkeypatch.context() as settings:
        while "=" in words[0]:
            name, _, value = words.pop(0).partition("=")
            settings.setenv(name, value)
        assert words.pop(0) == "seqplat", text
        return CliRunner().invoke(root, [*words, "--help"] if words[0] in _GO_ON else words)


def suggested(output: str) -> list[str]:
    return re.findall(r"^next: (.+)$", output, re.MULTILINE)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEQPLAT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SEQPLAT_SOURCES", str(DEMO_DATA))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    return tmp_path / "home"


def walk(steps: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """By command what it suggested, each of which was run with what it suggested."""
    told = {}
    for step in steps:
        done = CliRunner().invoke(root, step)
        told[" ".join(step)] = lines = suggested(done.output)
        for line in lines:
            followed = run(line, monkeypatch)
            assert followed.exit_code == 0, f"{step} suggested {line!r}: {followed.output}{followed.exception}"
    return told


@pytest.mark.parametrize("channel", ["", "prod"])
def test_before_anything_is_built(settings: Path, monkeypatch: pytest.MonkeyPatch, channel: str) -> None:
    if channel:
        monkeypatch.setenv("SEQPLAT_CHANNEL", channel)
    told = walk(STEPS_BEFORE, monkeypatch)
    assert told["check"] == ["seqplat plan"]  # the second time; the first is ``test_definitions_that_were_named``
    assert told["publish --channel other"][0].startswith("SEQPLAT_CHANNEL=other seqplat plan")
    assert told["keys list"] == ["seqplat publish    # a key is a tenant's"]


def test_definitions_that_were_named_are_named_again(
    settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "my defs.py"
    file.write_text(SHOP)
    told = walk([["check", "--definitions", str(file)]], monkeypatch)
    assert told.popitem()[1] == [f"seqplat publish --definitions '{file}'"]


def test_on_a_home_that_is_built(settings: Path, published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(published, settings, ignore=shutil.ignore_patterns("keys", "usage"))
    orphan = settings / "lake/events/purchase/day=2017-12-01/of-a-crash.parquet"
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"half a file")
    os.utime(orphan, (0, 0))
    told = walk(STEPS_BUILT, monkeypatch)
    # What was asked for is asked for again, and no more than that.
    assert told["compact events/purchase"] == ["seqplat vacuum events/purchase"]
    assert told["vacuum events/purchase --hours 500"] == ["seqplat vacuum events/purchase --hours 500 --delete"]
    assert told["vacuum events/purchase"] == []  # the suggestion before was followed
    assert not orphan.exists()
    export = ["export", "household_history", str(settings.parent / "out"), "--as-of"]
    ahead = CliRunner().invoke(root, [*export, "2999-01-01T00:00:00Z"])
    assert (ahead.exit_code, "is to come" in ahead.output) == (2, True)
    early = CliRunner().invoke(root, [*export, "2017-01-01T00:00:00Z"])
    assert suggested(early.output) == ["seqplat export household_history OUT --mode as_corrected"]
    assert [name for name in told["keys list"] if "ID" in name or "TENANT" in name] == []


def test_a_command_that_is_misspelt_is_answered_with_the_near_one() -> None:
    for typed, meant in (("chekc", "seqplat check"), ("materialise", "seqplat materialize"), ("build", "materialize")):
        refused = CliRunner().invoke(root, [typed])
        assert refused.exit_code == 2
        assert f"Did you mean: seqplat {meant.removeprefix('seqplat ')}" in refused.output
    assert "Did you mean" not in CliRunner().invoke(root, ["zzzzzz"]).output
    assert "'--definitions'?" in CliRunner().invoke(root, ["check", "--defintions", "x"]).output
    assert "'create'" in CliRunner().invoke(root, ["keys", "creat"]).output
