"""Reading: one LMDB read transaction, and per event type the epoch it shows."""

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field

from seqplat_resources.online_store import keys
from seqplat_resources.online_store.codec import BlockSchema
from seqplat_resources.online_store.contract import Epoch, HistoryBlock, Snapshot
from seqplat_resources.online_store.lmdb_store import now, records
from seqplat_resources.online_store.lmdb_store.environment import Transaction
from seqplat_resources.online_store.now_view import NowBlock, StreamPosition


@dataclass(frozen=True)
class View:
    """An epoch, and by day number the day's text and the bucket version shown."""

    epoch: Epoch
    shown: Mapping[int, tuple[str, int]]

    @classmethod
    def of(cls, epoch: Epoch) -> "View":
        return cls(epoch, {keys.ordinal(day): (day, bucket.version) for day, bucket in epoch.buckets.items()})


class ViewCache:
    """The last view of each event type: an epoch never changes, and reading its record anew costs more than a read."""

    def __init__(self) -> None:
        self._latest: dict[str, View] = {}

    def view(self, transaction: Transaction, event_type: str, number: int) -> View:
        """
        Raises:
            EpochGoneError: the epoch is not kept.
        """
        latest = self._latest.get(event_type)
        if latest and latest.epoch.epoch == number and records.is_kept(transaction, event_type, number):
            return latest
        view = View.of(records.epoch(transaction, event_type, number))
        self._latest[event_type] = view
        return view


@dataclass(frozen=True)
class LmdbSnapshot(Snapshot):
    """See the contract. The blocks are copies and outlive the snapshot."""

    transaction: Transaction
    held: Mapping[str, int]
    cache: ViewCache
    schemas: MutableMapping[int, BlockSchema]
    # What a transaction sees does not change, so each event type's view is looked for once.
    seen: dict[str, View | None] = field(default_factory=dict)

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
        name, user_bytes = keys.type_bytes(event_type), keys.user_bytes(user)
        prefix = keys.blocks_of_user(name, user_bytes)
        newest = keys.blocks_of_day(name, user_bytes, keys.ordinal(until_day)) if until_day else prefix
        oldest = keys.blocks_of_day(name, user_bytes, keys.ordinal(since_day)) if since_day else prefix
        view = self._view(event_type)
        return self._walk(view.shown, keys.past(newest), oldest) if view else iter(())

    def users(self, event_type: str) -> Iterator[str]:
        name = keys.type_bytes(event_type)
        view = self._view(event_type)
        cursor, prefix = self.transaction.cursor(), keys.blocks_of_type(name)
        found = view is not None and cursor.set_range(prefix)
        while view and found and cursor.key().startswith(prefix):
            user = keys.user_of(cursor.key(), name)
            stem = keys.blocks_of_user(name, user)
            if next(self._walk(view.shown, keys.past(stem), stem), None):
                yield user.decode()
            found = cursor.set_range(keys.past(stem))

    def now_blocks(self, event_type: str, user: str) -> Sequence[NowBlock]:
        return now.blocks(self.transaction, event_type, user)

    def schema(self, schema_id: int) -> BlockSchema | None:
        return records.schema(self.transaction, schema_id, self.schemas)

    def newest_now_day(self, event_type: str) -> str | None:
        return now.newest_day(self.transaction, event_type)

    def stream_positions(self, topic: str | None = None) -> dict[str, StreamPosition]:
        if topic is None:
            return now.positions(self.transaction)
        found = now.positions(self.transaction, beginning=f"{topic}:")
        return {partition: position for partition, position in found.items() if partition.rpartition(":")[0] == topic}

    def _walk(self, shown: Mapping[int, tuple[str, int]], before: bytes, down_to: bytes) -> Iterator[HistoryBlock]:
        """Backwards over one user's keys in ``down_to <= key < before``; per day the newest version that is shown.

        Versions that are not shown, and days that the user has left, are passed over.
        """
        cursor = self.transaction.cursor()
        found = cursor.prev() if cursor.set_range(before) else cursor.last()
        done = -1
        while found and (key := cursor.key()) >= down_to:
            day, version = keys.day_and_version(key)
            bucket = shown.get(day)
            if bucket and day != done and version <= bucket[1]:
                done = day
                if payload := cursor.value():
                    yield HistoryBlock(bucket[0], payload)
            found = cursor.prev()

    def _view(self, event_type: str) -> View | None:
        if event_type not in self.seen:
            number = self.held.get(event_type)
            if number is None:
                number = records.head_number(self.transaction, event_type)
            view = None if number is None else self.cache.view(self.transaction, event_type, number)
            self.seen[event_type] = view
        return self.seen[event_type]
