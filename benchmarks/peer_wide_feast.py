"""Peer of wide rows: Feast's historical features of 1,000 columns, from a Parquet file with its file offline store.

Runs in an environment of its own, so it imports nothing of ours. Its memory has a limit, so that the machine stays up.
"""

from __future__ import annotations

import json
import resource
import sys
from datetime import timedelta
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.types import Int64
from feast.value_type import ValueType

WIDTH = 1_000
MOST_BYTES = 10 << 30


def main() -> None:
    folder = Path(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))
    registry = folder / "feast"
    registry.mkdir(exist_ok=True)
    store = FeatureStore(
        config=RepoConfig(
            project="wide",
            provider="local",
            registry=str(registry / "registry.db"),
            online_store={"type": "sqlite", "path": str(registry / "online.db")},
            offline_store={"type": "file"},
            entity_key_serialization_version=3,
        )
    )
    names = [f"c{number}" for number in range(WIDTH)]
    user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.INT64)
    source = FileSource(name="rows", path=str((folder / "rows.parquet").absolute()), timestamp_field="event_time")
    schema = [Field(name="user_id", dtype=Int64), *(Field(name=name, dtype=Int64) for name in names)]
    view = FeatureView(name="wide", entities=[user], schema=schema, source=source, ttl=timedelta(days=30))
    store.apply([user, view])
    labels = pd.read_parquet(folder / "labels.parquet").rename(columns={"user": "user_id", "time": "event_timestamp"})
    found = store.get_historical_features(entity_df=labels, features=[f"wide:{name}" for name in names]).to_df()
    found.to_parquet(folder / "feast.parquet")
    print(json.dumps({"values": int(found["c0"].notna().sum())}))


if __name__ == "__main__":
    main()
