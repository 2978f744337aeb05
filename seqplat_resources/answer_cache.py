"""Answers kept while nothing they are made of changes: a user asked for again costs a look at what is current."""

import threading
from collections import OrderedDict
from collections.abc import Hashable

from seqplat_resources.merge import Found

# A data frame's own bookkeeping, and that of the entry.
_OVERHEAD_BYTES = 4096


class AnswerCache:
    """The answers of one store that were asked for last, up to ``max_bytes``. For any number of threads.

    Keys hold the version of the answer, so that nothing has to be thrown away when the store changes: what is out of
    date is never asked for again, and leaves as the oldest.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[Found, int]] = OrderedDict()
        self.size_bytes = self.hits = self.misses = 0

    def get(self, key: Hashable) -> Found | None:
        with self._lock:
            entry = self._kept.get(key)
            if entry is None:
                self.misses += 1
                return None
            self.hits += 1
            self._kept.move_to_end(key)
            return entry[0]

    def put(self, key: Hashable, found: Found) -> None:
        size = int(found.events.estimated_size()) + _OVERHEAD_BYTES
        if size > self._max_bytes // 8:  # one long answer must not push out all others
            return
        with self._lock:
            if before := self._kept.pop(key, None):
                self.size_bytes -= before[1]
            self._kept[key] = found, size
            self.size_bytes += size
            while self.size_bytes > self._max_bytes:
                _, (_, gone) = self._kept.popitem(last=False)
                self.size_bytes -= gone
