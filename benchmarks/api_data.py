"""Users and events the API benchmarks ask for; the same arguments give the same values.

One file a day. Ordinary users have ten actions a day, long ones 128, so that 128 days make the 16 K of a long history.
Times are whole seconds and differ within a user. An item keeps its category and its vector; popular ones come often.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

GENERATOR_VERSION = 1  # raise when any value changes, so that cached files are made again
SEED = 7
START = dt.date(2026, 1, 15)
PER_DAY, LONG_PER_DAY = 10, 128
LONG_LENGTH, SHORT_LENGTH = 16_384, 500
FIRST_LONG_USER = 1_000_000  # ordinary users are numbered from 0
ITEMS, DIM = 20_000, 32
DAY_S = 24 * 3600
ACTIONS = ("view", "click", "add_to_cart", "remove_from_cart", "purchase", "rate", "share", "search")
DEVICES = ("android", "desktop", "ios", "tablet", "tv")
PAGES = ("home", "search/results", "product/detail", "cart/overview", "account/orders", "campaign/winter-sale")
CATEGORIES = 50
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Shape:
    """How much there is. ``short_days`` are the last ones of ``days``: those with events of ordinary users."""

    users: int = 2_000
    long_users: int = 48
    days: int = 128
    short_days: int = 64

    @property
    def user_ids(self) -> Sequence[int]:
        return range(self.users)

    @property
    def long_user_ids(self) -> Sequence[int]:
        return range(FIRST_LONG_USER, FIRST_LONG_USER + self.long_users)

    @property
    def dates(self) -> list[dt.date]:
        return [START + dt.timedelta(days=n) for n in range(self.days)]

    def file(self, root: Path, day: dt.date) -> Path:
        return root / "actions" / f"{day}.parquet"


def ensure(root: Path, shape: Shape) -> None:
    """Write the files of all days below ``root``, unless they are there."""
    wanted = json.dumps({"version": GENERATOR_VERSION, **asdict(shape)})
    if (root / MANIFEST).exists() and (root / MANIFEST).read_text() == wanted:
        return
    (root / "actions").mkdir(parents=True, exist_ok=True)
    for stale in (root / "actions").glob("*.parquet"):
        stale.unlink()
    for number, day in enumerate(shape.dates):
        events(shape, number).write_parquet(shape.file(root, day), compression="zstd")
    (root / MANIFEST).write_text(wanted)  # last: its presence says that the files are complete


def events(shape: Shape, number: int) -> pl.DataFrame:
    """The events of the day with this number, in no useful order; the columns of the source `actions`.

    Days behind the last one have events too: whoever needs a day without a file takes one of those.
    """
    draw = np.random.default_rng([SEED, number])
    short = np.repeat(np.arange(shape.users), PER_DAY) if number >= shape.days - shape.short_days else np.arange(0)
    long = np.repeat(np.asarray(shape.long_user_ids, dtype=np.int64), LONG_PER_DAY)
    second = np.concatenate([_seconds(draw, shape.users, PER_DAY)[: len(short)], _seconds(draw, shape.long_users)])
    users = np.concatenate([short, long])
    count = len(users)
    item = (draw.random(count) ** 2 * ITEMS).astype(np.int64)
    day_us = int(dt.datetime.combine(START, dt.time(), dt.UTC).timestamp() + number * DAY_S) * 1_000_000
    frame = pl.DataFrame(
        {
            "user_id": users,
            "ts": pl.Series(day_us + second * 1_000_000).cast(pl.Datetime("us", "UTC")),
            "event_no": number * 10_000_000 + np.arange(count),
            # Popular items are not those with low numbers: 7,919 and 20,000 have no common factor but one.
            "item_id": item * 7_919 % ITEMS,
            "action": pl.Series(ACTIONS).gather((draw.random(count) ** 2 * len(ACTIONS)).astype(np.int64)),
            "category": item * 31 % CATEGORIES,
            "price": draw.integers(99, 50_000, count) / 100,
            "quantity": pl.Series(draw.integers(1, 6, count), dtype=pl.Int32),
            "dwell_s": pl.Series(draw.exponential(20, count).round(2), dtype=pl.Float32),
            "page": pl.Series(PAGES).gather(draw.integers(0, len(PAGES), count)),
            "device": pl.Series(DEVICES).gather((users * 31 + number) % len(DEVICES)),
            "session_id": users * 1_000_000 + number * 1_000 + second // 3600,
            "score": pl.Series(draw.random(count), dtype=pl.Float32),
            "embedding": pl.Series(vectors()[item], dtype=pl.Array(pl.Int8, DIM)),
        }
    )
    return frame.with_columns(
        pl.format("category-{}", pl.col("category").cast(pl.String).str.zfill(3)).alias("category"),
        pl.format("/shop/{}?session={}", "page", pl.col("session_id").cast(pl.String)).alias("page"),
    )[draw.permutation(count)]


def vectors() -> npt.NDArray[np.int8]:
    """The vector of every item, by the rank of the item."""
    return np.random.default_rng([SEED, 1 << 32]).integers(-127, 128, (ITEMS, DIM)).astype(np.int8)


def newest(root: Path, users: Sequence[int], columns: Sequence[str], length: int) -> pl.DataFrame:
    """What is right to answer: per user one row with ``user_id`` and its newest ``length`` values of each column.

    Worked out from the files, by nobody's store. `event_time` is the name that answers have for `ts`.
    """
    picked = [pl.col("ts").alias(name) if name == "event_time" else pl.col(name) for name in columns]
    rows = pl.scan_parquet(root / "actions" / "*.parquet").filter(pl.col("user_id").is_in(users))
    ordered = rows.sort("user_id", "ts", descending=[False, True]).select("user_id", *picked)
    return ordered.group_by("user_id", maintain_order=True).agg(pl.all().head(length)).collect()


def plain(rows: pl.DataFrame) -> dict[int, dict[str, list[Any]]]:
    """The rows of ``newest`` by user, instants as whole seconds since 1970."""
    seconds = [
        pl.col(name).list.eval(pl.element().dt.epoch("s"))
        for name, dtype in rows.schema.items()
        if isinstance(dtype, pl.List) and isinstance(dtype.inner, pl.Datetime)
    ]
    found = rows.with_columns(seconds).to_dicts()
    return {row.pop("user_id"): row for row in found}


def _seconds(draw: np.random.Generator, users: int, per_day: int = LONG_PER_DAY) -> npt.NDArray[np.int64]:
    """Times of day, user by user: one in each of ``per_day`` equal spans, so that no user has two equal ones."""
    span = DAY_S // per_day
    return (np.tile(np.arange(per_day), users) * span + draw.integers(0, span, users * per_day)).astype(np.int64)
