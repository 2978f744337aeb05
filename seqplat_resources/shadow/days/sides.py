"""Both sides of a day as the comparison takes them, shard by shard, and what is known besides."""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl

from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.rows import RawInputs
from seqplat_resources.batch.inputs.shards import shard_column
from seqplat_resources.batch.inputs.spans import marks_of, written_at
from seqplat_resources.comparison.causes.alone import Known
from seqplat_resources.comparison.causes.versions import OtherVersions
from seqplat_resources.comparison.contract import EVENT_ID, EVENT_TIME, INGEST_TIME, USER, ColumnRule, Matching
from seqplat_resources.engine.contract import Executor
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.engine.run import identified
from seqplat_resources.lake.layout import DAY
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.rules.identity import IDENTITY
from seqplat_resources.rules.precedence import winners
from seqplat_resources.shadow.days.freshness import SHARES, tells_freshness
from seqplat_resources.shadow.days.kept import ComparedOf
from seqplat_resources.shadow.legacy.contract import LegacyRows
from seqplat_resources.shadow.legacy.events import LegacyEvents
from seqplat_resources.shadow.legacy.fitting import ITEMS
from seqplat_resources.shadow.verdict.floors import FloorLog, NoiseFloor
from seqplat_resources.times import midnight
from seqplat_resources.values.spread import spread
from sequence_defs.compiler.project import attached
from sequence_defs.compiler.release import digest
from sequence_defs.compiler.sql import names
from sequence_defs.schema import Compared, EventType, Source, Versioned, parse_dtype

# As far as clocks of two zones may be apart.
MARGIN = dt.timedelta(hours=26)
# Versions of an enrichment are looked for as many days back.
_VERSION_DAYS = 30


@dataclass(frozen=True)
class Sides:
    """Ours and legacy's of an event type, as both were when this was opened."""

    runtime: Runtime
    plan: EventPlan
    legacy: LegacyEvents
    events: LakeTable
    raw: RawInputs

    @classmethod
    def open(cls, runtime: Runtime, event_type: str) -> "Sides":
        """
        Raises:
            NotCompared: the event type says no legacy.
        """
        legacy = LegacyEvents.open(runtime, event_type)
        events = tables.events(runtime, legacy.plan).pinned()
        return cls(runtime, legacy.plan, legacy, events, RawInputs.open(runtime, legacy.plan))

    @property
    def shards(self) -> int:
        return self.plan.source.shards

    @cached_property
    def marks(self) -> dict[str, dict[dt.date, int]]:
        """By table and day, another number where a bucket was written anew."""
        ours, theirs = f"events/{self.plan.event_type.name}", f"raw/{self.legacy.source.name}"
        return {ours: marks_of(self.events), theirs: marks_of(self.legacy.table)}

    @cached_property
    def definition(self) -> str:
        """Another text where something else would be counted: our events, legacy's rows, or when they are equal."""
        hashes, how = self.runtime.release.hashes, self.legacy.legacy
        made = [hashes[f"event_types/{self.plan.event_type.name}"], hashes[f"sources/{self.legacy.source.name}"]]
        said = how.model_dump(mode="json", exclude_defaults=True, exclude={"serve", "replay"})
        fresh = [*SHARES] if tells_freshness(self.legacy) else []
        return digest([*(each.semantic for each in made), said, *fresh])

    @property
    def replay(self) -> Source | None:
        """What a second run of legacy has written, if the definition names it."""
        name = self.legacy.legacy.replay
        return self.runtime.release.sources[name] if name else None

    @property
    def floor_definition(self) -> str:
        """Another text where another noise floor would be measured; without a replay none is of it."""
        if (source := self.replay) is None:
            return ""
        return digest([self.definition, self.runtime.release.hashes[f"sources/{source.name}"].semantic])

    @cached_property
    def floor(self) -> NoiseFloor | None:
        """The newest noise floor, where it is of what is compared now and has not expired."""
        found = FloorLog(self.runtime.home, self.plan.event_type.name).latest()
        today = self.runtime.clock.now().date()
        return found if found is not None and found.holds(self.floor_definition, today) else None

    def is_of_now(self, compared: ComparedOf) -> bool:
        """Whether a day was counted as it would be now, and neither side was built anew since."""
        return compared.definition == self.definition and compared.marks == self.state(compared.day)

    def changed_at(self, day: dt.date) -> dt.datetime | None:
        """When either side of a day was written last."""
        times = (written_at(table).get(day) for table in (self.events, self.legacy.table))
        return max((at for at in times if at is not None), default=None)

    def state(self, day: dt.date) -> dict[str, int]:
        """The marks of a day's buckets; 0 for one that is not there."""
        return {name: by_day.get(day, 0) for name, by_day in self.marks.items()}

    @property
    def tables(self) -> dict[str, int]:
        """The marks of all buckets, by table and day."""
        return {f"{name} {day}": number for name, by_day in self.marks.items() for day, number in by_day.items()}

    @cached_property
    def matching(self) -> Matching:
        definition = self.legacy.legacy
        if definition.event_id:
            return Matching()
        return Matching(key=definition.natural_key, within_s=definition.within_s)

    @cached_property
    def rules(self) -> dict[str, ColumnRule]:
        """How each compared column is, the event time first."""
        columns = self.legacy.legacy.columns
        how = {EVENT_TIME: columns.get(EVENT_TIME, Compared())}
        how |= {name: met.how for name, met in self.legacy.compared.items()}
        return {n: ColumnRule(each.absolute, each.relative, each.cosine, each.as_set) for n, each in how.items()}

    def ours(self, day: dt.date, shard: int) -> pl.DataFrame:
        """Our events of the day that stand, vectors as arrays."""
        rows = self.events.scan().filter(pl.col("op") == "upsert", *self._of(day, shard)).select(self._read).collect()
        return unpacked(rows, self._vectors)

    def theirs(self, day: dt.date, shard: int) -> tuple[LegacyRows, pl.DataFrame]:
        """Legacy's of the day, and those around it that its clock may mean."""
        found = self.legacy.day(day, margin=MARGIN).shard(shard, self.shards)
        rows = unpacked(found.rows, self._vectors)
        is_today = (pl.col(EVENT_TIME) >= midnight(day)) & (pl.col(EVENT_TIME) < midnight(day) + dt.timedelta(days=1))
        return replace(found, rows=rows.filter(is_today)), rows.filter(~is_today)

    def known(self, day: dt.date, shard: int, around: pl.DataFrame, *, ours_alone: bool, legacy_alone: bool) -> Known:
        """What explains events that one side alone has; read only where there are any."""
        columns = [*self.matching.columns, EVENT_TIME]
        waits = self.legacy.legacy.waits_s
        found = Known(legacy_waits=None if waits is None else dt.timedelta(seconds=waits))
        if ours_alone:
            found = replace(found, legacy_elsewhere=around.select(columns))
        if legacy_alone:
            filtered, left_out = self._left_out(day, shard, columns)
            elsewhere = pl.concat([self._elsewhere(day + n * dt.timedelta(days=1), shard, columns) for n in (-1, 1)])
            found = replace(found, filtered=filtered, left_out=left_out, ours_elsewhere=elsewhere)
        return found

    def versions(self, day: dt.date) -> tuple[OtherVersions, ...]:
        """What enrichments said in the days up to this one, of those whose columns are compared."""
        return tuple(self._versions(day))

    def _versions(self, day: dt.date) -> Iterator[OtherVersions]:
        for use, enrichment in self.plan.attachments:
            columns = {out: c for out, c in attached(use, enrichment).items() if out in self.legacy.compared}
            if not columns or not isinstance(enrichment, Versioned):
                continue
            keys = {key: use.on.get(key, key) for key in enrichment.key}
            recent = pl.col(DAY).is_between(day - dt.timedelta(days=_VERSION_DAYS), day)
            scan = tables.enrichment(self.runtime, enrichment).scan().filter(recent)
            of_key = [pl.col(key).alias(ours) for key, ours in keys.items()]
            said = scan.select(*of_key, *(pl.col(c.name).alias(out) for out, c in columns.items())).unique()
            # Before a key appeared the enrichment said nothing of it, and that is a version too.
            appeared = scan.group_by(of_key).agg(pl.col(DAY).min()).filter(pl.col(DAY) > pl.col(DAY).min()).drop(DAY)
            values = pl.concat([said, appeared], how="diagonal").collect()
            yield OtherVersions(tuple(keys.values()), unpacked(values, self._vectors))

    def _left_out(self, day: dt.date, shard: int, columns: list[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Events that the filter leaves out, and copies that gave way to others."""
        rows = self.raw.rows((pl.col(DAY) == day) & (self.raw.shard_column([day]) == shard))
        kept, _ = identified(self.plan, rows)
        every, _ = identified(replace(self.plan, executor=_Everything(self.plan.executor)), rows)
        filtered = every.join(kept, on=["source_partition", "offset"], how="anti")
        copies = kept.filter(winners(kept, IDENTITY, self.plan.horizon) != pl.int_range(kept.height, eager=True))
        return filtered.select(columns), copies.select(columns)

    def _elsewhere(self, day: dt.date, shard: int, columns: list[str]) -> pl.DataFrame:
        return self.events.scan().filter(pl.col("op") == "upsert", *self._of(day, shard)).select(columns).collect()

    def _of(self, day: dt.date, shard: int) -> list[pl.Expr]:
        if day not in self._shard_columns:
            of_day = pl.col(DAY) == day
            self._shard_columns[day] = shard_column([self.events], "user_id", "shard", self.shards, of_day)
        return [pl.col(DAY) == day, self._shard_columns[day] == shard]

    @cached_property
    def _shard_columns(self) -> dict[dt.date, pl.Expr]:
        return {}

    @cached_property
    def _read(self) -> list[str]:
        """What is compared, what tells events apart, what explains, and what cohorts are made of."""
        keys = [use.on.get(key, key) for use, e in self.plan.attachments if isinstance(e, Versioned) for key in e.key]
        wanted = [USER, EVENT_ID, EVENT_TIME, INGEST_TIME, *self.matching.key, *self.legacy.compared, *keys]
        return list(dict.fromkeys([*wanted, *self.cohort_columns, *self._expected]))

    @cached_property
    def cohort_columns(self) -> list[str]:
        """Our columns whose values may be few and may be shown: texts, flags and small numbers."""
        columns = self.plan.event_type.columns
        return [c.name for c in columns if c.dtype in ("string", "bool", "int8") and c.name not in self.personal]

    @property
    def personal(self) -> frozenset[str]:
        """What of either side is personal data, by our name: never written where counts and examples are."""
        return self.legacy.personal

    @cached_property
    def _expected(self) -> list[str]:
        """Our columns that explanations in advance look at."""
        read = {name for each in self.legacy.legacy.explained for name in names(each.where)}
        return [name for name in self.plan.schema if name in read]

    @cached_property
    def _vectors(self) -> dict[str, tuple[str, int]]:
        parsed = {column.name: parse_dtype(column.dtype) for column in self.plan.columns}
        return {name: (found.item, found.dim) for name, found in parsed.items() if found.kind == "vector"}


class _Everything:
    """An executor without its filter."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def keep(self, event_type: EventType, source: Source) -> pl.Expr:
        return pl.lit(True)

    def normalize(self, raw: pl.LazyFrame, event_type: EventType, source: Source) -> pl.LazyFrame:
        return self._executor.normalize(raw, event_type, source)


def unpacked(rows: pl.DataFrame, vectors: Mapping[str, tuple[str, int]]) -> pl.DataFrame:
    """Packed vectors as arrays of numbers."""
    return rows.with_columns(
        _arrays(rows[name], *vectors[name])
        for name in rows.columns
        if name in vectors and rows.schema[name] == pl.Binary
    )


def _arrays(packed: pl.Series, item: str, dim: int) -> pl.Series:
    numbers = np.frombuffer(b"".join(packed.drop_nulls()), dtype=ITEMS[item]).reshape(-1, dim)
    wide = numbers.astype(np.float32) if item == "float16" else numbers
    made = pl.Series(packed.name, wide, dtype=pl.Array(pl.Int8() if item == "int8" else pl.Float32(), dim))
    valid = packed.is_not_null()
    return made if made.len() == packed.len() else spread(made.to_frame(), valid).to_series()
