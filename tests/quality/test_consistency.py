"""Served rows against built ones: what is explained passes, what was broken on purpose is found and counted."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from seqplat_resources.batch.builds import events, raw
from seqplat_resources.batch.inputs import tables
from seqplat_resources.engine.contract import NoLookup
from seqplat_resources.engine.status import CellStatus
from seqplat_resources.lake.files import FilePart
from seqplat_resources.quality.completeness import completeness
from seqplat_resources.quality.consistency import consistency
from seqplat_resources.testing.lookups import FrameLookup
from seqplat_resources.testing.memory.store import MemoryStore
from sequence_defs.compiler.project import status_column
from sequence_defs.schema import Definition
from tests.building import runtime_for, utc
from tests.properties.clicks import shop
from tests.stream.faults.test_healing import DEFINITIONS as ENRICHED
from tests.stream.faults.test_healing import KNOWN
from tests.stream.world import DAYS, DEFINITIONS, Shop, event_type, recent, source

DAY = DAYS[0]


def at(hour: int, day: dt.date = DAY) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(hour), dt.UTC)


def said(member: str, click: int, when: dt.datetime, **more: Any) -> dict[str, Any]:
    return {"member": member, "click": click, "at": when, "received": when, "amount": 1, "partition": 0, **more}


def stream(there: Shop) -> None:
    """Everything said is visible and kept."""
    loop = there.loop()
    while loop.once():
        pass
    loop.close()
    loop.log.close()


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Shop]:
    """Two users with three clicks each on the first day, on two partitions; streamed and built."""
    there = Shop(tmp_path, MemoryStore())
    there.say([said(user, n, at(8 + n), partition=n % 2) for user in ("ann", "bob") for n in (1, 2, 3)])
    stream(there)
    there.build([DAY])
    yield there
    there.store.close()


def measured(there: Shop, day: dt.date = DAY) -> dict[str, Any]:
    return consistency(there.runtime, "click", [day]).row(0, named=True)


def counts(found: dict[str, Any]) -> dict[str, int]:
    """What is not zero and not about users."""
    kinds = ("matched", "only_", "corrected", "other_copy", "not_read", "healed")
    return {name: value for name, value in found.items() if name.startswith(kinds) and value}


def change_bucket(there: Shop, change: Any, day: dt.date = DAY) -> None:
    """Tamper with what batch wrote, keeping the bucket's notes."""
    table = tables.events(there.runtime, there.plan)
    notes = table.notes({"day": day})
    rows = table.scan().filter(pl.col("day") == day).drop("day").collect()
    table.replace({"day": day}, [FilePart(change(rows))], notes=lambda: notes)


def change_served(there: Shop, change: Any) -> None:
    """Tamper with what the stream kept, as if it had made it visible like that."""
    table = tables.served(there.runtime, there.plan)
    rows = table.scan().filter(pl.col("day") == DAY).drop("day").collect()
    table.replace({"day": DAY}, [FilePart(change(rows))])


def test_what_was_streamed_and_built_is_the_same(there: Shop) -> None:
    found = measured(there)
    assert (found["passed"], found["detail"], found["same_order"]) == (True, "", 1.0)
    assert counts(found) == {"matched": 6}
    assert {found[name] for name in found if name.startswith("differs_")} == {0.0}


def test_numbers_are_there_for_every_day_also_one_without_events(there: Shop) -> None:
    there.build(DAYS[1:])
    frame = consistency(there.runtime, "click", DAYS)
    assert frame["day"].to_list() == DAYS
    assert frame["matched"].to_list() == [6, 0, 0]
    assert frame["passed"].to_list() == [True] * 3


def test_a_changed_value_is_found_in_its_column_alone(there: Shop) -> None:
    change_bucket(
        there, lambda rows: rows.with_columns(value=pl.when(pl.int_range(pl.len()) == 0).then(9).otherwise("value"))
    )
    found = measured(there)
    assert not found["passed"]
    assert found["differs_value"] == pytest.approx(1 / 6)
    assert found["detail"] == "value differs in 16.67 %"
    assert [name for name in found if name.startswith("differs_") and found[name]] == ["differs_value"]


def test_a_null_on_one_side_differs_and_on_both_does_not(there: Shop) -> None:
    change_bucket(there, lambda rows: rows.with_columns(value=pl.lit(None, pl.Int64)))
    assert measured(there)["differs_value"] == 1.0
    change_served(there, lambda rows: rows.with_columns(value=pl.lit(None, pl.Int64)))
    assert measured(there)["passed"]


def test_an_event_that_batch_lost_is_unexplained(there: Shop) -> None:
    change_bucket(there, lambda rows: rows[1:])
    found = measured(there)
    assert counts(found) == {"matched": 5, "only_stream": 1, "only_stream_unexplained": 1}
    assert found["detail"] == "1 only in stream and 0 only in batch, unexplained"
    assert found["same_order"] == 0.5, "one of two users sees another sequence"
    assert completeness(there.runtime, "click", [DAY])["missing"].item() == 1


def test_an_event_that_was_never_served_is_unexplained(there: Shop) -> None:
    change_served(there, lambda rows: rows.filter(~((pl.col("event_id") == "3") & (pl.col("user_id") == "bob"))))
    found = measured(there)
    assert counts(found) == {"matched": 5, "only_batch": 1, "only_batch_unexplained": 1}
    assert found["detail"] == "0 only in stream and 1 only in batch, unexplained"


def test_events_in_another_order_are_found_even_if_they_are_the_same_events(there: Shop) -> None:
    moved = pl.when(pl.col("event_id") == "1", pl.col("user_id") == "ann").then(pl.lit(at(20))).otherwise("event_time")
    change_served(there, lambda rows: rows.with_columns(event_time=moved.cast(rows.schema["event_time"])))
    found = measured(there)
    assert found["same_order"] == 0.5
    assert found["differs_event_time"] == pytest.approx(1 / 6)


def test_messages_the_bucket_has_not_read_are_no_difference(there: Shop) -> None:
    there.say([said("ann", 4, at(20)), said("ann", 1, at(9), revision=1, amount=5, partition=1)])
    stream(there)
    found = measured(there)
    assert found["passed"]
    assert counts(found) == {"matched": 6, "not_read": 1}, "the correction's event is in the bucket, as it was"
    there.build([DAY])
    assert counts(measured(there)) == {"matched": 7}


def test_a_redelivered_event_counts_once_as_its_first_receipt(there: Shop) -> None:
    again = said("ann", 1, at(9), partition=1) | {"received": at(23), "amount": 7}
    there.say([again])
    stream(there)
    there.build([DAY])
    found = measured(there)
    assert found["passed"], found["detail"]
    assert counts(found) == {"matched": 6}


def test_a_correction_that_moves_an_event_explains_its_absence(there: Shop) -> None:
    there.say([said("bob", 2, at(3, DAYS[1]), revision=1)])
    stream(there)
    there.build(DAYS[:2])
    assert counts(measured(there)) == {"matched": 5, "only_stream": 1, "only_stream_moved": 1}
    assert counts(measured(there, DAYS[1])) == {"matched": 1}
    assert measured(there)["passed"]


def test_a_retraction_is_an_event_like_any_other(there: Shop) -> None:
    there.say([said("bob", 2, at(10), revision=1, operation="retract")])
    stream(there)
    there.build([DAY])
    found = measured(there)
    assert (found["passed"], found["matched"], found["same_order"]) == (True, 6, 1.0)


def with_files(there: Shop, rows: list[dict[str, Any]]) -> Shop:
    """The same shop under a release whose source has files as well, with ``rows`` ingested."""
    files = source.model_copy(update={"location": "clicks-{day}.parquet"})
    runtime = runtime_for(there.runtime.home, [shop, files, event_type, recent], there.folder, clock=there.clock)
    schema = {column.name: pl.String() for column in files.columns}
    schema |= {
        "click": pl.Int64(),
        "item": pl.Int64(),
        "amount": pl.Int64(),
        "revision": pl.Int64(),
        "price": pl.Float64(),
    }
    schema |= dict.fromkeys(("at", "received"), pl.Datetime("us", "UTC"))
    frame = pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=schema)
    frame.write_parquet(there.folder / f"clicks-{DAY}.parquet")
    there.runtime = runtime
    list(raw.ingest(runtime, "clicks", [DAY]))
    there.build([DAY])
    return there


def test_what_only_a_file_brought_is_explained(there: Shop) -> None:
    fixed = said("ann", 1, at(9), revision=1, amount=40)
    found = measured(with_files(there, [said("eve", 1, at(9)), fixed, said("bob", 1, at(9)) | {"received": at(1)}]))
    assert found["passed"], found["detail"]
    assert counts(found) == {"matched": 6, "only_batch": 1, "only_batch_by_file": 1, "corrected": 1, "other_copy": 1}


def test_a_definition_that_changed_meanwhile_explains_what_it_keeps(there: Shop) -> None:
    fewer = event_type.model_copy(update={"filter": "click != 3"})
    there.runtime = runtime_for(there.runtime.home, [shop, source, fewer, recent], there.folder, clock=there.clock)
    there.build([DAY])
    found = measured(there)
    assert counts(found) == {"matched": 4, "only_stream": 2, "only_stream_redefined": 2}
    assert found["passed"]


def test_what_a_wider_definition_adds_is_explained(tmp_path: Path) -> None:
    fewer = event_type.model_copy(update={"filter": "click != 3"})
    there = Shop(tmp_path, MemoryStore(), definitions=(shop, source, fewer, recent))
    there.say([said("ann", n, at(8 + n)) for n in (1, 2, 3)])
    stream(there)
    there.runtime = runtime_for(there.runtime.home, DEFINITIONS, tmp_path, clock=there.clock)
    there.build([DAY])
    found = measured(there)
    assert counts(found) == {"matched": 2, "only_batch": 1, "only_batch_redefined": 1}
    there.store.close()


def test_an_event_type_that_began_later_has_days_from_before(there: Shop) -> None:
    later = event_type.model_copy(update={"name": "again"})
    there.runtime = runtime_for(there.runtime.home, [*DEFINITIONS, later], there.folder, clock=there.clock)
    there.say([said("ann", 9, at(22))])
    stream(there)
    list(events.build(there.runtime, "again", [DAY]))
    (found,) = consistency(there.runtime, "again", [DAY]).to_dicts()
    assert found["passed"], found["detail"]
    # The other partition has had no message since, so nothing of it was ever served.
    assert counts(found) == {"matched": 1, "only_batch": 6, "only_batch_before_stream": 6}


def test_built_ahead_of_what_was_kept_is_explained(there: Shop) -> None:
    """A build may see the archive's commit of a flush whose served events are committed a moment later."""
    served = tables.served(there.runtime, there.plan)
    before = served.pinned()
    there.say([said("ann", 4, at(20), partition=1)])
    stream(there)
    there.build([DAY])
    kept = replace(served, _delta=before.delta(), _pinned=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "served", lambda *_: _Pinned(kept))
        found = measured(there)
    assert found["passed"], found["detail"]
    assert counts(found) == {"matched": 6, "only_batch": 1, "only_batch_not_kept": 1}


class _Pinned:
    def __init__(self, table: Any) -> None:
        self._table = table

    def pinned(self) -> Any:
        return self._table


def enriched(folder: Path, lookup: Any, change: Any = lambda rows: rows) -> dict[str, Any]:
    """Two clicks whose bucket holds other enrichment cells than were served."""
    definitions: tuple[Definition, ...] = ENRICHED
    there = Shop(folder, MemoryStore(), definitions=definitions, lookup=lookup)
    there.say([said("ann", 1, at(9)), said("ann", 2, at(10))])
    stream(there)
    there.build([DAY])
    change_bucket(there, change)
    there.store.close()
    return measured(there)


def status_of(name: str) -> str:
    return status_column(name)


def test_cells_that_batch_healed_are_counted_apart(tmp_path: Path) -> None:
    def heal(rows: pl.DataFrame) -> pl.DataFrame:
        status = pl.lit(int(CellStatus.VALUE), pl.Int8)
        return rows.with_columns(status.alias(status_of("price")), price=pl.lit(2.5))

    found = enriched(tmp_path, NoLookup(), heal)
    assert (found["passed"], found["healed"], found["differs_price"]) == (True, 2, 0.0)


def test_another_value_of_an_enrichment_is_a_difference(tmp_path: Path) -> None:
    found = enriched(tmp_path, KNOWN, lambda rows: rows.with_columns(price=pl.lit(9.9)))
    assert (found["passed"], found["healed"], found["differs_price"]) == (False, 0, 1.0)
    assert "price differs in 100.00 %" in found["detail"]


def test_a_value_that_batch_does_not_have_is_a_difference(tmp_path: Path) -> None:
    def lose(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.with_columns(pl.lit(int(CellStatus.PENDING), pl.Int8).alias(status_of("price")))

    assert isinstance(KNOWN, FrameLookup)
    found = enriched(tmp_path, KNOWN, lose)
    assert not found["passed"]
    assert found[f"differs_{status_of('price')}"] == 1.0


def test_a_bucket_of_many_shards_is_compared_whole(tmp_path: Path) -> None:
    sharded = source.model_copy(update={"shards": 4})
    there = Shop(tmp_path, MemoryStore(), definitions=(shop, sharded, event_type, recent))
    there.say([said(f"user {n}", 1, at(9)) for n in range(20)])
    stream(there)
    there.build([DAY])
    assert counts(measured(there)) == {"matched": 20}
    assert measured(there)["users"] == 20
    there.store.close()


def test_a_day_that_was_never_built_has_nothing_to_compare(there: Shop) -> None:
    unbuilt = utc(2024, 5, 2).date()
    found = measured(there, unbuilt)
    assert (found["passed"], counts(found)) == (True, {})
