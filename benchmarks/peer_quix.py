"""Quix Streams as a contestant: JSON -> filter -> look-up in a dict -> a batching sink into LMDB and Parquet.

Runs in an environment of its own, so it imports nothing of ours. Each event is one LMDB record, `user|event`; each
partition's batch is one transaction and one file, written when Quix commits (its default: every 5 s). `--sink none`
does everything but write, which is the floor under any sink.
"""

from __future__ import annotations

import argparse
import json
import time
import uuid
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lmdb
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from quixstreams import Application
from quixstreams.sinks.base import BatchingSink, SinkBatch

MAP_BYTES = 1 << 36
PAIRS = ["event_id", "category"]


class StoreSink(BatchingSink):
    def __init__(self, out: Path) -> None:
        super().__init__()
        (out / "lake").mkdir(parents=True)
        self._lake, self._files = out / "lake", 0
        self._store = lmdb.open(str(out / "online"), map_size=MAP_BYTES)

    def write(self, batch: SinkBatch) -> None:
        rows: list[dict[str, Any]] = [item.value for item in batch]
        records = [(f"{row['user_id']}|{row['event_id']}".encode(), orjson.dumps(row)) for row in rows]
        with self._store.begin(write=True) as transaction:
            transaction.cursor().putmulti(records)
        pq.write_table(pa.Table.from_pylist(rows), self._lake / f"part-{self._files:05d}.parquet", compression="zstd")
        self._files += 1


class NoSink(BatchingSink):
    def write(self, batch: SinkBatch) -> None:
        pass


def run(bootstrap: str, topic: str, items: Path, out: Path, kind: str, kept: int, below_kind: int) -> float:
    """Seconds from the first message to the last commit."""
    table = pq.read_table(items)
    attributes = dict(
        zip(
            table["item_id"].to_pylist(),
            zip(table["category"].to_pylist(), table["brand"].to_pylist(), strict=True),
            strict=True,
        )
    )
    app = Application(
        broker_address=bootstrap, consumer_group=f"bench-{uuid.uuid4()}", auto_offset_reset="earliest", loglevel="ERROR"
    )
    began: list[float] = []
    unknown = (None, None)

    def is_kept(row: dict[str, Any]) -> bool:
        if not began:
            began.append(time.perf_counter())
        return bool(row["kind"] < below_kind)

    def enrich(row: dict[str, Any]) -> None:
        row["category"], row["brand"] = attributes.get(row["item_id"], unknown)

    stream = app.dataframe(app.topic(topic, value_deserializer="json"))
    stream = stream.filter(is_kept).update(enrich)
    stream.sink(NoSink() if kind == "none" else StoreSink(out))
    app.run(count=kept, timeout=60, collect=False)
    return time.perf_counter() - began[0]


def export(out: Path, compared: Path) -> None:
    """Event and category of what lies in the files and in the store."""
    compared.mkdir(parents=True)
    kept = pa.concat_tables(pq.read_table(file, columns=PAIRS) for file in sorted((out / "lake").glob("*.parquet")))
    pq.write_table(kept, compared / "kept.parquet")
    types = pa.schema([(name, pa.string()) for name in PAIRS])
    pq.write_table(pa.Table.from_pylist(list(_stored(out)), types), compared / "visible.parquet")


def _stored(out: Path) -> Iterator[dict[str, Any]]:
    with lmdb.open(str(out / "online"), map_size=MAP_BYTES).begin() as transaction:
        for _, value in transaction.cursor():
            row = orjson.loads(value)
            yield {name: row[name] for name in PAIRS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    running, exporting = commands.add_parser("run"), commands.add_parser("export")
    for command in (running, exporting):
        command.add_argument("--out", type=Path, required=True)
    exporting.add_argument("--compared", type=Path, required=True)
    running.add_argument("--bootstrap", required=True)
    running.add_argument("--topic", required=True)
    running.add_argument("--items", type=Path, required=True)
    running.add_argument("--sink", choices=("store", "none"), default="store")
    running.add_argument("--kept", type=int, required=True, help="rows that pass the filter; it ends after them")
    running.add_argument("--below-kind", type=int, required=True)
    options = parser.parse_args()
    if options.command == "export":
        export(options.out, options.compared)
        return
    seconds = run(
        options.bootstrap,
        options.topic,
        options.items,
        options.out,
        options.sink,
        options.kept,
        options.below_kind,
    )
    found = {name: version(name) for name in ("quixstreams", "lmdb", "pyarrow")}
    print(json.dumps({"work_s": round(seconds, 3), "versions": found}))


if __name__ == "__main__":
    main()
