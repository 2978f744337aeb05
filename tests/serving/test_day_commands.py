"""``seqplat materialize`` and ``releases``: mistakes and suggestions."""

from pathlib import Path

import pytest
from click.testing import CliRunner

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
        run("publish", "--definitions", str(tmp_path / "shop.py"), "--channel", "a b")
        suggested = "next: seqplat rollback 'a b'" in run("releases", "a b")
        assert suggested == (note == "two")
