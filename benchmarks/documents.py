"""One JSON document per user, as stores of documents would hold them: of events as objects, of sequences as arrays.

They hold what a reader would want of an event, not what the tables keep besides (tenant, revision, position, statuses),
and their vectors only as many digits as the stored type has: both is in favour of JSON.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from benchmarks import product
from seqplat_resources.batch.inputs import tables
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.release.runtime import Runtime
from sequence_defs.compiler.project import status_column
from sequence_defs.schema import parse_dtype

# Decimal digits that tell apart any two values of the type.
DIGITS = {"int8": 3, "float16": 5, "float32": 9}
KEPT_SYSTEM_COLUMNS = ("event_id", "event_time")


def columns_of(runtime: Runtime, event_type: str) -> dict[str, str]:
    """Columns that a reader would want of an event, with their types."""
    plan = EventPlan.of(runtime.loaded, event_type)
    system = {column.name for column in plan.system_columns} - set(KEPT_SYSTEM_COLUMNS)
    statuses = {status_column(enrichment.name) for _, enrichment in plan.attachments}
    return {c.name: c.dtype for c in plan.columns if c.name not in system | statuses}


def of_events(runtime: Runtime, event_types: Sequence[str]) -> pl.DataFrame:
    """Per user, every event as an object with its own columns, newest first: `user_id`, `events`, `document`."""
    parts = []
    for name in event_types:
        values = [readable(column, dtype) for column, dtype in columns_of(runtime, name).items()]
        scan = product.events_table(runtime, name).scan()
        parts.append(
            scan.select(
                pl.col("user_id").cast(pl.String),
                "event_time",
                pl.struct(pl.lit(name).alias("event_type"), *values).struct.json_encode().alias("object"),
            ).collect()
        )
    ordered = pl.concat(parts).sort("user_id", "event_time", descending=[False, True])
    return ordered.group_by("user_id", maintain_order=True).agg(
        pl.len().alias("events"), pl.format("[{}]", pl.col("object").str.join(",")).alias("document")
    )


def of_sequence(runtime: Runtime, name: str) -> pl.DataFrame:
    """Per user, the columns of a sequence as arrays, newest first: the form in which names are written once."""
    declared = {out: next(iter(by_type.values())) for out, by_type in runtime.release.sequence_columns(name).items()}
    dtypes = {"event_time": "timestamp", "event_type": "string", "event_id": "string"}
    dtypes |= {out: column.dtype for out, column in declared.items() if out not in ("user_id", *dtypes)}
    rows = tables.sequence(runtime, name).scan().select("user_id", "day", *dtypes).collect()
    items = rows.sort("user_id", "day", descending=[False, True]).explode(list(dtypes))
    folded = items.group_by("user_id", maintain_order=True).agg(readable(out, dtype) for out, dtype in dtypes.items())
    return folded.select(
        pl.col("user_id").cast(pl.String),
        pl.col("event_time").list.len().alias("events"),
        pl.struct(list(dtypes)).struct.json_encode().alias("document"),
    )


def readable(name: str, dtype: str) -> pl.Expr:
    """A column as JSON would have it: vectors as numbers, instants as text to the second."""
    value, parsed = product.plain(name, dtype), parse_dtype(dtype)
    if parsed.kind == "vector":
        return value.list.eval(pl.element().round_sig_figs(DIGITS[parsed.item])).alias(name)
    return value.dt.to_string("%Y-%m-%dT%H:%M:%SZ").alias(name) if dtype == "timestamp" else value
