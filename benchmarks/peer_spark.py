"""Peer: the day build in PySpark on one machine, local[2]. Column expressions only, so Python is never in the row path.

Runs in its own environment (see `spark_env.py`), which is why it imports nothing but PySpark and `workload`.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Literal, get_args

import pyspark
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from benchmarks.workload import KEPT_KINDS, NATURAL_KEY, OUTPUT_COLUMNS, RAW_COLUMNS, THREADS, DayInput

Dedupe = Literal["row_number", "min_by"]
AsOf = Literal["broadcast", "window"]


def build(session: SparkSession, day: DayInput, out_dir: Path, *, dedupe: Dedupe, as_of: AsOf) -> None:
    """Write the day below `out_dir`, globally sorted: the files' name order is the (user_id, event_ts) order."""
    raw = session.read.parquet(str(day.raw_dir))
    events = _first_per_key(raw.where(F.col("kind") < KEPT_KINDS), dedupe)
    lookups = [session.read.parquet(str(day.versions)), session.read.parquet(str(day.embeddings))]
    order = ["user_id", "event_ts"]
    if as_of == "broadcast":
        # Range-partition the narrow events, then widen them in place: a plain orderBy at the end would shuffle every
        # embedding and, to sample its ranges, run both joins twice.
        joined = events.repartitionByRange(*order)
        for lookup in lookups:
            joined = _join_broadcast(joined, lookup)
        ordered = _answer(joined).sortWithinPartitions(*order)
    else:
        ordered = _answer(_join_window(events, lookups)).orderBy(*order)
    ordered.write.mode("overwrite").parquet(str(out_dir))


def _answer(joined: DataFrame) -> DataFrame:
    return joined.withColumn("amount", F.col("price") * F.col("quantity")).select(*OUTPUT_COLUMNS)


def _first_per_key(events: DataFrame, dedupe: Dedupe) -> DataFrame:
    if dedupe == "row_number":
        by_key = Window.partitionBy(*NATURAL_KEY).orderBy("ingest_ts")
        return events.withColumn("nth", F.row_number().over(by_key)).where("nth = 1").drop("nth")
    row = F.struct(*RAW_COLUMNS)
    return events.groupBy(*NATURAL_KEY).agg(F.min_by(row, "ingest_ts").alias("row")).select("row.*")


def _join_broadcast(events: DataFrame, lookup: DataFrame) -> DataFrame:
    """As-of join as a broadcast hash join on the item, with each version's validity range as the condition."""
    by_item = Window.partitionBy("item_id").orderBy("valid_from")
    ranged = lookup.withColumn("valid_to", F.lead("valid_from").over(by_item)).withColumnRenamed("item_id", "key")
    open_ended = F.col("valid_to").isNull() | (F.col("event_ts") < F.col("valid_to"))
    on = (F.col("item_id") == F.col("key")) & (F.col("event_ts") >= F.col("valid_from")) & open_ended
    return events.join(F.broadcast(ranged), on, "left").drop("key", "valid_from", "valid_to")


def _join_window(events: DataFrame, lookups: list[DataFrame]) -> DataFrame:
    """As-of join as one union of events and versions per item, carrying the last version forward through time."""
    at_or_before = Window.partitionBy("item_id").orderBy("at", "is_event").rowsBetween(Window.unboundedPreceding, 0)
    union = events.withColumns({"at": F.col("event_ts"), "is_event": F.lit(1)})
    carried: dict[str, Column] = {}
    for number, lookup in enumerate(lookups):
        values = [name for name in lookup.columns if name not in ("item_id", "valid_from")]
        packed = f"lookup_{number}"
        side = lookup.select(
            "item_id", F.col("valid_from").alias("at"), F.lit(0).alias("is_event"), F.struct(*values).alias(packed)
        )
        union = union.unionByName(side, allowMissingColumns=True)
        last = F.last(packed, ignorenulls=True).over(at_or_before)
        carried |= {f"{packed}_now": last}
    joined = union.withColumns(carried).where("is_event = 1")
    return joined.select(*RAW_COLUMNS, *(f"{name}.*" for name in carried))


def _session(*, driver_memory: str, spill_dir: Path, partitions: int) -> SparkSession:
    return (
        SparkSession.builder.master(f"local[{THREADS}]")
        .appName("day-build")
        .config("spark.driver.memory", driver_memory)
        # Throughput collector: this is a batch job, and pauses hurt nobody.
        .config("spark.driver.extraJavaOptions", "-XX:+UseParallelGC")
        .config("spark.local.dir", str(spill_dir))
        .config("spark.sql.shuffle.partitions", partitions)
        .config("spark.sql.parquet.compression.codec", "zstd")
        # As in the DuckDB peer: dictionaries of random floats are built only to be thrown away.
        .config("spark.hadoop.parquet.enable.dictionary", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .getOrCreate()
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--dedupe", choices=get_args(Dedupe), default="min_by")
    parser.add_argument("--as-of", choices=get_args(AsOf), default="broadcast")
    parser.add_argument("--driver-memory", default="8g")
    parser.add_argument("--spill-dir", type=Path, required=True)
    parser.add_argument("--partitions", type=int, default=16)
    arguments = parser.parse_args()
    session = _session(
        driver_memory=arguments.driver_memory, spill_dir=arguments.spill_dir, partitions=arguments.partitions
    )
    session.sparkContext.setLogLevel("ERROR")
    started = time.perf_counter()
    build(session, DayInput(arguments.input), arguments.output, dedupe=arguments.dedupe, as_of=arguments.as_of)
    work_s = time.perf_counter() - started
    java = session.sql("SELECT java_method('java.lang.System', 'getProperty', 'java.version')").collect()[0][0]
    session.stop()
    print(json.dumps({"work_s": round(work_s, 3), "versions": {"pyspark": pyspark.__version__, "java": java}}))


if __name__ == "__main__":
    main()
