"""How much of a source could not become raw rows, and why: the verdict on the builds, and streams, that read it."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import polars as pl

from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.rejects import rows_read
from seqplat_resources.engine.outcome import WHOLE_FILE
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.lake.layout import DAY, UNDATED
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.quality.frame import DETAIL, EMPTY, PASSED, files_of, per_day
from seqplat_resources.quality.guesses import guess
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.sources.files import is_of_day
from seqplat_resources.stream.lake import STREAM_STAGE
from seqplat_resources.times import milliseconds
from sequence_defs.schema import Source

REASONS_SHOWN = 3
# Of many small appends the newest say what is wrong now.
FILES_READ = 20
# A guess is made from as many refused rows: whatever is wrong with most of them is wrong with most of these.
GUESSED_FROM = 200

# What is said of a file that is refused whole, without the source and what to do.
_OF_A_FILE = r"(?s)^source '[^']*': (.*?); replace the file.*$"

_LOST = "the day got no row, so nothing is made of it: mend the source, or declare max_rejected_share=1 to go on"


def rejects(runtime: Runtime, source: str, days: Sequence[dt.date]) -> pl.DataFrame:
    """Count what ingestion refused of the files that each day was built from.

    A row whose day cannot be told counts for the day that its file is named after (``{day}`` in the location). Where
    every build reads all the files, it counts for every day, as a share of all their rows: ``undated``.

    Shapes:
        Out: per day ``rows`` ingested, ``rejected`` rows of the day, ``rejected_share`` of both, ``undated`` rejects
        and ``undated_share``, and how many ``files_refused`` whole.
        A day passes while neither share is above the source's ``max_rejected_share``, no file was refused whole, and
        it got some row unless there was none to get. ``empty``: it got none of what may have been its own, so that
        what is made of it would say that nothing happened; False where the source accepts any share.
        The detail names the most frequent reasons, without the value each row had, and what they look like.
    """
    definition = runtime.release.sources[source]
    table = tables.rejects(runtime, source)
    by_day = "{day}" in definition.location
    found = _refused(table, tables.INGEST_STAGE, [*days, UNDATED])
    found = _by_file(found, definition.location, days) if by_day else found
    dated, undated = found.filter(pl.col(DAY) != UNDATED), found.filter(pl.col(DAY) == UNDATED)
    undated = undated.clear() if by_day else undated  # those of other days' files
    read = (rows_read(table, tables.INGEST_STAGE) if undated.height else None) or undated.height
    files = files_of(tables.raw(runtime, definition), days)
    return _judged(definition, table, tables.INGEST_STAGE, days, files, dated, undated, read)


def event_rejects(runtime: Runtime, event_type: str, days: Sequence[dt.date]) -> pl.DataFrame:
    """As ``rejects``, of the raw rows that no event could be made of; each of them has a day."""
    plan = EventPlan.of(runtime.loaded, event_type)
    table = tables.rejects(runtime, plan.source.name)
    found = _refused(table, event_type, days)
    files = files_of(tables.events(runtime, plan), days)
    return _judged(plan.source, table, event_type, days, files, found, found.clear(), 0)


def stream_rejects(runtime: Runtime, source: str, *, since: dt.datetime) -> dict[str, Any]:
    """Count what a source's streams kept and refused in files that were committed ``since`` then.

    Shapes:
        Out: one row like those of ``rejects``, of no day: a message that cannot be read has none.
    Cost: the Delta logs; of the refused rows only those whose reasons are told.
    """
    definition = runtime.release.sources[source]
    archive, refused = tables.archive(runtime, definition), tables.rejects(runtime, source)
    lately = pl.col("written_ms") >= milliseconds(since)
    found = refused.files().filter(lately, pl.col("stage") == STREAM_STAGE).sort("written_ms", descending=True)
    kept, rejected = int(archive.files().filter(lately)["rows"].sum()), int(found["rows"].sum())
    newest = found.head(FILES_READ)["path"].to_list()
    detail = ""
    if newest:
        rows = refused.read(newest)
        sample = rows.head(GUESSED_FROM).select("reason", "payload").rows()
        detail = "; ".join(_reasons(definition, rows["reason"], sample))
    share = rejected / (kept + rejected) if rejected else 0.0
    passed = share <= definition.max_rejected_share and (kept > 0 or not rejected)
    return {PASSED: passed, "rows": kept, "rejected": rejected, "rejected_share": share, DETAIL: detail}


def guessed(runtime: Runtime, source: str) -> str:
    """What the refused rows of a source look like; nothing where that cannot be told.

    Cost: reads some of the newest.
    """
    table = tables.rejects(runtime, source)
    files = table.files().filter(pl.col("rows") > 0).sort("written_ms", descending=True).head(FILES_READ)
    if not files.height:
        return ""
    rows = table.read(files["path"].to_list()).head(GUESSED_FROM)
    return guess(runtime.release.sources[source], rows.select("reason", "payload").iter_rows())


def _judged(
    source: Source,
    table: LakeTable,
    stage: str,
    days: Sequence[dt.date],
    files: pl.DataFrame,
    dated: pl.DataFrame,
    undated: pl.DataFrame,
    read: int,
) -> pl.DataFrame:
    """The verdict on each day; ``undated`` are refused rows of all days, of ``read`` rows."""
    rows = files.group_by(DAY).agg(pl.col("rows").sum())
    refused = dated.group_by(DAY).agg(pl.len().alias("rejected"), _whole_files().alias("files_refused"))
    measured = per_day(days, rows.join(refused, on=DAY, how="full", coalesce=True)).with_columns(
        pl.lit(undated.height, pl.Int64).alias("undated"),
        pl.lit(undated.height / max(1, read)).alias("undated_share"),
        pl.col("files_refused") + undated.select(_whole_files()).item(),
        _share(pl.col("rejected"), pl.col("rows")).alias("rejected_share"),
    )
    of_all = f"{undated.height} of {read} row(s) of the files have no day" if undated.height else ""
    details = []
    for day in days:
        told = pl.concat([dated.filter(pl.col(DAY) == day), undated])
        reasons = _reasons(source, told["reason"], _sample(table, stage, day, told))
        details.append("; ".join(filter(None, [of_all, *reasons])))
    said = pl.when(EMPTY).then(pl.format("{}; {}", DETAIL, pl.lit(_LOST))).otherwise(DETAIL).alias(DETAIL)
    judged = measured.with_columns(*_verdict(source.max_rejected_share), pl.Series(DETAIL, details, pl.String))
    return judged.with_columns(said)


def _refused(table: LakeTable, stage: str, days: Sequence[dt.date]) -> pl.DataFrame:
    found = table.scan().filter(pl.col("stage") == stage, pl.col(DAY).is_in(list(days)))
    return found.select(DAY, "source_partition", "offset", "reason").collect()


def _whole_files() -> pl.Expr:
    return (pl.col("offset") == WHOLE_FILE).sum().cast(pl.Int64)


def _share(part: pl.Expr, rest: pl.Expr) -> pl.Expr:
    return pl.when(part > 0).then(part / (part + rest)).otherwise(0.0)


def _verdict(bound: float) -> tuple[pl.Expr, pl.Expr]:
    """Whether each day passes, and whether it is empty only because of what was refused."""
    above = (pl.col("rejected_share") > bound) | (pl.col("undated_share") > bound)
    whole, nothing = pl.col("files_refused") > 0, pl.col("rows") == 0
    lost = nothing & (above | whole | (pl.col("rejected") > 0) | (pl.col("undated_share") >= 1))
    return (~(above | whole | lost)).alias(PASSED), (lost & pl.lit(bound < 1)).alias(EMPTY)


def _reasons(source: Source, reasons: pl.Series, sample: Sequence[tuple[str, bytes]]) -> list[str]:
    """The most frequent reasons, how often each, and what the rows look like."""
    told = reasons.str.replace(_OF_A_FILE, "${1}")
    told = pl.select(pl.when(told == reasons).then(told.str.replace(r"(?s): .*", "")).otherwise(told)).to_series()
    counts = told.value_counts(sort=True).head(REASONS_SHOWN)
    return [*(f"{reason}: {count}" for reason, count in counts.iter_rows()), *filter(None, [guess(source, sample)])]


def _sample(table: LakeTable, stage: str, day: dt.date, refused: pl.DataFrame) -> list[tuple[str, bytes]]:
    """Some of the rows with their payload, which is not read of all of them."""
    if not refused.height:
        return []
    files = pl.col("source_partition").is_in(refused["source_partition"].unique().to_list())
    found = table.scan().filter(pl.col("stage") == stage, pl.col(DAY).is_in([day, UNDATED]), files)
    return found.select("reason", "payload").head(GUESSED_FROM).collect().rows()


def _by_file(refused: pl.DataFrame, location: str, days: Sequence[dt.date]) -> pl.DataFrame:
    """A row without a time of its own belongs to the day its file is named after."""
    files = refused.filter(pl.col(DAY) == UNDATED)["source_partition"].unique()
    named = {file: day for file in files for day in days if is_of_day(location, file, day)}
    day = pl.col("source_partition").replace_strict(named, default=None, return_dtype=pl.Date())
    return refused.with_columns(pl.when(pl.col(DAY) == UNDATED).then(pl.coalesce(day, DAY)).otherwise(DAY).alias(DAY))
