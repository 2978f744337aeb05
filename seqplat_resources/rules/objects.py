"""What a user did with each object: several events on one object become one row, their actions a number of bits.

>>> said = {"user_id": ["ann"] * 3, "object": ["tea", "tea", "jam"], "action": ["view", "buy", "smell"]}
>>> at = pl.datetime(2024, 5, 1, pl.Series([9, 10, 11]), time_zone="UTC")
>>> rolled_up(pl.DataFrame(said).with_columns(event_time=at), ["user_id", "object"], ("view", "buy"), {}).select(
...     "object", "events", "actions"
... ).rows()
[('jam', 1, 1), ('tea', 2, 6)]
"""

from collections.abc import Mapping, Sequence

import polars as pl

from seqplat_resources.rules.order import newest_first

# The bit of actions that are not declared; a declared one has the bit of its place, from 1.
OTHER = 1
# What is said of the events of one object: over their ``event_time`` and the bits of their actions, in any order.
OF_ONE_OBJECT = (
    pl.col("event_time").min().alias("first_time"),
    pl.col("event_time").max().alias("last_time"),
    pl.len().cast(pl.Int64).alias("events"),
    pl.col(":bit").bitwise_or().alias("actions"),
)


def bit(action: pl.Expr, actions: Sequence[str]) -> pl.Expr:
    """That of an action: bit n of the n-th of ``actions``, from 1; bit 0 of another one, or where none is said."""
    bits = {action: 1 << n for n, action in enumerate(actions, start=1)}
    return action.cast(pl.String).replace_strict(bits, default=OTHER, return_dtype=pl.Int64).fill_null(OTHER)


def rolled_up(
    events: pl.DataFrame, keys: Sequence[str], actions: Sequence[str], columns: Mapping[str, pl.Expr]
) -> pl.DataFrame:
    """One row per object, those without one left out.

    Shapes:
        In: ``keys`` (the last one is the object), ``event_time``, ``action`` and some of the other keys of
        ``rules.order``; ``columns`` aggregate the events of a row, oldest first.
        Out: ``keys``, ``first_time``, ``last_time``, ``events``, ``actions`` (int64; bit n is set where the n-th of
        ``actions`` was done, as ``bit`` says), ``columns``; by ``keys``.
    """
    rows = newest_first(events.filter(pl.col(keys[-1]).is_not_null()), *keys).reverse()
    found = rows.with_columns(bit(pl.col("action"), actions).alias(":bit")).group_by(list(keys), maintain_order=True)
    return found.agg(*OF_ONE_OBJECT, *(value.alias(name) for name, value in columns.items())).reverse()
