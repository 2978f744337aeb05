"""``check``, ``publish`` and ``rollback`` of definitions that changed, as they are typed, over days that are built."""

import json
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from serving.cli.main import root
from tests.evolution.shop_home import built_shop

# The shop as a file of definitions, one change of it named by the environment.
DEFINITIONS = """
import os

from tests.evolution import changes

changed = os.environ.get("CHANGED")
if changed == "name_turned":
    definitions = changes.TURNED(changes.SHOP)
else:
    definitions = changes.case(changed).definitions if changed else changes.SHOP
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The built shop, and where its definitions are."""
    built_shop(tmp_path)
    (tmp_path / "shop.py").write_text(DEFINITIONS)
    monkeypatch.setenv("SEQPLAT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SEQPLAT_SOURCES", str(tmp_path / "files"))
    monkeypatch.setenv("SEQPLAT_CHANNEL", "dev")  # these two are set by commands, and are to be as before after them
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home/dagster"))
    monkeypatch.setenv("SEQPLAT_DEFINITIONS", str(tmp_path / "shop.py"))
    assert seqplat("publish").exit_code == 0  # by the digests of code that this installation has
    return tmp_path


def seqplat(*words: str) -> Result:
    return CliRunner().invoke(root, words)


def test_a_change_that_breaks_is_refused_until_somebody_says_why(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHANGED", "unit")
    checked = seqplat("check")
    assert checked.exit_code == 0
    assert "publish to channel dev would be refused: sources/purchases columns.amount.unit" in checked.output
    assert "next: seqplat plan" in checked.output
    refused = seqplat("publish")
    assert refused.exit_code == 1
    assert "way out: leave it, and declare 'amount@2' beside it" in str(refused.exception)
    assert seqplat("publish", "--allow-breaking").exit_code == 2
    assert "come together" in seqplat("publish", "--reason", "because").output
    forced = seqplat("publish", "--allow-breaking", "--reason", "nobody reads it yet")
    assert forced.exit_code == 0
    assert "because nobody reads it yet" in seqplat("releases").output


def test_a_change_of_meaning_says_which_days_become_stale_and_so_does_the_way_back(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHANGED", "filter")
    assert "would pass: 1 semantic change(s), which makes 2 built day(s) stale" in seqplat("check").output
    published = seqplat("publish")
    assert published.exit_code == 0
    assert "event_types/purchase filter: amount > 0 -> amount > 1" in published.output
    assert "2 day(s), 2024-05-01 to 2024-05-02 of purchase hold what other definitions gave" in published.output
    assert "next: seqplat plan   # what building these days takes; seqplat apply builds them" in published.output
    assert "next: seqplat plan" in seqplat("publish").output  # until they are built
    assert "publish to channel dev would change nothing" in seqplat("check").output
    back = seqplat("rollback")
    assert back.exit_code == 0
    assert "is back at release" in back.output


def test_a_name_that_turns_too_early_turns_when_its_way_out_was_gone(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHANGED", "version_beside")
    both = seqplat("publish")
    assert "2 day(s), 2024-05-01 to 2024-05-02 of purchase are without amount@2" in both.output
    assert "next: seqplat plan" in both.output
    monkeypatch.setenv("CHANGED", "name_turned")
    refused = str(seqplat("publish").exception)
    fill = shlex.split(refused.partition("run `seqplat ")[2].partition("`")[0])
    done = seqplat(*fill)
    assert done.exit_code == 0, done.output
    turned = seqplat("publish")
    assert turned.exit_code == 0, turned.exception
    assert "readers get int64 cents where they got int32 USD" in turned.output


def test_a_plan_is_made_kept_and_carried_out(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "nothing to do" in seqplat("plan").output
    assert seqplat("plan", "--exit-code").exit_code == 0
    monkeypatch.setenv("CHANGED", "filter")
    said = json.loads(seqplat("plan", "--json").stdout)
    assert (said["kind"], said["readings"]) == ("semantic", None)
    assert [each["asset"] for each in said["work"]] == ["events/purchase", "online/purchase"]
    assert seqplat("plan", "--exit-code").exit_code == 11
    assert "| semantic | `event_types/purchase filter` |" in seqplat("plan", "--markdown").output
    assert f"seqplat apply {said['name']}" in seqplat("plan").output
    applied = seqplat("apply", said["name"][:8])
    assert applied.exit_code == 0, applied.output
    assert "4 day(s) of assets built" in applied.output
    assert seqplat("plan", "--exit-code").exit_code == 0
    assert seqplat("apply").exit_code == 0
    assert "2 day(s)" in seqplat("rollback").output  # built by the definitions that it leaves
    with_days = seqplat("plan", "--exit-code", "--channel", "dev")
    assert with_days.exit_code == 11


def test_a_plan_of_a_channel_that_moved_and_one_that_nobody_made(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHANGED", "longer")
    name = json.loads(seqplat("plan", "--json").stdout)["name"]
    monkeypatch.setenv("CHANGED", "owner")
    assert seqplat("publish").exit_code == 0
    moved = seqplat("apply", name)
    assert moved.exit_code == 1
    assert "the channel moved since" in str(moved.exception)
    assert "no single plan" in str(seqplat("apply", "feed").exception)
    monkeypatch.setenv("CHANGED", "unit")
    assert seqplat("plan", "--exit-code").exit_code == 12
    refused = seqplat("apply")
    assert refused.exit_code == 1
    assert "way out" in str(refused.exception)
