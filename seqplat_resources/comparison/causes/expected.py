"""Differences that are known in advance: for which of them what a definition says is true."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from seqplat_resources.comparison.contract import LEGACY
from seqplat_resources.values.isolation import attempted
from sequence_defs.schema.legacy import Cause

_HOLDS = "_holds"
# So often is a condition computed that raises on some rows, until what is left of them is taken as not explained.
_TRIES = 2_000


@dataclass(frozen=True)
class Expectation:
    """Differences that are known in advance: those of events for which ``where`` is true.

    ``where`` is over our columns and ``legacy_<column>``; those of a side without the event are null. Where it looks at
    legacy's values of compared columns, it explains differences of those only, and else of all columns.
    """

    cause: Cause
    because: str
    where: pl.Expr

    def is_about(self, column: str, compared: Sequence[str]) -> bool:
        """Whether it can explain a difference of a column, one of those ``compared``."""
        seen = set(self.where.meta.root_names()) & {f"{LEGACY}{name}" for name in compared}
        return not seen or f"{LEGACY}{column}" in seen


def holding(rows: pl.DataFrame, expectation: Expectation) -> tuple[pl.Series, pl.Series | None]:
    """Row by row whether it holds, and whether it raises there (None: nowhere). Where it raises it does not hold.

    Cost:
        Once over all rows. Where it raises, over halves of them, up to a bound: a condition that raises on most rows
        explains few of them.
    """
    tries = 0

    def step(part: pl.DataFrame) -> pl.DataFrame:
        nonlocal tries
        tries += 1
        # Beside other columns: alone, an expression without any would give one row.
        where = expectation.where.fill_null(False) if tries <= _TRIES else pl.lit(None, pl.Boolean())
        return part.with_columns(where.alias(_HOLDS)).select(_HOLDS)

    found, errors = attempted(rows, step)
    holds = found[_HOLDS]
    if errors is None and tries <= _TRIES:
        return holds, None
    return holds.fill_null(False), holds.is_null()
