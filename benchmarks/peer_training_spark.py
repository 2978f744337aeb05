"""Peer of training sets: what was known at each label, in PySpark on one machine, local[2].

Runs in its own environment (see `spark_env.py`), so it imports nothing of ours. Column expressions only: no row meets
Python. The join is by user; a window ranks the events of each label, and the newest so many are collected.
"""

from __future__ import annotations

import json
import sys

from pyspark.sql import SparkSession, Window
from pyspark.sql import functions as F

LENGTH = 256


def known(session: SparkSession, events: str, labels: str, out: str) -> int:
    """A row per label that has events; how many events all lists hold."""
    columns = ["event_time", "item_id", "action", "price"]
    rows = session.read.parquet(events).select("user_id", "available_time", *columns)
    asked = session.read.parquet(labels).select(F.col("user").alias("user_id"), "time")
    asked = asked.withColumn("label_id", F.monotonically_increasing_id())
    is_known = (F.col("event_time") < F.col("time")) & (F.col("available_time") <= F.col("time"))
    ranked = asked.join(rows, "user_id").where(is_known)
    newest = Window.partitionBy("label_id").orderBy(F.col("event_time").desc())
    ranked = ranked.withColumn("n", F.row_number().over(newest)).where(F.col("n") <= LENGTH)
    listed = ranked.groupBy("label_id", "user_id", "time").agg(
        F.sort_array(F.collect_list(F.struct("n", *columns))).alias("events")
    )
    lists = [F.col(f"events.{name}").alias(name) for name in columns]
    listed.select("label_id", "user_id", "time", *lists).write.option("compression", "zstd").parquet(out)
    return int(session.read.parquet(out).select(F.sum(F.size("event_time"))).first()[0])


def main() -> None:
    folder, labels, out = sys.argv[1:]
    session = (
        SparkSession.builder.master("local[2]")
        .config("spark.driver.memory", "10g")
        .config("spark.sql.shuffle.partitions", "64")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.local.dir", f"{out}.spill")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    events = f"{folder}/home/lake/events/action/*/*.parquet"
    print(json.dumps({"values": known(session, events, labels, out)}))
    session.stop()


if __name__ == "__main__":
    main()
