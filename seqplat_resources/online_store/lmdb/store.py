"""The default online store: LMDB files on this machine, many reader processes, crash safe.

>>> import polars as pl
>>> from seqplat_resources.online_store.codec.encode.bucket import encode_bucket
>>> schema = BlockSchema.of({"product": "string"})
>>> ann = encode_bucket(pl.DataFrame({"user_id": ["ann"], "product": ["tea"]}), schema)
>>> shelf = LmdbStore(folder, sync=False)
>>> _ = shelf.register_schema(schema)
>>> day = BucketWrite("2024-05-01", ann, BucketVersion(delta_version=0, rows=1, users=1))
>>> shelf.publish_many("purchase", [day], release="7f9ad790", expected_epoch=None).epoch
1
>>> list(shelf.epoch("purchase").buckets)
['2024-05-01']
>>> shelf.close()
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import lmdb

from seqplat_resources.online_store import keys, rules
from seqplat_resources.online_store.codec import BlockSchema
from seqplat_resources.online_store.contract import (
    BucketVersion,
    BucketWrite,
    Epoch,
    EventTypeStats,
    OnlineStore,
    PublishResult,
    ReadAhead,
    StoreSnapshot,
    StoreStats,
)
from seqplat_resources.online_store.errors import (
    InvalidKeyError,
    SchemaCollisionError,
    StoreDamagedError,
    StoreUnusableError,
)
from seqplat_resources.online_store.lmdb import now, publication, records, rolled, sealed, upkeep
from seqplat_resources.online_store.lmdb.environment import FIRST_MAP_BYTES, Environment, Transaction
from seqplat_resources.online_store.lmdb.publication import BucketLease
from seqplat_resources.online_store.lmdb.snapshot import LmdbSnapshot, ViewCache
from seqplat_resources.online_store.now_view import Advance, Eviction, Fold, NowStats, NowWrite, StreamPosition
from seqplat_resources.online_store.spans import Roll, Rollable, RollSpan


class LmdbStore(OnlineStore):
    """One folder, one store object per process; threads share it, and pickling it for a worker reopens the folder.

    ``keep_epochs`` (at least 2: requests in flight hold the previous one) is what publishers keep readable.
    ``sync=False`` survives killed processes but not a power cut: for tests and rebuilds only. With sync, each
    ``advance`` and each stride of an eviction waits for the disk once: half of its time where it has 10 k users.
    Raises:
        StoreNotFoundError: ``readonly`` and there is nothing yet.
        StoreUnusableError: the folder is open in this process already, may not be used, or has another layout.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        readonly: bool = False,
        keep_epochs: int = 4,
        first_map_bytes: int = FIRST_MAP_BYTES,
        sync: bool = True,
    ) -> None:
        if keep_epochs < 2:
            raise ValueError(f"keep_epochs={keep_epochs} breaks requests in flight, at {path}; keep 2 or more")
        self._opened_with = (Path(path), readonly, keep_epochs, first_map_bytes, sync)
        self._keep_epochs = keep_epochs
        self._environment = Environment(
            Path(path), readonly=readonly, first_map_bytes=first_map_bytes, sync=sync, opened=self._opened
        )

    def _opened(self, files: lmdb.Environment) -> None:
        """Nothing that is known of the files before counts for these."""
        self._schemas: dict[int, BlockSchema] = {}
        self._views = ViewCache()
        path, readonly, *_ = self._opened_with
        with files.begin() as transaction:
            found = records.has_layout(transaction)
        if found is None and not readonly:
            with files.begin(write=True) as transaction:
                records.put_layout(transaction)
        if found is False:
            fix = "delete the folder, publish all days again, and restart the streams"
            raise StoreUnusableError("the files were written by another version of this code", where=str(path), fix=fix)

    def __reduce__(self) -> tuple[object, ...]:
        return _reopen, self._opened_with

    def register_schema(self, schema: BlockSchema) -> int:
        if self.schema(schema.schema_id) != schema:
            self._environment.write(partial(_put_schema, schema=schema))
        return schema.schema_id

    def schema(self, schema_id: int) -> BlockSchema | None:
        if known := self._schemas.get(schema_id):
            return known
        with self._environment.read() as transaction:
            return records.schema(transaction, schema_id, self._schemas)

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
        result, written = PublishResult(epoch=0), dict[BucketLease, BucketVersion]()
        is_lost = self._is_lost(event_type)
        drop_days = [day for day in drop_days if keys.ordinal(day)]
        taken, known = set[str](), dict[int, Epoch]()
        for batch in publication.together(writes):
            for write in batch:
                if write.day in taken:
                    raise InvalidKeyError(
                        f"day {write.day} comes twice",
                        where=f"one publication of {event_type}",
                        fix="publish a day once",
                    )
                taken.add(write.day)
            lease = partial(
                publication.leases,
                event_type=event_type,
                days=[write.day for write in batch],
                holding=tuple(written),
                expected_epoch=expected_epoch,
                known=known,
            )
            leases = self._environment.write(lease)
            with self._environment.read() as transaction:
                stored = [publication.digests(transaction, held, self._schemas) for held in leases]
            for chunks in publication.changes_together(batch, leases, stored):
                if any(chunk.blocks for _, chunk in chunks):
                    self._environment.write(partial(publication.write_many, chunks=chunks))
                for _, chunk in chunks:
                    result = chunk.added_to(result)
            for held, write in zip(leases, batch, strict=True):
                written[held] = replace(write.bucket, version=held.version)
        commit = partial(
            publication.commit,
            event_type=event_type,
            written=written,
            drop_days=drop_days,
            expired_before=keys.checked_day(expired_before),
            release=release,
            expected_epoch=expected_epoch,
            keep_epochs=self._keep_epochs,
            may_be_lost=is_lost,
        )
        return replace(result, epoch=self._environment.write(commit).epoch)

    def _is_lost(self, event_type: str) -> bool:
        """Whether the current epoch cannot be read. Who publishes then has seen that, and gives all there is."""
        try:
            self.epoch(event_type)
        except StoreDamagedError:
            return True
        return False

    def rollback(self, event_type: str, *, to_epoch: int, expected_epoch: int) -> Epoch:
        return self._environment.write(
            partial(
                _rollback,
                event_type=event_type,
                to_epoch=to_epoch,
                expected_epoch=expected_epoch,
                keep_epochs=self._keep_epochs,
            )
        )

    def prune(self, event_type: str, *, keep_epochs: int) -> int:
        return upkeep.prune(self._environment, event_type, keep_epochs=keep_epochs)

    def advance(self, writes: Sequence[NowWrite], partitions: Mapping[str, Advance]) -> None:
        rules.check_once(writes)
        rules.check_partitions(partitions, has_writes=bool(writes))
        prepared = [now.prepare(write) for write in writes]
        self._environment.write(partial(now.advance, writes=prepared, partitions=partitions))

    def stream_positions(self) -> dict[str, StreamPosition]:
        with self._environment.read() as transaction:
            return now.positions(transaction)

    def evict(self, event_type: str) -> Eviction:
        blocks, batches, more = 0, 0, True
        while more:
            gone, more = self._environment.write(partial(now.evict_stride, event_type=event_type))
            blocks, batches = blocks + gone.blocks, batches + gone.batches
        # A statement about one epoch, so it may be found out and written in two transactions: writers do not wait.
        with self._environment.read() as transaction:
            found = now.covered(transaction, event_type)
        if found:
            self._environment.write(partial(now.note_covered, event_type=event_type, found=found))
        return replace(gone, blocks=blocks, batches=batches)

    def now_stats(self, event_type: str) -> NowStats:
        with self._environment.read() as transaction:
            return now.stats(transaction, event_type)

    def crowded(self, event_type: str, more_than: int) -> list[str]:
        with self._environment.read() as transaction:
            return now.crowded(transaction, event_type, more_than)

    def fold_many(self, event_type: str, folds: Iterable[Fold]) -> int:
        left, count = iter(folds), 0
        while stride := list(islice(left, now.STRIDE)):
            count += self._environment.write(partial(now.fold, event_type=event_type, folds=stride))
        return count

    def rolled_days(self, event_type: str) -> Mapping[str, int]:
        with self._environment.read() as transaction:
            return rolled.days(transaction, event_type)

    def rollable(self, event_type: str, span: RollSpan) -> Iterator[Sequence[Rollable]]:
        return rolled.rollable(self._environment, event_type, span)

    def roll_many(self, event_type: str, span: RollSpan, rolls: Sequence[Roll]) -> int:
        return sum(
            self._environment.write(
                partial(rolled.roll, event_type=event_type, span=span, rolls=rolls[start : start + rolled.STRIDE])
            )
            for start in range(0, len(rolls), rolled.STRIDE)
        )

    def mark_rolled(self, event_type: str, days: Mapping[str, int]) -> None:
        self._environment.write(partial(rolled.mark, event_type=event_type, changed=days))

    def epoch(self, event_type: str) -> Epoch | None:
        with self.snapshot() as view:
            return view.epoch(event_type)

    def kept_epochs(self, event_type: str) -> tuple[int, ...]:
        with self._environment.read() as transaction:
            return records.kept_numbers(transaction, event_type)

    @contextmanager
    def snapshot(
        self, *, epochs: Mapping[str, int] | None = None, ahead: ReadAhead | None = None
    ) -> Iterator[StoreSnapshot]:
        with self._environment.read_views() as transaction:
            held = epochs or {}
            view = LmdbSnapshot(transaction, held, self._views, self._schemas, self._views.seen(transaction, held))
            try:
                yield view
            finally:
                view.end()

    def stats(self) -> StoreStats:
        with self._environment.read() as transaction:
            types = tuple(
                EventTypeStats.of(epoch, kept_epochs=len(records.kept_numbers(transaction, epoch.event_type)))
                for epoch in records.heads(transaction)
            )
        return StoreStats(self._environment.size_bytes(), types)

    def close(self) -> None:
        self._environment.close()


def _reopen(path: Path, readonly: bool, keep_epochs: int, first_map_bytes: int, sync: bool) -> LmdbStore:
    return LmdbStore(path, readonly=readonly, keep_epochs=keep_epochs, first_map_bytes=first_map_bytes, sync=sync)


def _put_schema(transaction: Transaction, schema: BlockSchema) -> None:
    key, text = keys.schema(schema.schema_id), schema.to_json()
    known = (sealed.get(transaction, key) or text.encode()).decode()
    if known != text:
        raise SchemaCollisionError(schema.schema_id, known=known, new=text)
    sealed.put(transaction, key, text.encode())


def _rollback(transaction: Transaction, event_type: str, to_epoch: int, expected_epoch: int, keep_epochs: int) -> Epoch:
    head = records.head(transaction, event_type, expected_epoch)
    target = records.epoch(transaction, event_type, to_epoch)
    epoch = target.after(head)
    records.append_epoch(transaction, epoch, keep_epochs=keep_epochs)
    return epoch
