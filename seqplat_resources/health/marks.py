"""By what a bucket is told from itself built anew, for every asset of the lake, and for training sets."""

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping

from seqplat_resources.batch.days.existing import built_days, table_of
from seqplat_resources.batch.inputs.sets import Sets
from seqplat_resources.batch.inputs.spans import marks_of
from seqplat_resources.health.results import Built
from seqplat_resources.lake.layout import TRAINING
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.days.window import DAYS as VERDICT_DAYS

Marks = Mapping[str, Mapping[dt.date, int]]


def marks_now(runtime: Runtime, assets: Iterable[str]) -> dict[str, Mapping[dt.date, int]]:
    """By asset and day; from the Delta logs, of what is published from its epoch, where every day has the mark 0."""
    found = dict[str, Mapping[dt.date, int]]()
    for asset in assets:
        layer, name = asset.split("/", 1)
        if layer == "online":
            found[asset] = dict.fromkeys(built_days(runtime, asset), 0)
        elif layer == TRAINING:
            found[asset] = Sets(runtime.home, name).marks()
        else:
            found[asset] = marks_of(table_of(runtime, layer, name))
    return found


def recent(days: Collection[dt.date]) -> list[dt.date]:
    """The newest of some days: what a verdict on days together is about."""
    first = max(days, default=dt.date.max) - dt.timedelta(days=VERDICT_DAYS - 1)
    return sorted(day for day in days if day >= first)


def mark_of(marks: Marks, assets: Iterable[str], day: dt.date) -> int:
    """That of what a verdict is about: the day's buckets of some assets. One that is not there adds nothing."""
    return sum(marks.get(asset, {}).get(day, 0) for asset in assets)


def buckets_of(marks: Marks, days: Collection[dt.date]) -> Iterator[Built]:
    """Those there are of some days."""
    wanted = set(days)
    for asset, by_day in marks.items():
        yield from (Built(asset, day, mark) for day, mark in by_day.items() if day in wanted)
