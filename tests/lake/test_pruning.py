"""What a read touches: only its days, shards, users and columns, on the plan and in bytes really read."""

import datetime as dt
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from seqplat_resources.batch.builds import events, raw
from seqplat_resources.batch.inputs import tables
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.lake.layout import shard_of
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.release.runtime import Runtime
from sequence_defs.schema import Column, EventType, Source, Tenant, Time
from tests.building import days, runtime_for

DAYS = days(dt.date(2024, 5, 1), 3)
USERS, PER_DAY, SHARDS = 500, 40_000, 4
IO_COUNTERS = Path("/proc/self/io")

shop = Tenant(name="shop", tenant="shop")
fields = (
    Column(name="member", dtype="int64", nullable=False),
    Column(name="at", dtype="timestamp", nullable=False),
    Column(name="click", dtype="int64", nullable=False),
    Column(name="text", dtype="string"),
)
source = Source(
    name="clicks",
    tenant="shop",
    location="clicks-{day}.parquet",
    columns=fields,
    event_time=Time(sql="at"),
    ingest_time=Time(sql="at"),
    user_id="member",
    shards=SHARDS,
)
click = EventType(name="click", tenant="shop", source="clicks", natural_key=("click",), columns=fields[2:])


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    """Three days of 40,000 events, each with a text that takes most of the bytes."""
    folder, random = tmp_path_factory.mktemp("lake"), np.random.default_rng(7)
    for day in DAYS:
        start = dt.datetime.combine(day, dt.time(), dt.UTC)
        pl.DataFrame(
            {
                "member": random.integers(0, USERS, PER_DAY),
                "at": [start + dt.timedelta(seconds=n) for n in range(PER_DAY)],
                "click": range(PER_DAY),
                "text": [random.bytes(60).hex() for _ in range(PER_DAY)],
            }
        ).write_parquet(folder / f"clicks-{day}.parquet")
    runtime = runtime_for(folder / "home", (shop, source, click), folder)
    list(raw.ingest(runtime, "clicks", DAYS))
    list(events.build(runtime, "click", DAYS))
    return runtime


@pytest.fixture
def table(runtime: Runtime) -> LakeTable:
    return tables.events(runtime, EventPlan.of(runtime.loaded, "click"))


def test_a_day_is_read_from_its_own_files(table: LakeTable) -> None:
    for day in DAYS:
        first, count = planned_files(one := table.scan().filter(pl.col("day") == day))
        assert (first.split("day=")[1][:10], count) == (day.isoformat(), SHARDS)
        assert bytes_read(one) < 0.4 * bytes_read(table.scan())


def test_a_range_of_days_is_read_from_their_own_files(table: LakeTable) -> None:
    two = table.scan().filter(pl.col("day").is_between(DAYS[0], DAYS[1]))
    assert planned_files(two)[1] == 2 * SHARDS


def test_a_shard_is_one_file_of_the_day(table: LakeTable) -> None:
    day = table.scan().filter(pl.col("day") == DAYS[0])
    for shard in range(SHARDS):
        first, count = planned_files(day.filter(pl.col("shard") == shard))
        assert (Path(first).name[:6], count) == (f"s{shard:04d}-", 1)
    assert bytes_read(day.filter(pl.col("shard") == 0)) < 0.4 * bytes_read(day)


def test_a_user_of_a_known_shard_is_read_from_one_file(table: LakeTable) -> None:
    """What a reader of one user's history does: his shard follows from his id."""
    user = 123
    shard = pl.DataFrame({"user_id": [user]}).select(shard_of("user_id", SHARDS)).item()
    mine = table.scan().filter(pl.col("day") == DAYS[2], pl.col("shard") == shard, pl.col("user_id") == user)
    assert planned_files(mine)[1] == 1
    everyone = table.scan().filter(pl.col("day") == DAYS[2]).collect()
    assert mine.collect().height == everyone.filter(pl.col("user_id") == user).height > 0


def test_a_user_outside_a_files_range_does_not_open_it(table: LakeTable) -> None:
    nobody = table.scan().filter(pl.col("day") == DAYS[0], pl.col("user_id") > USERS)
    assert planned_files(nobody)[1] == 0


def test_only_the_asked_columns_are_read(table: LakeTable) -> None:
    day = table.scan().filter(pl.col("day") == DAYS[0])
    narrow = day.select("user_id", "event_time")
    assert re.findall(r"PROJECT (\d+)/", narrow.explain()) == ["3"]  # and the day it is filtered by
    assert bytes_read(narrow) < 0.4 * bytes_read(day)


def test_a_build_of_one_shard_reads_a_part_of_the_raw_day(runtime: Runtime) -> None:
    table = tables.raw(runtime, source)
    day = table.scan().filter(pl.col("day") == DAYS[0])
    assert bytes_read(day.filter(pl.col("_shard") == 0)) < 0.7 * bytes_read(day)


def planned_files(query: pl.LazyFrame) -> tuple[str, int]:
    """The first file that the optimized plan would open, and how many it would."""
    named = re.search(r"Parquet SCAN \[([^\],]+)(?:, \.\.\. (\d+) other sources)?\]", query.explain())
    return (named[1], 1 + int(named[2] or 0)) if named else ("", 0)


def bytes_read(query: pl.LazyFrame) -> int:
    """Bytes that running the query asks the system for, caches included, the table's log left out."""
    if not IO_COUNTERS.exists():
        pytest.skip("this system does not count the bytes a process reads")
    query.collect()  # whatever is read only once
    before = _read_so_far()
    query.collect()
    return _read_so_far() - before


def _read_so_far() -> int:
    counters = dict(line.split(": ") for line in IO_COUNTERS.read_text().splitlines())
    return int(counters["rchar"])
