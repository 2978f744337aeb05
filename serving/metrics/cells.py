"""Numbers that one process writes and every process of the server reads: one small memory-mapped file each.

Why not the multiprocess mode of prometheus-client: it takes 6 us to count a request in three histograms (a lock and a
search per number), is switched on for the whole interpreter by an environment variable, and leaves out what is not
counted by itself, such as the state of the store. The same takes 1.4 us here: a cell is a float in memory.

A file outlives its process, so that what a killed worker counted stays counted. Whether the process lives is told by a
lock on the file, which ends with it: numbers of the moment (requests under way) count only while it lives.
"""

import fcntl
import json
import mmap
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from threading import Lock

# 32 K cells of 8 bytes. A request's series takes about 50, and there are as many as routes x status classes x forms.
SIZE = 32 * 1024
_NUMBERS = count(1)


@dataclass(frozen=True)
class Series:
    """``name`` with labels, and its cells: as many as it was allotted."""

    name: str
    labels: tuple[str, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class ProcessCells:
    """All of one process."""

    pid: int
    alive: bool
    series: tuple[Series, ...]


class Cells:
    """This process's numbers. ``values[at + n]`` is read and written directly, by one thread per cell.

    In ``folder``, which the processes of one server share; without one, only in this process's memory.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._allotted: dict[tuple[str, tuple[str, ...]], tuple[int, int]] = {}
        self._next, self._lock = 0, Lock()
        if folder is None:
            self.values = memoryview(bytearray(SIZE * 8)).cast("d")
            return
        # The number keeps the file of a process apart from one that had the same id before.
        stem = folder / f"{os.getpid()}-{next(_NUMBERS)}"
        with (stem.with_suffix(".cells")).open("w+b") as file:
            # Really there: a mapped page that the disk has no room for would kill the process at its first write.
            os.posix_fallocate(file.fileno(), 0, SIZE * 8)
            self.values = memoryview(mmap.mmap(file.fileno(), SIZE * 8)).cast("d")
        self._index = (stem.with_suffix(".series")).open("a", buffering=1)  # kept open: it holds the lock
        fcntl.flock(self._index, fcntl.LOCK_EX)

    def allot(self, name: str, labels: tuple[str, ...] = (), *, width: int = 1) -> int:
        """Where the cells of a series begin; the same for the same labels. The first time costs a write.

        When all are taken, series share the last ones, which nobody reads: counts are lost, requests are not.
        """
        with self._lock:
            key = (name, labels)
            if key not in self._allotted:
                if self._next + width > SIZE - _SPILL:
                    return SIZE - _SPILL
                self._allotted[key] = self._next, width
                self._next += width
                if self._folder:
                    with suppress(OSError):  # a full disk costs others the name of a number, and nobody a request
                        self._index.write(json.dumps([name, labels, width]) + "\n")
            return self._allotted[key][0]

    def everybody(self) -> list[ProcessCells]:
        """What this and all other processes of the server have written, also those that ended."""
        if self._folder is None:
            own = [(name, labels, width) for (name, labels), (_, width) in self._allotted.items()]
            return [ProcessCells(os.getpid(), True, tuple(_cut(own, self.values)))]
        return [_read(index) for index in sorted(self._folder.glob("*.series"))]

    def close(self) -> None:
        """This process counts as ended; the numbers stay."""
        if self._folder:
            self._index.close()


# Room for the widest series at the end.
_SPILL = 256


def _read(index: Path) -> ProcessCells:
    with index.open(encoding="utf-8") as lines:
        try:
            fcntl.flock(lines, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: readers do not disturb each other
            alive = False
        except BlockingIOError:
            alive = True
        # A line without its end is being written.
        declared = [json.loads(line) for line in lines if line.endswith("\n")]
    values = memoryview(index.with_suffix(".cells").read_bytes()).cast("d")
    series = _cut([(name, tuple(labels), width) for name, labels, width in declared], values)
    return ProcessCells(int(index.name.partition("-")[0]), alive, tuple(series))


def _cut(declared: list[tuple[str, tuple[str, ...], int]], values: "memoryview[float]") -> Iterator[Series]:
    at = 0
    for name, labels, width in declared:
        yield Series(name, labels, tuple(values[at : at + width]))
        at += width
