"""Build ``sequences/<name>`` day segments: per user and day one row, one list per column, newest event first.

>>> [(str(result.day), result.rows) for result in build(shop, "basket", days)]
[('2024-05-01', 2), ('2024-05-02', 1), ('2024-05-03', 1)]
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from seqplat_resources.batch.days.partitions import Partitions
from seqplat_resources.batch.days.result import BucketResult, Stopwatch
from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.spans import by_day, rows_by_day, spans
from seqplat_resources.batch.inputs.views import EventsMissing
from seqplat_resources.engine.outcome import tally
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.lake.files import FilePart
from seqplat_resources.lake.layout import DAY
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.rules.order import ORDER, SOURCE_ORDER, newest_first

_KEPT = ("user_id", "event_time", "event_type", "event_id")


def build(runtime: Runtime, name: str, days: Sequence[dt.date]) -> Iterator[BucketResult]:
    """Replace the day segments of ``days``. Lengths and windows are not applied here: they belong to the reader.

    Raises:
        EventsMissing: an event type of the sequence has no bucket for a day inside its partitions.
    """
    definition, table = runtime.release.sequences[name], tables.sequence(runtime, name)
    inputs = {t: tables.events(runtime, EventPlan.of(runtime.loaded, t)) for t in definition.event_types}
    rows_of = {t: rows_by_day(events) for t, events in inputs.items()}
    partitions = Partitions.of(runtime.release).event_types
    wanted = {day: [t for t in definition.event_types if t in partitions and day in partitions[t]] for day in days}
    together = {day: sum(rows_of[t].get(day, 0) for t in types) for day, types in wanted.items()}

    def complete(day: dt.date) -> bool:
        return all(day in rows_of[t] for t in wanted[day])

    for span in spans(days, together, alike=lambda day: (complete(day), wanted[day])):
        if missing := [t for t in wanted[span[0]] if span[0] not in rows_of[t]]:
            raise EventsMissing.of(f"sequences/{name}", span[0], missing)
        watch, lengths = Stopwatch(), Counter[dt.date]()

        def parts(
            span: list[dt.date] = span, lengths: Counter[dt.date] = lengths
        ) -> Iterator[tuple[Mapping[str, dt.date], FilePart]]:
            found = [_events_of_days(runtime, name, t, inputs[t], table, span) for t in wanted[span[0]]]
            if found:  # else days between the ranges of its event types
                rows = pl.concat(found)
                lengths.update(tally(rows[DAY]))
                for day, segments in by_day(_folded(rows)):
                    yield {DAY: day}, FilePart(segments)

        with watch("total"):
            commits = table.replace_many([{DAY: day} for day in span], parts())
        for day, commit in zip(span, commits, strict=True):
            facts, seconds = {"events": lengths[day]}, watch.share(len(span))
            yield BucketResult(commit.table, day, commit.rows, commit.bytes, commit.version, facts, seconds)


def _events_of_days(
    runtime: Runtime, name: str, event_type: str, events: LakeTable, table: LakeTable, days: Sequence[dt.date]
) -> pl.DataFrame:
    """One event type's rows under the sequence's column names; columns the type lacks are null."""
    schema = {key: dtype.inner for key, dtype in table.schema.items() if isinstance(dtype, pl.List)}
    picks = {
        out: pl.col(by_type[event_type].name) if event_type in by_type else pl.lit(None, schema[out])
        for out, by_type in runtime.release.sequence_columns(name).items()
        if out not in _KEPT
    }
    of_types = (runtime.release.event_types[each] for each in runtime.release.sequences[name].event_types)
    is_ordered = any(runtime.release.sources[each.source].order for each in of_types)
    order = [
        pl.col(key).alias(f"_{key}") if key in events.schema else pl.lit(None, pl.String).alias(f"_{key}")
        for key in ORDER
        if key != SOURCE_ORDER or is_ordered
    ]
    scan = events.scan().filter(pl.col(DAY).is_in(days), pl.col("op") == "upsert")
    return scan.select(DAY, *_KEPT, *(value.alias(out) for out, value in picks.items()), *order).collect()


def _folded(rows: pl.DataFrame) -> pl.DataFrame:
    keys = [DAY, "user_id"]
    ordered = newest_first(rows, *keys, prefix="_").drop([f"_{key}" for key in ORDER], strict=False)
    return ordered.group_by(keys, maintain_order=True).agg(pl.len().cast(pl.Int64).alias("length"), pl.all())
