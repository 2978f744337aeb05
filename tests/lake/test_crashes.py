"""A writer that dies at each numbered step of a replacement: what readers see, and what the next writer finds."""

import datetime as dt
import os
import signal
from pathlib import Path

import pytest

from seqplat_resources.home import Home
from seqplat_resources.lake.files import FilePart
from seqplat_resources.lake.vacuum import vacuum
from seqplat_resources.records.lease import LeaseHeld
from tests.building import ManualClock
from tests.lake.numbers_table import DAY, finish, numbers_table, rows, start_child, stored_files, values

# 1 lease taken, 1.5 one file of two written, 2 all written, 3 verified, 4 committed, 5 lease released.
STEPS = (1, 1.5, 2, 3, 4, 5)
COMMITTED = 4


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(str(tmp_path), {})


def crash(home: Home, at_step: float) -> None:
    child = start_child(home, do="crash", day=DAY, values=[2, 2], at_step=at_step)
    finish(child, status=-signal.SIGKILL)


@pytest.mark.parametrize("at_step", STEPS)
def test_readers_see_the_old_bucket_or_the_new_one(home: Home, at_step: float) -> None:
    table = numbers_table(home)
    table.replace({"day": DAY}, [FilePart(rows(1))])
    crash(home, at_step)
    assert values(table) == values(numbers_table(home)) == ([2, 2] if at_step >= COMMITTED else [1])


@pytest.mark.parametrize("at_step", STEPS)
def test_the_next_writer_takes_over_at_once_and_vacuum_removes_what_was_left(home: Home, at_step: float) -> None:
    table = numbers_table(home)
    table.replace({"day": DAY}, [FilePart(rows(1))])
    crash(home, at_step)
    orphans = stored_files(home) - visible_files(home) if at_step < COMMITTED else set()
    assert len(orphans) == {1: 0, 1.5: 1}.get(at_step, 0 if at_step >= COMMITTED else 2)

    table.replace({"day": DAY}, [FilePart(rows(3))])
    assert values(table) == [3]
    assert orphans <= stored_files(home)
    assert vacuum(table, retention_hours=0, dry_run=False) == []  # for all vacuum knows, a stream is writing them
    for path in orphans:
        os.utime(f"{home.root}/lake/numbers/{path}", (0, 0))
    assert set(vacuum(table, retention_hours=0)) == orphans
    assert orphans <= stored_files(home)  # a dry run deletes nothing
    assert set(vacuum(table, retention_hours=0, dry_run=False)) == orphans
    assert not orphans & stored_files(home)
    assert values(numbers_table(home)) == [3]


@pytest.mark.parametrize("at_step", [1, 2, 3])
def test_the_very_first_write_leaves_no_table_behind(home: Home, at_step: int) -> None:
    crash(home, at_step)
    table = numbers_table(home)
    assert (table.exists(), values(table)) == (False, [])
    table.replace({"day": DAY}, [FilePart(rows(3))])
    assert values(table) == [3]


def test_a_dead_writer_that_nobody_waited_for_holds_nothing(home: Home) -> None:
    """Until its parent asks for its status a dead process is still listed, as in containers without an init."""
    with start_child(home, do="crash", day=DAY, values=[2], at_step=2) as child:
        assert child.stderr is not None
        child.stderr.read()  # returns when the process is dead, but does not reap it
        numbers_table(home).replace({"day": DAY}, [FilePart(rows(3))])
        assert values(numbers_table(home)) == [3]


def test_a_crash_on_another_host_is_taken_over_when_its_lease_ends(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a process lives can only be seen on its own host."""
    monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
    clock = ManualClock()
    crash(home, 2)
    table = numbers_table(home, clock=clock)
    clock.time = dt.datetime.now(dt.UTC)
    with pytest.raises(LeaseHeld):
        table.replace({"day": DAY}, [FilePart(rows(3))])
    clock.time += dt.timedelta(hours=1)
    table.replace({"day": DAY}, [FilePart(rows(3))])
    assert values(table) == [3]


def visible_files(home: Home) -> set[str]:
    return {uri.split("/lake/numbers/")[1] for uri in numbers_table(home).delta().file_uris()}
