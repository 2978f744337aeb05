"""A process that is stopped for longer than its lease, while others go on and vacuum deletes: it drops what it lost."""

import datetime as dt
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from seqplat_resources.home import Home
from seqplat_resources.lake.append import append, compact_appended, position
from seqplat_resources.lake.files import FilePart
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.lake.vacuum import vacuum
from tests.building import ManualClock
from tests.lake.numbers_table import (
    DAY,
    finish,
    numbers_table,
    resume,
    rows,
    start_child,
    stored_files,
    values,
    wait_until_stopped,
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(str(tmp_path), {})


@contextmanager
def paused(home: Home, work: str, *, before: str = "commit", **task: Any) -> Iterator["subprocess.Popen[str]"]:
    """A process that has done its work up to a call, and is resumed after the block."""
    child = start_child(home, do="pause", day=DAY, work=work, before=before, **task)
    try:
        wait_until_stopped(child)
        yield child
        resume(child)
        child.told = finish(child)  # type: ignore[attr-defined]
    finally:
        child.kill()
        child.wait()


def later(home: Home) -> LakeTable:
    """The table in the eyes of a process an hour and a half later, when every lease of now has ended."""
    clock = ManualClock()
    clock.time = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1.5)
    return numbers_table(home, clock=clock)


def add(table: LakeTable, start: int | None, end: int, *numbers: int) -> None:
    append(table, [({"day": DAY}, FilePart(rows(*numbers), label="log"))], {"log:0": (start, end)}, metadata={})


def compacted(table: LakeTable) -> list[str]:
    done = compact_appended(table, split_by="user_id", sort_by=["value"], min_files=2)
    return [type(each).__name__ for each in done]


@pytest.mark.parametrize("before", ["commit", "read"])
def test_two_compactions_do_not_double_a_table(home: Home, before: str) -> None:
    table = numbers_table(home)
    for number in range(4):
        add(table, number or None, number + 1, 7)
    with paused(home, "compact", before=before) as child:
        assert compacted(later(home)) == ["BucketCommit"]
        add(table, 4, 5, 7)
    assert child.told == {"done": ["LeftBucket"]}  # type: ignore[attr-defined]
    assert (values(table), position(table, "log:0"), table.files().height) == ([7] * 5, 5, 2)
    assert (compacted(table), values(table)) == (["BucketCommit"], [7] * 5)


def test_a_compaction_whose_files_vacuum_has_deleted_goes_on(home: Home) -> None:
    table = numbers_table(home)
    for number in range(4):
        add(table, number or None, number + 1, number % 2)
    with paused(home, "compact", before="read") as child:
        assert compacted(later(home)) == ["BucketCommit"] * 2
        for old in stored_files(home) - set(table.files()["path"]):
            Path(f"{home.root}/lake/numbers/{old}").unlink()
    assert child.told == {"done": ["LeftBucket", "LeftBucket"]}  # type: ignore[attr-defined]
    assert values(table) == [0, 0, 1, 1]


@pytest.mark.parametrize("taken_over", [True, False])
def test_a_build_is_refused_after_another_or_after_vacuum(home: Home, taken_over: bool) -> None:
    table = numbers_table(home)
    table.replace({"day": DAY}, [FilePart(rows(1))])
    with paused(home, "replace", values=[2], aged=True) as child:
        if taken_over:
            later(home).replace({"day": DAY}, [FilePart(rows(3))])
        else:
            orphans = stored_files(home) - set(table.files()["path"])
            assert vacuum(table, retention_hours=0, dry_run=False) == []  # its lease has not ended
            assert set(vacuum(later(home), retention_hours=0, dry_run=False)) == orphans
    expected = ("Fenced", [3]) if taken_over else ("ConcurrentWrite", [1])
    assert (child.told["refused"], values(numbers_table(home))) == expected  # type: ignore[attr-defined]
    assert child.told["why"].endswith("run it again")  # type: ignore[attr-defined]


def test_vacuum_beside_a_stream_deletes_nothing_that_is_about_to_be_committed(home: Home) -> None:
    table = numbers_table(home)
    add(table, None, 1, 1)
    with paused(home, "log", values=[2], move=[1, 2]) as child:
        assert vacuum(table, retention_hours=0, dry_run=False) == []
    assert child.told == {"refused": None}  # type: ignore[attr-defined]
    assert values(numbers_table(home)) == [1, 2]


def test_a_stream_whose_files_vacuum_has_deleted_is_refused_and_reads_again(home: Home) -> None:
    """Nothing of it is committed, position included, so the archive stays whole."""
    table = numbers_table(home)
    add(table, None, 1, 1)
    with paused(home, "log", values=[2], move=[1, 2], aged=True) as child:
        assert len(vacuum(table, retention_hours=0, dry_run=False)) == 1
        assert vacuum(table, dry_run=False) == []  # and what it said is not taken back by one that keeps more
    assert child.told["refused"] == "ConcurrentWrite"  # type: ignore[attr-defined]
    assert (values(numbers_table(home)), position(table, "log:0")) == ([1], 1)
    add(table, 1, 2, 2)
    assert values(numbers_table(home)) == [1, 2]
