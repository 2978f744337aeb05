"""Build ``sequences/<name>`` day segments: per user and day one row, one list per column, newest event first."""

import datetime as dt
from collections.abc import Iterator, Sequence

import polars as pl

from seqplat_resources.batch import tables
from seqplat_resources.batch.partitions import Partitions
from seqplat_resources.batch.result import BucketResult, Stopwatch
from seqplat_resources.engine.order import ORDER
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.errors import Final
from seqplat_resources.lakehouse.layout import DAY
from seqplat_resources.lakehouse.table import LakeTable, Part
from seqplat_resources.runtime import Runtime

_KEPT = ("user_id", "event_time", "event_type", "event_id")


class EventsMissing(Final):
    """A day of a sequence one of whose event types was never built."""


def build(runtime: Runtime, name: str, days: Sequence[dt.date]) -> Iterator[BucketResult]:
    """Replace the day segments of ``days``. Lengths and windows are not applied here: they belong to the reader.

    Raises:
        EventsMissing: an event type of the sequence has no bucket for a day inside its partitions.
    """
    definition, table = runtime.release.sequences[name], tables.sequence(runtime, name)
    inputs = {t: tables.events(runtime, EventPlan.of(runtime.loaded, t)) for t in definition.event_types}
    present = {t: events.buckets() for t, events in inputs.items()}
    partitions = Partitions.of(runtime.release).event_types
    for day in days:
        watch = Stopwatch()
        with watch("total"):
            wanted = [t for t in definition.event_types if t in partitions and day in partitions[t]]
            if missing := [t for t in wanted if (day.isoformat(),) not in present[t]]:
                raise EventsMissing(
                    f"sequences/{name} {day}: events of {missing} were never built for that day; "
                    f"materialize {', '.join(f'events/{t}' for t in missing)} first, or together with it"
                )
            found = [_events_of_day(runtime, name, t, inputs[t], table, day) for t in wanted]
            rows = pl.concat(found) if found else pl.DataFrame()  # a day between the ranges of its event types
            segments = _folded(rows) if found else rows
            commit = table.replace({DAY: day}, [Part(segments)] if segments.height else [])
        facts = {"events": rows.height}
        yield BucketResult(commit.table, day, commit.rows, commit.bytes, commit.version, facts, watch.seconds)


def _events_of_day(
    runtime: Runtime, name: str, event_type: str, events: LakeTable, table: LakeTable, day: dt.date
) -> pl.DataFrame:
    """One event type's rows under the sequence's column names; columns the type lacks are null."""
    schema = {key: dtype.inner for key, dtype in table.schema.items() if isinstance(dtype, pl.List)}
    picks = {
        out: pl.col(by_type[event_type].name) if event_type in by_type else pl.lit(None, schema[out])
        for out, by_type in runtime.release.sequence_columns(name).items()
        if out not in _KEPT
    }
    order = [pl.col(key).alias(f"_{key}") for key in ORDER]
    scan = events.scan().filter(pl.col(DAY) == day, pl.col("op") == "upsert")
    return scan.select(*_KEPT, *(value.alias(out) for out, value in picks.items()), *order).collect()


def _folded(rows: pl.DataFrame) -> pl.DataFrame:
    order = [f"_{key}" for key in ORDER]
    ordered = rows.sort(["user_id", *order], descending=[False] + [True] * len(order)).drop(order)
    return ordered.group_by("user_id", maintain_order=True).agg(pl.len().cast(pl.Int64).alias("length"), pl.all())
