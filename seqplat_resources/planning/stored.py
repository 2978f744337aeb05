"""What a channel's home holds of the things a change reaches: tables, published days, streamed rows; and which of these
days a release would make otherwise, as far as they say what made them. Reads only.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import deltalake
import polars as pl

from seqplat_resources.batch.inputs.relaxed import relaxed_days
from seqplat_resources.batch.inputs.sets import Sets
from seqplat_resources.home import Home
from seqplat_resources.lake import layout
from seqplat_resources.lake.schema import newest_schema
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.online_store import OnlineStore
from seqplat_resources.online_store.contract import Epoch
from seqplat_resources.online_store.errors import StoreDamagedError, StoreNotFoundError
from seqplat_resources.online_store.opening import open_online_store
from sequence_defs.compiler.release import Release
from sequence_defs.evolution.meaning import Meaning, MeaningMoved

# What a column of a table means, as the table itself says: type, unit, vector model.
Held = tuple[str, str, str]


@dataclass
class StoredParts:
    """What is there, looked at once each. Of a store that is away nobody knows, so that error is the caller's."""

    home: Home
    _days: dict[str, Mapping[dt.date, int]] = field(default_factory=dict)
    _epochs: dict[str, Epoch | None] = field(default_factory=dict)
    _built: dict[str, set[dt.date]] = field(default_factory=dict)
    _held: dict[str, Mapping[str, list[Held]]] = field(default_factory=dict)

    def days_of(self, event_type: str) -> Mapping[dt.date, int]:
        """Rows by day of what is published of an event type; of one that is not, of what is built of it.

        One small record an event type, so that nothing is listed per day.
        """
        if event_type not in self._days:
            epoch = self.epoch(event_type)
            rows = {dt.date.fromisoformat(day): bucket.rows for day, bucket in epoch.buckets.items()} if epoch else {}
            self._days[event_type] = rows or self._built_rows(event_type)
        return self._days[event_type]

    def _built_rows(self, event_type: str) -> dict[dt.date, int]:
        files = self._table(layout.events_table(event_type)).files().group_by(layout.DAY).agg(pl.col("rows").sum())
        return {dt.date.fromisoformat(day): count for day, count in files.iter_rows()}

    def meanings(self, event_type: str) -> Mapping[dt.date, str]:
        """What rows of the published days mean, as far as they say so."""
        epoch = self.epoch(event_type)
        buckets = epoch.buckets if epoch else {}
        return {dt.date.fromisoformat(day): text for day, bucket in buckets.items() if (text := bucket.meaning)}

    def published(self, event_type: str) -> Set[dt.date]:
        """The days that are shown of an event type."""
        epoch = self.epoch(event_type)
        return {dt.date.fromisoformat(day) for day in epoch.buckets} if epoch else set()

    def built(self, asset: str) -> Set[dt.date]:
        """The days there are of an asset of the lake (``raw/clicks``), or of a training set."""
        if asset not in self._built and asset.startswith(f"{layout.TRAINING}/"):
            self._built[asset] = set(Sets(self.home, asset.removeprefix(f"{layout.TRAINING}/")).days())
        if asset not in self._built:
            files = self._table(f"lake/{asset}").files()
            self._built[asset] = set(files[layout.DAY].unique().str.to_date(strict=False).drop_nulls())
        return self._built[asset]

    def epoch(self, event_type: str) -> Epoch | None:
        """The published view; None where there is none, or it is damaged and has to be published again anyway."""
        if event_type not in self._epochs:
            self._epochs[event_type] = None
            with suppress(StoreDamagedError):
                self._epochs[event_type] = self._store.epoch(event_type) if self._store else None
        return self._epochs[event_type]

    def holds_events(self, event_type: str) -> bool:
        """Whether anything of an event type is built, published or streamed."""
        if self.days_of(event_type) or self._is_there(layout.served_table(event_type)):
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
        if layer in (layout.SESSIONS, layout.OBJECTS):
            return self._is_there(layout.view_table(key))
        of = release.sequences[name].event_types if name in release.sequences else ()
        return layer == "sequences" and any(map(self.holds_events, of))

    def held(self, key: str) -> Mapping[str, Sequence[Held]]:
        """As what the tables of an object have its columns: of those that had another type once, several. Empty where
        there is none. Sources have raw rows and an archive.
        """
        if key not in self._held:
            found: dict[str, list[Held]] = {}
            for name in _tables(key):
                for column, held in _columns(newest_schema(self.home, name)):
                    found.setdefault(column, []).append(held)
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


@dataclass(frozen=True)
class Moved:
    """Days that hold something which would be said otherwise, and by day the columns that others lack. ``settled`` days
    do either and would come out so again: they hold messages that an earlier definition decoded. Days that had rows
    refused for want of a value that is wanted no more are stale.
    """

    stale: set[dt.date] = field(default_factory=set)
    missing: Mapping[dt.date, tuple[str, ...]] = field(default_factory=dict)
    settled: set[dt.date] = field(default_factory=set)


def moved_days(before: Release, after: Release, event_type: str, stored: StoredParts) -> Moved:
    """Of the days there are. One that notes no meaning was made by ``before``, where that has the event type."""
    stale, missing, settled = set[dt.date](), dict[dt.date, tuple[str, ...]](), set[dt.date]()
    now, noted = Meaning.of(after, event_type).digest, stored.meanings(event_type)
    for day, moved in _moved(before, after, event_type, stored):
        if (moved.is_stale or moved.missing) and _asked(noted.get(day, "")) == now:
            settled.add(day)
        elif moved.is_stale:
            stale.add(day)
        elif moved.missing:
            missing[day] = moved.missing
    assets = (f"raw/{after.event_types[event_type].source}", f"events/{event_type}")
    refused = set[dt.date]().union(*(relaxed_days(stored.home, after, asset) for asset in assets))
    return Moved(stale | refused & stored.days_of(event_type).keys(), missing, settled)


@lru_cache(1024)
def _asked(noted: str) -> str:
    return Meaning.from_json(noted).asked if noted else ""


def days_without(column: str, before: Release, after: Release, event_type: str, stored: StoredParts) -> set[dt.date]:
    """Of the days there are, those whose rows do not have a column as ``after`` defines it. Read as ``moved_days``."""
    found = _moved(before, after, event_type, stored)
    return {day for day, moved in found if column in (*moved.columns, *moved.missing)}


def _moved(
    before: Release, after: Release, event_type: str, stored: StoredParts
) -> Iterator[tuple[dt.date, MeaningMoved]]:
    now = Meaning.of(after, event_type)
    ran = Meaning.of(before, event_type) if event_type in before.event_types else now
    noted, said = stored.meanings(event_type), dict[str, MeaningMoved]()
    for day in stored.days_of(event_type):
        text = noted.get(day, "")
        if text not in said:
            said[text] = now.differs_from(Meaning.from_json(text) if text else ran)
        yield day, said[text]


def _tables(key: str) -> list[str]:
    layer, _, name = key.partition("/")
    if layer == "sources":
        return [layout.archive_table(name), layout.raw_table(name)]
    if layer == "enrichments":
        return [layout.enrichment_table(name)]
    made = (layout.served_table, layout.events_table, layout.superseded_table)
    return [table(name) for table in made] if layer == "event_types" else []


def _columns(schema: deltalake.Schema | None) -> Iterator[tuple[str, Held]]:
    """Columns whose table says what they mean; ours (positions, receipt) and a definition's alike."""
    for found in schema.fields if schema else ():
        said = found.metadata
        if "seqplat.dtype" in said:
            held = (str(said["seqplat.dtype"]), str(said.get("seqplat.unit", "")), str(said.get("seqplat.model", "")))
            yield str(said.get("seqplat.column") or found.name), held
