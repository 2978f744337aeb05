"""Answers in the form they were last sent in, all but ``meta``: what is asked for again need not be written again."""

import threading
from collections import OrderedDict
from collections.abc import Hashable

from seqplat_resources.read.cache import held_bytes

# An entry's own bookkeeping.
_OVERHEAD_BYTES = 512


class BodyCache:
    """The last ones, up to ``max_bytes``. Keys hold the answer's version, so what is out of date is never found.

    For any number of threads.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[bytes, int]] = OrderedDict()
        self._size_bytes = 0

    def get(self, key: Hashable) -> bytes | None:
        with self._lock:
            entry = self._kept.get(key)
            if entry is None:
                return None
            self._kept.move_to_end(key)
            return entry[0]

    def put(self, key: Hashable, body: bytes) -> None:
        """``key`` is one that was not found."""
        size = len(body) + held_bytes(key) + _OVERHEAD_BYTES
        if size > self._max_bytes // 8:  # one long answer must not push out all others
            return
        with self._lock:
            if key in self._kept:
                return
            self._kept[key] = body, size
            self._size_bytes += size
            while self._size_bytes > self._max_bytes:
                _, (_, gone) = self._kept.popitem(last=False)
                self._size_bytes -= gone
