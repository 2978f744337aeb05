"""Which rows are kept beside a day, since when and until when they counted; and what is said where none are kept."""

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from seqplat_resources.batch.inputs import tables
from seqplat_resources.lake.damage import way_out
from seqplat_resources.lake.files import FilePart
from seqplat_resources.lake.layout import superseded_table
from seqplat_resources.read.answer import Answer, answer
from seqplat_resources.read.past import PastRows
from seqplat_resources.release.query import Query
from sequence_defs.schema import Definition
from tests.building import utc
from tests.online_stores import empty_store
from tests.properties.clicks import shop as tenant
from tests.stream.world import DAYS, Shop, event_type, recent, source

NOON = utc(2024, 5, 1, 12)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with empty_store("lmdb", tmp_path) as store:
        yield Shop(tmp_path, store)


def click(number: int = 1, **said: Any) -> dict[str, Any]:
    return {"member": "ann", "click": number, "at": NOON, "amount": 1, "partition": 0} | said


def seen(shop: Shop, hour: int, *rows: dict[str, Any]) -> None:
    """Said and streamed on May 4 at that hour; received a minute before."""
    shop.clock.time = utc(2024, 5, 4, hour)
    shop.say({"received": shop.clock.time - dt.timedelta(minutes=1), **row} for row in rows)
    loop = shop.loop()
    loop.once()
    loop.close()
    loop.log.close()


def kept(shop: Shop) -> list[tuple[str, int, int, int, int]]:
    """Of each superseded row its day, id, rev, and the hours from and until which it counted."""
    rows = tables.superseded(shop.runtime, shop.plan).scan().sort("available_time", "event_id").collect()
    return [
        (str(row["day"]), int(row["event_id"]), row["rev"], row["available_time"].hour, row["superseded_time"].hour)
        for row in rows.iter_rows(named=True)
    ]


def as_of(shop: Shop, hour: int) -> Answer:
    query = Query(as_of=utc(2024, 5, 4, hour))
    return answer(shop.sequence, shop.store, "ann", query, clock=shop.clock, past=PastRows(shop.runtime.home))


def values(shop: Shop, hour: int) -> list[int]:
    return as_of(shop, hour).events["value"].to_list()


def test_a_day_keeps_when_streams_made_its_events_visible(shop: Shop) -> None:
    seen(shop, 9, click())
    shop.build(DAYS[:1])
    rows = tables.events(shop.runtime, shop.plan).scan().collect()
    assert rows["available_time"].to_list() == [utc(2024, 5, 4, 9)]
    assert rows["ingest_time"].to_list() == [utc(2024, 5, 4, 8, 59)]
    assert not tables.superseded(shop.runtime, shop.plan).exists(), "nothing was superseded, so nothing is written"


def test_what_was_corrected_and_retracted_stays_with_its_time(shop: Shop) -> None:
    seen(shop, 9, click(amount=1))
    seen(shop, 10, click(amount=2, revision=1))
    seen(shop, 11, click(amount=2, revision=2, operation="retract"))
    shop.build(DAYS)
    shop.publish(DAYS)
    assert kept(shop) == [("2024-05-01", 1, 0, 9, 10), ("2024-05-01", 1, 1, 10, 11)]
    assert [values(shop, hour) for hour in (8, 9, 10, 11)] == [[], [1], [2], []]
    assert as_of(shop, 9).freshness.degraded == as_of(shop, 11).freshness.degraded


def test_what_moved_to_another_day_stays_in_the_day_it_left(shop: Shop) -> None:
    seen(shop, 9, click(amount=1))
    seen(shop, 10, click(amount=2, revision=1, at=NOON + dt.timedelta(days=1)))
    shop.build(DAYS)
    shop.publish(DAYS)
    assert kept(shop) == [("2024-05-01", 1, 0, 9, 10)]
    assert [values(shop, hour) for hour in (9, 10)] == [[1], [2]]


def test_a_copy_that_lost_to_one_seen_later_is_kept_and_one_that_lost_at_once_is_not(shop: Shop) -> None:
    received = utc(2024, 5, 4, 8)
    seen(shop, 9, click(amount=1), click(2, amount=5), click(2, amount=6))
    seen(shop, 10, click(amount=2, received=received, partition=1), click(2, amount=7))
    shop.build(DAYS)
    shop.publish(DAYS)
    assert kept(shop) == [("2024-05-01", 1, 0, 9, 10)], "the first copy of click 2 counts all the time"
    assert [sorted(values(shop, hour)) for hour in (9, 10)] == [[1, 5], [2, 5]]


def test_a_revision_that_no_reader_saw_supersedes_nothing(shop: Shop) -> None:
    """Two revisions in one micro-batch: the first of them was never shown."""
    seen(shop, 9, click(amount=1))
    seen(shop, 11, click(amount=2, revision=1, received=utc(2024, 5, 4, 10)), click(amount=3, revision=2))
    shop.build(DAYS)
    assert kept(shop) == [("2024-05-01", 1, 0, 9, 11)]


def test_what_the_filter_withdraws_was_known_until_then(tmp_path: Path) -> None:
    wanted: tuple[Definition, ...] = (tenant, source, event_type.model_copy(update={"filter": "amount < 5"}), recent)
    with empty_store("lmdb", tmp_path) as store:
        shop = Shop(tmp_path, store, definitions=wanted)
        seen(shop, 9, click(amount=1))
        seen(shop, 10, click(amount=5, revision=1))
        shop.build(DAYS)
        shop.publish(DAYS)
        assert kept(shop) == [("2024-05-01", 1, 0, 9, 10)]
        assert [values(shop, hour) for hour in (9, 10)] == [[1], []]


@pytest.mark.parametrize(("declared", "later_s", "how"), [(None, 60.0, "measured"), (30.0, 30.0, "declared")])
def test_what_only_batch_saw_is_as_late_as_declared_or_measured(
    tmp_path: Path, declared: float | None, later_s: float, how: str
) -> None:
    """Imported messages reach the archive and no stream."""
    changed = event_type.model_copy(update={"serving_delay_s": declared})
    with empty_store("lmdb", tmp_path) as store:
        shop = Shop(tmp_path, store, definitions=(tenant, source, changed, recent))
        seen(shop, 9, click())
        archive = tables.archive(shop.runtime, source)
        archive.replace({"day": DAYS[1]}, [_imported(archive.scan().collect())])
        shop.build(DAYS[:2])
        rows = tables.events(shop.runtime, shop.plan).scan().filter(day=DAYS[1]).collect()
        assert (rows["available_time"] - rows["ingest_time"]).dt.total_seconds().to_list() == [later_s]
        notes = tables.events(shop.runtime, shop.plan).notes({"day": DAYS[1]})
        assert json.loads(notes["serving_delay"]) == {"how": how, "seconds": later_s}


def test_an_event_of_a_day_that_was_built_without_them_is_told(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    seen(shop, 9, click(amount=1))
    seen(shop, 10, click(amount=2, revision=1))
    with monkeypatch.context() as before:
        before.setattr("seqplat_resources.batch.publish.events.KEPT", "no such note")
        before.setattr("seqplat_resources.batch.builds.past.SupersededRows.keep", lambda *_: None)
        shop.build(DAYS)
        shop.publish(DAYS)
    assert as_of(shop, 9).freshness.degraded[-1:] == ("click: 1 event changed after as_of left out",)
    shop.build(DAYS)
    shop.publish(DAYS)
    assert values(shop, 9) == [1]
    assert not [said for said in as_of(shop, 9).freshness.degraded if "as_of" in said]


def test_rows_of_the_past_that_cannot_be_read_are_named(shop: Shop) -> None:
    seen(shop, 9, click(amount=1))
    seen(shop, 10, click(amount=2, revision=1))
    shop.build(DAYS)
    shop.publish(DAYS)
    for file in Path(shop.runtime.home.uri(superseded_table("click"))).rglob("*.parquet"):
        file.write_bytes(b"PAR1")
    found = as_of(shop, 9)
    assert found.events.height == 0
    assert [said for said in found.freshness.degraded if "superseded rows" in said]
    assert way_out(shop.runtime.home, superseded_table("click")).endswith("FIRST_DAY LAST_DAY events/click`")


def _imported(rows: pl.DataFrame) -> FilePart:
    """The same a day later, as of a file that was imported."""
    moved = rows.drop("day").with_columns(
        pl.col("_event_time", "_ingest_time", "at", "received").dt.offset_by("1d"),
        click=pl.lit(9, pl.Int64),
        _partition=pl.lit("file:lost"),
    )
    return FilePart(moved)
