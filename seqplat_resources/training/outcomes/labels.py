"""Labels made of the lake's own events: whose moments, what followed, what is not known yet.

>>> bought = LabelOutcome("bought", "did", "purchase", dt.timedelta(days=1))
>>> made = make(shop, Anchors("purchase"), [bought])
>>> made.rows.select("user", "request", "bought").rows(), made.counts["censored"]
([('ann', '1', True), ('ann', '3', True), ('bob', '2', False)], 1)
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Literal

import polars as pl
import polars_hash as plh

from seqplat_resources.analysis.views import View, views
from seqplat_resources.lake.layout import DAY, SESSIONS, shard_of
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.rules.sessions import FINAL, STANDS
from seqplat_resources.times import EPOCH, midnight
from seqplat_resources.training.outcomes.after import after
from seqplat_resources.training.outcomes.definition import (
    CENSORED,
    REQUEST,
    TIME,
    USER,
    WEIGHT,
    Anchors,
    LabelOutcome,
    Negatives,
    OutcomesRefused,
    require_sound,
)
from sequence_defs.compiler.sql import SqlError, expression, names

# What a row of a user, time and value takes while it is sorted twice.
_ROW_BYTES = 200
# Moments of a schedule in one pass: 2 GB.
_MOST_MOMENTS = 40_000_000
_UTC_US = pl.Datetime("us", "UTC")
_US = dt.timedelta(microseconds=1)
_PART = "\x1f"


@dataclass(frozen=True)
class MadeLabels:
    """``rows``: ``user``, ``time``, ``request`` (the event's id, or ``every`` of a schedule), the outcomes, then
    ``censored`` and ``sample_weight`` where they were asked for; in the order of user, time and request.

    ``counts`` say what became of moments: ``moments``, ``censored`` (dropped, or kept and flagged), ``negatives left
    out``. Outcomes are of events until ``cutoff``. ``versions`` are those of the tables read.
    """

    rows: pl.DataFrame
    counts: Mapping[str, int]
    cutoff: dt.datetime
    versions: Mapping[str, int]


def make(
    runtime: Runtime,
    anchors: Anchors,
    outcomes: Sequence[LabelOutcome],
    *,
    negatives: Negatives | None = None,
    on_censored: Literal["drop", "keep"] = "drop",
    cutoff: dt.datetime | None = None,
    memory_bytes: int = 2_000_000_000,
) -> MadeLabels:
    """Labels as today's tables tell them: events that stand, corrected as they are.

    A label is *censored* while one of its windows ends after the ``cutoff``, which is the end of the newest day that
    all views have, or earlier: nobody knows yet what followed. It is dropped, or kept with null for such outcomes.
    Events are read in passes over users, as many as ``memory_bytes`` needs; the labels themselves are in memory.

    Raises:
        OutcomesRefused: the description does not hold together, names what there is not, or nothing was built.
    """
    require_sound(anchors, outcomes, negatives)
    found = _found(runtime, anchors, outcomes)
    built = _built_until(found)
    if cutoff is not None and cutoff > built:
        raise OutcomesRefused(
            f"days are built until {built:%Y-%m-%d %H:%M} UTC, the cutoff is {cutoff:%Y-%m-%d %H:%M}; "
            "give an earlier one, or build days: seqplat materialize --help"
        )
    until = cutoff or built
    rows = sum(view.table.files()["rows"].sum() for view in found.values())
    passes = max(1, ceil(rows * _ROW_BYTES / memory_bytes))
    parts = [_of_some(found, anchors, outcomes, until, passes, number) for number in range(passes)]
    labels = pl.concat(parts).sort(USER, TIME, REQUEST)
    counts = {"moments": labels.height, "censored": int(labels[CENSORED].sum()), "negatives left out": 0}
    labels = labels.filter(~pl.col(CENSORED)).drop(CENSORED) if on_censored == "drop" else labels
    if negatives is not None:
        kept = _capped(labels, negatives)
        counts["negatives left out"], labels = labels.height - kept.height, kept
    return MadeLabels(labels, counts, until, {view.table.name: view.table.version() for view in found.values()})


def _found(runtime: Runtime, anchors: Anchors, outcomes: Sequence[LabelOutcome]) -> dict[str, View]:
    known, found = views(runtime), dict[str, View]()
    for name in dict.fromkeys([anchors.of, *(outcome.of for outcome in outcomes)]):
        if name not in known or not _has_events(known[name]):
            there = ", ".join(each.name for each in known.values() if _has_events(each))
            raise OutcomesRefused(f"there are no events or sessions {name!r}; there are {there}")
        found[name] = known[name]
    _require_columns(anchors.where, found[anchors.of])
    for outcome in outcomes:
        _require_columns(outcome.where, found[outcome.of])
        types = {column.name: column.dtype for column in found[outcome.of].columns}
        if outcome.column and not types.get(outcome.column, "").startswith(("int", "float")):
            raise OutcomesRefused(
                f"outcome {outcome.name!r} sums {outcome.column!r}, which is no number of {outcome.of!r}"
            )
    return found


def _require_columns(where: str | None, view: View) -> None:
    if where is None:
        return
    try:
        unknown = set(names(where)) - {column.name for column in view.columns}
    except SqlError as error:
        raise OutcomesRefused(f"condition {where!r} of {view.name!r}: {error}") from error
    if unknown:
        there = ", ".join(column.name for column in view.columns)
        raise OutcomesRefused(f"condition {where!r} names {min(unknown)!r}; {view.name!r} has {there}")


def _has_events(view: View) -> bool:
    return view.is_view or view.name.startswith(f"{SESSIONS}_")


def _events_of(view: View) -> pl.LazyFrame:
    """What a view has as events. Of sessions the beginnings, and just of those that nothing can change any more."""
    if view.is_view:
        return view.rows()
    final = view.rows().filter((pl.col("op") == STANDS) & (pl.col("state") == FINAL))
    return final.with_columns(event_time="start_time", event_id="session_id")


def _built_until(found: Mapping[str, View]) -> dt.datetime:
    ends = list[dt.datetime]()
    for view in found.values():
        newest = view.table.files()[DAY].str.to_date().max()
        if not isinstance(newest, dt.date):
            raise OutcomesRefused(f"no day of {view.name!r} is built; build some: seqplat materialize --help")
        ends.append(midnight(newest) + dt.timedelta(days=1))
    return min(ends)


def _of_some(
    found: Mapping[str, View],
    anchors: Anchors,
    outcomes: Sequence[LabelOutcome],
    cutoff: dt.datetime,
    passes: int,
    number: int,
) -> pl.DataFrame:
    """The labels of every ``passes``-th user."""

    def rows(view: str, where: str | None, *more: pl.Expr) -> pl.LazyFrame:
        read = _events_of(found[view]).filter(pl.col("event_time") < cutoff)
        read = read.filter(shard_of("user_id", passes) == number) if passes > 1 else read
        read = read.filter(expression(where)) if where is not None else read
        return read.select(pl.col("user_id").alias(USER), pl.col("event_time").cast(_UTC_US).alias(TIME), *more)

    first = rows(anchors.of, anchors.where, pl.col("event_id").alias(REQUEST))
    moments = _scheduled(first, anchors, cutoff) if anchors.every else _within(first, anchors).collect()
    labels = moments.sort(USER, TIME, REQUEST)
    at = labels.select(USER, at=pl.col(TIME).to_physical())
    over = pl.Series([False]).new_from_index(0, labels.height)
    for outcome in outcomes:
        value = [pl.col(outcome.column).alias("value")] if outcome.column else []
        events = rows(outcome.of, outcome.where, *value).join(labels.lazy().select(USER).unique(), on=USER, how="semi")
        followed = events.with_columns(at=pl.col(TIME).to_physical()).drop(TIME).collect()
        is_over = labels[TIME] + outcome.within >= cutoff
        found_after = after(at, followed, outcome.measure, within_us=outcome.within // _US)
        labels = labels.with_columns(found_after.set(is_over, None).alias(outcome.name))
        over |= is_over
    return labels.with_columns(over.alias(CENSORED))


def _within(rows: pl.LazyFrame, anchors: Anchors) -> pl.LazyFrame:
    if anchors.since is not None:
        rows = rows.filter(pl.col(TIME) >= anchors.since)
    return rows.filter(pl.col(TIME) < anchors.until) if anchors.until is not None else rows


def _scheduled(rows: pl.LazyFrame, anchors: Anchors, cutoff: dt.datetime) -> pl.DataFrame:
    """Each user's moments after their first event; later events have no say in it."""
    assert anchors.every is not None
    every, last = anchors.every // _US, min(anchors.until or cutoff, cutoff)
    firsts = rows.group_by(USER).agg(pl.col(TIME).min()).collect()
    from_us = pl.max_horizontal(
        (pl.col(TIME).to_physical() // every + 1) * every,
        pl.lit(-((EPOCH - anchors.since) // _US // every) * every if anchors.since else -(1 << 62), pl.Int64),
    )
    span_us = pl.lit((last - EPOCH) // _US, pl.Int64) - from_us
    moments = firsts.select((span_us.clip(0) // every).cast(pl.Float64).sum()).item()
    if moments > _MOST_MOMENTS:
        raise OutcomesRefused(
            f"a schedule of every {anchors.every} would make {moments:,.0f} moments, of which {_MOST_MOMENTS:,} fit "
            "into memory; give a longer span, or say since and until"
        )
    ticks = firsts.select(USER, pl.int_ranges(from_us, (last - EPOCH) // _US, every).alias(TIME)).explode(TIME)
    at = ticks.drop_nulls(TIME).with_columns(pl.col(TIME).cast(_UTC_US), pl.lit("every").alias(REQUEST))
    return _within(at.lazy(), anchors).collect()


def _capped(labels: pl.DataFrame, negatives: Negatives) -> pl.DataFrame:
    outcome = pl.col(negatives.of)
    is_negative = outcome.is_null() | (outcome.cast(pl.Float64) == 0)
    text = pl.concat_str(
        pl.lit(str(negatives.seed)), pl.col(USER).cast(pl.String), pl.col(TIME).to_physical().cast(pl.String), REQUEST,
        separator=_PART,
    )  # fmt: skip
    hashed = labels.with_columns(text.alias("_text")).with_columns(
        plh.col("_text").nchash.xxhash64().alias("_hash"),
        is_negative.alias("_none"),
    )
    ranked = hashed.with_columns(
        pl.struct("_hash", "_text").rank("ordinal").over(USER, "_none").alias("_rank"),
        pl.len().over(USER, "_none").alias("_of"),
    )
    kept = ranked.filter(~pl.col("_none") | (pl.col("_rank") <= negatives.cap))
    stands_for = pl.when("_none").then(pl.col("_of") / pl.min_horizontal("_of", pl.lit(negatives.cap))).otherwise(1.0)
    return kept.select(*labels.columns, stands_for.alias(WEIGHT))
