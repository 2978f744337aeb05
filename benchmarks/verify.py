"""Say whether two contestants wrote the same table: rows, every value, and the order they promised.

Checksums are sums of hashes, so neither row order nor the number of files changes them. They tell equality bit by bit;
a contestant that stores vectors narrower is compared without them, and `largest_difference` looks at them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import duckdb

from benchmarks.workload import THREADS

# By user and time; `descending` is by user and each user's newest first.
Order = Literal["ascending", "descending"]


@dataclass(frozen=True)
class Fingerprint:
    """What an output holds, whatever its files look like.

    `row_hash` sees which values stand in one row together; `column_hashes` tell which column differs. `is_sorted` says
    the files, in the order of their names, run through user and time without stepping back;
    `is_sorted_within_files` asks that of each file alone.
    """

    rows: int
    row_hash: str
    column_hashes: dict[str, str]
    is_sorted: bool
    is_sorted_within_files: bool


def fingerprint(
    files: Path, types: Mapping[str, str], *, user: str = "user_id", time: str = "event_ts", order: Order = "ascending"
) -> Fingerprint:
    """Read every Parquet file below `files`; no rows give zero hashes and count as sorted.

    `types` names the compared columns and the DuckDB type each is compared in, because writers differ in nullability,
    list element names and timestamp flags. A folder name like `day=2026-01-15` is a column.
    """
    source = f"read_parquet('{files}/**/*.parquet', file_row_number = true, filename = true, hive_partitioning = true)"
    cast = [f"{name}::{dtype}" for name, dtype in types.items()]
    sums = ", ".join(f"coalesce(sum(hash({value})), 0)::VARCHAR" for value in cast)
    with duckdb.connect(config={"threads": THREADS}) as connection:
        rows, row_hash, *hashes = _one_row(
            connection, f"SELECT count(*), coalesce(sum(hash({', '.join(cast)})), 0)::VARCHAR, {sums} FROM {source}"
        )
        steps_back, steps_back_within = _one_row(connection, _steps_back(source, user, time, order))
    return Fingerprint(
        rows=rows,
        row_hash=row_hash,
        column_hashes=dict(zip(types, hashes, strict=True)),
        is_sorted=steps_back == 0,
        is_sorted_within_files=steps_back_within == 0,
    )


def differences(expected: Fingerprint, actual: Fingerprint) -> list[str]:
    """Say in sentences what differs in the columns that both have; empty when they agree."""
    if expected.rows != actual.rows:
        return [f"row count: expected {expected.rows}, got {actual.rows}"]
    common = [name for name in expected.column_hashes if name in actual.column_hashes]
    found = [
        f"column {name!r} holds other values"
        for name in common
        if actual.column_hashes[name] != expected.column_hashes[name]
    ]
    same_columns = expected.column_hashes.keys() == actual.column_hashes.keys()
    if not found and same_columns and expected.row_hash != actual.row_hash:
        found.append("each column holds the same values, but they stand in other rows")
    return found


def largest_difference(expected: Path, actual: Path, *, vector: str, key: Sequence[str], one_in: int) -> float:
    """The largest absolute difference of two vectors' items, over the rows of one user in `one_in`.

    Infinite if a row of one has no partner with a vector, or without one, in the other.
    """
    sides = [
        f"(SELECT * FROM read_parquet('{files}/**/*.parquet') WHERE hash(user_id) % {one_in} = 0)"
        for files in (expected, actual)
    ]
    apart = f"list_max(list_transform(list_zip(a.{vector}, b.{vector}), lambda pair: abs(pair[1] - pair[2])))"
    unlike = f"(a.{vector} IS NULL) <> (b.{vector} IS NULL) OR a.{key[0]} IS NULL OR b.{key[0]} IS NULL"
    with duckdb.connect(config={"threads": THREADS}) as connection:
        (found,) = _one_row(
            connection,
            f"""SELECT coalesce(max(CASE WHEN {unlike} THEN 'inf'::DOUBLE ELSE {apart} END), 0)
                FROM {sides[0]} AS a FULL JOIN {sides[1]} AS b USING ({", ".join(key)})""",
        )
    return float(found)


def _steps_back(source: str, user: str, time: str, order: Order) -> str:
    """Count rows that are smaller than the row before them: in all files one after another, and within one file."""
    instant = f"epoch_us({time}::TIMESTAMP)"
    place = f"({user}, {instant if order == 'ascending' else f'-{instant}'})"
    return f"""
        SELECT count(*) FILTER (back), count(*) FILTER (back AND filename = filename_before) FROM (
            SELECT filename, lag(filename) OVER file_order AS filename_before,
                coalesce({place} < lag({place}) OVER file_order, false) AS back
            FROM {source} WINDOW file_order AS (ORDER BY filename, file_row_number)
        )
    """


def _one_row(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    row = connection.execute(query).fetchone()
    assert row is not None  # an aggregate without GROUP BY always gives one row
    return tuple(row)
