"""Feast as a contestant: a consumer loop that filters, looks items up in a dict and pushes frames of 1,000 rows.

Runs in an environment of its own, so it imports nothing of ours. Feast has no consumer for Kafka without Spark; its
documentation pushes frames from a loop like this one. The online store (SQLite) holds each user's newest event, because
Feast keeps one row per key; the offline store is a Parquet file, which every push reads and writes anew.
"""

from __future__ import annotations

import argparse
import json
import time
import uuid
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from confluent_kafka import Consumer
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, PushSource, RepoConfig
from feast.data_source import PushMode
from feast.types import Float64, Int64, String
from feast.value_type import ValueType

VIEW, PUSH, TIME = "actions", "actions_push", "ts"
FEATURES = {
    "event_id": String,
    "item_id": Int64,
    "kind": Int64,
    "price": Float64,
    "page": String,
    "device": String,
    "category": String,
    "brand": String,
}
ARROW = {String: pa.string(), Int64: pa.int64(), Float64: pa.float64()}
PAIRS = ["event_id", "category"]
ASKED_AT_ONCE = 1_000


def prepare(out: Path) -> None:
    """A registry with one feature view, and an offline file without rows."""
    out.mkdir(parents=True)
    columns = {"user_id": pa.int64(), **{name: ARROW[kind] for name, kind in FEATURES.items()}}
    schema = pa.schema([*columns.items(), (TIME, pa.timestamp("us", "UTC"))])
    pq.write_table(schema.empty_table(), _offline(out))
    user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.INT64)
    batch = FileSource(name="actions_file", path=str(_offline(out)), timestamp_field=TIME)
    view = FeatureView(
        name=VIEW,
        entities=[user],
        schema=[Field(name="user_id", dtype=Int64), *(Field(name=n, dtype=kind) for n, kind in FEATURES.items())],
        source=PushSource(name=PUSH, batch_source=batch),
        online=True,
        offline=True,
    )
    _store(out).apply([user, view])


def run(bootstrap: str, topic: str, items: Path, out: Path, count: int, rows: int, below_kind: int) -> float:
    """Seconds from the first message to the last push."""
    store = _store(out)
    table = pd.read_parquet(items)
    pairs = zip(table["category"], table["brand"], strict=True)
    attributes: dict[int, tuple[Any, Any]] = dict(zip(table["item_id"], pairs, strict=True))
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"bench-{uuid.uuid4()}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([topic])
    waiting: list[dict[str, Any]] = []
    seen, began = 0, 0.0
    while seen < count or waiting:
        messages = consumer.consume(rows, 0.5) if seen < count else []
        if messages and not began:
            began = time.perf_counter()
        seen += len(messages)
        for message in messages:
            row = orjson.loads(message.value())
            if row["kind"] < below_kind:
                row["category"], row["brand"] = attributes.get(row["item_id"], (None, None))
                waiting.append(row)
        while len(waiting) >= rows or (waiting and seen >= count):
            frame, waiting = pd.DataFrame(waiting[:rows]), waiting[rows:]
            frame[TIME] = pd.to_datetime(frame[TIME], utc=True).astype("datetime64[us, UTC]")
            store.push(PUSH, frame[["user_id", *FEATURES, TIME]], to=PushMode.ONLINE_AND_OFFLINE)
            if not waiting:
                consumer.commit(asynchronous=False)
    seconds = time.perf_counter() - began
    consumer.close()
    return seconds


def export(out: Path, compared: Path) -> None:
    """Event and category of what lies in the offline file, and of what the online store answers for each user."""
    compared.mkdir(parents=True)
    kept = pq.read_table(_offline(out))
    pq.write_table(kept.select(PAIRS), compared / "kept.parquet")
    store, users = _store(out), sorted(set(kept["user_id"].to_pylist()))
    answers = []
    for start in range(0, len(users), ASKED_AT_ONCE):
        asked = [{"user_id": user} for user in users[start : start + ASKED_AT_ONCE]]
        answer = store.get_online_features([f"{VIEW}:{name}" for name in PAIRS], asked).to_dict()
        answers.append(pa.table({name: pa.array(answer[name], pa.string()) for name in PAIRS}))
    pq.write_table(pa.concat_tables(answers), compared / "visible.parquet")


def _offline(out: Path) -> Path:
    return out / "offline.parquet"


def _store(out: Path) -> FeatureStore:
    config = RepoConfig(
        project="bench",
        provider="local",
        registry=str(out / "registry.db"),
        online_store={"type": "sqlite", "path": str(out / "online.db")},
        offline_store={"type": "file"},
        entity_key_serialization_version=3,
    )
    return FeatureStore(config=config)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    preparing, running, exporting = (commands.add_parser(name) for name in ("prepare", "run", "export"))
    for command in (preparing, running, exporting):
        command.add_argument("--out", type=Path, required=True)
    exporting.add_argument("--compared", type=Path, required=True)
    running.add_argument("--bootstrap", required=True)
    running.add_argument("--topic", required=True)
    running.add_argument("--items", type=Path, required=True)
    running.add_argument("--messages", type=int, required=True)
    running.add_argument("--rows", type=int, default=1_000, help="of a pushed frame")
    running.add_argument("--below-kind", type=int, required=True)
    options = parser.parse_args()
    if options.command == "prepare":
        prepare(options.out)
    elif options.command == "export":
        export(options.out, options.compared)
    else:
        seconds = run(
            options.bootstrap,
            options.topic,
            options.items,
            options.out,
            options.messages,
            options.rows,
            options.below_kind,
        )
        found = {name: version(name) for name in ("feast", "pandas", "confluent-kafka")}
        print(json.dumps({"work_s": round(seconds, 3), "versions": found}))


if __name__ == "__main__":
    main()
