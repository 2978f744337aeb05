"""Answers in the form they were last sent in, all but ``meta``: what is asked for again need not be written again."""

from collections.abc import Hashable

from seqplat_resources.read.cache import SizedCache, held_bytes

# An entry's own bookkeeping.
_OVERHEAD_BYTES = 512


class BodyCache(SizedCache[bytes]):
    """The last ones."""

    def put(self, key: Hashable, body: bytes) -> None:
        self.keep(key, body, len(body) + held_bytes(key) + _OVERHEAD_BYTES)
