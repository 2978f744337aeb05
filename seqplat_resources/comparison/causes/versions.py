"""Values of another version of an enrichment than the one that an event was given."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from seqplat_resources.comparison.columns import with_differences
from seqplat_resources.comparison.contract import DIFFERS, LEGACY, ColumnRule


@dataclass(frozen=True)
class OtherVersions:
    """What versions of an enrichment say: ``values`` has our columns ``key`` that it is joined by, and its columns.

    There may be many rows of a key, one per version.
    """

    key: tuple[str, ...]
    values: pl.DataFrame


def in_other_version(rows: pl.DataFrame, column: str, versions: Sequence[OtherVersions], rule: ColumnRule) -> pl.Series:
    """Per pair, whether some version has for its key what legacy has in ``column``; by the rule of the column.

    Shapes:
        In: ``row``, unique, our columns, and legacy's as ``legacy_<column>``.
    """
    found = rows["row"].clear()
    for each in versions:
        if column in each.values.columns and rows.height:
            known = each.values.select(*each.key, column)
            candidates = rows.select("row", *each.key, f"{LEGACY}{column}").join(known, on=list(each.key))
            same = with_differences(candidates, {column: rule}).filter(~pl.col(f"{DIFFERS}{column}"))
            found = found.append(same["row"])
    return rows["row"].is_in(found.unique().implode())
