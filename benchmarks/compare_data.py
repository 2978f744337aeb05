"""Two sides of the same events, and of the same sequences, in shards by user; with differences that are known."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

GENERATOR_VERSION = 1  # raise when any value changes, so that cached sides are made again
ROWS_PER_SHARD = 1_250_000
USERS_PER_SHARD = 31_250
EVENTS_PER_USER = 100
EVERY = 2_000  # one value of each column in so many differs, and one event in so many is on one side only
START_US = 1_767_225_600_000_000
DAY_US = 86_400_000_000
TOLERANCES = {"price": 1e-9, "amount": 1e-9}
COLUMNS = (
    "event_time", "item_id", "session_id", "kind", "price", "amount", "quantity", "score", "surface", "category",
    "device", "is_new",
)  # fmt: skip


def ensure_events(root: Path, rows: int) -> dict[str, int]:
    """Make `ours-*.parquet` and `legacy-*.parquet` below `root` once, and return what is to be found in them.

    Shapes:
        Rows of ours by user and time, those of legacy in no order; `user_id` i64, `event_id` str, and `COLUMNS`.
        Every value with a tolerance differs in its last bits.
    """
    shards = max(2, -(-rows // ROWS_PER_SHARD))
    return _ensured(root, f"events {rows}", (_events(rows // shards, shard, shards, root) for shard in range(shards)))


def ensure_sequences(root: Path, users: int, length: int) -> dict[str, int]:
    """The same for `user_id` i64 and `event_ids`, lists of text; one user in five has other lists.

    Of those a fourth misses one event, one begins an event later, has two swapped, or all of them in another order.
    """
    shards = -(-users // USERS_PER_SHARD)
    found = (_sequences(users // shards, length, shard, root) for shard in range(shards))
    return _ensured(root, f"sequences {users} {length}", found)


def _ensured(root: Path, what: str, shards: Iterator[dict[str, int]]) -> dict[str, int]:
    manifest, name = root / "manifest.json", f"{what}, version {GENERATOR_VERSION}"
    if manifest.exists() and (known := json.loads(manifest.read_text()))["name"] == name:
        return dict(known["found"])
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    total: dict[str, int] = {}
    for each in shards:
        for key, count in each.items():
            total[key] = total.get(key, 0) + count
    manifest.write_text(json.dumps({"name": name, "found": total}))  # last: its presence says that all is there
    return total


def _events(rows: int, shard: int, shards: int, root: Path) -> dict[str, int]:
    rng = np.random.default_rng([3, shard])
    user = rng.integers(0, max(rows // EVENTS_PER_USER, 1), rows) * shards + shard
    words = {name: np.array([f"{name}-{n:02d}" for n in range(30)]) for name in ("surface", "category", "device")}
    number = rng.permutation(rows) * shards + shard
    frame = pl.DataFrame(
        {
            "user_id": user,
            "event_id": np.char.add("e", number.astype(str)),
            "event_time": pl.Series(START_US + rng.integers(0, DAY_US, rows)).cast(pl.Datetime("us", "UTC")),
            "item_id": rng.integers(0, 200_000, rows),
            "session_id": rng.integers(0, 1_000_000, rows),
            "kind": rng.integers(0, 10, rows),
            "price": 1 + rng.random(rows) * 1_000,
            "amount": 1 + rng.random(rows) * 5_000,
            "quantity": rng.integers(1, 6, rows),
            "score": rng.random(rows),
            **{name: each[rng.integers(0, 30, rows)] for name, each in words.items()},
            "is_new": rng.random(rows) < 0.1,
        }
    )
    at = rng.permutation(rows)
    gone, extra, at = at[: rows // EVERY], at[rows // EVERY : 2 * (rows // EVERY)], at[2 * (rows // EVERY) :]
    changed, found = [], {"only_ours": len(gone), "only_legacy": len(extra), "matched": rows - len(gone) - len(extra)}
    for name in COLUMNS:
        here, at = at[: rows // EVERY], at[rows // EVERY :]
        flags = np.zeros(rows, np.bool_)
        flags[here] = True
        near = pl.col(name) * (1 + 1e-12) if name in TOLERANCES else pl.col(name)
        changed.append(pl.when(pl.Series(flags)).then(_other(name, frame.schema[name])).otherwise(near).alias(name))
        found[f"differs_{name}"] = len(here)
    order = np.setdiff1d(rng.permutation(rows), gone, assume_unique=True)
    rng.shuffle(order)
    ours = frame[np.setdiff1d(np.arange(rows), extra, assume_unique=True)].sort("user_id", "event_time")
    ours.write_parquet(root / f"ours-{shard:04d}.parquet")
    frame.with_columns(changed)[order].write_parquet(root / f"legacy-{shard:04d}.parquet")
    return found


def _other(name: str, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if dtype == pl.Boolean():
        return ~column
    if dtype == pl.String():
        return pl.lit("unknown")
    return column + pl.duration(microseconds=7) if dtype.is_temporal() else column + 1


def _sequences(users: int, length: int, shard: int, root: Path) -> dict[str, int]:
    rng = np.random.default_rng([5, shard])
    places = np.tile(np.arange(length), (users, 1))
    numbers = rng.permutation(users * (length + 1)).reshape(users, length + 1)
    ids = pl.Series(numbers.ravel()).cast(pl.String).reshape((users, length + 1))
    kind = np.arange(users) % 20  # 0 to 3 differ
    swap = kind == 2
    places[swap, 3], places[swap, length // 2] = length // 2, 3
    places[kind == 3] = rng.permuted(places[kind == 3], axis=1)
    places[kind == 1] += 1
    keeps = np.ones((users, length), np.bool_)
    keeps[kind == 0, length // 3] = False
    flat = ids.explode()
    starts = np.arange(users)[:, None] * (length + 1)
    frame = pl.DataFrame({"user_id": np.arange(users) * 1_000 + shard})
    for side, taken in (("ours", None), ("legacy", (places, keeps))):
        at = starts + (np.arange(length) if taken is None else taken[0])
        wanted = np.ones_like(keeps) if taken is None else taken[1]
        row = np.repeat(np.arange(users), length)[wanted.ravel()]
        lists = pl.DataFrame({"row": row, "event_ids": flat.gather(at[wanted])})
        lists = lists.group_by("row", maintain_order=True).agg("event_ids")
        frame.with_columns(lists["event_ids"]).write_parquet(root / f"{side}-{shard:04d}.parquet", compression="lz4")
    counts = {f"kind_{n}": int((kind == n).sum()) for n in range(4)}
    return {
        "users": users,
        "identical": users - sum(counts.values()),
        "other_order": counts["kind_2"] + counts["kind_3"],
        "edits_without_shuffled": counts["kind_0"] + 2 * counts["kind_1"] + 4 * counts["kind_2"],
        "shuffled": counts["kind_3"],
    }
