"""The worst examples of what differs, for people to look at.

>>> from seqplat_resources.comparison.causes.rules import explain
>>> from seqplat_resources.comparison.contract import ColumnRule, Matching
>>> from seqplat_resources.comparison.events import compare_events
>>> time = pl.datetime(2024, 5, 1, time_zone="UTC")
>>> ours = pl.DataFrame({"user_id": ["ann", "bob"], "event_id": ["1", "2"], "amount": [3, 4]})
>>> ours = ours.with_columns(event_time=time)
>>> legacy = ours.with_columns(amount=pl.Series([4, 90]))
>>> found = compare_events(ours, legacy, {"amount": ColumnRule()}, Matching())
>>> examples(found, explain(found), each=1).select("user_id", "ours", "legacy", "distance").rows()
[('bob', '4', '90', 86.0)]
"""

import math

import polars as pl

from seqplat_resources.comparison.causes.rules import COLUMN, ONLY_LEGACY, ONLY_OURS, UNEXPLAINED
from seqplat_resources.comparison.contract import EVENT_ID, EVENT_TIME, LEGACY, USER
from seqplat_resources.comparison.events import EventComparison
from seqplat_resources.comparison.pairing.pairs import SIDES

EACH = 5
_LONGEST, _ITEMS = 200, 4
_GROUP = ["kind", "column"]


def examples(found: EventComparison, differences: pl.DataFrame, each: int = EACH) -> pl.DataFrame:
    """Up to ``each`` differences per kind and column; see ``worst`` for which.

    Shapes:
        Out: ``kind``, ``column``, ``cause``, user and event id as text (the id of ours, if both have one),
        ``event_time``, ``ours`` and ``legacy`` (values as text, shortened; null is null) and ``distance``: how far
        numbers and times (seconds) are apart, infinite where one is no number; null for everything else.
    """
    parts = [_of_group(found, group, each) for group in differences.partition_by(_GROUP)]
    return pl.concat(parts or [_of_group(found, differences, each)]).sort(_GROUP)


def worst(parts: pl.DataFrame, each: int = EACH) -> pl.DataFrame:
    """Of examples of several parts the worst: unexplained before others, far before near, then by user and event."""
    order = [pl.col("cause") != UNEXPLAINED, -pl.col("distance"), USER, EVENT_TIME, EVENT_ID]
    return parts.sort([*_GROUP, *order], nulls_last=True).group_by(_GROUP, maintain_order=True).head(each)


def _of_group(found: EventComparison, group: pl.DataFrame, each: int) -> pl.DataFrame:
    kind, column = group.select(_GROUP).row(0) if group.height else (COLUMN, None)
    frame = {COLUMN: found.pairs, ONLY_OURS: found.only_ours, ONLY_LEGACY: found.only_legacy}[kind]
    rows = frame[group["row"]]
    values = (
        [rows[column], rows[f"{LEGACY}{column}"]] if column else [pl.Series([None]).new_from_index(0, rows.height)] * 2
    )
    told = group.select("kind", "column", "cause").with_columns(
        rows[USER].cast(pl.String),
        _column(rows, EVENT_ID).cast(pl.String).alias(EVENT_ID),
        _column(rows, EVENT_TIME).cast(pl.Datetime("us", "UTC")).alias(EVENT_TIME),
        _distance(*values).alias("distance"),
        at=pl.int_range(pl.len()),
    )
    told = worst(told, each)
    texts = [
        pl.Series(name, map(_text, value.gather(told["at"])), pl.String())
        for name, value in zip(SIDES, values, strict=True)
    ]
    return told.drop("at").with_columns(texts)


def _column(rows: pl.DataFrame, name: str) -> pl.Series:
    return rows[name] if name in rows.columns else pl.Series([None]).new_from_index(0, rows.height)


def _distance(ours: pl.Series, legacy: pl.Series) -> pl.Series:
    """Null where there is no such thing as far."""
    if isinstance(ours.dtype, pl.Datetime):
        ours, legacy = (each.to_physical() / 1_000_000 for each in (ours, legacy))
    if not ours.dtype.is_numeric():
        return pl.Series([None], dtype=pl.Float64()).new_from_index(0, len(ours))
    apart = (ours.cast(pl.Float64) - legacy.cast(pl.Float64)).abs()
    return pl.select(pl.when(apart.is_finite()).then(apart).otherwise(pl.lit(math.inf))).to_series()


def _list(values: pl.Series) -> str:
    """Of many items the first, each with few digits: enough to see that another list is another one."""
    shown = [f"{each:.4g}" if isinstance(each, float) else repr(each) for each in values.head(_ITEMS)]
    return f"[{', '.join(shown)}{f', ... {len(values)} in all' if len(values) > _ITEMS else ''}]"


def _text(value: object) -> str | None:
    if value is None:
        return None
    said = _list(value) if isinstance(value, pl.Series) else str(value)
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}..."
