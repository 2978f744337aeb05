"""Other tools read what lies in the lake, without ours: which rows, which types."""

import glob
import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable

from tests.conftest import Demo

# The folder with the jars of delta-spark and delta-storage.
JARS = "SEQPLAT_TEST_DELTA_JARS"
DAY, ROWS = "2017-11-27", 976


@pytest.fixture(scope="module")
def table(demo: Demo) -> str:
    return demo.runtime.home.uri("lake/events/purchase")


def test_tables_use_none_of_deltas_newer_features(table: str) -> None:
    """No deletion vectors, no column mapping: what a reader of the first version knows."""
    found = DeltaTable(table)
    assert found.protocol().min_reader_version == 1
    assert not found.protocol().reader_features
    assert not [key for key in found.metadata().configuration if "columnMapping" in key or "deletionVector" in key]


def test_polars_reads_it(table: str) -> None:
    stored = pl.scan_delta(table).filter(pl.col("day") == pl.lit(DAY).str.to_date(), pl.col("op") == "upsert")
    assert stored.select(pl.len()).collect().item() == ROWS


def test_duckdb_reads_it(table: str) -> None:
    duckdb: Any = pytest.importorskip("duckdb", reason="DuckDB: install the extra bench")
    counted = duckdb.connect().execute(
        "SELECT COUNT(*), COUNT(DISTINCT user_id) FROM read_parquet(?, hive_partitioning=true, union_by_name=true) "
        "WHERE day = ? AND op = 'upsert'",
        [DeltaTable(table).file_uris(), DAY],
    )
    assert counted.fetchone() == (ROWS, 78)


def test_spark_reads_it(table: str) -> None:
    sql: Any = pytest.importorskip("pyspark.sql", reason="Spark: pip install pyspark==4.0.1, and Java 17")
    jars = glob.glob(str(Path(os.environ.get(JARS, "")) / "delta-*.jar"))
    if JARS not in os.environ or not jars:
        pytest.skip(f"Spark: {JARS} names no folder with io.delta:delta-spark_2.13:4.0.0 and delta-storage:4.0.0")
    spark = (
        sql.SparkSession.builder.master("local[1]")
        .config("spark.jars", ",".join(jars))
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .getOrCreate()
    )
    try:
        read = spark.read.format("delta").load(table)
        assert read.filter(f"day = '{DAY}' AND op = 'upsert'").count() == ROWS
        (vector,) = [field for field in read.schema.fields if field.name == "product_vector"]
        assert vector.metadata["seqplat.dtype"] == "vector[float16,8]"
    finally:
        spark.stop()
