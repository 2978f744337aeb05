"""Say whether two contestants wrote the same day: rows, every value, and the order they promised.

Checksums are sums of hashes, so neither row order nor the number of files changes them. They tell equality bit by bit;
a contestant that stores a column narrower (float16 vectors) is compared with `columns=` leaving that one out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.workload import OUTPUT_COLUMNS, THREADS

# Writers differ in nullability, list element names and timestamp flags; values are compared in these types.
CANONICAL_TYPES = {
    "event_ts": "TIMESTAMP",
    "ingest_ts": "TIMESTAMP",
    "price": "DOUBLE",
    "list_price": "DOUBLE",
    "amount": "DOUBLE",
    "surface": "VARCHAR",
    "category": "VARCHAR",
    "brand": "VARCHAR",
    "embedding": "FLOAT[]",
}
DEFAULT_TYPE = "BIGINT"


@dataclass(frozen=True)
class Fingerprint:
    """What an output holds, whatever its files look like.

    `row_hash` sees which values stand in one row together; `column_hashes` tell which column differs. `is_sorted` says
    the files, in the order of their names, run through (user_id, event_ts) without stepping back;
    `is_sorted_within_files` asks that of each file alone.
    """

    rows: int
    row_hash: str
    column_hashes: dict[str, str]
    is_sorted: bool
    is_sorted_within_files: bool


def fingerprint(files: Path, *, columns: Sequence[str] = OUTPUT_COLUMNS) -> Fingerprint:
    """Read every Parquet file below `files`; no rows give zero hashes and count as sorted."""
    source = f"read_parquet('{files}/**/*.parquet', file_row_number = true, filename = true)"
    cast = {name: f"{name}::{CANONICAL_TYPES.get(name, DEFAULT_TYPE)}" for name in columns}
    sums = ", ".join(f"coalesce(sum(hash({value})), 0)::VARCHAR" for value in cast.values())
    with duckdb.connect(config={"threads": THREADS}) as connection:
        rows, row_hash, *hashes = _one_row(
            connection,
            f"SELECT count(*), coalesce(sum(hash({', '.join(cast.values())})), 0)::VARCHAR, {sums} FROM {source}",
        )
        steps_back, steps_back_within = _one_row(connection, _steps_back(source))
    return Fingerprint(
        rows=rows,
        row_hash=row_hash,
        column_hashes=dict(zip(columns, hashes, strict=True)),
        is_sorted=steps_back == 0,
        is_sorted_within_files=steps_back_within == 0,
    )


def differences(expected: Fingerprint, actual: Fingerprint) -> list[str]:
    """Say in sentences what differs between two fingerprints of the same columns; empty when they agree."""
    if expected.rows != actual.rows:
        return [f"row count: expected {expected.rows}, got {actual.rows}"]
    found = [
        f"column {name!r} holds other values"
        for name, checksum in expected.column_hashes.items()
        if actual.column_hashes.get(name) != checksum
    ]
    if not found and expected.row_hash != actual.row_hash:
        found.append("each column holds the same values, but they stand in other rows")
    return found


def _steps_back(source: str) -> str:
    """Count rows that are smaller than the row before them: in all files one after another, and within one file."""
    return f"""
        SELECT count(*) FILTER (back), count(*) FILTER (back AND filename = filename_before) FROM (
            SELECT filename, lag(filename) OVER file_order AS filename_before,
                coalesce((user_id, event_ts) < lag((user_id, event_ts)) OVER file_order, false) AS back
            FROM {source} WINDOW file_order AS (ORDER BY filename, file_row_number)
        )
    """


def _one_row(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    row = connection.execute(query).fetchone()
    assert row is not None  # an aggregate without GROUP BY always gives one row
    return tuple(row)
