"""Reading: one LMDB read transaction, and per event type the epoch it shows."""

from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from seqplat_resources.online_store import keys
from seqplat_resources.online_store.codec import BlockSchema
from seqplat_resources.online_store.contract import Epoch, HistoryBlock, StoreSnapshot
from seqplat_resources.online_store.lmdb import now, records, rolled
from seqplat_resources.online_store.lmdb.environment import Readable
from seqplat_resources.online_store.lmdb.rolled import RolledRecord
from seqplat_resources.online_store.now_view import NowBlock, StreamPosition
from seqplat_resources.online_store.spans import SPAN_DAYS

if TYPE_CHECKING:
    import lmdb


# Of so many different sets of days that rolled up blocks have.
_ROLLED_KEPT = 1 << 12


@dataclass(frozen=True)
class EpochView:
    """An epoch, and by day number the day's text and the bucket version shown."""

    epoch: Epoch
    shown: Mapping[int, tuple[str, int]]
    _rolled: dict[int, "_RolledDays"] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, epoch: Epoch) -> "EpochView":
        return cls(epoch, {keys.ordinal(day): (day, bucket.version) for day, bucket in epoch.buckets.items()})

    def rolled(self, record: RolledRecord) -> "_RolledDays":
        """What a rolled up block is to a reader, as far as day entries do not hide its days.

        Users who were there on the same days share one mapping of them (``RolledRecord.days``), so this is found by it.
        """
        days = record.days
        found = self._rolled.get(id(days))
        if found is None:
            counts = {day: day in self.shown and version <= self.shown[day][1] for day, version in days.items()}
            gone = frozenset(keys.iso(day) for day, is_there in counts.items() if not is_there)
            found = _RolledDays(days, counts, keys.iso(record.oldest), keys.iso(record.newest), gone)
            if len(self._rolled) >= _ROLLED_KEPT:
                self._rolled.clear()
            self._rolled[id(days)] = found
        return found


class _RolledDays(NamedTuple):
    """``days`` themselves, so that their identity stays theirs; which of them count; bounds; and those that do not."""

    days: Mapping[int, int]
    counts: Mapping[int, bool]
    first: str
    last: str
    gone: frozenset[str]


@dataclass(frozen=True)
class CommitView:
    """What is the same for all users as long as nothing is committed, as far as it was looked for: the view and the
    first now block of each event type, its newest streamed day, and the positions of a topic (None: of all)."""

    commit: int
    views: dict[str, EpochView | None] = field(default_factory=dict)
    now_from: dict[str, int] = field(default_factory=dict)
    newest_days: dict[str, str | None] = field(default_factory=dict)
    positions: dict[str | None, Mapping[str, StreamPosition]] = field(default_factory=dict)


class ViewCache:
    """What readers have in common: what they have seen of the last commit, and beyond that the last view of each event
    type, because an epoch never changes, and reading its record anew costs more than a read."""

    def __init__(self) -> None:
        self._seen = CommitView(-1)
        self._latest: dict[str, EpochView] = {}

    def seen(self, transaction: Readable, held: Mapping[str, int]) -> CommitView:
        """To look into and to add to. Readers who hold epochs have one for themselves."""
        commit, seen = transaction.id(), self._seen
        if held:
            return CommitView(commit)
        if seen.commit != commit:
            seen = self._seen = CommitView(commit)
        return seen

    def view(self, transaction: Readable, event_type: str, number: int) -> EpochView:
        """
        Raises:
            EpochGoneError: the epoch is not kept.
        """
        latest = self._latest.get(event_type)
        if latest and latest.epoch.epoch == number and records.is_kept(transaction, event_type, number):
            return latest
        view = EpochView.of(records.epoch(transaction, event_type, number))
        self._latest[event_type] = view
        return view


@dataclass(frozen=True)
class LmdbSnapshot(StoreSnapshot):
    """See the contract. History blocks are views into the file; now blocks are copies and outlive the snapshot."""

    transaction: "lmdb.Transaction[memoryview]"
    held: Mapping[str, int]
    cache: ViewCache
    schemas: MutableMapping[int, BlockSchema]
    seen: CommitView
    given: list[memoryview] = field(default_factory=list)

    def end(self) -> None:
        """Make every block that was given out unusable: reading from it now would read somebody else's bytes, or take
        the process down where the map has moved."""
        for view in self.given:
            with suppress(BufferError):  # somebody built an array on it: beyond our reach
                view.release()

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
        since, until = keys.between(since_day, until_day)
        view = self._view(event_type)
        return self._blocks(view, name, user_bytes, since, until) if view else iter(())

    def now_blocks(self, event_type: str, user: str) -> Sequence[NowBlock]:
        now_from = self.seen.now_from
        if event_type not in now_from:
            view = self._view(event_type)
            epoch = view.epoch.epoch if view else None
            now_from[event_type] = now.shown_from(self.transaction, event_type, epoch)
        return now.blocks(self.transaction, event_type, user, now_from[event_type])

    def schema(self, schema_id: int) -> BlockSchema | None:
        return records.schema(self.transaction, schema_id, self.schemas)

    def newest_now_day(self, event_type: str) -> str | None:
        newest = self.seen.newest_days
        if event_type not in newest:
            newest[event_type] = now.newest_day(self.transaction, event_type)
        return newest[event_type]

    def stream_positions(self, topic: str | None = None) -> Mapping[str, StreamPosition]:
        positions = self.seen.positions
        if topic not in positions:
            found = now.positions(self.transaction, beginning=f"{topic}:" if topic is not None else "")
            positions[topic] = {
                partition: position
                for partition, position in found.items()
                if topic is None or partition.rpartition(":")[0] == topic
            }
        return positions[topic]

    def _blocks(self, view: EpochView, name: bytes, user: bytes, since: int, until: int) -> Iterator[HistoryBlock]:
        """Day blocks and rolled ones in the order of their newest days. Of each day the newest version that is shown
        counts, wherever it lies."""
        shown = view.shown
        entries = self._day_entries(shown, name, user, since, until)
        waiting: list[_Entry] = []
        for record, value in self._records(name, user, since, until):
            known = view.rolled(record)
            # Those of its days, to compare versions; the first older one comes with them.
            while (not waiting or waiting[-1].day >= record.oldest) and (entry := next(entries, None)):
                waiting.append(entry)
            gone, standing = known.gone, waiting
            if any(record.oldest <= entry.day <= record.newest for entry in waiting):
                counts, standing = dict(known.counts), []
                for entry in waiting:
                    if counts.get(entry.day) and record.days[entry.day] > entry.version:
                        continue
                    counts[entry.day] = False
                    standing.append(entry)
                gone = frozenset(keys.iso(day) for day in record.days if not counts[day])
            newer = [entry for entry in standing if entry.day > record.newest]
            yield from self._days(newer, shown)
            waiting = standing[len(newer) :]
            if len(gone) < len(record.days):
                payload = value[record.payload_at :]
                self.given.append(payload)
                yield HistoryBlock(known.last, payload, known.first, gone)
        yield from self._days(waiting, shown)
        yield from self._days(entries, shown)

    def _days(self, entries: "Iterable[_Entry]", shown: Mapping[int, tuple[str, int]]) -> Iterator[HistoryBlock]:
        for entry in entries:
            if entry.payload != records.LEFT:
                self.given.append(entry.payload)
                day = shown[entry.day][0]
                yield HistoryBlock(day, entry.payload, day)

    def _day_entries(
        self, shown: Mapping[int, tuple[str, int]], name: bytes, user: bytes, since: int, until: int
    ) -> "Iterator[_Entry]":
        """Newest day first; per day the newest version that is shown, also of days that the user has left."""
        cursor = self.transaction.cursor()
        down_to = keys.blocks_of_day(name, user, since)
        found = cursor.prev() if cursor.set_range(keys.past(keys.blocks_of_day(name, user, until))) else cursor.last()
        done = -1
        while found and (key := bytes(cursor.key())) >= down_to:
            day, version = keys.day_and_version(key)
            bucket = shown.get(day)
            if bucket and day != done and version <= bucket[1]:
                done = day
                yield _Entry(day, version, cursor.value())
            found = cursor.prev()

    def _records(self, name: bytes, user: bytes, since: int, until: int) -> Iterator[tuple[RolledRecord, memoryview]]:
        """Rolled up blocks with days between, newest first. A record lies at its newest day, which may be later than
        ``until``, but not in another span."""
        cursor = self.transaction.cursor()
        past = keys.rolled(name, user, min(until // SPAN_DAYS * SPAN_DAYS + SPAN_DAYS, keys.LAST_ORDINAL + 1))
        down_to = keys.rolled(name, user, since)
        found = cursor.prev() if cursor.set_range(past) else cursor.last()
        while found and (key := bytes(cursor.key())) >= down_to:
            value = cursor.value()
            record = rolled.record(self.transaction, key, value)
            if record.oldest <= until:
                yield record, value
            found = cursor.prev()

    def _view(self, event_type: str) -> EpochView | None:
        views = self.seen.views
        if event_type not in views:
            number = self.held.get(event_type)
            if number is None:
                number = records.head_number(self.transaction, event_type)
            views[event_type] = None if number is None else self.cache.view(self.transaction, event_type, number)
        return views[event_type]


class _Entry(NamedTuple):
    """A day's entry; its payload is ``records.LEFT`` where the user has left the day."""

    day: int
    version: int
    payload: memoryview
