"""Bytes per event online: our store, one JSON document per user, and Feast's SQLite store with a row per user.

Feast holds each column of a user as a list feature, one view per event type, vectors as bytes: its smallest form. What
a reader would want of an event is the same on all sides; our store keeps system columns and statuses besides.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import lmdb
import polars as pl
import zstandard

from benchmarks import documents, feast_api, product
from seqplat_resources.release.runtime import Runtime
from sequence_defs.schema import parse_dtype

ZSTD_LEVEL = 3
ITEM_BYTES = {"int8": 1, "float16": 2, "float32": 4}
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
NOTE = (
    "Online, Feast keeps a row per user and column with a list in it, here without nulls, which its lists cannot hold. "
    "`compacted` is our LMDB file without the pages "
    "that later writes will take again; a document with zstd is compressed alone, as it is read."
)


def lines(name: str, runtime: Runtime, folder: Path, scratch: Path) -> list[Sequence[str]]:
    """Cells as in `storage.py`, of all event types of a home together; scratch files go below ``folder``."""
    every = list(runtime.release.event_types)
    found = documents.of_events(runtime, every)
    count = int(found["events"].sum())
    store = folder / "home" / "online"
    ours = _compacted_bytes(store, folder)
    sizes = {
        f"{name}: online store, all event types, compacted": ours,
        "the same as it is on disk": sum(file.stat().st_blocks * 512 for file in store.rglob("*")),
        "as JSON, one document per user": int(found["document"].str.len_bytes().sum()),
        "the same with zstd": _compressed_bytes(found["document"]),
        "Feast's SQLite store": sum(_feast_bytes(runtime, each, folder, scratch) for each in every),
    }
    return [(label, f"{count:,}", f"{size / count:.1f}", f"{size / ours:.1f}", "", "") for label, size in sizes.items()]


def _compacted_bytes(store: Path, folder: Path) -> int:
    """The size of the data file after a compacting copy."""
    (data,) = store.rglob("data.mdb")
    copy = folder / "compacted"
    copy.mkdir()
    with lmdb.open(str(data.parent), readonly=True, lock=False, max_dbs=64) as environment:
        environment.copy(str(copy), compact=True)
    return (copy / "data.mdb").stat().st_size


def _compressed_bytes(found: pl.Series) -> int:
    compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL)
    return sum(len(compressor.compress(text.encode())) for text in found)


def _feast_bytes(runtime: Runtime, event_type: str, folder: Path, scratch: Path) -> int:
    wanted = documents.columns_of(runtime, event_type)
    picked = [_storable(column, dtype) for column, dtype in wanted.items()]
    rows = product.events_table(runtime, event_type).scan().select(pl.col("user_id").cast(pl.Int64), *picked).collect()
    ordered = rows.sort("user_id", "event_time", descending=[False, True])
    listed = ordered.group_by("user_id", maintain_order=True).agg(pl.all())
    place = folder / f"feast-{event_type}"
    feast_api.prepare(listed, place, scratch)
    return (place / "repo" / "online.db").stat().st_size


def _storable(name: str, dtype: str) -> pl.Expr:
    """In a type that Feast has lists of, and without nulls, which its lists cannot hold."""
    value, parsed = pl.col(name), parse_dtype(dtype)
    if parsed.kind == "vector":
        return value.fill_null(bytes(parsed.dim * ITEM_BYTES[parsed.item]))  # the lake keeps vectors as bytes
    if dtype in ("date", "timestamp"):
        return value.cast(pl.Datetime("us", "UTC")).fill_null(EPOCH)
    if dtype in ("int8", "int16"):
        value = value.cast(pl.Int32)
    return value.fill_null({"string": "", "bool": False, "binary": b""}.get(dtype, 0))
