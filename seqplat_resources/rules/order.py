"""The total order of events: newest first, then source order, then identity. Where a source declares one, not arrival.

A source may declare a column ``order``: then its events of one time are in the order of that column's values, which
``SOURCE_ORDER`` has as text; those without a value come last of them. Of other sources they are in the order of their
positions. Where both meet at one time, the events with a declared order are the newer ones.
"""

import numpy as np
import numpy.typing as npt
import polars as pl

SOURCE_ORDER = "source_order"
# Descending in all of them. Two events equal in all are the same event.
ORDER = ("event_time", SOURCE_ORDER, "source_partition", "offset", "event_type", "event_id")
# What decides between events of one time, and their portable types; the event type comes before the id.
TIES = {SOURCE_ORDER: "string", "source_partition": "string", "offset": "int64", "event_id": "string"}

_POSITION = ("source_partition", "offset")
_BELOW_ALL = 1 << 63
_DIGITS = 20


def source_order(column: str, dtype: pl.DataType) -> pl.Expr:
    """Values of a declared order as text that sorts as they do, "" for null.

    Numbers, dates and times become twenty digits; those of two sources have an order as well, if not a meaning.
    """
    value = pl.col(column)
    if not isinstance(dtype, pl.String):
        if dtype.is_temporal():
            value = value.to_physical()
        value = (value.cast(pl.Int128) + pl.lit(_BELOW_ALL, pl.Int128)).cast(pl.String).str.zfill(_DIGITS)
    return value.fill_null("")


def sort_keys(columns: list[str], prefix: str = "") -> list[pl.Expr]:
    """Of a frame with some of ``ORDER``, what to sort by, descending; nulls are below all.

    Of an event with a declared order the position decides nothing.
    """
    present = [key for key in ORDER if f"{prefix}{key}" in columns]
    if SOURCE_ORDER not in present:
        return [pl.col(f"{prefix}{key}") for key in present]
    is_positional = pl.col(f"{prefix}{SOURCE_ORDER}").is_null()
    values = {key: pl.col(f"{prefix}{key}") for key in present}
    return [pl.when(is_positional).then(value) if key in _POSITION else value for key, value in values.items()]


def newest_first(events: pl.DataFrame, *within: str, prefix: str = "") -> pl.DataFrame:
    """Events of any event types; by the columns ``within`` first, ascending. ``prefix`` is that of the keys' names."""
    keys = sort_keys(events.columns, prefix)
    descending = [False] * len(within) + [True] * len(keys)
    return events.sort([*within, *keys], descending=descending, nulls_last=True)


def by_user_newest_first(events: pl.DataFrame) -> pl.DataFrame:
    """Events of one event type in file order: by user, and each user's newest first."""
    # Sorting by text costs most of the sort, so keys that cannot decide anything are left out.
    keys = [key for key in ORDER if key not in ("event_type", SOURCE_ORDER)]
    if SOURCE_ORDER in events.columns:
        return newest_first(events, "user_id")
    if events["source_partition"].n_unique() <= 1:
        keys.remove("source_partition")
        if events["offset"].n_unique() == events.height:
            keys.remove("event_id")
    return events.sort(["user_id", *keys], descending=[False] + [True] * len(keys))


def among_equals(
    ties: pl.DataFrame, event_type: npt.NDArray[np.int64], run: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """The places of rows in order, where rows of one ``run`` are of one time and runs are in order already.

    ``ties`` has ``TIES``, or all but the source order; ``event_type`` has numbers in the order of the names.
    """
    keys = [_ranks(key) for key in reversed(ties.select(sort_keys(ties.columns)).drop("event_id").get_columns())]
    return np.lexsort((-_ranks(ties["event_id"]), -event_type, *(-key for key in keys), run))


def _ranks(values: pl.Series) -> npt.NDArray[np.int64]:
    """Nulls are below all."""
    return np.asarray(values.rank("dense").fill_null(0).to_numpy(), np.int64)
