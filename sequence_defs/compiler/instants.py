"""Instants out of what sources hold: counts since 1970, dates and times of a zone become UTC microseconds.

Everything here is total: a value that is no instant of the years 1 to 9999 in UTC gives null, never another instant
and never an error. Who may not be null is a reject of its own row. Only arithmetic in ``sql`` can raise, where integers
leave their type.
"""

from typing import Literal

import polars as pl

from sequence_defs.compiler.arithmetic import checked
from sequence_defs.compiler.sql import UTC_US, Schema, SqlError, infer, is_timezone
from sequence_defs.schema import Time
from sequence_defs.schema.dtypes import DAY_US, FIRST_DAY, FIRST_US, LAST_DAY, LAST_US

Unit = Literal["s", "ms", "us", "ns"]

_US_OF: dict[str, int] = {"s": 1_000_000, "ms": 1_000, "us": 1}
# No zone is further from UTC: what local time may be outside of the range and still be in it.
_ZONES_DAYS, _ZONES_US = 1, DAY_US


def instant(time: Time, schema: Schema) -> pl.Expr:
    """``time`` as UTC microseconds; null where it is null, outside of the range, or a local time that does not exist.

    So is a time whose ``timezone_column`` names no zone.

    Raises:
        SqlError: the expression is neither a timestamp, a date nor an integer.
    """
    dtype = infer(time.sql, schema)
    value = checked(time.sql, schema)
    if dtype.is_integer():
        return counted(value, time.epoch_unit)
    if isinstance(dtype, pl.Date):
        near = value.to_physical().is_between(FIRST_DAY - _ZONES_DAYS, LAST_DAY + _ZONES_DAYS)
        midnight = pl.when(near).then(value).cast(pl.Datetime("us"))
        # Where clocks go forward at midnight (Cairo, Havana) the day starts an hour later; no such date is a reject.
        return in_range(pl.coalesce(_utc(midnight, time), _utc(midnight + pl.duration(hours=1), time)), UTC_US)
    if not isinstance(dtype, pl.Datetime):
        raise SqlError(f"{time.sql!r} is {dtype}, but a time must be a timestamp, a date or an integer epoch")
    if dtype.time_zone is not None or (time.timezone == "UTC" and time.timezone_column is None):
        return counted(value.to_physical(), dtype.time_unit)
    near = _microseconds(value.to_physical(), dtype.time_unit, slack_us=_ZONES_US)
    return in_range(_utc(near.cast(pl.Datetime("us")), time), UTC_US)


def counted(count: pl.Expr, unit: Unit) -> pl.Expr:
    """An integer count of ``unit`` since 1970-01-01 UTC as UTC microseconds; null outside of the range.

    Parts of a microsecond are cut off towards the past.
    """
    return _microseconds(count, unit).cast(UTC_US)


def in_range(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """A ``date``, or a time in microseconds, where it is one of the years 1 to 9999 (in UTC); else null."""
    first, last = (FIRST_DAY, LAST_DAY) if isinstance(dtype, pl.Date) else (FIRST_US, LAST_US)
    return pl.when(value.to_physical().is_between(first, last)).then(value)


def _microseconds(count: pl.Expr, unit: Unit, *, slack_us: int = 0) -> pl.Expr:
    """As an int64; null where it is more than ``slack_us`` outside of the range, before anything can overflow."""
    whole = count.cast(pl.Int64(), strict=False)
    if unit == "ns":
        return whole // 1_000  # 64 bits of nanoseconds end in 2262
    unit_us = _US_OF[unit]
    near = whole.is_between((FIRST_US - slack_us) // unit_us, (LAST_US + slack_us) // unit_us)
    return pl.when(near).then(whole if unit_us == 1 else whole * unit_us)


def _utc(local: pl.Expr, time: Time) -> pl.Expr:
    """Of local microseconds not far outside of the range: others panic in Polars."""
    if time.timezone_column is None:
        return _of_zone(local, time.timezone)
    both = pl.struct(local.alias("local"), pl.col(time.timezone_column).alias("zone"))
    return both.map_batches(_of_zones, return_dtype=UTC_US, is_elementwise=True)


def _of_zone(local: pl.Expr, zone: str) -> pl.Expr:
    zoned = local.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return zoned.dt.convert_time_zone("UTC").cast(UTC_US)


def _of_zones(both: pl.Series) -> pl.Series:
    """Each local time in the zone beside it, null where that is none. One pass per zone, and there are some hundred."""
    rows = both.struct.unnest().with_row_index("at")
    known = [zone for zone in rows["zone"].unique().drop_nulls() if is_timezone(zone)]
    found = [rows.filter(pl.col("zone") == zone).select("at", utc=_of_zone(pl.col("local"), zone)) for zone in known]
    times = pl.concat([pl.DataFrame(schema={"at": pl.UInt32(), "utc": UTC_US}), *found])
    return rows.select("at").join(times, on="at", how="left", maintain_order="left")["utc"].alias(both.name)
