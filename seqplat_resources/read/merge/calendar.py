"""Stored times that no calendar has: refused today, older releases kept them. No encoder can write them."""

from collections.abc import Iterable, Mapping
from typing import cast

import polars as pl

from seqplat_resources.times import FIRST_DAY, FIRST_US, LAST_DAY, LAST_US

EVENT_TIME = "event_time"


def times_among(dtypes: Iterable[tuple[str, pl.DataType]]) -> tuple[str, ...]:
    """The columns that hold dates or times, alone or in lists."""
    return tuple(name for name, dtype in dtypes if _item(dtype).is_temporal())


def readable(events: pl.DataFrame, times: Iterable[str]) -> tuple[pl.DataFrame, Mapping[str, int]]:
    """``events`` with null for every cell that holds a time outside of the years 1 to 9999, and how many those are, by
    column. A list with one such time is null as a whole.

    Cost:
        The least and the greatest value of each column of ``times``.
    """
    lost = {name: _is_readable(events[name]) for name in times if not _is_within(events[name])}
    if not lost:
        return events, {}
    cells = {name: int((~kept).sum()) for name, kept in lost.items()}
    return events.with_columns(pl.when(kept).then(pl.col(name)).alias(name) for name, kept in lost.items()), cells


def is_readable(time_us: int) -> bool:
    return FIRST_US <= time_us <= LAST_US


def _is_within(column: pl.Series) -> bool:
    numbers = (column.explode() if isinstance(column.dtype, pl.List) else column).to_physical()
    least, greatest = cast(int | None, numbers.min()), cast(int | None, numbers.max())
    first, last = _range(column.dtype)
    return least is None or greatest is None or (least >= first and greatest <= last)


def _is_readable(column: pl.Series) -> pl.Series:
    """Per cell; null is readable."""
    first, last = _range(column.dtype)
    if isinstance(column.dtype, pl.List):
        within = column.list.eval(pl.element().to_physical().is_between(first, last)).list.all()
    else:
        within = column.to_physical().is_between(first, last)
    return within.fill_null(True)


def _range(dtype: pl.DataType) -> tuple[int, int]:
    return (FIRST_DAY, LAST_DAY) if isinstance(_item(dtype), pl.Date) else (FIRST_US, LAST_US)


def _item(dtype: pl.DataType) -> pl.DataType:
    return cast(pl.DataType, dtype.inner) if isinstance(dtype, pl.List) else dtype
