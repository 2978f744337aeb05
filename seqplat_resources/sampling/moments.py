"""Which columns may say when something happened, how they count or write it, and from when to when they reach."""

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from seqplat_resources.sampling.attributes import Attribute
from seqplat_resources.times import DAY_US, instant
from seqplat_resources.values.typing import typed
from sequence_defs.compiler.instants import instant as instant_of
from sequence_defs.compiler.sql import schema_of
from sequence_defs.schema import Column, Time
from sequence_defs.schema.columns import EpochUnit

# What a time of a log may be: a count or a text that gives other years counts or says something else.
_EARLIEST, _AHEAD = dt.datetime(1995, 1, 1, tzinfo=dt.UTC), dt.timedelta(days=800)
_UNITS: tuple[EpochUnit, ...] = ("s", "ms", "us", "ns")
_FORMS = (
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y",
    "%d/%m/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M",
    "%d/%m/%Y",
    "%d-%m-%Y %H:%M:%S",
    "%d-%m-%Y %H:%M",
    "%d-%m-%Y",
    "%m/%d/%Y %I:%M:%S %p",
    "%m/%d/%Y %I:%M %p",
    "%m/%d/%y %H:%M:%S",
    "%m/%d/%y %H:%M",
    "%m/%d/%y",
    "%d.%m.%y %H:%M",
    "%d.%m.%y",
    "%d/%m/%y %H:%M",
    "%d/%m/%y",
    "%Y-%m-%d %H:%M:%S UTC",
    "%Y-%m-%d %H:%M:%S%.f UTC",
    "%d-%b-%Y %H:%M:%S",
    "%d-%b-%Y",
    "%d %b %Y %H:%M:%S",
    "%d %b %Y",
    "%a, %d %b %Y %H:%M:%S GMT",
    "%a, %d %b %Y %H:%M:%S %z",
    "%a %b %d %H:%M:%S %Y",
    "%d/%b/%Y:%H:%M:%S %z",
    "%b %d, %Y %H:%M:%S",
    "%b %d, %Y",
    "%Y%m%d%H%M%S",
    "%Y%m%d",
)
_ENDS_IN_ZONE = r"(?:Z|[+-]\d{2}:?\d{2})\s*$"
_MOST_FIT = 0.95
# Digits of counts of these units since 1970, from 1995 on: no column of prices is read in four ways.
_DIGITS = {"s": (9, 10), "ms": (12, 13), "us": (15, 16), "ns": (18, 19)}
_BEST = re.compile(
    r"^(event_?(time|ts|timestamp|at|date)|occurred(_at)?|happened(_at)?|timestamp|ts|at|time)(_?(ms|us|ns|s))?$"
)
_GOOD = re.compile(r"(^|_)(time|timestamp|ts|at|date|datetime|day)(_|$)|time$|date$|_ts$", re.IGNORECASE)
# Days from Excel's 0 to 1970.
_EXCEL_EPOCH = 25_569
_OTHER = re.compile(r"updat|modif|receiv|ingest|load|process|expire|deliver|birth|dob|delet|valid|end", re.IGNORECASE)


@dataclass(frozen=True)
class Moment:
    """A column as a time: ``time`` as a source says it; ``reading`` in words; ``is_local`` where it names no zone.

    ``dtype`` is what the column must be declared as; ``score`` how much speaks for it.
    """

    column: str
    time: Time
    dtype: str
    reading: str
    first: dt.datetime
    last: dt.datetime
    score: float
    is_local: bool = False

    def describe(self) -> str:
        """``epoch ms, 2026-11-20 .. 2026-11-28``."""
        return f"{self.reading}, {self.first:%Y-%m-%d} .. {self.last:%Y-%m-%d}"


def moments_of(attribute: Attribute, dtype: str, now: dt.datetime) -> list[Moment]:
    """Ways to read a column as a time, best first; none for most columns."""
    found = [_moment(attribute, *way, now) for way in _ways(attribute, dtype)]
    return sorted((each for each in found if each is not None), key=lambda each: -each.score)


def _ways(attribute: Attribute, dtype: str) -> Iterator[tuple[Time, str, str, bool]]:
    name = attribute.name
    if dtype in ("timestamp", "date"):
        texts = attribute.values.drop_nulls()
        is_text = isinstance(texts.dtype, pl.String)
        zoned = texts.str.contains(_ENDS_IN_ZONE).all() if is_text else bool(getattr(texts.dtype, "time_zone", None))
        yield Time(sql=name), dtype, "ISO 8601" if is_text else dtype, not zoned
    elif dtype in ("int64", "int32"):
        digits = _digits(attribute.values)
        for unit in _UNITS if dtype == "int64" else ("s",):
            if digits in _DIGITS[unit]:
                yield Time(sql=name, epoch_unit=unit), dtype, f"epoch {unit}", False
        if digits in (8, 14):
            yield from _written(name, attribute.values.cast(pl.String()), "int64")
    elif dtype == "float64" and _digits(attribute.values) == 5 and _says_time(name):
        days = f"CAST(({name} - {_EXCEL_EPOCH}) * {DAY_US} AS BIGINT)"
        yield Time(sql=days), dtype, "days as Excel counts them, in UTC", False
    elif dtype == "float64" and _digits(attribute.values) in _DIGITS["s"]:
        yield Time(sql=f"CAST({name} * 1000000 AS BIGINT)"), dtype, "epoch s with a fraction", False
    elif dtype == "string" and attribute.values.dtype == pl.String():
        yield from _written(name, attribute.values, dtype)


def _digits(values: pl.Series) -> int:
    """Of the middle one of some numbers, before their point."""
    some = values.drop_nulls().head(100).cast(pl.String()).cast(pl.Float64(), strict=False).drop_nulls()
    middle = some.median()
    return len(str(abs(int(middle)))) if isinstance(middle, float) and abs(middle) < 1e19 else 0


def _written(name: str, texts: pl.Series, dtype: str) -> Iterator[tuple[Time, str, str, bool]]:
    """Texts of another form than ISO 8601; where both months and days may come first, both."""
    texts = texts.drop_nulls().head(2000)
    for form in _FORMS if texts.len() else ():
        if dtype == "int64" and form not in ("%Y%m%d", "%Y%m%d%H%M%S"):
            continue
        try:
            if texts.head(20).str.to_datetime(form, strict=False).null_count() > 1:
                continue
            found = texts.str.to_datetime(form, strict=False)
        except pl.exceptions.PolarsError:
            continue
        if found.is_not_null().mean() >= _MOST_FIT:  # type: ignore[operator]
            column = name if dtype == "string" else f"CAST({name} AS VARCHAR)"
            is_zoned = form.endswith(("%z", "UTC", "GMT"))
            yield Time(sql=f"STRPTIME({column}, '{form}')"), dtype, f"written {form}", not is_zoned


def _moment(
    attribute: Attribute, time: Time, dtype: str, reading: str, is_local: bool, now: dt.datetime
) -> Moment | None:
    known = attribute.values.len() - attribute.values.null_count()
    times = _times(attribute, time, dtype)
    plausible = times.filter(times.is_between(_EARLIEST, now + _AHEAD)) if times.len() else times
    if not known or plausible.len() < _MOST_FIT * known:
        return None
    low, high = _reach(plausible)
    return Moment(attribute.name, time, dtype, reading, low, high, _score(attribute, dtype, reading), is_local)


def _times(attribute: Attribute, time: Time, dtype: str) -> pl.Series:
    """What values say by one reading, in UTC; those that it cannot read are left out."""
    column = Column(name=attribute.name, dtype=dtype)
    rows = attribute.values.alias(attribute.name).to_frame().drop_nulls()
    values = rows.select(typed(column, rows.schema[attribute.name])).drop_nulls()
    try:
        return values.select(instant_of(time, schema_of([column])).alias("t"))["t"].drop_nulls()
    except pl.exceptions.PolarsError:  # some text is written otherwise; the preview says which
        form = time.sql.rpartition("'")[0].rpartition("'")[2]
        lenient = values[attribute.name].cast(pl.String()).str.to_datetime(form, strict=False)
        times = lenient.drop_nulls().dt.convert_time_zone("UTC") if lenient.dtype.time_zone else lenient.drop_nulls()  # type: ignore[attr-defined]
        return times.dt.replace_time_zone("UTC").cast(pl.Datetime("us", "UTC"))


def _reach(times: pl.Series) -> tuple[dt.datetime, dt.datetime]:
    low, high = times.to_physical().min(), times.to_physical().max()
    assert isinstance(low, int)
    assert isinstance(high, int)
    return instant(low), instant(high)


def unbelieved(attribute: Attribute, dtype: str, now: dt.datetime) -> str:
    """Why a column of times is no moment; empty for one that is, or that holds no times."""
    if dtype not in ("timestamp", "date"):
        return ""
    times = _times(attribute, Time(sql=attribute.name), dtype)
    share = 1 - times.is_between(_EARLIEST, now + _AHEAD).sum() / times.len() if times.len() else 0.0
    if share <= 1 - _MOST_FIT:
        return ""
    low, high = _reach(times)
    return (
        f"{attribute.name} has times of {low:%Y-%m-%d} .. {high:%Y-%m-%d}, of which {share:.0%} are before "
        f"{_EARLIEST:%Y} or after {now + _AHEAD:%Y}: no clock of an event says that"
    )


def _says_time(name: str) -> bool:
    return bool(_BEST.search(name.lower()) or _GOOD.search(name))


def _score(attribute: Attribute, dtype: str, reading: str) -> float:
    """More for names that say so, for times before dates, and for what is always there."""
    name = attribute.name.lower()
    score = 3.0 if _BEST.search(name) else 2.0 if _GOOD.search(name) else 0.0
    score -= 2.0 if _OTHER.search(name) else 0.0
    score += 1.0 if dtype == "timestamp" or "%H" in reading else 0.5 if reading.startswith("epoch") else 0.3
    nulls = attribute.values.null_count() / max(1, attribute.values.len())
    return score - 5.0 * nulls
