"""Peers: one full outer join in DuckDB that compares the same columns, and datacompy on frames of pandas and Polars.

They count, and do nothing else: no causes, no counts by user, no examples. datacompy has an environment of its own, so
this module imports nothing of ours, and each library only where it is asked for.
"""

from __future__ import annotations

import argparse
import json
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

KEY = ("user_id", "event_id")
THREADS = 2


def duckdb_join(root: Path, tolerances: dict[str, float], columns: list[str]) -> dict[str, int]:
    """One statement; a pair is where both sides have a user."""
    import duckdb  # noqa: PLC0415

    pair = "a.user_id IS NOT NULL AND b.user_id IS NOT NULL"
    counts = [
        f"count(*) FILTER (WHERE {pair}) AS matched",
        "count(*) FILTER (WHERE b.user_id IS NULL) AS only_ours",
        "count(*) FILTER (WHERE a.user_id IS NULL) AS only_legacy",
    ]
    for name in columns:
        differs = f"a.{name} IS DISTINCT FROM b.{name}"
        if name in tolerances:
            largest = f"greatest(abs(a.{name}), abs(b.{name}))"
            differs += f" AND NOT coalesce(abs(a.{name} - b.{name}) <= {tolerances[name]} * {largest}, false)"
        counts.append(f"count(*) FILTER (WHERE {pair} AND {differs}) AS differs_{name}")
    sides = (f"read_parquet('{root}/{side}-*.parquet') AS {alias}" for side, alias in (("ours", "a"), ("legacy", "b")))
    on = " AND ".join(f"a.{name} = b.{name}" for name in KEY)
    with duckdb.connect(config={"threads": THREADS}) as connection:
        asked = connection.execute(f"SELECT {', '.join(counts)} FROM {' FULL JOIN '.join(sides)} ON {on}")
        names = [column[0] for column in asked.description]
        return dict(zip(names, asked.fetchall()[0], strict=True))


def datacompy_compare(root: Path, tolerances: dict[str, float], columns: list[str], frames: str) -> dict[str, int]:
    """By its own counts. It has one relative tolerance for all columns; what is exact differs by more than that."""
    import datacompy  # noqa: PLC0415

    sides = [_read(root, side, frames) for side in ("ours", "legacy")]
    make: Any = {"pandas": _first(datacompy, "PandasCompare", "Compare"), "polars": datacompy.PolarsCompare}[frames]
    found = make(sides[0], sides[1], join_columns=list(KEY), rel_tol=max(tolerances.values()))
    stats = {each["column"]: int(each["unequal_cnt"]) for each in found.column_stats}
    alone = {"only_ours": len(found.df1_unq_rows), "only_legacy": len(found.df2_unq_rows)}
    return {"matched": len(found.intersect_rows), **alone, **{f"differs_{name}": stats[name] for name in columns}}


def _first(module: Any, *names: str) -> Any:
    return next(getattr(module, name) for name in names if hasattr(module, name))


def _read(root: Path, side: str, frames: str) -> Any:
    files = sorted(str(path) for path in root.glob(f"{side}-*.parquet"))
    if frames == "polars":
        import polars as pl  # noqa: PLC0415

        return pl.read_parquet(files)
    import pandas as pd  # noqa: PLC0415

    return pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=("duckdb", "datacompy-pandas", "datacompy-polars"))
    parser.add_argument("root", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("columns", help="as JSON: a list of names")
    parser.add_argument("tolerances", help="as JSON: relative ones by column")
    options = parser.parse_args()
    columns, tolerances = json.loads(options.columns), json.loads(options.tolerances)
    started = time.perf_counter()
    if options.peer == "duckdb":
        found = duckdb_join(options.root, tolerances, columns)
    else:
        found = datacompy_compare(options.root, tolerances, columns, options.peer.removeprefix("datacompy-"))
    seconds = time.perf_counter() - started
    options.out.mkdir(parents=True)
    (options.out / "counts.json").write_text(json.dumps(found))
    name = options.peer.partition("-")[0]
    print(json.dumps({"work_s": round(seconds, 3), "versions": {name: version(name)}}))


if __name__ == "__main__":
    main()
