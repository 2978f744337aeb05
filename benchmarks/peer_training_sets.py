"""Peers of training sets: an expert's DuckDB in both modes, and a gather in numpy that Polars writes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

LENGTH = 256


def corrected(events: str, labels: str, out: str) -> None:
    """Lists of each user once, the row number of each label by ASOF join, and slices of the lists."""
    _run(
        f"""
        COPY (
            WITH e AS (
                SELECT user_id, event_time, item_id, action, price,
                    row_number() OVER (PARTITION BY user_id ORDER BY event_time) AS n
                FROM read_parquet('{events}')
            ),
            lists AS (
                SELECT user_id, list(event_time ORDER BY n) AS event_time, list(item_id ORDER BY n) AS item_id,
                    list(action ORDER BY n) AS action, list(price ORDER BY n) AS price
                FROM e GROUP BY user_id
            ),
            l AS (
                SELECT row_number() OVER () AS label_id, "user" AS user_id, "time" FROM read_parquet('{labels}')
            ),
            found AS (
                SELECT l.*, coalesce(e.n, 0) AS n
                FROM l ASOF LEFT JOIN e ON l.user_id = e.user_id AND l."time" > e.event_time
            )
            SELECT found.label_id, found.user_id, found."time",
                list_slice(event_time, greatest(n - {LENGTH - 1}, 1), n) AS event_time,
                list_slice(item_id, greatest(n - {LENGTH - 1}, 1), n) AS item_id,
                list_slice(action, greatest(n - {LENGTH - 1}, 1), n) AS action,
                list_slice(price, greatest(n - {LENGTH - 1}, 1), n) AS price
            FROM found LEFT JOIN lists USING (user_id)
        ) TO '{out}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)
    """,
        out,
    )


def known(events: str, labels: str, out: str) -> None:
    """All that was known of each label's past, of which the newest are kept while it is joined."""
    _run(
        f"""
        COPY (
            WITH l AS (
                SELECT row_number() OVER () AS label_id, "user" AS user_id, "time" FROM read_parquet('{labels}')
            )
            SELECT l.label_id, any_value(l.user_id) AS user_id, any_value(l."time") AS "time",
                max({{
                    'event_time': e.event_time, 'item_id': e.item_id, 'action': e.action, 'price': e.price
                }}, {LENGTH}) AS event_time
            FROM l JOIN read_parquet('{events}') e
                ON l.user_id = e.user_id AND e.event_time < l."time" AND e.available_time <= l."time"
            GROUP BY l.label_id
        ) TO '{out}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)
    """,
        out,
    )


def gathered(events: str, labels: str, out: str) -> None:
    """What one writes first: sort, search, gather, and lists to a library's writer, in parts that fit."""
    import numpy as np  # noqa: PLC0415  (the environment of DuckDB need not have it)
    import polars as pl  # noqa: PLC0415

    rows = pl.read_parquet(events, columns=["user_id", "event_time", "item_id", "action", "price"])
    rows = rows.sort("user_id", "event_time")
    asked = pl.read_parquet(labels).sort("user", "time")
    user, time = rows["user_id"].to_numpy(), rows["event_time"].to_physical().to_numpy()
    key = user * (1 << 42) + time - int(time.min())
    at = asked["time"].to_physical().to_numpy() - int(time.min())
    stop = np.searchsorted(key, asked["user"].to_numpy() * (1 << 42) + at)
    first = np.searchsorted(user, asked["user"].to_numpy())
    start, values = np.maximum(stop - LENGTH, first), 0
    Path(out).mkdir(parents=True, exist_ok=True)
    for number, low in enumerate(range(0, asked.height, 50_000)):
        high = min(low + 50_000, asked.height)
        sizes = (stop - start)[low:high]
        ends = np.cumsum(sizes)
        places = np.arange(int(ends[-1])) + np.repeat(start[low:high] - (ends - sizes), sizes)
        labels_of = pl.Series("label", np.repeat(np.arange(high - low), sizes))
        flat = rows[places].drop("user_id").with_columns(labels_of)
        lists = flat.group_by("label", maintain_order=True).agg(pl.all())
        lists.write_parquet(Path(out) / f"part-{number}.parquet", compression_level=1)
        values += int(sizes.sum())
    print(json.dumps({"values": values}))


def _run(statement: str, out: str) -> None:
    import duckdb  # noqa: PLC0415  (only this contestant has it)

    with duckdb.connect(config={"threads": 2, "memory_limit": "8GB", "temp_directory": f"{out}.spill"}) as connection:
        connection.execute(statement)
        found = connection.execute(f"SELECT sum(len(event_time)) FROM read_parquet('{out}')").fetchone()
        print(json.dumps({"values": int(found[0]) if found else 0}))


def main() -> None:
    folder, way, labels, out = sys.argv[1:]
    events = f"{folder}/home/lake/events/action/*/*.parquet"
    {"corrected": corrected, "known": known, "numpy": gathered}[way](events, labels, out)


if __name__ == "__main__":
    main()
