"""One event that was built into two days is found, in the day whose row has to go."""

import datetime as dt
import json
from pathlib import Path

import pytest

from seqplat_resources.batch.builds import raw
from seqplat_resources.batch.days.ledger import dirty_buckets
from seqplat_resources.online_store.lmdb import LmdbStore
from seqplat_resources.quality.completeness import completeness
from seqplat_resources.quality.consistency import consistency
from seqplat_resources.quality.identity import identity
from tests.building import utc
from tests.merge_oracle import Row
from tests.properties.clicks import clicks
from tests.properties.clicks import shop as tenant
from tests.stream.world import DAYS, DEFINITIONS, Shop


def said(day: int, received_s: int, *, partition: int = 0, click: int = 1) -> Row:
    at = dt.datetime.combine(DAYS[day], dt.time(23 if day == 0 else 1), dt.UTC)
    received = utc(2024, 5, 4) + dt.timedelta(seconds=received_s)
    return {"member": "ann", "click": click, "at": at, "received": received, "amount": day, "partition": partition}


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path, LmdbStore(tmp_path / "online", sync=False))


def stream(shop: Shop) -> None:
    loop = shop.loop()
    for _ in range(3):
        loop.once()
    loop.close()
    loop.log.close()


def checks(shop: Shop) -> list[list[bool]]:
    return [
        check(shop.runtime, "click", DAYS[:2])["passed"].to_list() for check in (identity, completeness, consistency)
    ]


def test_copies_across_midnight_are_one_event_in_every_check(shop: Shop) -> None:
    shop.say([said(0, 0), said(1, 5), said(1, 6, click=2)])
    stream(shop)
    shop.build(DAYS)
    shop.publish(DAYS)
    assert checks(shop) == [[True, True]] * 3
    assert [row["event_time"].day for row in shop.answer("ann")] == [2, 1]
    assert consistency(shop.runtime, "click", DAYS[:2])["matched"].to_list() == [1, 1]


def test_an_earlier_copy_that_came_later_makes_the_day_of_the_other_dirty(shop: Shop) -> None:
    """Partitions are read at their own pace, so the copy that was received first may come second."""
    shop.say([said(1, 5)])
    stream(shop)
    shop.build(DAYS)
    shop.publish(DAYS)
    shop.say([said(0, 0, partition=1)])
    stream(shop)
    assert len(shop.answer("ann")) == 1
    assert [dirty.day for dirty in dirty_buckets(shop.runtime, "click")] == [DAYS[0]]
    shop.build([DAYS[0]])
    shop.publish([DAYS[0]])
    assert [(row.day, row.moved) for row in dirty_buckets(shop.runtime, "click")] == [(DAYS[1], 1)]
    assert identity(shop.runtime, "click", DAYS)["passed"].to_list() == [True, False, True]
    assert identity(shop.runtime, "click", [DAYS[1]])["copies"].to_list() == [1]
    assert [row["event_time"].day for row in shop.answer("ann")] == [1]
    shop.build([DAYS[1]])
    shop.publish([DAYS[1]])
    assert not dirty_buckets(shop.runtime, "click")
    assert checks(shop) == [[True, True]] * 3
    assert [row["event_time"].day for row in shop.answer("ann")] == [1]


def test_a_winner_that_came_by_file_leaves_a_row_that_the_check_finds(tmp_path: Path) -> None:
    """No offsets tell that the older bucket has not read it, so nothing is dirty: the day is built again by hand."""
    located = clicks(topic="clicks", location="clicks*.ndjson", format="ndjson", start=DAYS[0])
    shop = Shop(tmp_path, LmdbStore(tmp_path / "online", sync=False), definitions=(tenant, located, *DEFINITIONS[2:]))
    shop.say([said(1, 5)])
    stream(shop)
    (tmp_path / "clicks.ndjson").write_text("")
    list(raw.ingest(shop.runtime, "clicks", DAYS))
    shop.build(DAYS)
    assert identity(shop.runtime, "click", DAYS)["passed"].to_list() == [True] * 3
    first = said(0, 0)
    sent = {**first, "at": first["at"].isoformat(), "received": first["received"].isoformat()}
    (tmp_path / "clicks.ndjson").write_text(json.dumps(sent))
    list(raw.ingest(shop.runtime, "clicks", DAYS))
    shop.build(DAYS[:1])
    assert identity(shop.runtime, "click", DAYS)["passed"].to_list() == [True, False, True]
    assert identity(shop.runtime, "click", DAYS)["copies"].to_list() == [0, 1, 0]
    shop.build([DAYS[1]])
    assert identity(shop.runtime, "click", DAYS)["passed"].to_list() == [True] * 3


def test_an_id_that_comes_again_beyond_the_horizon_is_another_event(shop: Shop) -> None:
    shop.say([said(0, 0), {**said(0, 5), "at": utc(2024, 5, 4, 23, 0, 1)}])
    stream(shop)
    days = [DAYS[0], dt.date(2024, 5, 4)]
    assert len(shop.answer("ann")) == 2
    shop.build(days)
    shop.publish(days)
    assert len(shop.answer("ann")) == 2
    assert identity(shop.runtime, "click", days)["passed"].to_list() == [True, True]
