"""The messages of the stream benchmarks and the items they are enriched with; the same arguments give the same bytes.

About 200 bytes of JSON each. Users and items are skewed: the rank is u squared, so the first per cent of them has ten
per cent of the messages. One item in a hundred is unknown, so a lookup has something to miss.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

GENERATOR_VERSION = 1  # raise when any value changes, so that cached topics are made again
SEED = 7
CHUNK = 100_000  # messages made at once; each chunk has a generator of its own
USERS = 100_000
ITEMS = 200_000
ITEM_DOMAIN = 202_000
CATEGORIES, BRANDS = 50, 2_000
KINDS, KEPT_KINDS = 10, 8  # the filter keeps kind < 8, four messages in five
DEVICES = ("android", "desktop", "ios", "tablet", "tv")
PAGES = ("home", "search/results", "product/detail", "cart/overview", "account/orders", "campaign/winter-sale")
START = dt.datetime(2026, 1, 15, tzinfo=dt.UTC)
DAY = START.date()
STEP_MS = 2  # between two messages: 43 M fit into the day, and no two have the same time

ITEMS_FILE = "items.parquet"
KEPT, VISIBLE = "kept.parquet", "visible.parquet"  # what contestants export: event_id and category
FIELDS = ("user_id", "event_id", "item_id", "kind", "price", "ts", "page", "device")


@dataclass(frozen=True)
class Expected:
    """What a right contestant keeps: rows, and a checksum of their pairs of event and category.

    ``newest_checksum`` is that of each user's newest row alone, for stores that hold one row per key.
    """

    rows: int
    checksum: int
    users: int
    newest_checksum: int


def chunks(messages: int) -> Iterator[pl.DataFrame]:
    """The first ``messages`` of the endless stream as columns, ``CHUNK`` rows at a time."""
    for number in range(-(-messages // CHUNK)):
        yield chunk(number)[: messages - number * CHUNK]


def chunk(number: int) -> pl.DataFrame:
    """The messages ``number * CHUNK`` to ``(number + 1) * CHUNK``."""
    draw = np.random.default_rng([SEED, number])
    index = np.arange(number * CHUNK, (number + 1) * CHUNK)
    at_ms = int(START.timestamp() * 1000) + index * STEP_MS
    item = (draw.random(CHUNK) ** 2 * ITEM_DOMAIN).astype(np.int64)
    numbers = pl.DataFrame(
        {
            # Popular items are not those with low numbers: 54,321 and 202,000 have no common factor but one.
            "item_id": (item * 54_321 + 7) % ITEM_DOMAIN,
            "user_id": (draw.random(CHUNK) ** 2 * USERS).astype(np.int64),
            "kind": draw.integers(0, KINDS, CHUNK),
            "price": draw.integers(99, 50_000, CHUNK) / 100,
            "at": pl.Series(at_ms).cast(pl.Datetime("ms")),
            "page": pl.Series(PAGES).gather(draw.integers(0, len(PAGES), CHUNK)),
            "device": pl.Series(DEVICES).gather(draw.integers(0, len(DEVICES), CHUNK)),
            "index": index,
            "session": draw.integers(0, 1 << 32, CHUNK),
        }
    )
    return numbers.select(
        "user_id",
        pl.format("evt-{}", pl.col("index").cast(pl.String).str.zfill(12)).alias("event_id"),
        "item_id",
        "kind",
        "price",
        pl.col("at").dt.to_string("%Y-%m-%dT%H:%M:%S%.3fZ").alias("ts"),
        pl.format("/shop/{}?session={}", "page", pl.col("session").cast(pl.String).str.zfill(10)).alias("page"),
        "device",
    )


def values(frame: pl.DataFrame) -> pl.Series:
    """Each row as the JSON a producer sends."""
    return frame.select(pl.struct(FIELDS).struct.json_encode()).to_series()


def items() -> pl.DataFrame:
    """``item_id``, ``category`` and ``brand`` of every known item."""
    draw = np.random.default_rng([SEED, 1 << 32])
    return pl.DataFrame(
        {
            "item_id": np.arange(ITEMS, dtype=np.int64),
            "category": draw.integers(0, CATEGORIES, ITEMS),
            "brand": draw.integers(0, BRANDS, ITEMS),
        }
    ).with_columns(
        pl.format("category-{}", pl.col("category").cast(pl.String).str.zfill(3)).alias("category"),
        pl.format("brand-{}", pl.col("brand").cast(pl.String).str.zfill(5)).alias("brand"),
    )


def ensure_items(folder: Path) -> Path:
    """The file with the items below ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    items().write_parquet(folder / ITEMS_FILE)
    return folder / ITEMS_FILE


def expected(messages: int) -> Expected:
    """Worked out from the generator, by nobody's engine but the one that made the messages."""
    known = items().select("item_id", "category")
    parts = []
    for part in chunks(messages):
        kept = part.filter(pl.col("kind") < KEPT_KINDS).select("user_id", "event_id", "item_id")
        parts.append(kept.join(known, on="item_id", how="left", maintain_order="left").drop("item_id"))
    kept = pl.concat(parts)
    newest = kept.unique("user_id", keep="last")
    return Expected(kept.height, checksum(kept), newest.height, checksum(newest))


def checksum(pairs: pl.DataFrame) -> int:
    """A sum of hashes of ``event_id`` and ``category``: the same in any order, another if a pair is twice."""
    hashes = pairs.select(pl.concat_str("event_id", pl.col("category").fill_null("-"), separator="|").hash(SEED))
    return int(hashes.to_series().to_numpy().sum(dtype=np.uint64))
