"""The dirty-bucket ledger: which built buckets no longer hold what their raw rows give.

Read from the tables themselves, never from the scheduler: a file of the archive says which offsets of which day it
holds, a bucket says which offsets it was made from. Nothing has to be remembered, so nothing can be forgotten.

>>> dirty_buckets(shop, "purchase")
[]
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.availability import unrecorded_of
from seqplat_resources.batch.inputs.rivals import RANKED
from seqplat_resources.batch.inputs.rows import RawInputs, high_water_of, notes_by_day, outranks_of
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.lake.append import first_position, position
from seqplat_resources.lake.layout import DAY
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.rules.identity import IDENTITY
from seqplat_resources.rules.precedence import OTHER, outranked
from seqplat_resources.times import instant_of_ms, midnight

# A burst of late messages is one rebuild, not many: a bucket waits until it was quiet for this long ...
QUIET = dt.timedelta(seconds=60)
# ... but no longer than this in all.
PATIENCE = dt.timedelta(minutes=10)
# Very late messages are worth less than the work they make at once.
QUIET_VERY_LATE = dt.timedelta(hours=1)
VERY_LATE = dt.timedelta(hours=72)


# Of a file of the archive.
_COUNTED = ("rows", "written_ms")


@dataclass(frozen=True)
class Dirty:
    """One bucket to build again.

    ``messages`` arrived since it was built, or were recorded as visible since, by a stream that had ended between the
    two; they were written between ``first_at`` and ``last_at``. ``moved`` of its events belong to another day, by a
    later revision or because a copy of that day was received first.
    """

    event_type: str
    day: dt.date
    messages: int
    moved: int
    first_at: dt.datetime
    last_at: dt.datetime

    @property
    def mark(self) -> str:
        """Another text for other dirt."""
        return f"{self.messages} {self.moved} {self.last_at.isoformat()}"

    def is_ripe(self, now: dt.datetime) -> bool:
        """Whether it has waited long enough for more of the same. Of what was written by a clock that is ahead nobody
        knows since when it rests.
        """
        if self.last_at - now > QUIET:
            return True
        very_late = self.last_at - midnight(self.day) > VERY_LATE + dt.timedelta(days=1)
        quiet = QUIET_VERY_LATE if very_late else QUIET
        return now - self.last_at >= quiet or (not very_late and now - self.first_at >= PATIENCE)


def dirty_buckets(runtime: Runtime, name: str) -> list[Dirty]:
    """The dirty buckets of an event type, by day. A day that was never built is not dirty: it is not there.

    Cost: the Delta logs of archive and events; the footer of one file per built day that the archive has rows of.
    """
    plan = EventPlan.of(runtime.loaded, name)
    inputs, events = RawInputs.open(runtime, plan), tables.events(runtime, plan).pinned()
    if inputs.log is None:
        return []
    # Of the days that the archive has rows of, what each notes of its making.
    notes = notes_by_day(events, inputs.log.files()[DAY].unique().str.to_date().to_list())
    late = _by_day(
        _uncovered(inputs.log, notes), _recorded_since(inputs.log, tables.served(runtime, plan).pinned(), notes)
    )
    moves = pl.concat([_moved(inputs, events), _outranked(inputs.log, notes)])
    moved = moves.group_by(DAY).agg(pl.col("moved").sum(), pl.col("last_move").max())
    found = late.join(moved, on=DAY, how="full", coalesce=True).sort(DAY)
    return [
        Dirty(
            name,
            day,
            messages or 0,
            gone or 0,
            instant_of_ms(first or last_move or 0),
            instant_of_ms(last or last_move or 0),
        )
        for day, messages, first, last, gone, last_move in found.iter_rows()
    ]


def _uncovered(log: LakeTable, notes: Mapping[dt.date, Mapping[str, str]]) -> pl.DataFrame:
    """Archive files of built days with rows that the bucket has not read."""
    ends = pl.DataFrame(
        [(day, partition, end) for day, said in notes.items() for partition, end in high_water_of(said).items()],
        schema={DAY: pl.Date(), "min._partition": pl.String(), "_end": pl.Int64()},
        orient="row",
    )
    files = log.files(stats=["_partition", "_offset"]).with_columns(pl.col(DAY).str.to_date())
    arrived = files.filter(pl.col(DAY).is_in(list(notes))).join(ends, on=[DAY, "min._partition"], how="left")
    return arrived.filter(pl.col("max._offset") >= pl.col("_end").fill_null(0)).select(DAY, "path", *_COUNTED)


def _recorded_since(log: LakeTable, served: LakeTable, notes: Mapping[dt.date, Mapping[str, str]]) -> pl.DataFrame:
    """Archive files of built days with rows of which streams recorded only later when they were visible."""
    lacked = {day: since for day, said in notes.items() if (since := unrecorded_of(said))}
    if not lacked or not served.exists():
        return log.files().clear().select(pl.lit(None, pl.Date()).alias(DAY), "path", *_COUNTED)
    partitions = sorted({partition for since in lacked.values() for partition in since})
    recorded = {each: (first_position(served, each) or 0, position(served, each) or 0) for each in partitions}
    behind = [
        (day, partition, max(first, recorded[partition][0]), recorded[partition][1])
        for day, since in lacked.items()
        for partition, first in since.items()
        if recorded[partition][1] > first
    ]
    schema = {DAY: pl.Date(), "min._partition": pl.String(), "_lacked": pl.Int64(), "_recorded": pl.Int64()}
    files = log.files(stats=["_partition", "_offset"]).with_columns(pl.col(DAY).str.to_date())
    found = files.join(pl.DataFrame(behind, schema=schema, orient="row"), on=[DAY, "min._partition"])
    is_of = (pl.col("max._offset") >= pl.col("_lacked")) & (pl.col("min._offset") < pl.col("_recorded"))
    return found.filter(is_of).select(DAY, "path", *_COUNTED)


def _by_day(*files: pl.DataFrame) -> pl.DataFrame:
    """How many rows these have, and when the first and last of them were written."""
    return (
        pl.concat(files)
        .unique("path")
        .group_by(DAY)
        .agg(
            pl.col("rows").sum().alias("messages"),
            pl.col("written_ms").min().alias("first"),
            pl.col("written_ms").max().alias("last"),
        )
    )


_MOVED = {DAY: pl.Date(), "moved": pl.Int64(), "last_move": pl.Int64()}


def _moved(inputs: RawInputs, events: LakeTable) -> pl.DataFrame:
    """Per day: events in its bucket that give way to a row with a revision, on another day."""
    corrections = inputs.corrections
    if not corrections.height or not events.exists() or inputs.log is None:
        return pl.DataFrame(schema=_MOVED)
    users = corrections["user_id"].unique().implode()
    stored = events.scan().filter(pl.col("user_id").is_in(users)).select(DAY, *RANKED).collect()
    to = pl.col(f"event_time{OTHER}").dt.date().alias(f"{DAY}_to")
    gone = outranked(stored, corrections, IDENTITY, inputs.plan.horizon).with_columns(to)
    gone = gone.filter(pl.col(f"{DAY}_to") != pl.col(DAY))
    counted = gone.join(_written(inputs.log), on=f"{DAY}_to", how="left").group_by(DAY)
    return counted.agg(pl.len().cast(pl.Int64).alias("moved"), pl.col("last_move").max())


def _outranked(log: LakeTable, notes: Mapping[dt.date, Mapping[str, str]]) -> pl.DataFrame:
    """Per day: copies in its bucket, where a bucket that has read more found that its own rows outrank them."""
    marks = {day: high_water_of(said) for day, said in notes.items()}
    found = [
        (loser, count, day)
        for day, said in notes.items()
        for text, count in outranks_of(said, day).items()
        if (loser := dt.date.fromisoformat(text)) in marks
        and any(end > marks[loser].get(partition, 0) for partition, end in marks[day].items())
    ]
    schema = {DAY: pl.Date(), "moved": pl.Int64(), f"{DAY}_to": pl.Date()}
    counted = pl.DataFrame(found, schema=schema, orient="row")
    return counted.join(_written(log), on=f"{DAY}_to", how="left").select(list(_MOVED))


def _written(log: LakeTable) -> pl.DataFrame:
    """When the newest file of each day (``day_to``) was written (``last_move``)."""
    files = log.files().select(pl.col(DAY).str.to_date().alias(f"{DAY}_to"), "written_ms")
    return files.group_by(f"{DAY}_to").agg(pl.col("written_ms").max().alias("last_move"))


def ranges(days: Sequence[dt.date]) -> list[tuple[dt.date, dt.date]]:
    """First and last day of each run of consecutive days."""
    found: list[tuple[dt.date, dt.date]] = []
    for day in sorted(days):
        if found and day - found[-1][1] == dt.timedelta(days=1):
            found[-1] = (found[-1][0], day)
        else:
            found.append((day, day))
    return found
