"""Answers kept while nothing they are made of changes: a user asked for again costs a look at what is current.

What counts is the memory that an entry keeps from being used for something else. The events of an answer are as a rule
a part of what was decoded for it, which would stay whole with them.
"""

import io
import threading
from collections.abc import Hashable
from dataclasses import replace
from operator import itemgetter
from typing import Generic, TypeVar

import polars as pl
from cachetools import LRUCache

from seqplat_resources.read.merge import NewestEvents
from seqplat_resources.release.query import Query

_T = TypeVar("_T")

# A data frame's own bookkeeping, and that of the entry.
_OVERHEAD_BYTES, _SHORT_CHARS = 4_096, 256
# Where less of what was decoded is in the answer, the answer is copied out of it.
_WORTH_COPYING = 2
# What is not copied shares its texts with columns and rows that are not in it; measured.
_SHARED = 2


def held_bytes(key: Hashable) -> int:
    """About what a key of an entry holds of memory beyond the usual: a caller's question is in it."""
    if isinstance(key, tuple):
        return sum(map(held_bytes, key))
    if isinstance(key, Query):
        return key.size_bytes
    return 4 * len(key) if isinstance(key, str) and len(key) > _SHORT_CHARS else 0


class SizedCache(Generic[_T]):
    """What was asked for last, up to ``max_bytes`` of memory. For any number of threads.

    Keys hold the version of the answer, so that nothing has to be thrown away when the store changes: what is out of
    date is never asked for again, and leaves as the oldest.
    """

    def __init__(self, max_bytes: int) -> None:
        self._lock = threading.Lock()
        self._kept: LRUCache[Hashable, tuple[_T, int]] = LRUCache(max_bytes, getsizeof=itemgetter(1))
        self.hits = self.misses = 0

    @property
    def size_bytes(self) -> int:
        return int(self._kept.currsize)

    def get(self, key: Hashable) -> _T | None:
        with self._lock:
            found, _ = self._kept.get(key, (None, 0))
            self.hits, self.misses = self.hits + (found is not None), self.misses + (found is None)
            return found

    def has_room(self, size_bytes: int) -> bool:
        """Whether it would be kept: one long answer must not push out all others."""
        return size_bytes <= self._kept.maxsize // 8

    def keep(self, key: Hashable, value: _T, size_bytes: int) -> None:
        if self.has_room(size_bytes):
            with self._lock:
                self._kept[key] = value, size_bytes


class AnswerCache(SizedCache[NewestEvents]):
    """The answers of one store."""

    def put(self, key: Hashable, found: NewestEvents) -> None:
        shown, decoded = found.events.height, max(found.events.height, found.decoded)
        is_copied = decoded > _WORTH_COPYING * shown
        times = 1.0 if is_copied or not shown else _SHARED * decoded / shown
        size = int(times * found.events.estimated_size()) + held_bytes(key) + _OVERHEAD_BYTES
        if (named := found.revisions) is not None:
            size += int(named.estimated_size()) + _OVERHEAD_BYTES
        if self.has_room(size):
            found = replace(found, events=_copied(found.events)) if is_copied else found
            self.keep(key, found if named is None else replace(found, revisions=_copied(named)), size)


def _copied(events: pl.DataFrame) -> pl.DataFrame:
    """The same without what it is a part of. Texts share theirs however rows are picked, but are written for
    themselves.
    """
    stream = io.BytesIO()
    events.write_ipc_stream(stream)
    stream.seek(0)
    return pl.read_ipc_stream(stream)
