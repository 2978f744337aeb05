"""Peer: the real data sets enriched and ordered by one DuckDB statement each, partitioned by day. Only the work.

The order within each day is an option of COPY: the rows of an ORDER BY do not stay in order through partitioning. It
uses a shortcut that definitions do not state: a line's week is its promotion's week.
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import date
from pathlib import Path

import duckdb

from benchmarks.workload import THREADS

EVENT_TYPES = {"pass": "Pass", "duel": "Duel", "free_kick": "Free Kick", "shot": "Shot"}


def completejourney(data: Path, out: Path, end: date) -> str:
    """Purchase lines with product, promotion of the week and the item vectors of the newest training before them.

    A new training replaces all vectors: a product it does not know has none. Where promotions repeat a key, the
    smallest values count. A line is its basket and product; of one that repeats, the first stays.
    """
    line = "household_id, basket_id, product_id"
    return f"""
        COPY (
            WITH bought AS (
                SELECT *, transaction_timestamp::TIMESTAMP AS event_time
                FROM read_parquet('{data}/transactions.parquet')
                WHERE quantity > 0 AND event_time < DATE '{end}'
            ),
            repeated AS MATERIALIZED (SELECT {line} FROM bought GROUP BY {line} HAVING count(*) > 1),
            lines AS MATERIALIZED (
                SELECT * FROM bought ANTI JOIN repeated USING ({line})
                UNION ALL
                SELECT * FROM bought SEMI JOIN repeated USING ({line})
                QUALIFY row_number() OVER (PARTITION BY {line} ORDER BY event_time) = 1
            ),
            promotions AS (
                SELECT product_id, store_id, week, min((display_location, mailer_location)) AS at
                FROM read_parquet('{data}/promotions.parquet') SEMI JOIN lines USING (product_id, store_id, week)
                GROUP BY product_id, store_id, week
            ),
            trainings AS (
                SELECT valid_from, lead(valid_from, 1, 'infinity') OVER (ORDER BY valid_from) AS valid_to
                FROM (SELECT DISTINCT valid_from FROM read_parquet('{data}/derived/*.parquet'))
            ),
            vectors AS (
                SELECT product_id, embedding, valid_from, valid_to
                FROM read_parquet('{data}/derived/*.parquet') JOIN trainings USING (valid_from)
            )
            SELECT
                household_id AS user_id, basket_id, product_id, store_id, quantity, sales_value,
                (sales_value + retail_disc + coupon_match_disc) / quantity AS base_price,
                (sales_value + coupon_match_disc) / quantity AS loyalty_price,
                CASE WHEN sales_value + retail_disc + coupon_match_disc > 0 THEN
                    (retail_disc + coupon_match_disc + coupon_disc) / (sales_value + retail_disc + coupon_match_disc)
                END AS discount_share,
                lines.week, event_time,
                department, brand, product_category, promotions.at[1] AS display_location,
                promotions.at[2] AS mailer_location, embedding, event_time::DATE AS day
            FROM lines
            LEFT JOIN read_parquet('{data}/products.parquet') AS products USING (product_id)
            LEFT JOIN promotions USING (product_id, store_id, week)
            LEFT JOIN vectors ON lines.product_id = vectors.product_id
                AND event_time >= valid_from AND event_time < valid_to
        ) TO '{out}' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (day), ORDER_BY (user_id, event_time))
    """


def wyscout_soccer(data: Path, out: Path, end: date) -> str:
    """Match events of four types with player and team. The second half begins 60 minutes after kick-off."""
    chosen = ", ".join(f"('{name}', '{event_name}')" for name, event_name in EVENT_TYPES.items())
    return f"""
        COPY (
            WITH chosen (event_type, name) AS (VALUES {chosen}),
            timed AS (
                SELECT events.*, gameweek, dateutc::TIMESTAMP + to_microseconds(
                    CASE WHEN matchPeriod = '2H' THEN 3600000000 ELSE 0 END + trunc(eventSec * 1000000)::BIGINT
                ) AS event_time
                FROM read_parquet('{data}/events_*.parquet') AS events
                LEFT JOIN read_parquet('{data}/matches.parquet') USING (matchId)
                WHERE playerId <> 0
            )
            SELECT
                playerId AS user_id, id, matchId AS match_id, playerId AS player_id, teamId AS team_id, gameweek,
                matchPeriod AS period, eventSec AS second, subEventName AS kind, tags, role_name, foot, height,
                teams.name AS team_name, city AS team_city, event_time, event_type, event_time::DATE AS day
            FROM timed
            JOIN chosen ON eventName = chosen.name AND event_time < DATE '{end}'
            LEFT JOIN read_parquet('{data}/players.parquet') AS players ON playerId = players.wyId
            LEFT JOIN read_parquet('{data}/teams.parquet') AS teams ON teamId = teams.wyId
        ) TO '{out}' (
            FORMAT parquet, COMPRESSION zstd, PARTITION_BY (event_type, day), ORDER_BY (user_id, event_time)
        )
    """


STATEMENTS = {"completejourney": completejourney, "wyscout_soccer": wyscout_soccer}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data_set", choices=STATEMENTS)
    parser.add_argument("input", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--end", type=date.fromisoformat, required=True, help="the first day that is left out")
    parser.add_argument("--spill-dir", type=Path, required=True)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(config={"threads": THREADS, "temp_directory": str(options.spill_dir)}) as connection:
        started = time.perf_counter()
        connection.execute(STATEMENTS[options.data_set](options.input, options.output, options.end))
        work_s = time.perf_counter() - started
    print(json.dumps({"work_s": round(work_s, 3), "versions": {"duckdb": duckdb.__version__}}))


if __name__ == "__main__":
    main()
