"""How a user's events may lie in a store: our blocks, Arrow's stream as it is, and a stream of what we know of them.

    python -m benchmarks.segment_layouts

By number of events: bytes an event without what is said once for all (the schema in front of Arrow's stream), and
microseconds to read three columns (time, item, price) of one segment, the least of many. 14 columns, as those of
docs/online-store.md.
"""

from __future__ import annotations

import datetime as dt
import io
import time
from collections.abc import Callable

import numpy as np
import polars as pl

from seqplat_resources.online_store.codec import BlockSchema, decode_blocks, encode_bucket

SIZES = (1, 10, 91, 500, 2_048, 16_384)
COLUMNS = {
    "event_id": "string",
    "event_time": "timestamp",
    "ingest_time": "timestamp",
    "rev": "int64",
    "op": "string",
    "source_partition": "string",
    "offset": "int64",
    "item": "string",
    "category": "string",
    "device": "string",
    "price": "float64",
    "score": "float64",
    "quantity": "int32",
    "vector": "vector[int8,32]",
}
ASKED = {name: COLUMNS[name] for name in ("event_time", "item", "price")}
# What repeats, and is kept once beside indexes.
REPEATED = ("op", "source_partition", "category", "device", "item", "vector")
ITEMS, KNOWN_ITEMS = 50_000, 400


def events(count: int, random: np.random.Generator) -> pl.DataFrame:
    """A user's events of a day, newest first; 400 items, each with its vector."""
    vectors = np.random.default_rng(1).integers(-128, 128, (ITEMS, 32)).astype(np.int8)
    item = random.choice(random.integers(0, ITEMS, KNOWN_ITEMS), count)
    at = pl.Series(np.sort(random.integers(0, 86_400_000, count))[::-1] * 1_000).cast(pl.Duration("us"))
    at += dt.datetime(2024, 5, 1, tzinfo=dt.UTC)
    return pl.DataFrame(
        {
            "user_id": ["u"] * count,
            "event_id": [f"e{number:012d}" for number in random.integers(0, 10**12, count)],
            "event_time": at,
            "ingest_time": at + dt.timedelta(seconds=2),
            "rev": np.zeros(count, np.int64),
            "op": ["upsert"] * count,
            "source_partition": ["actions:3"] * count,
            "offset": np.sort(random.integers(0, 10**9, count))[::-1],
            "item": [f"item-{number}" for number in item],
            "category": [f"c{number % 40}" for number in item],
            "device": random.choice(["ios", "android", "web"], count),
            "price": np.round(random.lognormal(3, 1, count), 2),
            "score": random.random(count).astype(np.float32).astype(np.float64),
            "quantity": random.integers(1, 5, count).astype(np.int32),
            "vector": [vectors[number].tobytes() for number in item],
        }
    )


def stream_of(frame: pl.DataFrame) -> tuple[bytes, int]:
    """A frame as Arrow's stream with zstd; and its bytes without those of the schema, which is its first message."""
    out = io.BytesIO()
    frame.write_ipc_stream(out, compression="zstd")
    stream = out.getvalue()
    return stream, len(stream) - 8 - int.from_bytes(stream[4:8], "little")


def narrowed(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """The same said in less: times and offsets by their steps, prices in hundredths, what repeats by its place in a
    dictionary; and the dictionaries. A constant is in its dictionary alone.
    """
    steps = {
        "event_time": frame["event_time"].to_physical().diff().fill_null(0) // 1_000,
        "offset": frame["offset"].diff().fill_null(0),
        "ingest_time": (frame["ingest_time"] - frame["event_time"]).dt.total_milliseconds(),
    }
    found = {name: values.cast(pl.Int32) for name, values in steps.items()}
    found["price"] = (frame["price"] * 100).round().cast(pl.Int32)
    found |= {name: frame[name].cast(pl.Int8) for name in ("rev", "quantity")}
    found |= {name: frame[name] for name in ("event_id", "score")}
    dictionaries = []
    for name in REPEATED:
        values = frame[name].unique(maintain_order=True)
        dictionaries.append(values.to_frame())
        if values.len() > 1:
            dtype = pl.UInt8() if values.len() <= 256 else pl.UInt16()
            places = pl.Series(range(values.len()), dtype=dtype)
            found[name] = frame[name].replace_strict(values, places, return_dtype=dtype)
    return pl.DataFrame(found), dictionaries


def widened(stream: bytes, items: pl.Series) -> pl.DataFrame:
    """The three columns as they were."""
    names = [name for name in ASKED if name != "item" or items.len() > 1]
    frame = pl.read_ipc_stream(io.BytesIO(stream), columns=names)
    item = items[frame["item"]] if items.len() > 1 else items.new_from_index(0, frame.height)
    price = frame["price"] / 100
    return pl.DataFrame([frame["event_time"].cast(pl.Int64).cum_sum(), item.alias("item"), price])


def least_us(work: Callable[[], object], times: int = 200) -> float:
    found = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return min(found) * 1e6


def main() -> None:
    random, schema = np.random.default_rng(7), BlockSchema.of(COLUMNS)
    lookup = {schema.schema_id: schema}.get
    print("| events | block | us | Arrow | us | Arrow, narrowed | us |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for count in SIZES:
        frame = events(count, random)
        [(_, block)] = encode_bucket(frame, schema)
        plain, plain_size = stream_of(frame.drop("user_id"))
        narrow, dictionaries = narrowed(frame)
        stream, size = stream_of(narrow)
        kept = [stream_of(each) for each in dictionaries]
        items = kept[REPEATED.index("item")][0]
        times = [
            least_us(lambda block=block: decode_blocks([block], lookup, ASKED)),
            least_us(lambda plain=plain: pl.read_ipc_stream(io.BytesIO(plain), columns=list(ASKED))),
            least_us(lambda a=stream, b=items: widened(a, pl.read_ipc_stream(io.BytesIO(b)).to_series())),
        ]
        sizes = [len(block), plain_size, size + sum(each for _, each in kept)]
        cells = [f"{part / count:.1f} | {us:,.0f}" for part, us in zip(sizes, times, strict=True)]
        print(f"| {count:,} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
