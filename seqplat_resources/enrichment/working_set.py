"""Rows by key that a process keeps because events ask for them again and again."""

from collections.abc import Sequence

import polars as pl

# Each batch of events passes over all rows that are kept, which takes about 10 ms per million.
MAX_ROWS = 500_000
# Embeddings of 64 floats reach this before the rows do.
MAX_BYTES = 64 << 20
# A frame grows by a chunk with every batch that brings new keys; many small ones are slow to pass over.
_MAX_CHUNKS = 16


class WorkingSet:
    """One frame, with at least one row for every key it knows. Not thread-safe.

    When it has grown beyond ``max_rows`` or ``max_bytes`` it is emptied, but for the keys asked for last: which of the
    others are worth keeping would take a count per key and batch, and they are cheap to read again.
    """

    def __init__(self, key: Sequence[str], *, max_rows: int = MAX_ROWS, max_bytes: int = MAX_BYTES) -> None:
        self._key, self._max_rows, self._max_bytes = list(key), max_rows, max_bytes
        self._rows: pl.DataFrame | None = None
        self._asked: pl.DataFrame | None = None

    @property
    def rows(self) -> int:
        return self._rows.height if self._rows is not None else 0

    def split(self, keys: pl.DataFrame) -> tuple[pl.DataFrame | None, pl.DataFrame]:
        """The rows of the keys that are known, and the distinct keys that are not. Keys with a null are in neither."""
        if self._rows is None:
            self._asked = None
            return None, keys.drop_nulls().unique(maintain_order=True)
        # The small side is hashed, the large one passed over once; the reverse takes three times as long.
        known = self._asked = self._rows.join(keys, on=self._key, how="semi")
        missing = keys.join(known, on=self._key, how="anti").drop_nulls()
        return known, missing.unique(maintain_order=True)

    def add(self, rows: pl.DataFrame) -> None:
        """Keep rows of keys that ``split`` found missing."""
        self._rows = rows if self._rows is None else pl.concat([self._rows, rows])
        if self._is_over():
            self._rows = rows if self._asked is None else pl.concat([self._asked, rows])
            self._rows = None if self._is_over() else self._rows
        if self._rows is not None and self._rows.n_chunks() > _MAX_CHUNKS:
            self._rows = self._rows.rechunk()

    def keep(self, which: pl.Expr) -> None:
        """Forget all other rows."""
        if self._rows is not None:
            self._rows = self._rows.filter(which)

    def clear(self) -> None:
        self._rows = self._asked = None

    def _is_over(self) -> bool:
        rows = self._rows
        return rows is not None and (rows.height > self._max_rows or rows.estimated_size() > self._max_bytes)
