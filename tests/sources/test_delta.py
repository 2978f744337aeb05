"""Delta tables as sources: days, partitions, versions, and tables that are not there."""

import datetime as dt
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from seqplat_resources.batch.builds import raw
from seqplat_resources.batch.days.arrivals import changed
from seqplat_resources.sources.files import SourceUnreadable
from sequence_defs.schema import Column
from tests.building import utc
from tests.object_server import BUCKET
from tests.sources.orders import COLUMNS, DAY, NEXT, Orders, orders, rejects, rows

LAST = NEXT + dt.timedelta(days=1)
BY_DAY = orders("delta", location="old/ds={day}", columns=(*COLUMNS, Column(name="ds", dtype="date")))


def order(number: int, at: dt.datetime, ds: object, member: str | None = "ann") -> dict[str, object]:
    return {"member": member, "at": at, "number": number, "amount": 0.5, "ds": ds}


def write(place: str, *written: dict[str, object], mode: str = "append", **options: object) -> None:
    given = {"partition_by": ["ds"], **options}
    pl.DataFrame(list(written)).write_delta(place, mode=mode, delta_write_options=given)  # type: ignore[call-overload]


@pytest.fixture(params=["files", "objects"])
def place(request: pytest.FixtureRequest, folder: Orders, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where a table is: a folder, or below a bucket."""
    if request.param == "files":
        yield str(folder.files / "old")
        return
    server: Mapping[str, str] = request.getfixturevalue("object_storage")
    for name, value in server.items():
        monkeypatch.setenv(name, value)
    yield f"s3://{BUCKET}/{uuid.uuid4().hex}/old"


def test_a_day_reads_its_partition_and_is_dirty_when_that_changes(folder: Orders, place: str) -> None:
    write(place, order(1, utc(2024, 5, 1, 10), DAY), order(2, utc(2024, 5, 2, 10), NEXT))
    write(place, order(3, utc(2024, 5, 3), DAY), order(4, utc(2024, 5, 1, 11), DAY, member=None))
    source = BY_DAY.model_copy(update={"location": f"{place}/ds={{day}}" if "://" in place else BY_DAY.location})
    runtime = folder.runtime(source)
    built = sorted(raw.ingest(runtime, "orders", [DAY, NEXT, LAST]), key=lambda result: result.day)
    assert [result.facts.get("source_version") for result in built] == [1, 1, None]
    assert f"ds={LAST}" in (built[2].awaited or "")
    assert rows(runtime, "number", "ds", "member") == [(1, DAY, "ann"), (2, NEXT, "ann")]
    assert sorted(row["reason"] for row in rejects(runtime)) == [
        "column member: null, but it is required",
        "event_time: 2024-05-03 00:00:00.000000+00:00 is not of 2024-05-01, the day of its file",
    ]
    assert changed(runtime, "raw/orders") == {}
    write(place, order(5, utc(2024, 5, 2, 12), NEXT))
    assert list(changed(runtime, "raw/orders")) == [NEXT]
    list(raw.ingest(runtime, "orders", [NEXT]))
    assert sorted(rows(runtime, "number")) == [(1,), (2,), (5,)]
    assert changed(runtime, "raw/orders") == {}


@pytest.mark.parametrize("written", [str, dt.date.fromisoformat], ids=["text", "date"])
def test_a_partition_is_a_day_as_text_or_date_and_others_are_none(folder: Orders, written: type) -> None:
    place = str(folder.files / "old")
    of_days = (order(n, utc(2024, 5, n, 1), written(f"2024-05-0{n}")) for n in (1, 2))
    write(place, *of_days, order(3, utc(2024, 5, 1), None))
    if written is str:
        write(place, order(4, utc(2024, 5, 1), "yesterday"))
    source = orders("delta", location="old/ds={day}")
    runtime = folder.ingest(source, DAY, NEXT)
    assert rows(runtime, "number") == [(1,), (2,)]


def test_a_table_without_days_is_filtered_and_each_version_makes_days_dirty(folder: Orders) -> None:
    place = str(folder.files / "old")
    write(place, order(1, utc(2024, 5, 1, 10), 0), order(2, utc(2024, 5, 2, 10), 1), partition_by=[])
    source = orders("delta", location="old")
    runtime = folder.runtime(source)
    for days in ([DAY, NEXT], [NEXT]):
        built = list(raw.ingest(runtime, "orders", days))
        assert {result.facts["source_version"] for result in built} == {0}
        assert rows(runtime, "number", "_partition") == [(1, "old"), (2, "old")]
    DeltaTable(place).delete("number = 2")
    assert sorted(changed(runtime, "raw/orders")) == [DAY, NEXT]
    list(raw.ingest(runtime, "orders", [DAY, NEXT]))
    assert rows(runtime, "number") == [(1,)]


def test_a_table_that_is_not_there_or_not_readable_is_said_in_a_sentence(folder: Orders) -> None:
    place = folder.files / "old"
    said = f"source 'orders': there is no Delta table at {place}; set SEQPLAT_SOURCES or mend `location`"
    for source in (BY_DAY, orders("delta", location="old")):
        with pytest.raises(SourceUnreadable) as refused:
            folder.ingest(source)
        assert str(refused.value) == said
        assert changed(folder.runtime(source), "raw/orders") == {}
    write(str(place), order(1, utc(2024, 5, 1), DAY), partition_by=["member"])
    with pytest.raises(SourceUnreadable, match=r"is partitioned by \['member'\], not by 'ds'"):
        folder.ingest(BY_DAY)
    for data in place.rglob("*.parquet"):
        data.unlink()
    with pytest.raises(SourceUnreadable, match="old is not readable delta"):
        folder.ingest(orders("delta", location="old"))
    (place / "_delta_log" / f"{1:020}.json").write_text("{broken")
    with pytest.raises(SourceUnreadable, match=r"the Delta table at .* cannot be opened"):
        folder.ingest(orders("delta", location="old"))


def test_a_table_without_a_required_column_is_a_reject_and_values_are_read_as_in_parquet(folder: Orders) -> None:
    place: Path = folder.files / "old"
    write(str(place), {"member": "ann", "at": dt.datetime(2024, 5, 1, 7), "number": "12"}, partition_by=[])
    assert rows(folder.ingest(orders("delta", location="old")), "number", "at") == [(12, utc(2024, 5, 1, 7))]
    write(str(place), {"at": dt.datetime(2024, 5, 1, 7)}, mode="overwrite", partition_by=[], schema_mode="overwrite")
    (reject,) = rejects(folder.ingest(orders("delta", location="old")))
    assert "old has no column ['member']" in reject["reason"]
