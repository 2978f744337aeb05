"""Feast as a server of sequences: one row per user whose features are lists, newest event first, in its SQLite store.

Runs in an environment of its own, so it imports nothing of ours. `prepare` reads one Parquet file with a row per user
and list columns, declares exactly those columns as one feature view and one feature service (Feast reads every feature
of a view, so a wider view would only cost it more), and writes them online. The server is `feast serve` itself.
"""

from __future__ import annotations

import argparse
import json
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource
from feast.types import Array, Bool, Bytes, Float32, Float64, Int32, Int64, String, UnixTimestamp
from feast.value_type import ValueType

PROJECT, VIEW, SERVICE, TIME = "bench", "sequence", "ranking", "event_timestamp"
ITEMS = {
    pa.bool_(): Bool,
    pa.int64(): Int64,
    pa.int32(): Int32,
    pa.float32(): Float32,
    pa.float64(): Float64,
    pa.large_string(): String,
    pa.string(): String,
    pa.large_binary(): Bytes,
    pa.binary(): Bytes,
    pa.timestamp("us", "UTC"): UnixTimestamp,
}
CONFIG = """\
project: bench
provider: local
registry: {repo}/registry.db
online_store:
  type: sqlite
  path: {repo}/online.db
offline_store:
  type: file
entity_key_serialization_version: 3
"""


def prepare(rows: Path, repo: Path) -> None:
    """A repository below ``repo`` whose online store holds the rows."""
    repo.mkdir(parents=True)
    (repo / "feature_store.yaml").write_text(CONFIG.format(repo=repo))
    table = pq.read_table(rows)
    features = [Field(name=f.name, dtype=Array(ITEMS[f.type.value_type])) for f in table.schema if f.name != "user_id"]
    written = table.append_column(TIME, pa.repeat(pa.scalar(0, pa.timestamp("us", "UTC")), table.num_rows))
    user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.INT64)
    view = FeatureView(
        name=VIEW,
        entities=[user],
        schema=[Field(name="user_id", dtype=Int64), *features],
        source=FileSource(name="rows", path=str(rows), timestamp_field=TIME),
        online=True,
    )
    store = FeatureStore(repo_path=str(repo))
    store.apply([user, view, FeatureService(name=SERVICE, features=[view])])
    store.write_to_online_store(VIEW, written.to_pandas())
    print(json.dumps({name: version(name) for name in ("feast", "fastapi", "uvicorn", "gunicorn", "uvloop")}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=("prepare",))
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--repo", type=Path, required=True)
    options = parser.parse_args()
    prepare(options.rows, options.repo)


if __name__ == "__main__":
    main()
