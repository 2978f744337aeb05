"""A damaged Delta log: its file is named with the way out, to readers and writers; no bucket is silently missing."""

import datetime as dt
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from seqplat_resources.home import Home
from seqplat_resources.lake.append import append
from seqplat_resources.lake.damage import LogDamaged
from seqplat_resources.lake.files import FilePart
from tests.lake.numbers_table import DAY, numbers_table, rows, values

Spoil = Callable[[list[Path]], Path]


def overwritten(at: int, data: bytes) -> Spoil:
    def spoil(commits: list[Path]) -> Path:
        commits[at].write_bytes(data)
        return commits[at]

    return spoil


def changed(at: int, old: bytes, new: bytes) -> Spoil:
    return lambda commits: overwritten(at, commits[at].read_bytes().replace(old, new))(commits)


def cut(at: int) -> Spoil:
    return lambda commits: overwritten(at, commits[at].read_bytes()[:50])(commits)


def deleted(at: int) -> Spoil:
    def spoil(commits: list[Path]) -> Path:
        commits[at].unlink()
        return commits[at]

    return spoil


DAMAGE = {
    "cut": cut(-1),
    "cut in the middle": cut(1),
    "empty": overwritten(-1, b""),
    "empty in the middle": overwritten(1, b""),
    "zeros": overwritten(2, b"\0" * 400),
    "noise": overwritten(-1, os.urandom(300)),
    "another document": overwritten(-1, b"[1, 2]\n"),
    "an action without fields": overwritten(-1, b'{"add": 7}\n'),
    "an action without its name": changed(-1, b'"path"', b'"pbth"'),
    "gone": deleted(1),
    "the first gone": deleted(0),
}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(str(tmp_path), {})
    for number in range(3):
        numbers_table(home).replace({"day": DAY + dt.timedelta(days=number)}, [FilePart(rows(number))])
    return home


def commits(home: Home) -> list[Path]:
    return sorted(Path(home.uri("lake/numbers/_delta_log")).glob("*.json"))


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_commit_is_named_to_readers_and_writers(home: Home, damage: str) -> None:
    opened = numbers_table(home)
    assert opened.files().height == 3
    path = DAMAGE[damage](commits(home))
    for use in (
        lambda: numbers_table(home).scan(),
        lambda: numbers_table(home).pinned().files(),
        lambda: numbers_table(home).replace({"day": DAY}, [FilePart(rows(9))]),
        lambda: append(numbers_table(home), [], {"log:0": (None, 1)}, metadata={}),
    ):
        with pytest.raises(LogDamaged) as told:
            use()
        assert str(told.value).startswith(f"{path} is damaged (")
        assert f"restore it from a backup, or else move {home.uri('lake/numbers')} away and" in str(told.value)
        assert "unknown" not in str(told.value)
        assert "\n" not in str(told.value)


def test_a_commit_that_is_empty_is_refused_by_who_has_the_table_open(home: Home) -> None:
    opened = numbers_table(home)
    assert opened.files().height == 3
    numbers_table(home).replace({"day": DAY}, [FilePart(rows(9))])
    commits(home)[-1].write_bytes(b"")
    with pytest.raises(LogDamaged):
        opened.files()


@pytest.mark.parametrize("spoil", ["noise", "gone"])
def test_a_damaged_checkpoint_is_deleted_and_nothing_is_lost(home: Home, spoil: str) -> None:
    for number in range(110):
        append(numbers_table(home), [], {"log:0": (number or None, number + 1)}, metadata={})
    (checkpoint,) = Path(home.uri("lake/numbers/_delta_log")).glob("*.checkpoint.parquet")
    checkpoint.write_bytes(b"noise" * 50) if spoil == "noise" else checkpoint.unlink()
    with pytest.raises(LogDamaged, match=r"all commits are there") as told:
        numbers_table(home).files()
    last = checkpoint.with_name("_last_checkpoint")
    assert str(told.value).startswith(f"{checkpoint if spoil == 'noise' else last} is damaged (")
    checkpoint.unlink(missing_ok=True)
    last.unlink()
    assert values(numbers_table(home)) == [0]


def test_what_else_lies_in_a_log_does_not_matter(home: Home) -> None:
    for name in (".DS_Store", "x.tmp", "00000000000000000001.json.swp"):
        Path(home.uri(f"lake/numbers/_delta_log/{name}")).write_bytes(b"x")
    assert values(numbers_table(home)) == [0]
