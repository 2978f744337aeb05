"""Attach enrichments to events: one as-of join for every keyed kind, expressions for derived ones, and a status."""

from collections.abc import Callable, Mapping, Sequence

import polars as pl

from seqplat_resources.engine.contract import Fetcher, Lookup, Versions
from seqplat_resources.engine.status import CellStatus
from seqplat_resources.values.isolation import attempted, isolated
from seqplat_resources.values.spread import spread
from seqplat_resources.values.typing import typed
from sequence_defs.compiler.arithmetic import checked
from sequence_defs.compiler.project import attached, status_column
from sequence_defs.compiler.sql import is_windowed, storage_dtype
from sequence_defs.schema import Derived, Enrich, Enrichment, Keyed, Service


def enrich(
    events: pl.DataFrame,
    attachments: tuple[tuple[Enrich, Enrichment], ...],
    lookup: Lookup,
    *,
    complete: bool,
) -> pl.DataFrame:
    """Add every attachment's columns and its status column, in order.

    Shapes:
        In: normalized events with ``user_id`` and ``event_time``. Out: the same rows, in the same order.
    Nulls:
        A null key finds nothing (NULL). ``complete`` says the frame is a whole bucket of these users: only then are
        derived expressions over several rows known; else they are PENDING.
    """
    by_time = _ByTime(events["event_time"])
    status_of: dict[str, str] = {}
    for use, enrichment in attachments:
        status = status_column(enrichment.name)
        if isinstance(enrichment, Derived):
            events = _derive(events, use, enrichment, status, status_of, complete=complete)
        elif isinstance(enrichment, Service):
            events = _fetch(events, use, enrichment, lookup, status)
        else:
            events = _look_up(events, use, enrichment, lookup, by_time, status)
        status_of |= dict.fromkeys(attached(use, enrichment), status)
    return events


class _ByTime:
    """As-of matching of events in any order. Only times and keys are sorted: values are fetched once, by row number."""

    def __init__(self, times: pl.Series) -> None:
        self._order = times.arg_sort()
        self._back = self._order.arg_sort()
        self._times = times.gather(self._order).alias("_time")

    def match(self, keys: pl.DataFrame, versions: pl.DataFrame) -> pl.Series:
        """Per event, the row of ``versions`` (sorted by ``valid_from``) that holds for it, or null.

        That is the one of its key with the largest ``valid_from <= event_time``, unless ``valid_to <= event_time``.
        """
        numbered = versions.select(*keys.columns, "valid_from", "valid_to").with_row_index("_version")
        if numbered.height > keys.height:
            # A join by time costs five times a join by key, and few of many versions are of a key that is asked for.
            numbered = numbered.join(keys.unique(), on=keys.columns, how="semi", maintain_order="left")
        joined = (
            keys.select(pl.all().gather(self._order))
            .with_columns(self._times)
            .join_asof(
                numbered,
                left_on="_time",
                right_on="valid_from",
                by=keys.columns,
                strategy="backward",
                check_sortedness=False,  # both sides are sorted; the check does not understand `by`
            )
        )
        holds = pl.col("valid_to").is_null() | (pl.col("valid_to") > pl.col("_time"))
        return joined.select(pl.when(holds).then("_version")).to_series().gather(self._back)


def _look_up(
    events: pl.DataFrame, use: Enrich, enrichment: Keyed, lookup: Lookup, by_time: _ByTime, status: str
) -> pl.DataFrame:
    keys = _keys(events, use, enrichment.key)
    found = lookup.versions(enrichment.name, keys)
    if found is None:
        return _pending(events, use, enrichment, status)
    versions = found.frame if isinstance(found, Versions) else found
    attached_to = _attach(events, use, enrichment, versions, by_time.match(keys, versions), status)
    if not isinstance(found, Versions) or (known := events["event_time"] >= found.known_from).all():
        return attached_to
    # The version that held then may have been dropped, so what was found, or not, says nothing.
    empty = (pl.when(known).then(name).alias(name) for name in attached(use, enrichment))
    return attached_to.with_columns(*empty, _status(pl.when(known).then(status).otherwise(CellStatus.PENDING), status))


def _fetch(events: pl.DataFrame, use: Enrich, enrichment: Service, lookup: Lookup, status: str) -> pl.DataFrame:
    if not isinstance(lookup, Fetcher):
        return _pending(events, use, enrichment, status)
    keys = _keys(events, use, enrichment.key)
    answers = lookup.fetch(enrichment.name, keys)
    numbered = answers.select(keys.columns).with_row_index("_answer")
    places = keys.join(numbered, on=keys.columns, how="left", maintain_order="left")["_answer"]
    wanted = (pl.col(column.name).alias(out) for out, column in attached(use, enrichment).items())
    found = answers.select(*wanted, _status(pl.col("_status"), status)).select(pl.all().gather(places))
    return pl.concat([events, found.with_columns(pl.col(status).fill_null(CellStatus.NULL))], how="horizontal")


def _keys(events: pl.DataFrame, use: Enrich, key: Sequence[str]) -> pl.DataFrame:
    """The key columns of the events, under the enrichment's names."""
    on = use.on or {name: name for name in key}
    return events.select(pl.col(event).alias(name) for name, event in on.items())


def _attach(
    events: pl.DataFrame, use: Enrich, enrichment: Keyed, versions: pl.DataFrame, matches: pl.Series, status: str
) -> pl.DataFrame:
    columns = attached(use, enrichment)
    values = versions.select(pl.col(column.name).alias(out) for out, column in columns.items())
    found = values.select(pl.all().gather(matches))
    if defaults := {out: enrichment.missing[c.name] for out, c in columns.items() if c.name in enrichment.missing}:
        found = found.with_columns(
            pl.when(matches.is_null()).then(pl.lit(value, found.schema[out])).otherwise(out).alias(out)
            for out, value in defaults.items()
        )
    verdict = pl.when(matches.is_not_null()).then(CellStatus.VALUE).otherwise(CellStatus.NULL)
    return pl.concat([events, found], how="horizontal").with_columns(_status(verdict, status))


def _derive(
    events: pl.DataFrame,
    use: Enrich,
    enrichment: Derived,
    status: str,
    status_of: Mapping[str, str],
    *,
    complete: bool,
) -> pl.DataFrame:
    """Expressions over what is there already; those over several rows see only events that were not retracted."""
    windowed = any(is_windowed(column.sql or "") for column in enrichment.columns)
    if windowed and not complete:
        return _pending(events, use, enrichment, status)

    def compute(rows: pl.DataFrame) -> pl.DataFrame:
        return _computed(rows, use, enrichment, status, status_of)

    if not windowed:
        values, errors = attempted(events, compute)
        return events.with_columns(values if errors is None else _errors(values, errors.is_null(), status))
    standing = events["op"] == "upsert"
    computed = _day_by_day(events.filter(standing), lambda day: _user_by_user(day, compute, status))
    return events.with_columns(spread(computed, standing).with_columns(pl.col(status).fill_null(CellStatus.NULL)))


def _user_by_user(day: pl.DataFrame, compute: Callable[[pl.DataFrame], pl.DataFrame], status: str) -> pl.DataFrame:
    """``compute`` over a day. The users it raises on have errors: a window needs all rows of its user together."""
    users, rows = day.select("user_id").unique(maintain_order=True), day.with_row_index("_row")

    def of(some: pl.DataFrame) -> pl.DataFrame:
        theirs = (
            rows.join(some, on="user_id", how="semi", maintain_order="left") if some.height < users.height else rows
        )
        return compute(theirs.drop("_row")).with_columns(theirs["_row"])

    found = isolated(users, of)
    if not found.failed:
        return found.done.drop("_row")
    done = found.done.sort("_row")
    present = rows["_row"].is_in(done["_row"].implode())
    return _errors(spread(done.drop("_row"), present), present, status)


def _errors(values: pl.DataFrame, computed: pl.Series, status: str) -> pl.DataFrame:
    """``values``, whose rows that were not computed are null, with the status that says so."""
    return values.with_columns(_status(pl.when(pl.lit(computed)).then(status).otherwise(CellStatus.ERROR), status))


def _day_by_day(events: pl.DataFrame, compute: Callable[[pl.DataFrame], pl.DataFrame]) -> pl.DataFrame:
    """``compute`` over each day alone, in the rows' order: a window sees its user's day and no other."""
    days = events["event_time"].dt.date()
    if days.n_unique() <= 1:
        return compute(events)
    places = pl.DataFrame({"_day": days}).with_row_index("_row").partition_by("_day")
    parts = [compute(events[rows["_row"]]).with_columns(rows["_row"]) for rows in places]
    return pl.concat(parts).sort("_row").drop("_row")


def _computed(
    events: pl.DataFrame, use: Enrich, enrichment: Derived, status: str, status_of: Mapping[str, str]
) -> pl.DataFrame:
    """Values and status per event; one that does not fit its type is an ERROR.

    A cell whose input is PENDING or in ERROR is PENDING itself.
    """
    outs = {column.name: out for out, column in attached(use, enrichment).items()}
    inputs: set[str] = set()
    work, unfit = events, pl.lit(False)
    for column in enrichment.columns:
        value = checked(column.sql or column.name, work.schema)
        inputs |= {status_of[name] for name in value.meta.root_names() if name in status_of}
        said = work.with_columns(value.alias(column.name))
        work = said.with_columns(typed(column, said.schema[column.name]).alias(column.name))
        if work[column.name].null_count() > said[column.name].null_count():
            unfit = unfit | pl.lit(work[column.name].is_null() & said[column.name].is_not_null())
    known = pl.all_horizontal(
        [pl.col(name).is_in([CellStatus.VALUE, CellStatus.NULL]) for name in inputs] or [pl.lit(True)]
    )
    some = pl.any_horizontal(pl.col(column.name).is_not_null() for column in enrichment.columns)
    computed = pl.when(unfit).then(CellStatus.ERROR).when(some).then(CellStatus.VALUE).otherwise(CellStatus.NULL)
    verdict = pl.when(known).then(computed).otherwise(CellStatus.PENDING)
    return work.select(
        *(pl.when(known & ~unfit).then(pl.col(name)).alias(out) for name, out in outs.items()), _status(verdict, status)
    )


def _pending(events: pl.DataFrame, use: Enrich, enrichment: Enrichment, status: str) -> pl.DataFrame:
    empty = (pl.lit(None, storage_dtype(c.dtype)).alias(out) for out, c in attached(use, enrichment).items())
    return events.with_columns(*empty, _status(pl.lit(int(CellStatus.PENDING)), status))


def _status(value: pl.Expr, name: str) -> pl.Expr:
    return value.cast(pl.Int8).alias(name)
