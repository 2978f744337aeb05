"""Appending what streams read: each position once, whoever writes; and compaction beside it."""

import datetime as dt
from pathlib import Path

import pytest

from seqplat_resources.home import Home
from seqplat_resources.lake.append import PositionMoved, append, compact_appended, position
from seqplat_resources.lake.fence import ConcurrentWrite
from seqplat_resources.lake.files import FilePart
from seqplat_resources.lake.table import LakeTable
from tests.lake.numbers_table import DAY, numbers_table, rows, values

NEXT = DAY + dt.timedelta(days=1)


@pytest.fixture
def table(home: Home) -> LakeTable:
    return numbers_table(home)


def add(table: LakeTable, start: int | None, end: int, *numbers: int, partition: str = "log:0") -> None:
    append(table, [({"day": DAY}, FilePart(rows(*numbers), label="log"))], {partition: (start, end)}, metadata={})


def test_rows_and_position_move_together(table: LakeTable) -> None:
    assert position(table, "log:0") is None
    add(table, None, 3, 1, 2)
    assert (values(table), position(table, "log:0"), position(table, "log:1")) == ([1, 2], 3, None)
    add(table, 3, 5, 7)
    append(table, [], {"log:0": (5, 9)}, metadata={})  # nothing but messages that were refused
    assert (values(numbers_table(table.home)), position(table, "log:0")) == ([1, 2, 7], 9)


@pytest.mark.parametrize("start", [None, 0, 2, 4])
def test_an_append_from_another_place_is_refused_and_adds_nothing(table: LakeTable, start: int | None) -> None:
    add(table, None, 3, 1)
    with pytest.raises(PositionMoved) as refused:
        add(table, start, 9, 2)
    assert (refused.value.partition, refused.value.stored) == ("log:0", 3)
    assert "lake/numbers holds log:0 up to offset 3" in str(refused.value)
    assert (values(table), position(table, "log:0")) == ([1], 3)


def test_a_writer_that_was_overtaken_after_it_looked_is_refused(
    table: LakeTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It saw the old position, and the same messages are appended by another before it commits."""
    add(table, None, 3, 1)
    prepared, overtaken = LakeTable.prepared, []

    def slow(self: LakeTable):  # type: ignore[no-untyped-def]
        delta = prepared(self)
        if self is table and not overtaken:
            overtaken.append(True)
            add(numbers_table(table.home), 3, 5, 2)
        return delta

    monkeypatch.setattr(LakeTable, "prepared", slow)
    with pytest.raises(PositionMoved):
        add(table, 3, 5, 2)
    assert values(table) == [1, 2]


def test_compaction_keeps_rows_positions_and_what_is_appended_meanwhile(
    table: LakeTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        add(table, number or None, number + 1, number % 2)
    read, others = LakeTable.read, []

    def meanwhile(self: LakeTable, paths):  # type: ignore[no-untyped-def]
        if not others:
            others.append(True)
            add(numbers_table(table.home), 4, 5, 9)
        return read(self, paths)

    monkeypatch.setattr(LakeTable, "read", meanwhile)
    done = list(compact_appended(table, split_by="user_id", sort_by=["value"], min_files=2))
    assert [commit.rows for commit in done] == [2, 2]
    assert (values(table), position(table, "log:0")) == ([0, 0, 1, 1, 9], 5)
    assert table.files().height == 3
    assert list(compact_appended(table, split_by="user_id", sort_by=["value"], min_files=2)) == []


def test_a_replacement_never_takes_appended_rows_with_it(tmp_path: Path) -> None:
    """A bucket is either replaced or appended to; should both happen, nothing is lost."""
    table = numbers_table(Home(str(tmp_path), {}))
    table.replace({"day": DAY}, [FilePart(rows(1))])

    def meanwhile() -> dict[str, object]:
        add(numbers_table(table.home), None, 1, 5)
        return {}

    with pytest.raises(ConcurrentWrite):
        table.replace({"day": DAY}, [FilePart(rows(2))], before_commit=meanwhile)
    assert values(table) == [1, 5]
