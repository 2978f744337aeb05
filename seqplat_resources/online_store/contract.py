"""What an online store promises: history blocks per (event type, user, day), published in whole epochs, and beside them
the now view: blocks that a stream adds to its users and that leave once history has their rows.

It owns visibility: which version of which bucket a reader sees. It knows of a block only its schema id.
"""

import hashlib
import json
import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Protocol

import msgspec

from seqplat_resources.clock import Deadline
from seqplat_resources.online_store.codec import Block, BlockSchema
from seqplat_resources.online_store.now_view import (
    Advance,
    Eviction,
    Fold,
    NowBlock,
    NowStats,
    NowWrite,
    StreamPosition,
)
from seqplat_resources.online_store.spans import Roll, Rollable, RollSpan
from seqplat_resources.times import FIRST_DAY, day_number

# Publish on top of whatever epoch is current: for publishers that each own other days of one event type.
ANY_EPOCH: Final = -1


@dataclass(frozen=True)
class BucketVersion:
    """What one published bucket holds.

    ``delta_version`` is the lake table version it was read from; ``high_water`` the input it consumed: source
    partition -> offset of the next row not consumed, every row before it is. ``version`` is the store's own: readers
    see of each user the newest block not above it. Publishers leave it 0. Of the ``rows``, ``retractions`` only say
    that an event is no more, and ``revisions`` have a rev above 0: where there are none, readers need not look.
    ``outranks`` says of which other days how many rows gave way to rows of this bucket, with which they are one event;
    a bucket of such a day that has read less still holds them.
    ``meaning`` is what the rows were made by, as text; empty where nobody noted it. What the rows superseded is kept in
    the lake where it ``keeps_superseded`` ones.
    """

    delta_version: int
    rows: int
    users: int
    high_water: Mapping[str, int] = field(default_factory=dict)
    version: int = 0
    retractions: int = 0
    revisions: int = 0
    outranks: Mapping[str, int] = field(default_factory=dict)
    meaning: str = ""
    keeps_superseded: bool = False

    def covers(self, source_partition: str, offset: int) -> bool:
        """Whether the row at this position, if it is of this day, was read for this bucket."""
        return self.high_water.get(source_partition, 0) > offset


@dataclass(frozen=True)
class Epoch:
    """The published view of one event type: immutable, numbered from 1 without going back.

    ``buckets`` maps the day (``YYYY-MM-DD``) to what is visible of it; a day that is not there is not visible.
    ``release`` is that of the latest publication. Numbers begin anew in a store that was emptied, and go back in one
    that a failover or an older copy took the place of; ``nonce`` tells such epochs apart.
    Days before ``expired_before`` are kept no longer: no row of them is shown, streamed or not, and none is due.
    """

    event_type: str
    epoch: int
    release: str
    buckets: Mapping[str, BucketVersion]
    nonce: str = ""
    expired_before: str = ""

    @property
    def first_kept(self) -> int:
        """Number of the first day that is kept; of the calendar's first where nothing expired."""
        return day_number(self.expired_before) if self.expired_before else FIRST_DAY

    @property
    def identity(self) -> str:
        """What no other epoch of the event type has, in this store or in one that was there before it."""
        return f"{self.epoch}.{self.nonce}"

    def numbered(self, epoch: int) -> "Epoch":
        """An epoch of this number that shows what this one does."""
        return replace(self, epoch=epoch, nonce=secrets.token_hex(8))

    def with_buckets(
        self,
        changed: Mapping[str, BucketVersion],
        *,
        dropped: Iterable[str],
        release: str,
        expired_before: str | None = None,
    ) -> "Epoch":
        """The next epoch: ``changed`` replaced or added, then days that are ``dropped`` or expired removed."""
        expired_before = self.expired_before if expired_before is None else expired_before
        gone = set(dropped)
        buckets = {**self.buckets, **changed}
        kept = {day: buckets[day] for day in sorted(buckets) if day >= expired_before and day not in gone}
        found = replace(self.numbered(self.epoch + 1), release=release, buckets=kept)
        return replace(found, expired_before=expired_before)

    def after(self, head: "Epoch | None") -> "Epoch":
        """What a rollback to this epoch shows after ``head``: of days that expired since, nothing."""
        expired_before = max(self.expired_before, head.expired_before if head else "")
        before = replace(self, epoch=head.epoch if head else 0)
        return before.with_buckets({}, dropped=(), release=self.release, expired_before=expired_before)

    def to_json(self) -> str:
        fields = asdict(self)
        if not self.expired_before:  # earlier releases do not know the field
            del fields["expired_before"]
        meanings: dict[str, str] = {}
        for bucket in fields["buckets"].values():
            if not bucket["keeps_superseded"]:
                del bucket["keeps_superseded"]
            if text := bucket.pop("meaning"):
                # Days of one meaning name it: its text stands in the record once.
                bucket["meaning"] = _digest(text)
                meanings[bucket["meaning"]] = text
        if meanings:
            fields["meanings"] = meanings
        return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> "Epoch":
        fields: dict[str, Any] = msgspec.json.decode(text)  # of two years of days, in half of json's time
        meanings, buckets = fields.pop("meanings", {}), fields.pop("buckets")
        for bucket in buckets.values():
            bucket["meaning"] = meanings.get(bucket.get("meaning"), "")
        return cls(buckets={day: BucketVersion(**bucket) for day, bucket in buckets.items()}, **fields)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class BucketWrite:
    """One whole bucket to publish: at most one block per user; users without one are removed from it.

    ``blocks`` is read once, while publishing, so a generator is fine. A user twice is the publisher's mistake: the
    later block wins.
    """

    day: str
    blocks: Iterable[tuple[str, bytes]]
    bucket: BucketVersion


@dataclass(frozen=True)
class PublishResult:
    """``epoch`` is the new one. Bytes are those of written blocks, without keys and bookkeeping."""

    epoch: int
    users_written: int = 0
    users_unchanged: int = 0
    users_removed: int = 0
    bytes_written: int = 0


@dataclass(frozen=True)
class HistoryBlock:
    """One user's events of one day, encoded; or of several days, rolled up.

    ``day`` is the newest day of its rows, ``first_day`` the oldest (and ``day`` itself where it is not given). Rows of
    the days in ``superseded`` do not count: a younger block has them, the user left that day, or it is not shown.
    """

    day: str
    payload: Block
    first_day: str = ""
    superseded: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not self.first_day:
            object.__setattr__(self, "first_day", self.day)

    def kept(self) -> "HistoryBlock":
        """The same block, valid also after its snapshot."""
        return replace(self, payload=bytes(self.payload)) if isinstance(self.payload, memoryview) else self


@dataclass(frozen=True)
class EventTypeStats:
    """Of the current epoch; ``user_days`` counts blocks, a user once per day."""

    event_type: str
    epoch: int
    release: str
    days: int
    rows: int
    user_days: int
    kept_epochs: int

    @classmethod
    def of(cls, epoch: Epoch, *, kept_epochs: int) -> "EventTypeStats":
        buckets = epoch.buckets.values()
        rows, user_days = sum(bucket.rows for bucket in buckets), sum(bucket.users for bucket in buckets)
        return cls(epoch.event_type, epoch.epoch, epoch.release, len(buckets), rows, user_days, kept_epochs)


@dataclass(frozen=True)
class StoreStats:
    """``size_bytes`` is what the store takes where it lives, old versions and bookkeeping included."""

    size_bytes: int
    event_types: tuple[EventTypeStats, ...]


@dataclass(frozen=True)
class ReadAhead:
    """A hint what a snapshot will be asked for, so that a store across a network fetches it at once. Changes no answer.

    ``columns``: those that will be decoded (None: all). ``rows``: about how many rows are wanted of each user and event
    type (None: all). ``deadline``: how long the store may wait, if it has to.
    """

    event_types: Collection[str]
    users: Collection[str]
    columns: Sequence[str] | None = None
    rows: int | None = None
    deadline: Deadline | None = None


class StoreSnapshot(Protocol):
    """One consistent view, for the length of a request. Used by one thread; useless after its ``with`` block."""

    def epoch(self, event_type: str) -> Epoch | None:
        """The epoch this snapshot reads; None while nothing is published.

        Raises:
            EpochGoneError: the snapshot was asked to hold an epoch that is not kept.
        """

    def blocks(
        self,
        event_type: str,
        user: str,
        *,
        since_day: str | None = None,
        until_day: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> Iterator[HistoryBlock]:
        """Every block of a user that overlaps the bounds (both inclusive), newest ``day`` first.

        A rolled up block may bring rows outside of the bounds. No two of them overlap, but a day block may lie within
        the days of one, and then comes after it. ``columns`` is a hint which will be decoded (None: all of them): a
        store that fetches may leave out the rest. Payloads are valid inside the snapshot only.
        Lazy: a reader that has enough events just stops. An unknown user or event type has no blocks.
        Raises: as ``epoch``, and InvalidKeyError for names that no store can hold.
        """

    def now_blocks(self, event_type: str, user: str) -> Sequence[NowBlock]:
        """A user's now blocks, oldest first; consistent with the history of this snapshot.

        They may hold rows that the epoch's buckets cover: the reader leaves those out. Blocks that an eviction has
        found to be covered whole are missing; one that the store knows to have lost is there without bytes.
        """

    def schema(self, schema_id: int) -> BlockSchema | None:
        """As ``OnlineStore.schema``; for decoding inside the snapshot."""

    def newest_now_day(self, event_type: str) -> str | None:
        """The newest day that any user's now rows are of; None where the now view is empty."""

    def stream_positions(self, topic: str | None = None) -> Mapping[str, StreamPosition]:
        """As ``OnlineStore.stream_positions``, at the moment of this snapshot; of ``topic``'s partitions, or of all.

        A topic's partitions are named ``topic:number``.
        """


class OnlineStore(Protocol):
    """History blocks by (event type, user, day), and now blocks by (event type, user).

    Called by any number of reader threads and processes (a few reads per request), by batch publishers, which may
    run at the same time on different event types or days, and by streams, each on its own source partitions.

    Visibility: a publication becomes visible whole, in one step, or not at all; a publisher that dies at any point
    leaves the current epoch as it was, and its debris is harmless to every later publication. A snapshot never
    changes. Current and recent epochs (``keep_epochs``, at least two) stay readable; older ones are refused by
    EpochGoneError, never answered wrongly.

    The now view: an ``advance`` adds blocks and moves positions in one step, so that each message is in the view once
    whatever crashes. Batches leave it only by ``evict``, oldest first: never by time, never one before an older one.
    """

    def register_schema(self, schema: BlockSchema) -> int:
        """Make blocks of this schema publishable; returns its id. Doing it again changes nothing.

        Raises:
            SchemaCollisionError: other columns have the same id.
        """

    def schema(self, schema_id: int) -> BlockSchema | None:
        """Pass this method to ``decode_blocks``. Cheap after the first time."""

    def publish_many(
        self,
        event_type: str,
        writes: Iterable[BucketWrite],
        *,
        release: str,
        expected_epoch: int | None,
        drop_days: Iterable[str] = (),
        expired_before: str | None = None,
    ) -> PublishResult:
        """Replace buckets, one after the other, and make them visible as one new epoch.

        Only users whose block differs from the newest stored one are written. ``drop_days`` leave the view, and so do
        all days before ``expired_before``, in this epoch and later ones (None: as it was).
        ``expected_epoch`` is the epoch the publisher based its work on: None if there was none, ANY_EPOCH to publish
        on top of whichever is current.
        Raises:
            EpochConflictError: another epoch is current, or another publisher took over one of the buckets.
            UnknownSchemaError: a block's schema was not registered.
            InvalidKeyError: a user id, day or event type that cannot be a key, or the same day twice.
        """

    def rollback(self, event_type: str, *, to_epoch: int, expected_epoch: int) -> Epoch:
        """Publish a new epoch that shows what an older, kept one showed. Moves no blocks.

        Raises:
            EpochConflictError: another epoch is current.
            EpochGoneError: ``to_epoch`` is not kept.
        """

    def prune(self, event_type: str, *, keep_epochs: int) -> int:
        """Forget all but the newest ``keep_epochs`` epochs, and delete the blocks only they showed.

        Returns the number of deleted entries. May run beside readers and publishers; walks the whole event type.
        A publisher that is writing a bucket which no kept epoch shows may get EpochConflictError.
        """

    def advance(self, writes: Sequence[NowWrite], partitions: Mapping[str, Advance]) -> None:
        """Make one micro-batch visible and move the positions of its source partitions, in one step or not at all.

        Blocks are added to those their users have. A partition that was never advanced may start anywhere. Without
        ``writes``, and with ``start == end``, this is a heartbeat: it only renews lag, time and token.
        Raises:
            FencedStreamError: a partition was advanced under a larger token; this writer has lost it.
            StreamPositionError: a stored position is not ``start``, or is not there although the writer resumes; read
            the positions again and go on from there.
            InvalidNowWriteError: an event type or user comes twice, blocks have no reach, ``end`` is before ``start``.
            UnknownSchemaError: a block's schema was not registered.
            InvalidKeyError: a user id, day, event type or partition that cannot be a key.
        """

    def stream_positions(self) -> dict[str, StreamPosition]:
        """By source partition, how far the now view has got; where a stream goes on after a crash."""

    def evict(self, event_type: str) -> Eviction:
        """Let now batches leave whose whole reach every kept epoch covers, oldest first, up to the first that stays.

        Every kept epoch, not only the current one, so that a rollback loses nothing. In short transactions: a crash
        leaves a batch partly evicted, which no reader can tell, and the next eviction goes on. What stays for the sake
        of older epochs is noted, so that readers of the current one pass it by: published once a night, that is the
        stream of some days.
        """

    def now_stats(self, event_type: str) -> NowStats:
        """Size and age of an event type's now view, without walking it."""

    def crowded(self, event_type: str, more_than: int) -> list[str]:
        """Users with more than so many now blocks, which reading them pays for. Walks the keys of the now view."""

    def fold_many(self, event_type: str, folds: Iterable[Fold]) -> int:
        """Replace each user's blocks ``expected`` by one, under the newest of their sequence numbers; how many were.

        A user one of whose blocks has left meanwhile is passed over. Blocks added since stay beside the new one.
        NOTE: rows of older batches live on under a newer number. That is safe because batches leave oldest first:
        when the newer batch may go, every kept epoch covers the older ones' rows as well.
        Raises:
            UnknownSchemaError: a payload's schema was not registered.
        """

    def rolled_days(self, event_type: str) -> Mapping[str, int]:
        """Day -> bucket version that it had when it was last rolled up, 0 where that was not finished."""

    def rollable(self, event_type: str, span: RollSpan) -> Iterator[Sequence[Rollable]]:
        """Users whose days of the span lie in more blocks than they need to, some at a time.

        A day counts where all kept epochs that show anything of the user show the same. Between two of what it yields
        the store may change, also by ``roll_many``; nothing is locked and no snapshot stays open.
        """

    def roll_many(self, event_type: str, span: RollSpan, rolls: Sequence[Roll]) -> int:
        """Put each user's blocks in the place of what they were made from; how many users.

        In one step per user, which no reader can tell: every kept epoch shows the same rows before and after, and a
        publication goes on comparing with what the days held. A user of whom anything changed since ``rollable`` is
        passed over.
        Raises:
            UnknownSchemaError: a payload's schema was not registered.
        """

    def mark_rolled(self, event_type: str, days: Mapping[str, int]) -> None:
        """Note that these days were rolled up at these bucket versions; see ``rolled_days``."""

    def epoch(self, event_type: str) -> Epoch | None:
        """The current epoch; None while nothing is published."""

    def kept_epochs(self, event_type: str) -> tuple[int, ...]:
        """Numbers of the epochs that can be read and rolled back to, oldest first."""

    def snapshot(
        self, *, epochs: Mapping[str, int] | None = None, ahead: ReadAhead | None = None
    ) -> AbstractContextManager[StoreSnapshot]:
        """Open a consistent view: of the current epochs, or for the event types named of the epochs held."""

    def stats(self) -> StoreStats:
        """Sizes, without walking the blocks."""

    def clock_ms(self) -> int | None:
        """What the clock of the server says, in Unix milliseconds; None where the store has none of its own."""
        return None

    def close(self) -> None:
        """Release files and memory. Open snapshots must have ended."""
