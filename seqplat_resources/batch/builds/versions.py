"""Rows of an enrichment's files to its versions: key, when each holds, and its values; what is none is a reject."""

from dataclasses import replace

import polars as pl

from seqplat_resources.sources.decode import DecodedRows
from seqplat_resources.times import DAY_S, FIRST_DAY, LAST_DAY
from seqplat_resources.values.isolation import attempted
from seqplat_resources.values.typing import problem, typed
from sequence_defs.compiler.arithmetic import checked
from sequence_defs.compiler.instants import in_range, instant
from sequence_defs.compiler.sql import UTC_US, schema_of
from sequence_defs.schema import Keyed, Snapshot, Source, Versioned


def versions_of(chunk: DecodedRows, definition: Keyed, source: Source) -> DecodedRows:
    """The rows that the filter keeps and that have a key, a start and their values; the others are rejects.

    Shapes:
        Out: ``rows`` has the key, ``_from`` and ``_to`` (UTC; null where nothing is stated), and the value columns.
    """
    rows = chunk.rows
    kept, why_filter = _computed(rows, _keep=checked(definition.filter or "TRUE", rows.schema))
    times, why_times = _computed(rows, **_times(definition, source))
    values, why_values = _computed(rows, **{c.name: checked(c.sql or c.name, rows.schema) for c in definition.columns})
    fitted = values.select(typed(c, values.schema[c.name]) for c in definition.columns)
    # A key that is not found gives null in any case, so no value is required.
    free = [column.model_copy(update={"nullable": True}) for column in definition.columns]
    unfit = values.select(_why=problem(free, values, after=fitted)).to_series()
    why = pl.coalesce(pl.lit(why_times), _untimely(definition), pl.lit(why_values), pl.lit(unfit))
    why = pl.coalesce(pl.lit(why_filter), pl.when("_keep").then(why))
    judged = rows.select("_partition", "_offset", *definition.key).hstack([*times, *kept])
    judged = judged.with_columns(_why=pl.format("{}: {}", pl.lit(definition.name), why))
    found = judged.hstack(fitted.select(pl.all().name.prefix("_value_")))
    usable = replace(chunk, rows=found).refusing(pl.col("_why"))
    outs = (pl.col(f"_value_{column.name}").alias(column.name) for column in definition.columns)
    return replace(usable, rows=usable.rows.filter("_keep").select(*definition.key, "_from", "_to", *outs))


def bounded(versions: pl.DataFrame, definition: Keyed) -> pl.DataFrame:
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
        age = pl.duration(seconds=round(min(definition.max_age_days, LAST_DAY - FIRST_DAY) * DAY_S))
        ends.append(in_range(pl.col("_from") + age, UTC_US))  # one that ends after all days has no end
    return versions.with_columns(_to=pl.min_horizontal(ends))


def _computed(rows: pl.DataFrame, **columns: pl.Expr) -> tuple[pl.DataFrame, pl.Series]:
    """Columns computed row by row, and per row why they could not be, or null."""
    found, errors = attempted(rows, lambda some: some.with_columns(**columns).select(*columns))
    return found, pl.Series([None] * rows.height, dtype=pl.String()) if errors is None else errors


def _times(definition: Keyed, source: Source) -> dict[str, pl.Expr]:
    """When a version begins and ends, and whether it says that it ends."""
    schema, nothing = schema_of(source.columns), pl.lit(None, UTC_US)
    if isinstance(definition, Snapshot):
        # Without a day it is the same on every day.
        begins = instant(definition.day, schema).dt.truncate("1d") if definition.day else nothing
        return {"_from": begins, "_to": nothing, "_ends": pl.lit(False)}
    begins, end = instant(definition.valid_from, schema), definition.valid_to
    if end is None:
        return {"_from": begins, "_to": nothing, "_ends": pl.lit(False)}
    return {"_from": begins, "_to": instant(end, schema), "_ends": checked(end.sql, schema).is_not_null()}


def _untimely(definition: Keyed) -> pl.Expr:
    """What is wrong with a key, a start or an end. An end that is no time would hold for ever without a word."""
    start = "valid_from" if isinstance(definition, Versioned) else "day"
    dated = getattr(definition, start) is not None
    unusable = pl.any_horizontal(pl.col(definition.key).is_null(), pl.col("_from").is_null() & dated)
    reason = pl.when(unusable).then(pl.lit(f"null in key {list(definition.key)} or no {start}"))
    if not isinstance(definition, Versioned) or definition.valid_to is None:
        return reason
    endless = pl.when(pl.col("_ends") & pl.col("_to").is_null())
    return pl.coalesce(reason, endless.then(pl.lit(f"valid_to: {definition.valid_to.sql} gives no time")))
