"""Build ``enrichments/<name>`` day buckets: per day, exactly the versions that are current at some instant of it.

A day's bucket is complete in itself, so a day of events depends on that one bucket however long the history is.
"""

import datetime as dt
from collections.abc import Iterator, Sequence

import polars as pl

from seqplat_resources.batch import tables
from seqplat_resources.batch.rejects import keep_rejects
from seqplat_resources.batch.result import BucketResult, Stopwatch
from seqplat_resources.engine.outcome import no_rejects, rejects_of
from seqplat_resources.engine.typing import typed
from seqplat_resources.errors import Final
from seqplat_resources.ingest.decode import decode_files
from seqplat_resources.ingest.files import SourceFile, find
from seqplat_resources.lakehouse.layout import DAY, UNDATED
from seqplat_resources.lakehouse.table import Part
from seqplat_resources.runtime import Runtime
from sequence_defs.compiler.sql import UTC_US, expression, instant, schema_of
from sequence_defs.schema import Keyed, Snapshot, Source, Versioned


class EnrichmentUnknown(Final):
    """An enrichment that has no table of its own."""


def build(runtime: Runtime, name: str, days: Sequence[dt.date]) -> Iterator[BucketResult]:
    """Replace the enrichment buckets of ``days``.

    A day whose files are absent is reported with ``absent`` and not written: events of that day get PENDING cells.
    """
    definition = runtime.release.enrichments[name]
    if not isinstance(definition, Versioned | Snapshot):
        raise EnrichmentUnknown(f"enrichment {name!r} is {definition.kind}: it is computed with the event, not by day")
    source, table = runtime.release.sources[definition.source], tables.enrichment(runtime, definition)
    shared: pl.DataFrame | None = None
    for day in days:
        watch = Stopwatch()
        with watch("total"):
            if shared is None or "{day}" in source.location:
                files = find(source.location, runtime.sources_root, source=source.name, day=day)
                if not files:
                    yield BucketResult(table.name, day, 0, 0, -1, {"absent": 1}, {})
                    continue
                shared = _versions(runtime, definition, source, files)
            rows = _current_during(shared, definition, day)
            commit = table.replace({DAY: day}, [Part(rows.sort("valid_from", *definition.key))])
        facts = {"keys": rows.select(definition.key).n_unique() if rows.height else 0}
        yield BucketResult(commit.table, day, commit.rows, commit.bytes, commit.version, facts, watch.seconds)


def _versions(runtime: Runtime, definition: Keyed, source: Source, files: Sequence[SourceFile]) -> pl.DataFrame:
    """All versions of the files, each with the interval it holds for; refused rows are kept as rejects."""
    rejects, rows = [no_rejects()], []
    for chunk in decode_files(source, files, runtime.sources_root):
        rejects.append(chunk.rejects)
        rows.append(chunk.rows.filter(expression(definition.filter)) if definition.filter else chunk.rows)
    frame = pl.concat(rows)
    schema = schema_of(source.columns)
    begins = (
        instant(definition.valid_from, schema) if isinstance(definition, Versioned) else _day_start(definition, source)
    )
    frame = frame.with_columns(_from=begins, _to=_stated_end(definition, schema))
    start = "valid_from" if isinstance(definition, Versioned) else "day"
    dated = getattr(definition, start) is not None
    unusable = pl.any_horizontal(pl.col(definition.key).is_null(), pl.col("_from").is_null() & dated)
    bad = frame.filter(unusable)
    reason = pl.lit(f"{definition.name}: null in key {list(definition.key)} or no {start}")
    rejects.append(rejects_of(bad.drop(DAY), reason=reason, day=pl.lit(UNDATED)))
    keep_rejects(
        runtime,
        source.name,
        definition.name,
        (),
        pl.concat(rejects).with_columns(pl.lit(UNDATED).alias(DAY)),
        partitions=[file.partition for file in files],
    )
    values = [expression(c.sql).alias(c.name) if c.sql else pl.col(c.name) for c in definition.columns]
    good = frame.filter(~unusable).select(*definition.key, "_from", "_to", *values)
    good = good.with_columns(typed(c, good.schema[c.name]).alias(c.name) for c in definition.columns)
    # One row per key and start: which one a file lists first means nothing, so the smallest values win.
    ordered = good.sort(*definition.key, "_from", *(c.name for c in definition.columns), nulls_last=True)
    return _bounded(ordered.unique([*definition.key, "_from"], keep="first", maintain_order=True), definition)


def _stated_end(definition: Keyed, schema: dict[str, pl.DataType]) -> pl.Expr:
    if isinstance(definition, Versioned) and definition.valid_to is not None:
        return instant(definition.valid_to, schema)
    return pl.lit(None, UTC_US)


def _day_start(definition: Snapshot, source: Source) -> pl.Expr:
    if definition.day is None:
        return pl.lit(None, UTC_US)  # the same on every day
    return instant(definition.day, schema_of(source.columns)).dt.truncate("1d")


def _bounded(versions: pl.DataFrame, definition: Keyed) -> pl.DataFrame:
    """End each version by the next full refresh and by the staleness bound, whichever comes first."""
    if not isinstance(definition, Versioned):
        return versions
    ends = [pl.col("_to")]
    if definition.refresh == "full":
        starts = versions.select("_from").unique().sort("_from")
        starts = starts.with_columns(_next=pl.col("_from").shift(-1))
        versions = versions.join(starts, on="_from", how="left", maintain_order="left")
        ends.append(pl.col("_next"))
    if definition.max_age_days is not None:
        ends.append(pl.col("_from") + pl.duration(seconds=round(definition.max_age_days * 86400)))
    return versions.with_columns(_to=pl.min_horizontal(ends))


def _current_during(versions: pl.DataFrame, definition: Keyed, day: dt.date) -> pl.DataFrame:
    """The versions that some instant of the UTC day sees, named ``valid_from`` and ``valid_to``."""
    start = dt.datetime.combine(day, dt.time(), dt.UTC)
    end = start + dt.timedelta(days=1)
    columns = [pl.col(c.name) for c in definition.columns]
    if isinstance(definition, Snapshot):
        today = versions.filter(pl.col("_from").is_null() | (pl.col("_from") == start))
        begins, ends = pl.lit(start).cast(UTC_US), pl.lit(end).cast(UTC_US)
    else:
        before = versions.filter(pl.col("_from") <= start)
        # The newest start decides even when that version has ended: an older one must not show through.
        latest = before.sort("_from").unique(list(definition.key), keep="last", maintain_order=True)
        during = versions.filter((pl.col("_from") > start) & (pl.col("_from") < end))
        today = pl.concat([latest.filter(pl.col("_to").is_null() | (pl.col("_to") > start)), during])
        begins, ends = pl.col("_from"), pl.col("_to")
    return today.select(*definition.key, begins.alias("valid_from"), ends.alias("valid_to"), *columns)
