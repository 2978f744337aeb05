"""Numbers that several processes write."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from serving.metrics.cells import SIZE, Cells, Series

WRITER = """
import sys, time
from pathlib import Path
from serving.metrics.cells import Cells
cells = Cells(Path(sys.argv[1]))
at = cells.allot("requests", ("a",), width=2)
cells.values[at] += 5
cells.values[at + 1] += 0.5
print("written", flush=True)
time.sleep(60)
"""


@pytest.fixture
def cells(tmp_path: Path) -> Iterator[Cells]:
    with closing(Cells(tmp_path)) as made:
        yield made


def test_one_process_reads_what_another_wrote_and_whether_it_lives(cells: Cells, tmp_path: Path) -> None:
    mine = cells
    mine.values[mine.allot("requests", ("a",), width=2)] += 1
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE) as other:
        assert other.stdout
        assert other.stdout.readline() == b"written\n"
        found = {written.pid: written for written in mine.everybody()}
        assert found[other.pid].series == (Series("requests", ("a",), (5.0, 0.5)),)
        assert found[os.getpid()].series == (Series("requests", ("a",), (1.0, 0.0)),)
        assert all(written.alive for written in found.values())
        other.send_signal(signal.SIGKILL)
        other.wait()
    ended = {written.pid: written for written in mine.everybody()}[other.pid]
    assert not ended.alive
    assert ended.series == (Series("requests", ("a",), (5.0, 0.5)),)


def test_a_series_has_its_cells_for_ever(cells: Cells) -> None:
    first = cells.allot("a", ("x",), width=3)
    second = cells.allot("a", ("y",))
    assert second == first + 3
    assert cells.allot("a", ("x",), width=3) == first


def test_without_a_folder_the_numbers_are_this_process_s() -> None:
    cells = Cells()
    cells.values[cells.allot("a")] += 2
    assert cells.everybody()[0].series == (Series("a", (), (2.0,)),)
    assert Cells().everybody()[0].series == ()


def test_a_line_that_is_being_written_is_left_for_later(cells: Cells, tmp_path: Path) -> None:
    cells.allot("a")
    (index,) = tmp_path.glob("*.series")
    with index.open("a") as half:
        half.write('["b", [')
    assert [series.name for series in cells.everybody()[0].series] == ["a"]


def test_when_all_cells_are_taken_counting_goes_on_unseen() -> None:
    cells = Cells()
    while cells.allot("a", (str(len(cells.everybody()[0].series)),), width=200) < SIZE - 600:
        pass
    full = len(cells.everybody()[0].series)
    lost = [cells.allot("a", (f"more {number}",), width=200) for number in range(5)]
    assert len(cells.everybody()[0].series) - full <= 1
    cells.values[lost[-1] + 199] += 1  # still inside
