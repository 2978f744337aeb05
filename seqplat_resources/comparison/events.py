"""Events of two sides: pairs with what differs in them, and what is on one side only.

>>> ours = pl.DataFrame({"user_id": ["ann", "bob"], "event_id": ["1", "2"], "amount": [3, 4]})
>>> legacy = pl.DataFrame({"user_id": ["ann", "eve"], "event_id": ["1", "7"], "amount": [5, 4]})
>>> compare_events(ours, legacy, {"amount": ColumnRule()}, Matching()).counts()
{'matched': 1, 'only_ours': 1, 'only_legacy': 1, 'differs_amount': 1}
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from seqplat_resources.comparison.columns import with_differences
from seqplat_resources.comparison.contract import DIFFERS, LEGACY, ColumnRule, Matching
from seqplat_resources.comparison.pairing.pairs import SIDES, paired


@dataclass(frozen=True)
class EventComparison:
    """Every row of both sides, once: in ``pairs`` or alone.

    ``pairs`` has the columns of ours, those of legacy but the matched ones as ``legacy_<column>``, and
    ``differs_<column>`` for each compared one. ``only_ours`` and ``only_legacy`` have the columns of their sides.
    ``problems`` has a row per ``side``, ``problem`` (see ``pairing.pairs``) and row, with the columns that both have.
    """

    pairs: pl.DataFrame
    only_ours: pl.DataFrame
    only_legacy: pl.DataFrame
    problems: pl.DataFrame
    compared: tuple[str, ...]
    matching: Matching

    @property
    def differs(self) -> list[str]:
        return [f"{DIFFERS}{name}" for name in self.compared]

    @property
    def mismatches(self) -> pl.DataFrame:
        """Pairs that differ in a compared column."""
        return self.pairs.filter(pl.any_horizontal(pl.lit(False), *self.differs))

    @property
    def union(self) -> int:
        """Events of either side."""
        return self.pairs.height + self.only_ours.height + self.only_legacy.height

    def counts(self) -> dict[str, int]:
        """``matched``, ``only_ours``, ``only_legacy``, pairs per ``differs_<column>`` and rows per problem."""
        differing = self.pairs.select(pl.col(self.differs).sum()).row(0, named=True) if self.compared else {}
        alone = {"only_ours": self.only_ours.height, "only_legacy": self.only_legacy.height}
        problems = dict(self.problems.group_by("problem").len().iter_rows())
        return {"matched": self.pairs.height, **alone, **differing, **problems}


def compare_events(
    ours: pl.DataFrame, legacy: pl.DataFrame, rules: Mapping[str, ColumnRule], matching: Matching
) -> EventComparison:
    """Pair the rows of two sides and compare the columns of ``rules`` in each pair.

    Shapes:
        In: both with ``matching.columns`` and all of ``rules``, under the same names and in the same types; by time
        also with ``event_time``. Further columns are carried along.
    Cost:
        Memory of both sides once more. One shard of a day is a good size.
    """
    # Rows are taken in another order than they lie in: of a column in several chunks that is ten times as slow.
    ours, legacy = ours.rechunk(), legacy.rechunk()
    found = paired(ours, legacy, matching)
    renamed = {name: f"{LEGACY}{name}" for name in legacy.columns if name not in matching.columns or name in rules}
    theirs = legacy.select(pl.col(name).alias(other) for name, other in renamed.items())[found.legacy]
    pairs = _rows(ours, found.ours).hstack(theirs.get_columns())
    return EventComparison(
        pairs=with_differences(pairs, rules),
        only_ours=_others(ours, found.ours),
        only_legacy=_others(legacy, found.legacy),
        problems=_problems(ours, legacy, found.problems),
        compared=tuple(rules),
        matching=matching,
    )


def _rows(side: pl.DataFrame, rows: pl.Series) -> pl.DataFrame:
    """Ascending rows; nothing is copied where they are all there are."""
    return side if rows.len() == side.height else side[rows]


def _others(side: pl.DataFrame, taken: pl.Series) -> pl.DataFrame:
    if taken.len() == side.height:
        return side.clear()
    alone = pl.repeat(True, side.height, eager=True).scatter(taken, False)
    return side.filter(alone)


def _problems(ours: pl.DataFrame, legacy: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
    shared = [name for name in ours.columns if ours.schema[name] == legacy.schema.get(name)]
    sides = []
    for name, side in zip(SIDES, (ours, legacy), strict=True):
        rows = found.filter(pl.col("side") == name)
        sides.append(rows.drop("row").hstack(side.select(shared)[rows["row"]].get_columns()))
    return pl.concat(sides)
