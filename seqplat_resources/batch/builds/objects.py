"""Build ``objects/<name>``: per user and object one row of what was done with it on the day.

>>> [(str(result.day), result.rows) for result in build(shop, "product", days)]
[('2024-05-01', 2), ('2024-05-02', 1), ('2024-05-03', 1)]
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from seqplat_resources.batch.days.result import BucketResult, Stopwatch
from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.spans import by_day, spans
from seqplat_resources.batch.inputs.views import EventsMissing, ViewEvents
from seqplat_resources.lake.files import FilePart
from seqplat_resources.lake.layout import DAY
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.view_plan import ViewPlan
from seqplat_resources.rules.objects import rolled_up
from seqplat_resources.times import number_of


def build(runtime: Runtime, name: str, days: Sequence[dt.date]) -> Iterator[BucketResult]:
    """Replace the object buckets of ``days``.

    Raises:
        EventsMissing: an event type of the view has no bucket for a day inside its partitions.
    """
    plan = ViewPlan.of(runtime.loaded, f"objects/{name}")
    table, events = tables.view(runtime, plan), ViewEvents.open(runtime, plan)
    for span in spans(days, events.rows_by_day, alike=lambda day: not events.missing(day)):
        if missing := events.missing(span[0]):
            raise EventsMissing.of(f"objects/{name}", span[0], missing)
        watch = Stopwatch()

        def parts(span: list[dt.date] = span) -> Iterator[tuple[Mapping[str, dt.date], FilePart]]:
            rows = events.read(span).with_columns(pl.col("event_time").dt.date().alias(DAY))
            for day, of_day in by_day(rolled_up(rows, [DAY, "user_id", "object"], plan.actions, plan.aggregates)):
                yield {DAY: day}, FilePart(of_day.select(list(table.schema)))

        def notes(span: list[dt.date] = span) -> dict[str, str]:
            return events.notes({day: (number_of(day), number_of(day)) for day in span})

        with watch("total"):
            commits = table.replace_many([{DAY: day} for day in span], parts(), notes=notes)
        for day, commit in zip(span, commits, strict=True):
            facts, seconds = {"objects": commit.rows}, watch.share(len(span))
            yield BucketResult(commit.table, day, commit.rows, commit.bytes, commit.version, facts, seconds)
