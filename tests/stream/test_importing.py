"""Files that stand in for messages the log never got: once, however often they are imported, and into every bucket."""

import datetime as dt
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from seqplat_resources.batch.builds.imports import ImportResult, NothingToImportInto, import_files
from seqplat_resources.batch.days.ledger import dirty_buckets
from seqplat_resources.batch.inputs import tables
from seqplat_resources.online_store.lmdb import LmdbStore
from tests.building import runtime_for, utc
from tests.properties.clicks import click, clicks
from tests.properties.clicks import shop as tenant
from tests.stream.world import DAYS, Shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path, LmdbStore(tmp_path / "online", sync=False))
    with closing(made.store):
        yield made


def clicked(number: int, day: int, **more: Any) -> dict[str, Any]:
    at = dt.datetime.combine(DAYS[day], dt.time(12), dt.UTC) + dt.timedelta(seconds=number)
    return {"member": "ann", "click": number, "at": at, "received": utc(2024, 5, 4), "amount": number, **more}


def imported(shop: Shop, name: str, *rows: dict[str, Any], rubbish: str = "") -> ImportResult:
    path = shop.folder / name
    lines = [json.dumps(row, default=dt.datetime.isoformat) + "\n" for row in rows]
    path.write_text("".join(lines) + rubbish)
    (done,) = import_files(shop.runtime, "clicks", [str(path)])
    return done


def built(shop: Shop) -> list[int]:
    """Build and publish everything; the clicks shown, newest first."""
    shop.build(DAYS)
    shop.publish(DAYS)
    return shown(shop)


def shown(shop: Shop) -> list[int]:
    return [int(row["event_id"]) for row in shop.answer("ann")]


def streamed(shop: Shop, *rows: dict[str, Any]) -> None:
    shop.say([row | {"partition": 0} for row in rows])
    loop = shop.loop()
    with closing(loop.log):
        while loop.once():
            pass
        loop.close()


def dirty(shop: Shop) -> list[tuple[dt.date, int, int]]:
    return [(bucket.day, bucket.messages, bucket.moved) for bucket in dirty_buckets(shop.runtime, "click")]


def test_a_file_imported_twice_counts_once(shop: Shop) -> None:
    first = imported(shop, "late.ndjson", clicked(1, 0), clicked(2, 1))
    again = imported(shop, "late.ndjson", clicked(1, 0), clicked(2, 1))
    assert (first.rows, first.rejected, first.days, first.already) == (2, 0, 2, False)
    assert again.already
    assert tables.archive(shop.runtime, shop.plan.source).scan().collect().height == 2
    assert built(shop) == [2, 1]


def test_imported_rows_make_their_days_dirty_until_they_are_built(shop: Shop) -> None:
    streamed(shop, clicked(1, 0), clicked(2, 2))
    assert built(shop) == [2, 1]
    assert dirty(shop) == []
    imported(shop, "late.ndjson", clicked(3, 0), clicked(4, 0), clicked(5, 1))
    assert dirty(shop) == [(DAYS[0], 2, 0), (DAYS[1], 1, 0)]
    assert shown(shop) == [2, 1]  # the now view is of streams alone
    assert built(shop) == [2, 5, 4, 3, 1]
    assert dirty(shop) == []


def test_a_copy_of_a_streamed_message_changes_nothing(shop: Shop) -> None:
    streamed(shop, clicked(1, 0), clicked(2, 0))
    imported(shop, "late.ndjson", clicked(2, 0), clicked(1, 0))
    assert built(shop) == [2, 1]


def test_a_correction_in_a_file_moves_the_event_and_dirties_the_day_it_leaves(shop: Shop) -> None:
    streamed(shop, clicked(1, 0), clicked(2, 0))
    assert built(shop) == [2, 1]
    imported(shop, "corrections.ndjson", clicked(1, 2, revision=1), clicked(2, 0, revision=1, operation="retract"))
    assert dirty(shop) == [(DAYS[0], 1, 1), (DAYS[2], 1, 0)]
    assert built(shop) == [1]
    assert shop.answer("ann")[0]["event_time"].date() == DAYS[2]
    assert dirty(shop) == []


def test_rows_that_fit_nothing_become_rejects_of_the_file_once(shop: Shop) -> None:
    rubbish = '{"member": "ann"}\nnot json\n'
    for _ in range(2):
        done = imported(shop, "late.ndjson", clicked(1, 0), rubbish=rubbish)
        assert (done.rows, done.rejected) == (1, 2)
    refused = tables.rejects(shop.runtime, "clicks").scan().collect()
    assert refused["stage"].to_list() == ["import"] * 2
    assert b"not json" in [payload.strip() for payload in refused["payload"]]


def test_a_stream_goes_on_where_it_was_after_an_import(shop: Shop) -> None:
    streamed(shop, clicked(1, 0))
    imported(shop, "late.ndjson", clicked(2, 0))
    streamed(shop, clicked(3, 0))
    assert shown(shop) == [3, 1]
    assert built(shop) == [3, 2, 1]


@pytest.mark.parametrize("member", ["", "u" * 300])
def test_a_user_that_no_store_can_name_does_not_stop_a_day(shop: Shop, member: str) -> None:
    """It is in the lake, for analysis, and is not served: nobody could ask for it."""
    imported(shop, "late.ndjson", clicked(1, 0), clicked(2, 0, member=member))
    assert built(shop) == [1]
    assert tables.events(shop.runtime, shop.plan).scan().collect().height == 2


def test_a_source_without_a_topic_takes_no_files(tmp_path: Path) -> None:
    runtime = runtime_for(tmp_path / "home", (tenant, clicks(), click()), tmp_path)
    with pytest.raises(NothingToImportInto, match="source 'clicks' has no topic; put the files where its location"):
        list(import_files(runtime, "clicks", [str(tmp_path / "late.ndjson")]))
