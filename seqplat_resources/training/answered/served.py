"""Recorded answers of a sequence, and the rows of the lake that they showed.

>>> from seqplat_resources.training.answered.write import RecordedAnswer, append_answers, packed
>>> named = {"event_type": ["purchase"], "event_id": ["1"], "rev": [0], "source_partition": ["p"], "offset": [0]}
>>> at = [dt.datetime(2024, 5, 1, tzinfo=dt.UTC)]
>>> events = packed(pl.DataFrame(named | {"event_time": at}))
>>> one = RecordedAnswer("r1", "ann", 1_714_608_000_000_000, "{}", "a", 1, events)
>>> append_answers(shop.home, shop.clock, shop.release, "basket", [one])
>>> from seqplat_resources.release.sequence_plan import SequencePlan
>>> plan = SequencePlan.of(shop.loaded, "basket")
>>> found = ServedReader.open(shop, RevisionReader.open(shop, plan, Query(), "as_served"), Query())
>>> found.answers(pl.Series(["ann", "bob"])).select("_user", "request", "length").collect().rows()
[('ann', 'r1', 1)]
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType

import polars as pl
import polars.selectors as cs

from seqplat_resources.batch.inputs import tables
from seqplat_resources.home import Home
from seqplat_resources.lake.layout import DAY
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.release.query import Query, QueryError
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.rules.identity import REVISION
from seqplat_resources.shadow.exposures.pseudonyms import key_of, pseudonym
from seqplat_resources.times import instant
from seqplat_resources.training.answered.match import ANSWER
from seqplat_resources.training.answered.write import NAMED
from seqplat_resources.training.revisions import FROM, OUT, TIME, UNTIL, USER, EventRows, RevisionReader

# Of a revision what does not move when a day is built again. Where several copies have it, the position decides.
_LASTING = ("event_id", "event_time", "rev")
_POSITION = ("source_partition", "offset")
_STORED = ":stored"


@dataclass(frozen=True)
class ServedReader:
    """``readers`` are of our events, and where users are divided of legacy's; each event type in one of them."""

    home: Home
    table: LakeTable
    readers: tuple[RevisionReader, ...]

    @classmethod
    def open(
        cls,
        runtime: Runtime,
        reader: RevisionReader,
        query: Query,
        versions: Mapping[str, int] = MappingProxyType({}),
    ) -> "ServedReader":
        """Beside a ``reader`` of the same query, the tables as they are now, or at the versions that are said.

        Raises:
            QueryError: nothing is recorded, or the query cannot be answered from the plan.
            UnknownSequenceColumn, VersionGone: as ``RevisionReader.open``.
        """
        plan, name = reader.plan, reader.plan.definition.name
        table = tables.answered(runtime.home, name, runtime.clock)
        table = table.pinned(versions.get(table.name))
        if not table.exists():
            fix = f"write answers_recorded=1.0 in sequence {name!r}, publish it and let the API answer; or use as_known"
            raise QueryError("mode", f"no answers of sequence {name!r} are recorded", fix=fix)
        if versions:
            table.require_files()
        readers = [reader]
        if plan.arms:
            theirs = RevisionReader.open(runtime, plan.in_arms(frozenset(plan.arms)), query, "as_served", versions)
            readers.append(replace(theirs, types=tuple(each for each in theirs.types if each.name in plan.arms)))
        return cls(runtime.home, table, tuple(readers))

    @property
    def versions(self) -> dict[str, int]:
        """The version of each table that is read."""
        found = {self.table.name: self.table.version()}
        for reader in self.readers:
            found |= reader.versions
        return found

    def answers(self, users: pl.Series) -> pl.LazyFrame:
        """What was recorded of some users: ``_user``, and the columns of the table."""
        names = pl.DataFrame({USER: users.unique().drop_nulls()})
        names = names.with_columns(pl.col(USER).cast(pl.String).alias("user"))
        named = names.with_columns(is_pseudonym=False)
        if self._has_pseudonyms:
            hidden = names.with_columns(pseudonym("user", key_of(self.home)).alias("user"), is_pseudonym=True)
            named = pl.concat([named, hidden])
        said = self.table.scan().filter(pl.col("request").is_not_null())
        return said.join(named.lazy(), on=["user", "is_pseudonym"], how="inner")

    @cached_property
    def _has_pseudonyms(self) -> bool:
        return bool(self.table.scan().select(pl.col("is_pseudonym").any()).collect().item())

    def dropped(self) -> int:
        """How many answers servers said they had lost."""
        return int(self.table.scan().select(pl.col("dropped").sum()).collect().item())

    def asked(self) -> pl.DataFrame:
        """What recorded requests asked (``query``), and how many did, most first."""
        said = self.table.scan().filter(pl.col("request").is_not_null())
        return said.group_by("query").len().sort("len", "query", descending=[True, False]).collect()

    def events(self, wanted: pl.DataFrame) -> pl.DataFrame:
        """The events of some answers, in their order: ``_answer``, ``_place`` (from 0, of all), ``_user``, and how the
        lake calls the row. ``wanted`` has ``_answer`` (ascending), and ``ANSWER``."""
        of_days = pl.col(DAY).is_between(*_days(wanted["at"])) if wanted.height else pl.lit(False)
        mine = self.answers(wanted[USER]).filter(of_days, pl.col("length") > 0)
        lists = mine.join(wanted.lazy(), on=ANSWER, how="inner").unique("_answer").sort("_answer").collect()
        return lists.select("_answer", USER, *NAMED).explode(NAMED).with_row_index("_place")

    def read(self, wanted: pl.DataFrame) -> tuple[pl.DataFrame, int]:
        """The rows of some answers, as far as the query wants them, and how many of these the lake does not have.

        Shapes:
            In: as ``events``. Out: as ``RevisionReader.read``, in the order of the answers, with the number of the
            answer for ``_user``.
        """
        reader, events = self.readers[0], self.events(wanted)
        selection = reader.selection
        if selection.since_us > -(1 << 62):
            events = events.filter(pl.col("event_time") >= instant(selection.since_us))
        if selection.is_bounded:
            events = events.filter(pl.col("event_time") < instant(selection.until_us))
        parts = [part for reader in self.readers for each in reader.types for part in _found(reader, each, events)]
        rows = pl.concat(parts).sort("_place") if parts else self._nothing()
        there = rows.filter("_there")
        stranger = ~pl.col("event_type").is_in([*reader.plan.definition.event_types, *self._arms])
        gone = rows.height - there.height + events.filter(stranger).height
        if selection.where is not None:
            there = there.filter(pl.Series(selection.where.matches(there, there.height), dtype=pl.Boolean))
        return there.select(USER, TIME, FROM, UNTIL, *selection.asked), gone

    @property
    def _arms(self) -> list[str]:
        """What event types are called where they are legacy's."""
        return [arm.stored_as for arm in self.readers[0].plan.arms.values()]

    def _nothing(self) -> pl.DataFrame:
        reader = self.readers[0]
        each = reader.types[0]
        rows = reader.picked(each, each.events.scan().head(0)).select(cs.starts_with(OUT).name.replace(f"^{OUT}", ""))
        return rows.collect().select(
            pl.lit(0, pl.Int64).alias(USER),
            *(pl.lit(None, pl.Datetime("us", "UTC")).alias(name) for name in (TIME, FROM, UNTIL)),
            pl.lit(0, pl.UInt32).alias("_place"),
            pl.lit(False).alias("_there"),
            pl.all(),
        )


def _found(reader: RevisionReader, each: EventRows, events: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Of the events of one type those that the lake has, and has not (not ``_there``); nothing where there are none."""
    mine = events.filter(pl.col("event_type") == each.plan.event_type.name).drop("event_type")
    if not mine.height:
        return
    first, last = _days(mine["event_time"])
    least, most = (pl.lit(end, reader.user) for end in (mine[USER].min(), mine[USER].max()))
    is_between = pl.col("user_id").is_between(least, most)
    keys = mine.lazy().select(pl.col(USER).alias("user_id"), "event_id").unique()
    of_users = (each.of_days(table, first, last).filter(is_between) for table in each.tables("as_served"))
    scans = [reader.picked(each, rows.join(keys, on=["user_id", "event_id"], how="semi")) for rows in of_users]
    stored = pl.concat(scans, how="diagonal").collect().filter(pl.col("op") == "upsert")
    stored = stored.select("user_id", *REVISION, cs.starts_with(OUT), pl.lit(True).alias("_there"))
    pairs = mine.join(
        stored, left_on=[USER, *_LASTING], right_on=["user_id", *_LASTING], how="left", suffix=_STORED
    ).with_columns(pl.col("_there").fill_null(False))
    is_same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(f"{name}{_STORED}")) for name in _POSITION)
    best = pairs.sort("_place", is_same, descending=[False, True]).unique("_place", keep="first", maintain_order=True)
    nothing = pl.lit(None, pl.Datetime("us", "UTC"))
    yield best.select(
        pl.col("_answer").cast(pl.Int64).alias(USER),
        pl.col("event_time").alias(TIME),
        nothing.alias(FROM),
        nothing.alias(UNTIL),
        "_place",
        "_there",
        cs.starts_with(OUT).name.replace(f"^{OUT}", ""),
    )


def _days(times: pl.Series) -> tuple[dt.date, dt.date]:
    """The first and the last of some times that are there."""
    first, last = times.dt.date().min(), times.dt.date().max()
    assert isinstance(first, dt.date)
    assert isinstance(last, dt.date)
    return first, last
