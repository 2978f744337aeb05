"""Rows that requests leave for the lake: they wait in memory, up to so many bytes, and a thread appends them.

Where the lake cannot be written rows wait, and those there is no room for are counted: in the metrics, and in the lake
once it can be written again.

>>> told = []
>>> behind = WriteBehind("rows", lambda name, rows, lost: told.append((name, list(rows), lost)), most_bytes=100)
>>> behind.put("visit", "first", 60), behind.put("visit", "second", 60)
(True, False)
>>> behind.write()
>>> told, behind.written, behind.dropped
([('visit', ['first'], 1)], 1, 1)
"""

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Generic, TypeVar

import polars as pl

from seqplat_resources.foreign_errors import in_our_words

_log = logging.getLogger(__name__)

_Row = TypeVar("_Row")

EVERY_S = 20.0
MOST_BYTES = 32 << 20
# A file of the lake has at most so many.
_AT_ONCE = 50_000
END_WITHIN_S = 5.0


class WriteBehind(Generic[_Row]):
    """Takes rows from requests, in any thread. ``written`` and ``dropped`` count them, in all.

    ``what`` names them in log lines. ``append`` puts rows of one name into the lake, and how many of it were dropped
    before.
    """

    def __init__(
        self,
        what: str,
        append: Callable[[str, Sequence[_Row], int], None],
        *,
        every_s: float = EVERY_S,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._what, self._append, self._every_s, self._most_bytes = what, append, every_s, most_bytes
        self._lock = threading.Lock()
        # By name, in the order in which they came: rows, and what each takes.
        self._rows: dict[str, list[tuple[_Row, int]]] = {}
        self._held_bytes = 0
        self._lost: Counter[str] = Counter()
        self._stopped, self._failure = threading.Event(), ""
        self.waiting = self.written = self.dropped = 0

    def put(self, name: str, row: _Row, size_bytes: int) -> bool:
        """Whether there is room for the row; where there is none, it is counted as dropped."""
        with self._lock:
            if self._held_bytes + size_bytes > self._most_bytes:
                self._lost[name] += 1
                self.dropped += 1
                return False
            self._held_bytes += size_bytes
            self.waiting += 1
            self._rows.setdefault(name, []).append((row, size_bytes))
            return True

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write until left, then what still waits, for five seconds at most."""
        writer = threading.Thread(target=self._run, name=self._what, daemon=True)
        writer.start()
        try:
            yield
        finally:
            self._stopped.set()
            await asyncio.to_thread(writer.join, END_WITHIN_S)
            if self.waiting:
                _log.error("%s: %d are lost, as they could not be written in time", self._what, self.waiting)

    def _run(self) -> None:
        while not self._stopped.wait(self._every_s):
            self.write()
        self.write()

    def write(self) -> None:
        """Append what waits; called by one thread at a time. What cannot be written goes on waiting. Raises nothing."""
        with self._lock:
            names = list(dict.fromkeys([*(name for name, rows in self._rows.items() if rows), *+self._lost]))
        for name in names:
            while self._write(name):
                pass

    def _write(self, name: str) -> bool:
        """Some of one name; whether there are more that can be written."""
        with self._lock:
            batch = list(islice(self._rows.get(name, ()), _AT_ONCE))
            lost = self._lost[name]
        if not batch and not lost:
            return False
        try:
            self._append(name, [row for row, _ in batch], lost)
        except (Exception, pl.exceptions.PanicException) as error:  # requests go on, and so does this thread
            if (told := str(in_our_words(error) or error)) != self._failure:
                _log.error("%s of %s wait, or are lost: %s", self._what, name, told)
            self._failure = told
            return False
        self._failure = ""
        with self._lock:
            del self._rows.get(name, [])[: len(batch)]
            self._held_bytes -= sum(size for _, size in batch)
            self._lost[name] -= lost
            self.waiting -= len(batch)
            self.written += len(batch)
        return len(batch) == _AT_ONCE
