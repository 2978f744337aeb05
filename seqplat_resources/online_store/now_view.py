"""The now view's records: what a stream writes into an online store, and what it gets to know of it. No behaviour.

A *now batch* is what one event type got from one ``advance``: one block per user, under one sequence number. Its
*reach* says which buckets have to be published, and how far they must have read, before it is of no use any more.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# Day -> source partition -> offset after the last row of that day.
Reach = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class NowWrite:
    """What a stream adds to one event type: one block per user, as ``encode_bucket`` makes them of any days' rows.

    ``reach`` covers every row of the blocks. ``blocks`` is read once.
    """

    event_type: str
    blocks: Iterable[tuple[str, bytes]]
    reach: Reach


@dataclass(frozen=True)
class Advance:
    """One source partition's part of an ``advance``: messages ``start`` up to, not including, ``end`` are consumed.

    ``token`` is the fencing token of the writer's lease: whoever took over the partition later has a larger one.
    ``lag_ms`` is how far behind the stream was at ``at_ms`` (milliseconds since 1970-01-01 UTC), when it wrote this.
    ``resumes``: the writer knows that the partition was advanced before, so a store without its position was emptied
    or replaced, and lacks what streamed until now. ``until`` is where the log ended when the store was found to know
    nothing of the partition (0: it knew): what is before may have been visible once, in a store that has lost it.
    """

    start: int
    end: int
    token: int
    lag_ms: int
    at_ms: int
    resumes: bool = False
    until: int = 0

    @property
    def position(self) -> "StreamPosition":
        """Where the partition is after this."""
        return StreamPosition(self.end, self.token, self.lag_ms, self.at_ms, self.until if self.end < self.until else 0)


@dataclass(frozen=True)
class StreamPosition:
    """How far the now view has got in a source partition; the other fields are those of the latest ``Advance``."""

    next_offset: int
    token: int
    lag_ms: int
    at_ms: int
    until: int = 0

    @property
    def unread(self) -> int:
        """How many messages the view still lacks of those that may have been visible before."""
        return max(0, self.until - self.next_offset)


@dataclass(frozen=True)
class NowBlock:
    """One of a user's now blocks; ``sequence`` identifies it and orders it among the user's."""

    sequence: int
    payload: bytes


@dataclass(frozen=True)
class EvictionMark:
    """What an eviction noted: epoch ``epoch`` covers every batch that is numbered below ``below``."""

    epoch: int
    below: int

    def shown_from(self, epoch: int | None) -> int:
        """The first number a reader of this epoch has to look at; 0 where nothing is known of it."""
        return self.below if epoch == self.epoch else 0


@dataclass(frozen=True)
class Fold:
    """Several of a user's now blocks said in one: ``payload`` has the rows of the blocks ``expected``."""

    user: str
    expected: tuple[int, ...]
    payload: bytes


@dataclass(frozen=True)
class Eviction:
    """What left the now view, and what holds the oldest batch that stays: a day and source partition that some kept
    epoch does not cover (None where no batch is left)."""

    blocks: int
    batches: int
    batches_left: int
    held_by: tuple[str, str] | None


@dataclass(frozen=True)
class NowStats:
    """``oldest_at_ms`` is when the oldest batch was written, None without any; ``size_bytes`` that of the blocks."""

    batches: int
    blocks: int
    size_bytes: int
    oldest_at_ms: int | None
