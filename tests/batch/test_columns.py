"""Columns beside days: whatever was filled, built and rolled back in between, reads give what a rebuild would."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from seqplat_resources.batch.builds import events, raw
from seqplat_resources.batch.builds.columns import ColumnsUnknown
from seqplat_resources.batch.inputs import tables
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.lake.columns.whole import WholeTable
from seqplat_resources.quality.schema import schema
from seqplat_resources.release.runtime import Runtime
from sequence_defs.schema import Column
from tests.building import days, runtime_for
from tests.seqplat_assets.shop_days import CLICK, CLICKS, RECENT, SHOP

DAYS = days(dt.date(2024, 5, 1), 4)
SOURCE = CLICKS.model_copy(update={"shards": 3})
UPPER = Column(name="upper", dtype="string", sql="UPPER(id)")
SIZE = Column(name="size@2", dtype="int32", sql="CAST(LENGTH(id) AS INT)")


def write(folder: Path, day: dt.date, count: int, mark: str = "") -> None:
    said = [f"u{n % 7},{mark}e{n}-{day.day},{day}T10:{n // 60:02}:{n % 60:02}Z" for n in range(count)]
    (folder / f"{day}.csv").write_text("\n".join(["user,id,at", *said]) + "\n")


def shop(folder: Path, home: str, *columns: Column) -> Runtime:
    click = CLICK.model_copy(update={"columns": (*CLICK.columns, *columns)})
    return runtime_for(folder / home, [SHOP, SOURCE, click, RECENT], folder)


def table(runtime: Runtime) -> WholeTable:
    return tables.events(runtime, EventPlan.of(runtime.loaded, "click"))


def rows(runtime: Runtime) -> pl.DataFrame:
    return table(runtime).scan().select("day", "user_id", "event_id", *("upper", "size@2")).collect()


@pytest.fixture
def filled(tmp_path: Path) -> Runtime:
    """Four days, one of them empty, built before there were two columns, and these of days built since."""
    for day, count in zip(DAYS, (40, 0, 25, 1), strict=True):
        write(tmp_path, day, count)
    runtime = shop(tmp_path, "home")
    assert len([*raw.ingest(runtime, "clicks", DAYS), *events.build(runtime, "click", DAYS)]) == 8
    return shop(tmp_path, "home", UPPER, SIZE)


def rebuilt(runtime: Runtime, folder: Path) -> pl.DataFrame:
    other = shop(folder, "other", UPPER, SIZE)
    assert len([*raw.ingest(other, "clicks", DAYS), *events.build(other, "click", DAYS)]) == 8
    return rows(other)


def same(left: pl.DataFrame, right: pl.DataFrame) -> None:
    assert_frame_equal(left, right, check_row_order=False)


def test_columns_filled_in_any_order_are_those_of_a_rebuild(filled: Runtime, tmp_path: Path) -> None:
    assert rows(filled)["upper"].null_count() == 66
    results = [*events.build(filled, "click", DAYS[:3], columns=["upper"])]
    assert [(r.day, r.rows, r.table) for r in results] == [
        (day, count, "lake/columns/click") for day, count in zip(DAYS[:3], (40, 0, 25), strict=True)
    ]
    assert rows(filled)["upper"].null_count() == 1
    assert table(filled).columns_beside() == dict.fromkeys(map(str, DAYS[:3]), ("upper",))
    lacking = dict(zip(DAYS, schema(filled, "click", DAYS)["detail"], strict=True))
    assert all("size@2" in said and ("upper" in said) == (day == DAYS[3]) for day, said in lacking.items())
    written = [*events.build(filled, "click", DAYS, columns=["size@2"])]  # beside what lies there already
    assert {r.table for r in written} == {"lake/columns/click"}
    assert [*events.build(filled, "click", DAYS[3:], columns=["upper"])]
    assert schema(filled, "click", DAYS)["passed"].all()
    same(rows(filled), rebuilt(filled, tmp_path))
    # By file, by day, by a column beside and by one that is not; and a table that was pinned before.
    whole, paths = table(filled).pinned(), table(filled).files()["path"].to_list()
    same(whole.read(paths).select("event_id", "upper", "size@2"), rows(filled).drop("day", "user_id"))
    assert whole.scan().filter(pl.col("day") == DAYS[2], pl.col("user_id") == "u3").collect()["upper"].to_list() == [
        "E24-3", "E17-3", "E10-3", "E3-3",
    ]  # fmt: skip
    assert whole.scan().filter(pl.col("upper") == "E0-3").collect().height == 1
    assert [*events.build(filled, "click", [DAYS[0]])]
    assert whole.scan().select("upper").collect()["upper"].null_count() == 0


def test_a_day_that_was_built_again_has_no_columns_beside(filled: Runtime, tmp_path: Path) -> None:
    """And what lay there is gone with it, at once; files go later."""
    assert [*events.build(filled, "click", DAYS, columns=["upper"])]
    write(tmp_path, DAYS[2], 26, mark="x")
    assert [*raw.ingest(filled, "clicks", [DAYS[2]])]
    before = shop(tmp_path, "home")  # the release without the columns
    assert [*events.build(before, "click", [DAYS[2]])]
    found = rows(filled).filter(pl.col("day") == DAYS[2])
    assert (found.height, found["upper"].null_count()) == (26, 26)
    assert sorted(table(filled).columns_beside()) == [str(DAYS[n]) for n in (0, 1, 3)]
    assert table(filled).beside.files()["day"].unique().sort().to_list() == [str(DAYS[n]) for n in (0, 1, 3)]  # type: ignore[union-attr]


@pytest.mark.parametrize("change", ["more", "fewer", "moved", "none left"])
def test_a_day_of_which_other_rows_come_out_is_built_as_a_whole(filled: Runtime, tmp_path: Path, change: str) -> None:
    count = {"more": 41, "fewer": 39, "moved": 40, "none left": 0}[change]
    write(tmp_path, DAYS[0], count, mark="m" if change == "moved" else "")
    assert [*raw.ingest(filled, "clicks", [DAYS[0]])]
    results = {r.day: (r.table, r.rows) for r in events.build(filled, "click", DAYS, columns=["upper", "size@2"])}
    assert results[DAYS[0]] == ("lake/events/click", count)
    assert {results[day][0] for day in DAYS[1:]} == {"lake/columns/click"}
    same(rows(filled), rebuilt(filled, tmp_path))


def test_columns_that_are_none_or_say_which_row_it_is_are_refused(filled: Runtime) -> None:
    with pytest.raises(
        ColumnsUnknown, match="click has no column 'uper', 'user_id' that can be built alone; there are"
    ):
        list(events.build(filled, "click", DAYS, columns=["uper", "user_id"]))


def test_columns_are_a_tenth_of_the_bytes_of_a_rebuild(tmp_path: Path) -> None:
    for day in DAYS:
        write(tmp_path, day, 3_600)
    runtime = shop(tmp_path, "home")
    assert [*raw.ingest(runtime, "clicks", DAYS)]
    whole = sum(each.bytes for each in events.build(runtime, "click", DAYS))
    later = shop(tmp_path, "home", SIZE)
    assert sum(each.bytes for each in events.build(later, "click", DAYS, columns=["size@2"])) < whole / 10
