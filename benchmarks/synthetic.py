"""Make one day of raw events and two lookup tables, as Parquet; the same arguments give the same bytes of meaning.

Each event is a pure function of (seed, its number), through a counter-based hash. So a duplicate is made by asking for
an earlier event again, files are built one at a time, and memory stays flat however long the day is.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks.workload import DAY, EMBEDDING_WIDTH, KEPT_KINDS, KIND_COUNT, DayInput

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

GENERATOR_VERSION = 1  # raise when any value changes, so that cached days are made again
DUPLICATE_PERCENT = 2
USERS = 1_000_000
KNOWN_ITEMS = 200_000
ITEM_DOMAIN = 202_000  # every 101st item exists in events only: a left join has something to miss
EVENTS_PER_SESSION = 8
VERSIONS_PER_ITEM = 4
EMBEDDINGS_PER_ITEM = 2
SURFACES = ("cart", "email", "home", "item_page", "search")
ROWS_PER_FILE = 1_000_000  # about 80 MB of columns while a file is built
ROWS_PER_GROUP = 250_000

SECOND_US = 1_000_000
DAY_US = 24 * 3600 * SECOND_US
LONGEST_GAP_S = 60  # between two events of a session
DAY_START_US = (DAY - type(DAY)(1970, 1, 1)) // timedelta(microseconds=1)

# One salt per column keeps columns independent of each other.
SALT_USER, SALT_ITEM, SALT_START, SALT_GAP, SALT_DELAY, SALT_KIND, SALT_PRICE, SALT_QUANTITY, SALT_SURFACE = range(
    1, 10
)
SALT_VERSION, SALT_CATEGORY, SALT_BRAND, SALT_LIST_PRICE, SALT_EMBEDDING_TIME, SALT_EMBEDDING = range(10, 16)


@dataclass(frozen=True)
class Manifest:
    """What a generated day holds. Counts are rows; `kept_rows` is what a correct day build writes."""

    generator_version: int
    seed: int
    raw_rows: int
    distinct_rows: int
    kept_rows: int
    version_rows: int
    embedding_rows: int


def ensure_day(root: Path, *, raw_rows: int, seed: int = 7) -> Manifest:
    """Return the day below `root`, generating it unless a finished one with these arguments is already there."""
    manifest_path = DayInput(root).manifest
    if manifest_path.exists():
        found = Manifest(**json.loads(manifest_path.read_text()))
        if (found.generator_version, found.seed, found.raw_rows) == (GENERATOR_VERSION, seed, raw_rows):
            return found
    return generate_day(root, raw_rows=raw_rows, seed=seed)


def generate_day(root: Path, *, raw_rows: int, seed: int = 7) -> Manifest:
    """Write a day of `raw_rows` raw events, of which 2 % repeat an earlier event with a later `ingest_ts`.

    Shapes:
        `raw/`: user_id, item_id, session_id, event_seq, kind, quantity i64; event_ts, ingest_ts naive UTC
        timestamp[us], in no order; price f64; surface str. (session_id, item_id, event_seq) names an event.
        `item_versions`: four rows per known item, one per day from three days before the day on.
        `item_embeddings`: two rows per known item, `embedding` of 32 x f32; the second becomes valid within the day.
    Ties:
        A duplicate is always ingested strictly later than the event it repeats; two duplicates may tie.
    Cost:
        Under 1 GB of memory for any `raw_rows`; 10 M rows take about a quarter of a minute.
    """
    day = DayInput(root)
    day.raw_dir.mkdir(parents=True, exist_ok=True)
    for stale in [*day.raw_dir.glob("*.parquet"), day.manifest]:
        stale.unlink(missing_ok=True)
    distinct = raw_rows - raw_rows * DUPLICATE_PERCENT // 100
    for number, frame in enumerate(_raw_files(raw_rows=raw_rows, distinct=distinct, seed=seed)):
        path = day.raw_dir / f"part-{number:05d}.parquet"
        frame.write_parquet(path, compression="zstd", row_group_size=ROWS_PER_GROUP)
    item_versions(seed).write_parquet(day.versions, compression="zstd", row_group_size=ROWS_PER_GROUP)
    item_embeddings(seed).write_parquet(day.embeddings, compression="zstd", row_group_size=ROWS_PER_GROUP // 4)
    manifest = Manifest(
        generator_version=GENERATOR_VERSION,
        seed=seed,
        raw_rows=raw_rows,
        distinct_rows=distinct,
        kept_rows=_count_kept(distinct, seed),
        version_rows=KNOWN_ITEMS * VERSIONS_PER_ITEM,
        embedding_rows=KNOWN_ITEMS * EMBEDDINGS_PER_ITEM,
    )
    day.manifest.write_text(json.dumps(asdict(manifest), indent=1))  # last: its presence says the day is complete
    return manifest


def events(numbers: Ints, *, distinct: int, seed: int) -> pl.DataFrame:
    """Build the events with these numbers (0..`distinct` - 1), one row each and in the order asked for.

    Users and items are skewed: the rank is u squared, so the first per cent of them has ten per cent of the rows.
    """
    place = _scatter(numbers, distinct)
    session, event_seq = place // EVENTS_PER_SESSION, place % EVENTS_PER_SESSION
    user_rank = _skewed(_hash(session, SALT_USER, seed), USERS)
    item_rank = _skewed(_hash(place, SALT_ITEM, seed), ITEM_DOMAIN)
    latest_start_us = DAY_US - EVENTS_PER_SESSION * LONGEST_GAP_S * SECOND_US
    started_us = _below(_hash(session, SALT_START, seed), latest_start_us)
    within_gap_us = _below(_hash(place, SALT_GAP, seed), LONGEST_GAP_S * SECOND_US)
    event_us = DAY_START_US + started_us + event_seq * LONGEST_GAP_S * SECOND_US + within_gap_us
    delay_us = SECOND_US + _below(_hash(place, SALT_DELAY, seed), 5 * SECOND_US)
    surface = _below(_hash(place, SALT_SURFACE, seed), len(SURFACES))
    return pl.DataFrame(
        {
            "user_id": 1 + user_rank * 7_919 % USERS,
            "item_id": _item_id(item_rank),
            "session_id": 10_000_000 + session,
            "event_seq": event_seq,
            "event_ts": event_us.astype("datetime64[us]"),
            "ingest_ts": (event_us + delay_us).astype("datetime64[us]"),
            "kind": _kinds(place, seed),
            "price": (50 + _below(_hash(place, SALT_PRICE, seed), 50_000)) / 100,
            "quantity": 1 + _below(_hash(place, SALT_QUANTITY, seed), 5),
            "surface": np.array(SURFACES, dtype=object)[surface],
        },
        schema_overrides={"surface": pl.String},
    )


def item_versions(seed: int) -> pl.DataFrame:
    """Four versions of every known item: `item_id`, `valid_from` (naive UTC), `category`, `brand`, `list_price`.

    Appended day after day like a change log, so rows are not grouped by item.
    """
    return pl.concat([_version(number, seed) for number in range(VERSIONS_PER_ITEM)])


def item_embeddings(seed: int) -> pl.DataFrame:
    """Two embeddings of every known item: `item_id`, `valid_from` (naive UTC), `embedding` array[f32, 32] in -1..1."""
    return pl.concat([_embedding(number, seed) for number in range(EMBEDDINGS_PER_ITEM)])


def _raw_files(*, raw_rows: int, distinct: int, seed: int) -> Iterator[pl.DataFrame]:
    made = 0
    for first in range(0, raw_rows, ROWS_PER_FILE):
        last = min(first + ROWS_PER_FILE, raw_rows)
        upto = distinct * last // raw_rows  # duplicates spread evenly, exact in total
        original = events(np.arange(made, upto), distinct=distinct, seed=seed)
        rng = np.random.default_rng([seed, first])
        repeats = rng.integers(0, upto, size=last - first - (upto - made))
        later_us = rng.integers(SECOND_US, 600 * SECOND_US, size=len(repeats))
        repeated = events(repeats, distinct=distinct, seed=seed).with_columns(
            pl.col("ingest_ts") + pl.Series(later_us).cast(pl.Duration("us"))
        )
        made = upto
        both = pl.concat([original, repeated])
        yield both[rng.permutation(both.height)]


def _version(number: int, seed: int) -> pl.DataFrame:
    item_rank = _known_ranks()
    place = item_rank * VERSIONS_PER_ITEM + number
    day_start_us = DAY_START_US - (VERSIONS_PER_ITEM - 1 - number) * DAY_US
    valid_us = day_start_us + _below(_hash(place, SALT_VERSION, seed), DAY_US)
    return pl.DataFrame(
        {
            "item_id": _item_id(item_rank),
            "valid_from": valid_us.astype("datetime64[us]"),
            "category": _below(_hash(place, SALT_CATEGORY, seed), 40),
            "brand": _below(_hash(item_rank, SALT_BRAND, seed), 5_000),
            "list_price": (100 + _below(_hash(place, SALT_LIST_PRICE, seed), 50_000)) / 100,
        }
    ).with_columns(
        pl.format("category-{}", pl.col("category").cast(pl.String).str.zfill(2)).alias("category"),
        pl.format("brand-{}", pl.col("brand").cast(pl.String).str.zfill(4)).alias("brand"),
    )


def _embedding(number: int, seed: int) -> pl.DataFrame:
    item_rank = _known_ranks()
    place = item_rank * EMBEDDINGS_PER_ITEM + number
    day_start_us = DAY_START_US - 2 * (EMBEDDINGS_PER_ITEM - 1 - number) * DAY_US
    valid_us = day_start_us + _below(_hash(place, SALT_EMBEDDING_TIME, seed), DAY_US)
    cells = place[:, None] * EMBEDDING_WIDTH + np.arange(EMBEDDING_WIDTH)
    values = (_unit(_hash(cells, SALT_EMBEDDING, seed)) * 2 - 1).astype(np.float32)
    return pl.DataFrame(
        {"item_id": _item_id(item_rank), "valid_from": valid_us.astype("datetime64[us]"), "embedding": values},
        schema_overrides={"embedding": pl.Array(pl.Float32, EMBEDDING_WIDTH)},
    )


def _count_kept(distinct: int, seed: int) -> int:
    blocks = (np.arange(at, min(at + ROWS_PER_FILE, distinct)) for at in range(0, distinct, ROWS_PER_FILE))
    # _scatter is a permutation of 0..distinct-1, so the kinds can be counted in place order.
    return sum(int((_kinds(block, seed) < KEPT_KINDS).sum()) for block in blocks)


def _kinds(place: Ints, seed: int) -> Ints:
    return _below(_hash(place, SALT_KIND, seed), KIND_COUNT)


def _known_ranks() -> Ints:
    rank = np.arange(ITEM_DOMAIN)
    known: Ints = rank[rank % 101 != 100]
    return known


def _item_id(rank: Ints) -> Ints:
    return 1 + rank * 7_919 % ITEM_DOMAIN


def _scatter(numbers: Ints, size: int) -> Ints:
    """Permute 0..size-1 by a multiplication, so that neighbours in a file are strangers in time and session."""
    step = max(1, int(size * 0.618))
    while math.gcd(step, size) != 1:
        step += 1
    return numbers * step % size


def _hash(values: Ints, salt: int, seed: int) -> Hashes:
    """Splitmix64 of each value; wraps at 64 bits on purpose."""
    with np.errstate(over="ignore"):
        mixed = values.astype(np.uint64) + np.uint64((seed * 64 + salt) * 0x9E3779B97F4A7C15 % 2**64)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return mixed ^ (mixed >> np.uint64(31))


def _unit(hashes: Hashes) -> npt.NDArray[np.float64]:
    return (hashes >> np.uint64(11)) / float(1 << 53)


def _below(hashes: Hashes, limit: int) -> Ints:
    return (hashes % np.uint64(limit)).astype(np.int64)


def _skewed(hashes: Hashes, size: int) -> Ints:
    return (_unit(hashes) ** 2 * size).astype(np.int64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    print(generate_day(arguments.root, raw_rows=arguments.rows, seed=arguments.seed))


if __name__ == "__main__":
    main()
