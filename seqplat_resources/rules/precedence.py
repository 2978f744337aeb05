"""Which of several rows of one event counts."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

# From the strongest to the weakest, and whether the larger value wins. Rows that tie in all are one row, read twice.
# A frame that lacks a column says the same in it of all its rows.
PRECEDENCE: Mapping[str, bool] = {
    "erased": True,
    "rev": True,
    "from_batch": True,
    "ingest_time": False,
    "source_partition": False,
    "offset": False,
}


def ranked(rows: pl.DataFrame, identity: Sequence[str]) -> pl.DataFrame:
    """By identity, the row that counts first."""
    return _sorted(rows, {**dict.fromkeys(identity, False), **PRECEDENCE})


def winners(rows: pl.DataFrame, identity: Sequence[str]) -> npt.NDArray[np.int64]:
    """Of rows with equal ``identity`` the place of the one that counts, for each identity."""
    best = _sorted(rows.with_row_index("_row"), PRECEDENCE).unique(identity, keep="first")
    return best["_row"].to_numpy().astype(np.int64)


def decided_by(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """The strongest key of the precedence in which two rows differ; "" where they differ in none."""
    return next((key for key in PRECEDENCE if one.get(key) != other.get(key)), "")


def _sorted(rows: pl.DataFrame, keys: Mapping[str, bool]) -> pl.DataFrame:
    present = {key: larger_wins for key, larger_wins in keys.items() if key in rows.columns}
    return rows.sort(list(present), descending=list(present.values()), maintain_order=True)
