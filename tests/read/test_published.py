"""Coverage by position."""

import datetime as dt
from collections.abc import Iterable

import polars as pl
import pytest

from seqplat_resources.online_store import BucketVersion, Epoch
from seqplat_resources.read.merge import published
from sequence_defs.compiler.sql import storage_dtype
from tests.building import utc

NOON = utc(2024, 5, 1, 12)
Cell = dict[str, object]


def row(**changes: object) -> Cell:
    """A batch row that everything else is compared with."""
    return {
        "event_time": NOON,
        "source_partition": "clicks:0",
        "offset": 10,
        "event_id": "a",
        "rev": 1,
        "op": "upsert",
        "ingest_time": NOON,
        "from_batch": True,
        "name": "base",
        **changes,
    }


def rows(*given: Cell) -> pl.DataFrame:
    schema = {name: storage_dtype(dtype) for name, dtype in published.KEYS.items()}
    return pl.DataFrame(list(given), schema={**schema, "from_batch": pl.Boolean(), "name": pl.String()}, orient="row")


def names(frame: pl.DataFrame) -> list[str]:
    return sorted(frame["name"].to_list())


def test_no_rows_are_covered_by_nothing() -> None:
    assert published.uncovered(rows(), None).height == 0


def uncovered(given: Iterable[Cell], **high_water: dict[str, int]) -> list[str]:
    buckets = {day.replace("d", "2024-05-0"): BucketVersion(1, 0, 0, marks) for day, marks in high_water.items()}
    return names(published.uncovered(rows(*given), Epoch("click", 1, "r", buckets)))


@pytest.mark.parametrize(("offset", "left"), [(9, []), (10, ["base"]), (11, ["base"])])
def test_a_row_is_covered_below_the_mark_of_its_day_and_partition(offset: int, left: list[str]) -> None:
    assert uncovered([row(offset=offset)], d1={"clicks:0": 10}) == left


def test_rows_of_expired_days_are_covered_whoever_read_them() -> None:
    epoch = Epoch("click", 1, "r", {}, expired_before="2024-05-01")
    given = [row(), row(event_time=utc(2024, 4, 30, 23, 59), name="gone", offset=99)]
    assert names(published.uncovered(rows(*given), epoch)) == ["base"]


def test_marks_of_other_days_and_partitions_cover_nothing() -> None:
    assert uncovered([row()], d2={"clicks:0": 99}, d1={"clicks:1": 99}) == ["base"]
    assert uncovered([row()]) == ["base"]


def test_each_row_is_judged_by_its_own_day_and_partition() -> None:
    given = [
        row(event_time=NOON + dt.timedelta(days=day), source_partition=f"clicks:{partition}", name=f"{day}{partition}")
        for day in (0, 1, 2)
        for partition in (0, 1)
    ]
    marks = {"d1": {"clicks:0": 11, "clicks:1": 3}, "d2": {"clicks:1": 11}}
    assert uncovered(given, **marks) == ["01", "10", "20", "21"]


def test_the_last_instant_of_a_day_is_of_that_day() -> None:
    midnight = utc(2024, 5, 2)
    given = [
        row(event_time=midnight - dt.timedelta(microseconds=1), name="before"),
        row(event_time=midnight, name="after"),
        row(event_time=utc(1969, 12, 31, 23), name="long ago"),
    ]
    assert uncovered(given, d1={"clicks:0": 99}) == ["after", "long ago"]
    buckets = {"1969-12-31": BucketVersion(1, 0, 0, {"clicks:0": 99})}
    assert names(published.uncovered(rows(*given), Epoch("click", 1, "r", buckets))) == ["after", "before"]
