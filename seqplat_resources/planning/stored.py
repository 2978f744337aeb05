"""What a channel's home holds of the things a change reaches: tables, published days, streamed rows. Reads only."""

import datetime as dt
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

from seqplat_resources.home import Home
from seqplat_resources.lake import layout
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.online_store import OnlineStore
from seqplat_resources.online_store.contract import BucketVersion, Epoch
from seqplat_resources.online_store.errors import StoreDamagedError, StoreNotFoundError
from seqplat_resources.online_store.opening import open_online_store
from sequence_defs.compiler.release import Release

# What a column of a table means, as the table itself says: type, unit, vector model.
Held = tuple[str, str, str]


@dataclass(frozen=True)
class StoredDays:
    """The days there are of an event type, built or published, with the rows and bytes of those that are built."""

    rows: Mapping[dt.date, int]
    bytes: Mapping[dt.date, int]

    @property
    def days(self) -> list[dt.date]:
        return sorted(self.rows)


@dataclass
class StoredParts:
    """What is there, looked at once each. Of a store that is away nobody knows, so that error is the caller's."""

    home: Home
    _days: dict[str, StoredDays] = field(default_factory=dict)
    _built: dict[str, set[dt.date]] = field(default_factory=dict)
    _held: dict[str, Mapping[str, Held]] = field(default_factory=dict)

    def days_of(self, event_type: str) -> StoredDays:
        """Days of ``events/<event_type>`` from its log, and those that are published without it."""
        if event_type not in self._days:
            rows: dict[dt.date, int] = {}
            sizes: dict[dt.date, int] = {}
            files = self._table(layout.events_table(event_type)).files()
            for text, count, size in files.select(layout.DAY, "rows", "bytes").iter_rows():
                day = dt.date.fromisoformat(text)
                rows[day], sizes[day] = rows.get(day, 0) + (count or 0), sizes.get(day, 0) + (size or 0)
            for text in epoch.buckets if (epoch := self.epoch(event_type)) else ():
                rows.setdefault(dt.date.fromisoformat(text), 0)
            self._days[event_type] = StoredDays(rows, sizes)
        return self._days[event_type]

    def meanings(self, event_type: str) -> Mapping[dt.date, str]:
        """What rows of the published days mean, as far as they say so."""
        epoch = self.epoch(event_type)
        buckets = epoch.buckets if epoch else {}
        return {dt.date.fromisoformat(day): text for day, bucket in buckets.items() if (text := _meaning_of(bucket))}

    def published(self, event_type: str) -> Set[dt.date]:
        """The days that are shown of an event type."""
        epoch = self.epoch(event_type)
        return {dt.date.fromisoformat(day) for day in epoch.buckets} if epoch else set()

    def built(self, asset: str) -> Set[dt.date]:
        """The days there are of an asset of the lake (``raw/clicks``)."""
        if asset not in self._built:
            files = self._table(f"lake/{asset}").files()
            self._built[asset] = set(files[layout.DAY].unique().str.to_date(strict=False).drop_nulls())
        return self._built[asset]

    def epoch(self, event_type: str) -> Epoch | None:
        """The published view; None where there is none, or it is damaged and has to be published again anyway."""
        try:
            return self._store.epoch(event_type) if self._store else None
        except StoreDamagedError:
            return None

    def holds_events(self, event_type: str) -> bool:
        """Whether anything of an event type is built, published or streamed."""
        if self.days_of(event_type).rows or self._is_there(layout.served_table(event_type)):
            return True
        return bool(self._store and self._store.now_stats(event_type).blocks)

    def holds_rows(self, source: str) -> bool:
        """Whether raw rows of a source are kept, of files or of its topic."""
        return self._is_there(layout.raw_table(source)) or self._is_there(layout.archive_table(source))

    def holds(self, key: str, release: Release) -> bool:
        """Whether something is stored of an object (``sources/clicks``) as ``release`` has it."""
        layer, _, name = key.partition("/")
        if layer == "sources":
            return self.holds_rows(name)
        if layer == "enrichments":
            return self._is_there(layout.enrichment_table(name))
        if layer == "event_types":
            return self.holds_events(name)
        of = release.sequences[name].event_types if name in release.sequences else ()
        return layer == "sequences" and any(map(self.holds_events, of))

    def held(self, key: str) -> Mapping[str, Held]:
        """How the table of an object has its columns; empty where there is none. Sources: raw rows and archive."""
        if key not in self._held:
            found: dict[str, Held] = {}
            for name in _tables(key):
                if self._is_there(name):
                    found |= dict(_columns(self._table(name)))
            self._held[key] = found
        return self._held[key]

    def _table(self, name: str) -> LakeTable:
        return LakeTable(self.home, name, ())

    def _is_there(self, name: str) -> bool:
        return self._table(name).exists()

    @cached_property
    def _store(self) -> OnlineStore | None:
        try:
            return open_online_store(self.home, readonly=True)
        except StoreNotFoundError:
            return None

    def close(self) -> None:
        """Let go of the online store."""
        if "_store" in self.__dict__ and self._store is not None:
            self._store.close()


@contextmanager
def stored_in(home: Home) -> Iterator[StoredParts]:
    """What a home holds, for the length of the block."""
    found = StoredParts(home)
    try:
        yield found
    finally:
        found.close()


def _meaning_of(bucket: BucketVersion) -> str:
    found: str = getattr(bucket, "meaning", "")
    return found


def _tables(key: str) -> list[str]:
    layer, _, name = key.partition("/")
    if layer == "sources":
        return [layout.archive_table(name), layout.raw_table(name)]
    if layer == "enrichments":
        return [layout.enrichment_table(name)]
    return [layout.served_table(name), layout.events_table(name)] if layer == "event_types" else []


def _columns(table: LakeTable) -> Iterator[tuple[str, Held]]:
    """Columns whose table says what they mean; ours (positions, receipt) and a definition's alike."""
    for found in table.delta().schema().fields:
        said = found.metadata
        if "seqplat.dtype" in said:
            held = (str(said["seqplat.dtype"]), str(said.get("seqplat.unit", "")), str(said.get("seqplat.model", "")))
            yield found.name, held
