"""``seqplat materialize`` and ``releases``: mistakes and suggestions."""

import os
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from serving.cli.days.late import _blind_spots
from serving.cli.main import root

SHOP = """
import datetime as dt
from sequence_defs.schema import Tenant
shop = Tenant(name="shop", tenant="shop", description="{}", owner="team:shop")
"""


def run(*arguments: str) -> str:
    return CliRunner().invoke(root, arguments).output


def test_a_range_that_ends_before_it_begins_says_so() -> None:
    assert "END 2024-05-01 is before START 2024-05-02" in run("materialize", "2024-05-02", "2024-05-01")
    assert "materialize [OPTIONS] START [END] [SELECT]..." in run("materialize", "--help")


def test_a_rollback_is_suggested_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQPLAT_HOME", str(tmp_path / "home"))
    for note in ("one", "one", "two"):
        (tmp_path / "shop.py").write_text(SHOP.format(note))
        run("publish", "--definitions", str(tmp_path / "shop.py"), "--channel", "a.b")
        suggested = "next: seqplat rollback a.b" in run("releases", "a.b")
        assert suggested == (note == "two")


def test_what_is_published_is_what_the_file_says_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it is as long as before and changed within a second, and Python kept the compiled code of before."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setenv("SEQPLAT_HOME", str(tmp_path / "home"))
    published = set()
    for note in ("one", "two", "six"):
        (tmp_path / "shop.py").write_text(SHOP.format(note))
        os.utime(tmp_path / "shop.py", (1_700_000_000, 1_700_000_000))
        published.add(run("publish", "--definitions", str(tmp_path / "shop.py")).split()[1])
    assert len(published) == 3


def test_what_could_not_be_looked_at_is_told_also_where_the_command_ends_by_an_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def command() -> None:
        with _blind_spots() as unseen:
            unseen("events/click: its log is damaged")
            raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        command()
    told = capsys.readouterr()
    assert "events/click: its log is damaged" in told.out + told.err
