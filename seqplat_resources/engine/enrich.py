"""Attach enrichments to events: one as-of join for every keyed kind, expressions for derived ones, and a status."""

from collections.abc import Mapping

import polars as pl

from seqplat_resources.engine.contract import Lookup
from seqplat_resources.engine.status import Status
from seqplat_resources.engine.typing import typed
from sequence_defs.compiler.project import attached, status_column
from sequence_defs.compiler.sql import expression, is_windowed, storage_dtype
from sequence_defs.schema import Derived, Enrich, Enrichment, Service

_FOUND = "_valid_from"


def enrich(
    events: pl.DataFrame,
    attachments: tuple[tuple[Enrich, Enrichment], ...],
    lookup: Lookup,
    *,
    complete: bool,
) -> pl.DataFrame:
    """Add every attachment's columns and its status column, in order.

    Shapes:
        In: normalized events with ``user_id`` and ``event_time``; any order. Out: the same rows, sorted by time.
    Nulls:
        A null key finds nothing (NULL). ``complete`` says the frame is a whole bucket of these users: only then are
        derived expressions over several rows known; else they are PENDING.
    """
    events = events.sort("event_time")  # the order the as-of joins need; each of them keeps it
    status_of: dict[str, str] = {}
    for use, enrichment in attachments:
        status = status_column(enrichment.name)
        if isinstance(enrichment, Derived):
            events = _derive(events, use, enrichment, status, status_of, complete=complete)
        elif isinstance(enrichment, Service):
            events = _pending(events, use, enrichment, status)
        else:
            on = use.on or {key: key for key in enrichment.key}
            keys = events.select(pl.col(event).alias(key) for key, event in on.items())
            found = lookup.versions(enrichment.name, keys)
            if found is None:
                events = _pending(events, use, enrichment, status)
            else:
                events = _as_of(events, use, enrichment, found, on, status)
        status_of |= dict.fromkeys(attached(use, enrichment), status)
    return events


def _as_of(
    events: pl.DataFrame,
    use: Enrich,
    enrichment: Enrichment,
    versions: pl.DataFrame,
    on: Mapping[str, str],
    status: str,
) -> pl.DataFrame:
    """The version with the largest ``valid_from <= event_time``, unless ``valid_to <= event_time`` ended it."""
    columns = attached(use, enrichment)
    defaults = getattr(enrichment, "missing", {})
    side = versions.select(
        *(pl.col(key).alias(f"_key_{key}") for key in on),
        pl.col("valid_from").alias(_FOUND),
        pl.col("valid_to").alias("_valid_to"),
        *(pl.col(column.name).alias(out) for out, column in columns.items()),
    )
    joined = events.join_asof(
        side,
        left_on="event_time",
        right_on=_FOUND,
        by_left=list(on.values()),
        by_right=[f"_key_{key}" for key in on],
        strategy="backward",
        coalesce=False,
        check_sortedness=False,  # both sides were sorted just now; the check does not understand `by`
    )
    found = pl.col(_FOUND).is_not_null() & (
        pl.col("_valid_to").is_null() | (pl.col("_valid_to") > pl.col("event_time"))
    )
    values = []
    for out, column in columns.items():
        missing = pl.lit(defaults.get(column.name), storage_dtype(column.dtype))
        values.append(pl.when("_found").then(pl.col(out)).otherwise(missing).alias(out))
    return (
        joined.with_columns(_found=found)
        .with_columns(*values, _status(pl.when("_found").then(Status.VALUE).otherwise(Status.NULL), status))
        .drop("_found", _FOUND, "_valid_to", *(f"_key_{key}" for key in on), strict=False)
    )


def _derive(
    events: pl.DataFrame,
    use: Enrich,
    enrichment: Derived,
    status: str,
    status_of: Mapping[str, str],
    *,
    complete: bool,
) -> pl.DataFrame:
    """Expressions over what is there already. A cell whose input is PENDING or in ERROR is PENDING itself."""
    outs = {column.name: out for out, column in attached(use, enrichment).items()}
    if not complete and any(is_windowed(column.sql or "") for column in enrichment.columns):
        return _pending(events, use, enrichment, status)
    inputs: set[str] = set()
    work = events
    for column in enrichment.columns:
        value = expression(column.sql or column.name)
        inputs |= {status_of[name] for name in value.meta.root_names() if name in status_of}
        work = work.with_columns(value.alias(column.name))
        work = work.with_columns(typed(column, work.schema[column.name]).alias(column.name))
    known = pl.all_horizontal([pl.col(name).is_in([Status.VALUE, Status.NULL]) for name in inputs] or [pl.lit(True)])
    some = pl.any_horizontal(pl.col(column.name).is_not_null() for column in enrichment.columns)
    verdict = pl.when(~known).then(Status.PENDING).when(some).then(Status.VALUE).otherwise(Status.NULL)
    computed = work.select(
        *(pl.when(known).then(pl.col(name)).alias(out) for name, out in outs.items()), _status(verdict, status)
    )
    return events.with_columns(computed)


def _pending(events: pl.DataFrame, use: Enrich, enrichment: Enrichment, status: str) -> pl.DataFrame:
    empty = (pl.lit(None, storage_dtype(c.dtype)).alias(out) for out, c in attached(use, enrichment).items())
    return events.with_columns(*empty, _status(pl.lit(int(Status.PENDING)), status))


def _status(value: pl.Expr, name: str) -> pl.Expr:
    return value.cast(pl.Int8).alias(name)
