"""The online store on a Redis or Valkey server, or a cluster of them: many machines read and write the same one."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice

from seqplat_resources.online_store import keys, rules
from seqplat_resources.online_store.codec import BlockSchema
from seqplat_resources.online_store.contract import (
    BucketWrite,
    Epoch,
    EventTypeStats,
    OnlineStore,
    PublishResult,
    ReadAhead,
    StoreSnapshot,
    StoreStats,
)
from seqplat_resources.online_store.errors import StoreUnusableError
from seqplat_resources.online_store.now_view import Advance, Eviction, Fold, NowStats, NowWrite, StreamPosition
from seqplat_resources.online_store.redis import batch_list, eviction, now, publication, rolled, upkeep
from seqplat_resources.online_store.redis.catalog import Catalog
from seqplat_resources.online_store.redis.records.names import Names, type_name
from seqplat_resources.online_store.redis.snapshot import RedisSnapshot
from seqplat_resources.online_store.redis.wire.link import Link
from seqplat_resources.online_store.redis.wire.settings import RedisSettings
from seqplat_resources.online_store.spans import Roll, Rollable, RollSpan


class RedisStore(OnlineStore):
    """One store object per process; threads share it, and pickling it for a worker connects again.

    ``keep_epochs`` (at least 2: requests in flight hold the previous one) is what publishers keep readable. A snapshot
    that lasts longer than that many publications of an event type raises EpochGoneError, also when it ends.
    Raises:
        StoreAwayError: no server answers.
        StoreUnusableError: the server evicts keys, refuses the user, or holds another layout.
    """

    def __init__(self, settings: RedisSettings, *, readonly: bool = False, keep_epochs: int = 4) -> None:
        if keep_epochs < 2:
            raise ValueError(
                f"keep_epochs={keep_epochs} breaks requests in flight, at {settings.where}; keep 2 or more"
            )
        self._settings, self._readonly, self._keep_epochs = settings, readonly, keep_epochs
        self._link = Link(settings, readonly=readonly)
        self._catalog = Catalog(self._link, Names(settings.prefix))
        self._catalog.check_layout()

    def __reduce__(self) -> tuple[object, ...]:
        return _reopen, (self._settings, self._readonly, self._keep_epochs)

    def register_schema(self, schema: BlockSchema) -> int:
        self._writing().register(schema)
        return schema.schema_id

    def schema(self, schema_id: int) -> BlockSchema | None:
        return self._catalog.schema(schema_id)

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
        return publication.publish(
            self._writing(),
            event_type,
            writes,
            release=release,
            expected_epoch=expected_epoch,
            drop_days=[day for day in drop_days if keys.ordinal(day)],
            expired_before=keys.checked_day(expired_before),
            keep_epochs=self._keep_epochs,
        )

    def rollback(self, event_type: str, *, to_epoch: int, expected_epoch: int) -> Epoch:
        return publication.rollback(
            self._writing(), event_type, to_epoch=to_epoch, expected_epoch=expected_epoch, keep_epochs=self._keep_epochs
        )

    def prune(self, event_type: str, *, keep_epochs: int) -> int:
        return upkeep.prune(self._writing(), event_type, keep_epochs=keep_epochs)

    def advance(self, writes: Sequence[NowWrite], partitions: Mapping[str, Advance]) -> None:
        rules.check_once(writes)
        rules.check_partitions(partitions, has_writes=bool(writes))
        now.advance(self._writing(), writes, partitions)

    def stream_positions(self) -> dict[str, StreamPosition]:
        return self._catalog.pin().positions()

    def evict(self, event_type: str) -> Eviction:
        return eviction.evict(self._writing(), event_type)

    def now_stats(self, event_type: str) -> NowStats:
        return now.stats(self._catalog, event_type)

    def crowded(self, event_type: str, more_than: int) -> list[str]:
        return now.crowded(self._catalog, event_type, more_than)

    def fold_many(self, event_type: str, folds: Iterable[Fold]) -> int:
        left, count, catalog = iter(folds), 0, self._writing()
        while stride := list(islice(left, batch_list.STRIDE)):
            count += now.fold(catalog, event_type, stride)
        return count

    def rolled_days(self, event_type: str) -> Mapping[str, int]:
        return rolled.days(self._catalog, event_type)

    def rollable(self, event_type: str, span: RollSpan) -> Iterator[Sequence[Rollable]]:
        return rolled.rollable(self._catalog, event_type, span)

    def roll_many(self, event_type: str, span: RollSpan, rolls: Sequence[Roll]) -> int:
        catalog = self._writing()
        strides = (rolls[start : start + rolled.STRIDE] for start in range(0, len(rolls), rolled.STRIDE))
        return sum(rolled.roll(catalog, event_type, span, stride) for stride in strides)

    def mark_rolled(self, event_type: str, days: Mapping[str, int]) -> None:
        rolled.mark(self._writing(), event_type, days)

    def epoch(self, event_type: str) -> Epoch | None:
        head = self._catalog.head(event_type)
        return self._catalog.views({event_type: head})[event_type].epoch if head else None

    def kept_epochs(self, event_type: str) -> tuple[int, ...]:
        type_name(event_type)
        return self._catalog.kept(event_type)

    @contextmanager
    def snapshot(
        self, *, epochs: Mapping[str, int] | None = None, ahead: ReadAhead | None = None
    ) -> Iterator[StoreSnapshot]:
        view = RedisSnapshot(self._catalog, epochs or {}, ahead)
        yield view
        view.end()

    def stats(self) -> StoreStats:
        heads = dict(self._catalog.pin().heads())
        views = self._catalog.views(heads)
        types = [EventTypeStats.of(views[name].epoch, kept_epochs=len(head.kept)) for name, head in heads.items()]
        return StoreStats(self._link.used_bytes(), tuple(types))

    def clock_ms(self) -> int | None:
        if self._link.is_cluster:
            return None  # each server has one, and none decides
        seconds, micros = self._link.one("TIME", repeatable=True)
        return int(seconds) * 1000 + int(micros) // 1000

    def close(self) -> None:
        self._link.close()

    def _writing(self) -> Catalog:
        if self._readonly:
            raise StoreUnusableError(
                "the store is open for reading only", where=self._link.where, fix="open it without readonly=True"
            )
        return self._catalog


def _reopen(settings: RedisSettings, readonly: bool, keep_epochs: int) -> RedisStore:
    return RedisStore(settings, readonly=readonly, keep_epochs=keep_epochs)
