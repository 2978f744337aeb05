"""Rolling up, as stores and their callers speak of it: days of a user that become one block. No behaviour."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from seqplat_resources.online_store import keys

# A rolled up block lies within one span, so that a reader who starts at some day knows where to look for it. Spans are
# counted from ordinal 0 of the keys, for ever: what is stored depends on it.
SPAN_DAYS: Final = 32


@dataclass(frozen=True)
class RollSpan:
    """``SPAN_DAYS`` days that belong together, or the first of them; both bounds are inclusive."""

    first_day: str
    last_day: str

    @classmethod
    def of(cls, day: str) -> "RollSpan":
        first = keys.ordinal(day) // SPAN_DAYS * SPAN_DAYS
        last = min(first + SPAN_DAYS - 1, keys.LAST_ORDINAL)  # the calendar begins and ends within a span
        return cls(keys.iso(max(first, keys.FIRST_ORDINAL)), keys.iso(last))

    def until(self, day: str) -> "RollSpan":
        """Its days up to ``day``."""
        return RollSpan(self.first_day, min(self.last_day, day))


@dataclass(frozen=True)
class RollSource:
    """A stored block with rows that count, of the days in ``days``: day -> write version of its rows. ``is_rolled``
    says that it is of several days, and may hold rows of others too."""

    days: Mapping[str, int]
    payload: bytes
    is_rolled: bool


@dataclass(frozen=True)
class Rollable:
    """What one user's days of a span can be rolled up from; no day is in two sources. Without sources all of them have
    gone, and rolling takes away what is left behind."""

    user: str
    sources: tuple[RollSource, ...]


@dataclass(frozen=True)
class RolledBlock:
    """Rows of several days, newest first, with the write version of each day's rows; days without rows are left out."""

    days: Mapping[str, int]
    payload: bytes


@dataclass(frozen=True)
class Roll:
    """What takes the place of one user's sources: together the blocks have the days that the sources had. No two
    blocks overlap."""

    user: str
    blocks: tuple[RolledBlock, ...]
