"""What each exposed user did within the window of a metric. Frames in, frames out: nothing is read here."""

from collections.abc import Iterable

import polars as pl

from sequence_defs.schema import UserMetric

# The day until whose end a user's window is over, so that the user counts in every readout from that day on.
RIPE = "ripe"
USERS = ("user", "ours", "at")


def columns_of(metrics: Iterable[UserMetric]) -> list[str]:
    """The columns of events that are read for them, each once."""
    return list(dict.fromkeys(name for metric in metrics for name in (metric.column, metric.per) if name))


def outcomes(metric: UserMetric, exposed: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """A row per exposed user, who may have done nothing.

    Shapes:
        ``exposed``: ``user``, ``ours``, ``at``. ``events``: ``user``, ``event_time`` and the columns of the metric, of
        users who are exposed. Out: ``ours``, ``ripe``, ``y``, ``x``, ``capped`` (whether y or x was cut), ``unusable``.
    Units:
        An event counts from the very instant of the exposure on, and not any more at the end of the window.
    Nulls:
        A null is no value. NaN and infinite values are none either, and counted as unusable.
    """
    window = pl.duration(hours=metric.within_h)
    within = (
        events.lazy()
        .join(exposed.lazy().select("user", "at"), on="user")
        .filter(pl.col("event_time") >= pl.col("at"), pl.col("event_time") < pl.col("at") + window)
    )
    numbers = [name for name in (metric.column, metric.per) if name]
    broken = pl.sum_horizontal(
        pl.lit(0, pl.UInt32), *((~pl.col(name).cast(pl.Float64).is_finite()).sum() for name in numbers)
    )
    done = within.group_by("user").agg(_y(metric).alias("y"), _x(metric).alias("x"), broken.alias("unusable"))
    mean = metric.kind != "ratio"
    y, x = _cut(pl.col("y").fill_null(0.0), metric), pl.lit(1.0) if mean else _cut(pl.col("x").fill_null(0.0), metric)
    is_cut = pl.lit(False) if metric.cap is None else (pl.col("y").abs() > metric.cap)
    if metric.cap is not None and not mean:
        is_cut = is_cut | (pl.col("x").abs() > metric.cap)
    return (
        exposed.lazy()
        .join(done, on="user", how="left")
        .select(
            "ours",
            (pl.col("at") + window - pl.duration(microseconds=1)).dt.date().alias(RIPE),
            y.alias("y"),
            x.alias("x"),
            is_cut.fill_null(False).alias("capped"),
            pl.col("unusable").fill_null(0),
        )
        .collect()
    )


def _y(metric: UserMetric) -> pl.Expr:
    if metric.kind == "converted":
        return pl.lit(1.0)
    return pl.len().cast(pl.Float64) if metric.kind == "count" else _usable(metric.column).sum()


def _x(metric: UserMetric) -> pl.Expr:
    """The denominator of a ratio; others have none."""
    if metric.kind != "ratio":
        return pl.lit(1.0)
    return _usable(metric.per).sum() if metric.per else _usable(metric.column).count().cast(pl.Float64)


def _usable(column: str | None) -> pl.Expr:
    assert column is not None  # a rule sees to it
    value = pl.col(column).cast(pl.Float64)
    return pl.when(value.is_finite()).then(value)


def _cut(value: pl.Expr, metric: UserMetric) -> pl.Expr:
    return value if metric.cap is None else value.clip(-metric.cap, metric.cap)
