"""Peer: the day build as one hand-written DuckDB statement. No release, no checks, no Delta: only the work.

Each step has alternatives, kept runnable so that anyone can see the published one is DuckDB's best. On 10 M rows with
two threads (DuckDB 2.0, about, in seconds): repeated_keys and arg_min 14.3, row_number 15.0; as-of by hash join with a
validity range 14.3, by ASOF JOIN 15.9; with dictionary encoding 15.0, without 14.3. Sorting narrow rows and joining the
embeddings after that is no way out: DuckDB does not promise row order through a join, and its files came out unsorted.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Literal, get_args

import duckdb

from benchmarks.workload import KEPT_KINDS, NATURAL_KEY, RAW_COLUMNS, THREADS, VERSION_COLUMNS, DayInput

Dedupe = Literal["repeated_keys", "arg_min", "row_number"]
AsOf = Literal["range", "asof"]

KEY = ", ".join(NATURAL_KEY)


def build(
    day: DayInput,
    out_dir: Path,
    *,
    dedupe: Dedupe = "repeated_keys",
    as_of: AsOf = "range",
    memory_limit: str = "16GB",
    spill_dir: Path | None = None,
) -> float:
    """Write the day to `out_dir/part-0.parquet`, sorted by (user_id, event_ts); return the statement's seconds."""
    out_dir.mkdir(parents=True, exist_ok=True)
    config: dict[str, str | bool | int | float | list[str]] = {"threads": THREADS, "memory_limit": memory_limit}
    if spill_dir is not None:
        config["temp_directory"] = str(spill_dir)
    with duckdb.connect(config=config) as connection:
        started = time.perf_counter()
        connection.execute(statement(day, out_dir / "part-0.parquet", dedupe=dedupe, as_of=as_of))
        return time.perf_counter() - started


def statement(day: DayInput, out_file: Path, *, dedupe: Dedupe, as_of: AsOf) -> str:
    """The whole day build as SQL text."""
    raw = ", ".join(f"kept.{name}" for name in RAW_COLUMNS)
    versions = ", ".join(f"versions.{name}" for name in VERSION_COLUMNS)
    # NOTE: the embedding stays a list. As FLOAT[32] every step costs 5 % more and Parquet stores the same list anyway.
    # dictionary_size_limit 1 turns dictionaries off: building them for random floats is work for nothing.
    return f"""
        COPY (
            WITH {_kept(day, dedupe)}
            SELECT {raw}, {versions}, kept.price * kept.quantity AS amount, embeddings.embedding
            FROM kept
            {_as_of("versions", day.versions, as_of)}
            {_as_of("embeddings", day.embeddings, as_of)}
            ORDER BY kept.user_id, kept.event_ts
        ) TO '{out_file}' (FORMAT parquet, COMPRESSION zstd, DICTIONARY_SIZE_LIMIT 1)
    """


def _kept(day: DayInput, dedupe: Dedupe) -> str:
    """Filter, then one row per natural key. They commute here: a duplicate repeats every column but `ingest_ts`."""
    filtered = f"FROM read_parquet('{day.raw_glob}') AS raw"
    where = f"WHERE kind < {KEPT_KINDS}"
    first = f"QUALIFY row_number() OVER (PARTITION BY {KEY} ORDER BY ingest_ts) = 1"
    if dedupe == "row_number":
        return f"kept AS (SELECT * {filtered} {where} {first})"
    if dedupe == "arg_min":
        payload = [name for name in RAW_COLUMNS if name not in (*NATURAL_KEY, "ingest_ts")]
        chosen = ", ".join(f"arg_min({name}, ingest_ts) AS {name}" for name in payload)
        return f"kept AS (SELECT {KEY}, {chosen}, min(ingest_ts) AS ingest_ts {filtered} {where} GROUP BY {KEY})"
    # Only two keys in a hundred repeat: find those from the narrow key columns, and rank nothing but their rows.
    return f"""
        repeated AS MATERIALIZED (SELECT {KEY} {filtered} {where} GROUP BY {KEY} HAVING count(*) > 1),
        kept AS (
            SELECT * {filtered} ANTI JOIN repeated USING ({KEY}) {where}
            UNION ALL
            SELECT * {filtered} SEMI JOIN repeated USING ({KEY}) {where} {first}
        )"""


def _as_of(name: str, table: Path, as_of: AsOf) -> str:
    """Left join the row of `table` valid at the event's time. Items have few versions: a hash join beats two sorts."""
    if as_of == "asof":
        return f"""
            ASOF LEFT JOIN read_parquet('{table}') AS {name}
                ON kept.item_id = {name}.item_id AND kept.event_ts >= {name}.valid_from"""
    until = "lead(valid_from, 1, TIMESTAMP '9999-01-01') OVER (PARTITION BY item_id ORDER BY valid_from)"
    return f"""
            LEFT JOIN (SELECT *, {until} AS valid_to FROM read_parquet('{table}')) AS {name}
                ON kept.item_id = {name}.item_id
                AND kept.event_ts >= {name}.valid_from AND kept.event_ts < {name}.valid_to"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--dedupe", choices=get_args(Dedupe), default="repeated_keys")
    parser.add_argument("--as-of", choices=get_args(AsOf), default="range")
    parser.add_argument("--memory-limit", default="16GB")
    parser.add_argument("--spill-dir", type=Path)
    arguments = parser.parse_args()
    work_s = build(
        DayInput(arguments.input),
        arguments.output,
        dedupe=arguments.dedupe,
        as_of=arguments.as_of,
        memory_limit=arguments.memory_limit,
        spill_dir=arguments.spill_dir,
    )
    print(json.dumps({"work_s": round(work_s, 3), "versions": {"duckdb": duckdb.__version__}}))


if __name__ == "__main__":
    main()
