"""Our side of a sequence at the end of a day: from the lake, ordered and cut by the rules that serving has."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from seqplat_resources.batch.days.partitions import DayRange, Partitions
from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.shards import shard_column
from seqplat_resources.batch.inputs.spans import marks_of, written_at
from seqplat_resources.commands import command
from seqplat_resources.comparison.contract import EVENT_ID, EVENT_TIME, USER
from seqplat_resources.comparison.sequences import IDS
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.lake.layout import DAY, SHADOW_SEQUENCES, shard_of
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.rules.identity import IDENTITY
from seqplat_resources.rules.order import ORDER, newest_first
from seqplat_resources.rules.precedence import PRECEDENCE, winners
from seqplat_resources.rules.window import first_day
from seqplat_resources.shadow.days.build import NotBuilt
from seqplat_resources.shadow.days.kept import ComparedOf
from seqplat_resources.shadow.legacy.sequences import NoLegacySequence
from seqplat_resources.shadow.sequences.beside import TYPE, Beside
from seqplat_resources.shadow.verdict.floors import FloorLog, NoiseFloor
from seqplat_resources.sources.files import SourceFile, SourceUnreadable, find, fingerprint
from seqplat_resources.times import date_of, number_of
from sequence_defs.compiler.release import digest
from sequence_defs.compiler.sql import storage_dtype
from sequence_defs.schema import Blobs, LegacySequence, Sequence

# Marks are added up over a window, in 53 bits: those are exact in every JSON reader.
_MARKS = 1 << 53


@dataclass(frozen=True)
class SequenceSides:
    """Ours and legacy's of a sequence; ours as it was when this was opened."""

    runtime: Runtime
    sequence: Sequence
    legacy: LegacySequence
    plans: Mapping[str, EventPlan]
    events: Mapping[str, LakeTable]

    @classmethod
    def open(cls, runtime: Runtime, name: str) -> "SequenceSides":
        """
        Raises:
            NoLegacySequence: the sequence says no legacy.
        """
        definition = runtime.release.sequences[name]
        if definition.legacy is None:
            raise NoLegacySequence(f"sequence {name!r} says no legacy, so there is nothing to compare it with")
        plans = {t: EventPlan.of(runtime.loaded, t) for t in definition.event_types}
        events = {t: tables.events(runtime, plan).pinned() for t, plan in plans.items()}
        return cls(runtime, definition, definition.legacy, plans, events)

    @property
    def name(self) -> str:
        return self.sequence.name

    @property
    def days(self) -> DayRange | None:
        """The days it can be compared on."""
        return Partitions.of(self.runtime.release).shadow_sequences.get(self.name)

    @property
    def shards(self) -> int:
        """As many as the event type has that has most."""
        return max(plan.source.shards for plan in self.plans.values())

    @property
    def length(self) -> int | None:
        """What both sides are cut to."""
        return min((n for n in (self.sequence.length, self.legacy.length) if n is not None), default=None)

    @property
    def is_typed(self) -> bool:
        """Whether ids are told apart by event type: where there are several and legacy says which one."""
        return len(self.plans) > 1 and self.legacy.event_type is not None

    @cached_property
    def marks(self) -> dict[str, dict[dt.date, int]]:
        """By event type and day, another number where the bucket was written anew."""
        return {name: marks_of(table) for name, table in self.events.items()}

    @cached_property
    def definition(self) -> str:
        """Another text where something else would be compared: our events, how many of them, or legacy's."""
        hashes = self.runtime.release.hashes
        made = [hashes[f"sequences/{self.name}"], *(hashes[f"event_types/{name}"] for name in self.plans)]
        said = self.legacy.model_dump(mode="json", exclude_defaults=True, exclude={"replay"})
        return digest([*(each.semantic for each in made), said, *(["values"] if self.beside.lists else [])])

    @property
    def floor_definition(self) -> str:
        """Another text where another noise floor would be measured; without a replay none is of it."""
        replay = self.legacy.replay
        return digest([self.definition, replay.model_dump(mode="json", exclude_defaults=True)]) if replay else ""

    @cached_property
    def floor(self) -> NoiseFloor | None:
        """The newest noise floor, where it is of what is compared now and has not expired."""
        found = FloorLog(self.runtime.home, self.name, SHADOW_SEQUENCES).latest()
        today = self.runtime.clock.now().date()
        return found if found is not None and found.holds(self.floor_definition, today) else None

    @cached_property
    def beside(self) -> Beside:
        """What is read of events beside their ids."""
        return Beside(self.runtime, self.name, self.legacy)

    @property
    def personal(self) -> bool:
        """Whether users, or what is read of legacy's events, are personal data."""
        ours = [c for by_type in self.runtime.release.sequence_columns(self.name).values() for c in by_type.values()]
        users = [column for plan in self.plans.values() for column in plan.columns if column.name == USER]
        return any(column.pii for column in (*ours, *users, *self.legacy.fields))

    @property
    def hidden(self) -> frozenset[str]:
        """By our name, what may not be shown of an event."""
        met = {name for name, each in self.beside.met.items() if each.ours.pii or each.legacy.pii}
        return frozenset(met | ({USER, EVENT_ID} if self.personal else set()))

    @property
    def user_dtype(self) -> pl.DataType:
        """The type of user ids."""
        plan = next(iter(self.plans.values()))
        return storage_dtype(next(column.dtype for column in plan.columns if column.name == USER))

    def is_of_now(self, compared: ComparedOf) -> bool:
        """Whether a day was compared as it would be now, and neither side was built anew since."""
        return compared.definition == self.definition and compared.marks == self.state(compared.day)

    @property
    def newest(self) -> dt.date | None:
        """The newest day that any of its event types has."""
        return max((day for by_day in self.marks.values() for day in by_day), default=None)

    def is_comparable(self, day: dt.date) -> bool:
        """Whether legacy can say what it had then: files that say no day are as of now."""
        at = self.legacy.at
        return not isinstance(at, Blobs) or "{day}" in at.location or day == self.newest

    def changed_at(self, day: dt.date) -> dt.datetime | None:
        """When a bucket of the day's window, or a file of legacy, was written last."""
        first, at = self.first_day(day), self.legacy.at
        times = [time for written in self._written for each, time in written.items() if first <= each <= day]
        if isinstance(at, Blobs) and "{day}" in at.location:
            times += [file.modified_at for file in self._found(at, day)]
        return max(times, default=None)

    @cached_property
    def _written(self) -> list[dict[dt.date, dt.datetime]]:
        return [written_at(table) for table in self.events.values()]

    def state(self, day: dt.date) -> dict[str, int]:
        """Marks of all that is read for a day: by event type the buckets of the window together, and legacy's files.

        Files without a day in their place are of now, so nothing is known of what they were.
        """
        first = self.first_day(day)
        found = {
            f"events/{name}": sum(n for at, n in by_day.items() if first <= at <= day) % _MARKS
            for name, by_day in self.marks.items()
        }
        if isinstance(at := self.legacy.at, Blobs) and "{day}" in at.location:
            found[f"legacy of {self.name}"] = self._files(at, day)
        return found

    def tables(self, days: Iterable[dt.date]) -> dict[str, int]:
        """The marks of days, by table and day, as a verdict has them."""
        return {f"{name} {day}": number for day in days for name, number in self.state(day).items()}

    def first_day(self, day: dt.date) -> dt.date:
        """The first one of the window that ends with ``day``."""
        if self.sequence.window_days is None:
            return dt.date.min
        number = number_of(day)
        first = first_day(self.sequence.window_days, newest_published=number, today=number)
        return date_of(max(first, number_of(dt.date.min)))

    def require_built(self, day: dt.date) -> None:
        """
        Raises:
            NotBuilt: a bucket of the window is missing; what expired, before the first there is, is none of it.
        """
        ranges = Partitions.of(self.runtime.release).event_types
        for name, by_day in self.marks.items():
            start = max(min(by_day, default=day), self.first_day(day))
            window = (start + dt.timedelta(days=n) for n in range((day - start).days + 1))
            missing = next((at for at in window if at not in by_day and name in ranges and at in ranges[name]), None)
            if missing is not None:
                build = command("materialize", str(missing), str(missing), f"events/{name}")
                raise NotBuilt(
                    f"shadow_sequences/{self.name} {day}: events/{name} was never built for {missing}; run `{build}`"
                )

    def ours(self, day: dt.date, shard: int, keep: pl.Expr | None = None) -> pl.DataFrame:
        """``user_id`` and ``event_ids`` of a shard's users, newest first and cut; those for whom ``keep`` is true.

        With what is ``beside``. Where some events are expected to differ nothing is cut: they are left out first.
        """
        rows = pl.concat([self._standing(name, day, shard, keep) for name in self.events], how="diagonal_relaxed")
        ids = pl.format("{} {}", TYPE, EVENT_ID) if self.is_typed else pl.col(EVENT_ID)
        ordered = newest_first(rows, USER).select(USER, ids.alias(IDS), *self.beside.lists)
        lists = ordered.group_by(USER, maintain_order=True).agg(pl.all())
        return lists if self.legacy.explained else self.cut(lists)

    def cut(self, lists: pl.DataFrame) -> pl.DataFrame:
        """To the shorter of both lengths."""
        if self.length is None:
            return lists
        return lists.with_columns(pl.col(name).list.head(self.length) for name in (IDS, *self.beside.lists))

    def empty(self, user: pl.DataType) -> pl.DataFrame:
        """Nobody's sequences."""
        return pl.DataFrame(
            schema={USER: user, **{n: pl.List(d) for n, d in {IDS: pl.String(), **self.beside.lists}.items()}}
        )

    def lengths(self, day: dt.date) -> pl.Series:
        """How many events each user has in the window."""
        return pl.concat([self._lengths(day, shard) for shard in range(self.shards)])

    def _lengths(self, day: dt.date, shard: int) -> pl.Series:
        users = [self._scan(name, day, shard).filter(pl.col("op") == "upsert").select(USER) for name in self.events]
        return pl.concat(users).group_by(USER).agg(pl.len().cast(pl.Int64)).select("len").collect().to_series()

    def _standing(self, event_type: str, day: dt.date, shard: int, keep: pl.Expr | None) -> pl.DataFrame:
        """One row per event that is not retracted. Buckets have it so, but for copies in two of them."""
        columns = dict.fromkeys([USER, EVENT_ID, EVENT_TIME, "op", *PRECEDENCE, *ORDER])
        scan = self._scan(event_type, day, shard)
        picks = [pl.col(name) for name in columns if name in self.events[event_type].schema]
        rows = scan.select(*picks, *self.beside.ours(event_type)).collect()
        rows = rows if keep is None else rows.filter(keep)
        copies = rows.select(IDENTITY).is_duplicated()
        if copies.any():
            some = rows.filter(copies)
            counts = winners(some, IDENTITY, self.plans[event_type].horizon) == pl.int_range(some.height, eager=True)
            rows = pl.concat([rows.filter(~copies), some.filter(counts)])
        return rows.filter(pl.col("op") == "upsert").drop("op")

    def _scan(self, event_type: str, day: dt.date, shard: int) -> pl.LazyFrame:
        days = pl.col(DAY).is_between(self.first_day(day), day)
        scan = self.events[event_type].scan().filter(days)
        stored = self.plans[event_type].source.shards
        if stored > 1 and self.shards % stored == 0:
            if (key := (event_type, day)) not in self._shard_columns:
                self._shard_columns[key] = shard_column([self.events[event_type]], USER, "shard", stored, days)
            scan = scan.filter(self._shard_columns[key] == shard % stored)  # as a rule whole files are passed over
        return scan if stored == self.shards else scan.filter(shard_of(USER, self.shards) == shard)

    @cached_property
    def _shard_columns(self) -> dict[tuple[str, dt.date], pl.Expr]:
        return {}

    def _files(self, at: Blobs, day: dt.date) -> int:
        said = fingerprint(self._found(at, day))
        return int(said[:13], 16) if said else 0

    def _found(self, at: Blobs, day: dt.date) -> list[SourceFile]:
        try:
            return find(at.location, self.runtime.sources_root, source=self.name, day=day)
        except SourceUnreadable:
            return []
