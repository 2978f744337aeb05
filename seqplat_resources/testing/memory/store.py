"""The online store in a dictionary: what the contract means in the fewest words, and the store of other tests.

>>> import polars as pl
>>> from seqplat_resources.online_store import encode_bucket
>>> schema = BlockSchema.of({"product": "string"})
>>> blocks = list(encode_bucket(pl.DataFrame({"user_id": ["ann"], "product": ["tea"]}), schema))
>>> memory = MemoryStore()
>>> _ = memory.register_schema(schema)
>>> write = BucketWrite("2024-05-01", blocks, BucketVersion(delta_version=0, rows=1, users=1))
>>> memory.publish_many("purchase", [write], release="7f9ad790", expected_epoch=None).epoch
1
>>> with memory.snapshot() as view:
...     [block.day for block in view.blocks("purchase", "ann")]
...
['2024-05-01']
"""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from seqplat_resources.online_store import keys, rules
from seqplat_resources.online_store.codec import BlockSchema, schema_id
from seqplat_resources.online_store.contract import (
    ANY_EPOCH,
    BucketVersion,
    BucketWrite,
    Epoch,
    EventTypeStats,
    HistoryBlock,
    OnlineStore,
    PublishResult,
    ReadAhead,
    StoreSnapshot,
    StoreStats,
)
from seqplat_resources.online_store.errors import (
    EpochConflictError,
    EpochGoneError,
    InvalidKeyError,
    SchemaCollisionError,
    UnknownSchemaError,
)
from seqplat_resources.online_store.now_view import (
    Advance,
    Eviction,
    EvictionMark,
    Fold,
    NowBlock,
    NowStats,
    NowWrite,
    StreamPosition,
)
from seqplat_resources.online_store.spans import Roll, Rollable, RollSpan
from seqplat_resources.testing.memory import rolled as memory_rolled
from seqplat_resources.testing.memory.now import MemoryNow, NowBatch
from seqplat_resources.testing.memory.rolled import MemoryRolled

Bucket = Mapping[str, bytes]
RolledUp = Mapping[str, tuple[MemoryRolled, ...]]


@dataclass(frozen=True)
class _View:
    """One epoch with its blocks: day -> user -> block. Never changed, so readers need no lock."""

    epoch: Epoch
    buckets: Mapping[str, Bucket]


class MemoryStore(OnlineStore):
    """Keeps the newest ``keep_epochs`` epochs of each event type in this process; nothing survives it."""

    def __init__(self, *, keep_epochs: int = 4) -> None:
        self._keep_epochs = keep_epochs
        self._lock = threading.Lock()
        self._views: dict[str, list[_View]] = {}
        self._schemas: dict[int, BlockSchema] = {}
        self._version = 0
        self._now: dict[str, MemoryNow] = {}
        self._positions: dict[str, StreamPosition] = {}
        self._sequence = 0
        self._covered: dict[str, EvictionMark] = {}
        self._rolled: dict[str, RolledUp] = {}
        self._rolled_days: dict[str, dict[str, int]] = {}

    def register_schema(self, schema: BlockSchema) -> int:
        known = self._schemas.setdefault(schema.schema_id, schema)
        if known != schema:
            raise SchemaCollisionError(schema.schema_id, known=known.to_json(), new=schema.to_json())
        return schema.schema_id

    def schema(self, schema_id: int) -> BlockSchema | None:
        return self._schemas.get(schema_id)

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
        keys.type_bytes(event_type)
        drop_days = [day for day in drop_days if keys.ordinal(day)]
        expired_before = keys.checked_day(expired_before)
        self._expect(event_type, expected_epoch)
        written: dict[str, tuple[BucketVersion, Bucket]] = {}
        for write in writes:
            keys.ordinal(write.day)
            if write.day in written:
                raise InvalidKeyError(
                    f"day {write.day} comes twice", where=f"one publication of {event_type}", fix="publish a day once"
                )
            written[write.day] = (write.bucket, self._checked(event_type, write.blocks))
        with self._lock:
            head = self._expect(event_type, expected_epoch)
            self._version += 1
            versions = {day: replace(bucket, version=self._version) for day, (bucket, _) in written.items()}
            before = head or _View(Epoch(event_type, 0, release, {}), {})
            epoch = before.epoch.with_buckets(
                versions, dropped=drop_days, release=release, expired_before=expired_before
            )
            buckets = {**before.buckets, **{day: blocks for day, (_, blocks) in written.items()}}
            self._append(_View(epoch, {day: buckets[day] for day in epoch.buckets}))
        result = PublishResult(epoch.epoch)
        for day, (_, blocks) in written.items():
            result = _tally(result, before.buckets.get(day, {}), blocks)
        return result

    def rollback(self, event_type: str, *, to_epoch: int, expected_epoch: int) -> Epoch:
        with self._lock:
            self._expect(event_type, expected_epoch)
            target = self._held(event_type, to_epoch)
            epoch = target.epoch.after(self._views[event_type][-1].epoch)
            self._append(_View(epoch, {day: target.buckets[day] for day in epoch.buckets}))
            return epoch

    def prune(self, event_type: str, *, keep_epochs: int) -> int:
        with self._lock:
            views = self._views.get(event_type, [])
            doomed = views[: -max(1, keep_epochs)]
            del views[: len(doomed)]
            kept = {id(bucket) for view in views for bucket in view.buckets.values()}
            gone = {id(bucket): bucket for view in doomed for bucket in view.buckets.values()}
            self._rolled[event_type] = memory_rolled.in_use(
                self._rolled.get(event_type, {}), [view.buckets for view in views]
            )
            return sum(len(bucket) for identity, bucket in gone.items() if identity not in kept)

    def advance(self, writes: Sequence[NowWrite], partitions: Mapping[str, Advance]) -> None:
        rules.check_once(writes)
        rules.check_partitions(partitions, has_writes=bool(writes))
        checked = {write.event_type: self._checked(write.event_type, rules.by_user(write).items()) for write in writes}
        with self._lock:
            for partition, advance in partitions.items():
                rules.check_position(partition, self._positions.get(partition), advance)
            self._sequence += 1
            at_ms = max((advance.at_ms for advance in partitions.values()), default=0)
            for write in writes:
                if blocks := checked[write.event_type]:
                    batch = NowBatch(self._sequence, at_ms, write.reach, tuple(blocks))
                    self._now[write.event_type] = self._now_of(write.event_type).with_batch(batch, blocks)
            for partition, advance in partitions.items():
                self._positions[partition] = advance.position

    def stream_positions(self) -> dict[str, StreamPosition]:
        return dict(self._positions)

    def evict(self, event_type: str) -> Eviction:
        with self._lock:
            before = now = self._now_of(event_type)
            epochs = [view.epoch for view in self._views.get(event_type, ())]
            blocks = 0
            while now.batches and not rules.first_uncovered(now.batches[0].reach, epochs):
                now, gone = now.without_oldest()
                blocks += gone
            self._now[event_type] = now
            if epochs:
                batches = ((batch.sequence, batch.reach) for batch in now.batches)
                self._covered[event_type] = rules.covered(batches, epochs[-1], self._sequence + 1)
        held_by = rules.first_uncovered(now.batches[0].reach, epochs) if now.batches else None
        return Eviction(blocks, len(before.batches) - len(now.batches), len(now.batches), held_by)

    def now_stats(self, event_type: str) -> NowStats:
        return self._now_of(event_type).stats()

    def crowded(self, event_type: str, more_than: int) -> list[str]:
        return [user for user, blocks in self._now_of(event_type).blocks.items() if len(blocks) > more_than]

    def fold_many(self, event_type: str, folds: Iterable[Fold]) -> int:
        count = 0
        for fold in folds:
            self._checked(event_type, [(fold.user, fold.payload)])
            with self._lock:
                folded = self._now_of(event_type).with_fold(fold)
                if folded:
                    self._now[event_type] = folded
                    count += 1
        return count

    def rolled_days(self, event_type: str) -> Mapping[str, int]:
        return dict(self._rolled_days.get(event_type, {}))

    def rollable(self, event_type: str, span: RollSpan) -> Iterator[Sequence[Rollable]]:
        with self._lock:
            buckets = [view.buckets for view in self._views.get(event_type, ())]
            rolled = self._rolled.get(event_type, {})
        users = dict.fromkeys(user for view in buckets for bucket in view.values() for user in bucket)
        found = (memory_rolled.rollable(user, span, buckets, rolled.get(user, ())) for user in {**users, **rolled})
        return iter([[one for one in found if one]])

    def roll_many(self, event_type: str, span: RollSpan, rolls: Sequence[Roll]) -> int:
        for roll in rolls:
            self._checked(event_type, [(roll.user, block.payload) for block in roll.blocks])
        with self._lock:
            buckets = [view.buckets for view in self._views.get(event_type, ())]
            rolled, marks = dict(self._rolled.get(event_type, {})), self._rolled_days.setdefault(event_type, {})
            count = 0
            for roll in rolls:
                after = memory_rolled.rolled(roll, span, buckets, rolled.get(roll.user, ()))
                if after is not None:
                    rolled[roll.user], count = after, count + 1
                    marks |= {day: marks.get(day, 0) for block in roll.blocks for day in block.days}
            self._rolled[event_type] = rolled
        return count

    def mark_rolled(self, event_type: str, days: Mapping[str, int]) -> None:
        self._rolled_days.setdefault(event_type, {}).update(days)

    def epoch(self, event_type: str) -> Epoch | None:
        views = self._views.get(event_type)
        return views[-1].epoch if views else None

    def kept_epochs(self, event_type: str) -> tuple[int, ...]:
        return tuple(view.epoch.epoch for view in self._views.get(event_type, ()))

    @contextmanager
    def snapshot(
        self, *, epochs: Mapping[str, int] | None = None, ahead: ReadAhead | None = None
    ) -> Iterator[StoreSnapshot]:
        with self._lock:
            views = {name: tuple(views) for name, views in self._views.items()}
            now, covered, positions = dict(self._now), dict(self._covered), dict(self._positions)
            rolled = dict(self._rolled)
            snapshot = _MemorySnapshot(views, epochs or {}, now, covered, positions, self._schemas, rolled)
        yield snapshot

    def stats(self) -> StoreStats:
        with self._lock:
            types = tuple(
                EventTypeStats.of(views[-1].epoch, kept_epochs=len(views)) for _, views in sorted(self._views.items())
            )
            buckets = {id(b): b for views in self._views.values() for view in views for b in view.buckets.values()}
        return StoreStats(sum(len(block) for bucket in buckets.values() for block in bucket.values()), types)

    def close(self) -> None:
        self._views.clear()
        self._now.clear()

    def _now_of(self, event_type: str) -> MemoryNow:
        keys.type_bytes(event_type)
        return self._now.get(event_type, MemoryNow())

    def _checked(self, event_type: str, blocks: Iterable[tuple[str, bytes]]) -> Bucket:
        keys.type_bytes(event_type)
        bucket = {}
        for user, block in blocks:
            keys.user_bytes(user)
            if schema_id(block) not in self._schemas:
                raise UnknownSchemaError(schema_id(block), event_type=event_type)
            bucket[user] = block
        return bucket

    def _expect(self, event_type: str, expected: int | None) -> _View | None:
        views = self._views.get(event_type)
        head = views[-1] if views else None
        actual = head.epoch.epoch if head else None
        if expected not in (ANY_EPOCH, actual):
            raise EpochConflictError(event_type, expected=expected, actual=actual)
        return head

    def _held(self, event_type: str, epoch: int) -> _View:
        views = self._views.get(event_type, [])
        for view in views:
            if view.epoch.epoch == epoch:
                return view
        raise EpochGoneError(event_type, epoch, kept=self.kept_epochs(event_type))

    def _append(self, view: _View) -> None:
        views = self._views.setdefault(view.epoch.event_type, [])
        views.append(view)
        del views[: -self._keep_epochs]


@dataclass(frozen=True)
class _MemorySnapshot(StoreSnapshot):
    views: Mapping[str, tuple[_View, ...]]
    held: Mapping[str, int]
    streamed: Mapping[str, MemoryNow]
    covered: Mapping[str, EvictionMark]
    positions: Mapping[str, StreamPosition]
    schemas: Mapping[int, BlockSchema]
    rolled: Mapping[str, RolledUp]

    def epoch(self, event_type: str) -> Epoch | None:
        view = self._view(event_type)
        return view.epoch if view else None

    def blocks(
        self,
        event_type: str,
        user: str,
        *,
        since_day: str | None = None,
        until_day: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> Iterator[HistoryBlock]:
        keys.user_bytes(user)
        view = self._view(event_type)
        since, until = map(keys.iso, keys.between(since_day, until_day))
        if view is None:
            return iter(())
        mine = {day: bucket[user] for day, bucket in view.buckets.items() if user in bucket}
        rolled = self.rolled.get(event_type, {}).get(user, ())
        return iter(memory_rolled.blocks(mine, rolled, since, until))

    def now_blocks(self, event_type: str, user: str) -> Sequence[NowBlock]:
        keys.user_bytes(user)
        view, noted = self._view(event_type), self.covered.get(event_type)
        first = noted.shown_from(view.epoch.epoch if view else None) if noted else 0
        return [block for block in self._now(event_type).of(user) if block.sequence >= first]

    def schema(self, schema_id: int) -> BlockSchema | None:
        return self.schemas.get(schema_id)

    def newest_now_day(self, event_type: str) -> str | None:
        return self._now(event_type).newest_day()

    def stream_positions(self, topic: str | None = None) -> Mapping[str, StreamPosition]:
        return {
            partition: position
            for partition, position in self.positions.items()
            if topic is None or partition.rpartition(":")[0] == topic
        }

    def _now(self, event_type: str) -> MemoryNow:
        keys.type_bytes(event_type)
        return self.streamed.get(event_type, MemoryNow())

    def _view(self, event_type: str) -> _View | None:
        keys.type_bytes(event_type)
        views = self.views.get(event_type, ())
        wanted = self.held.get(event_type)
        if wanted is None:
            return views[-1] if views else None
        for view in views:
            if view.epoch.epoch == wanted:
                return view
        raise EpochGoneError(event_type, wanted, kept=tuple(view.epoch.epoch for view in views))


def _tally(result: PublishResult, before: Bucket, after: Bucket) -> PublishResult:
    written = [block for user, block in after.items() if before.get(user) != block]
    return replace(
        result,
        users_written=result.users_written + len(written),
        users_unchanged=result.users_unchanged + len(after) - len(written),
        users_removed=result.users_removed + len(before.keys() - after.keys()),
        bytes_written=result.bytes_written + sum(map(len, written)),
    )
