"""What becomes of stored days and of streams when definitions change, also where publishing would have refused."""

import datetime as dt
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from seqplat_assets.layers.assets import built as assets_of
from seqplat_assets.repair.rebuilds import Past
from seqplat_assets.repair.reseal import rebuild_request
from seqplat_assets.repair.sensors import Needs, plan
from seqplat_resources.batch.builds import events
from seqplat_resources.batch.days.needs import all_needs
from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.redefined import defined_at
from seqplat_resources.batch.inputs.shards import shard_column
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.lake.layout import shard_of
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.online_store.lmdb import LmdbStore
from seqplat_resources.planning.build import made as made_plan
from seqplat_resources.read.answer import Answer
from seqplat_resources.read.stored import EarlierRows
from seqplat_resources.release.query import TopK
from sequence_defs import Column
from serving.answers.arrow import plain_stream
from serving.answers.encoding import answer_head, meta_of, with_meta
from tests.building import utc
from tests.evolution.changes import ACTIVITY, CASES, SHOP, Case, Definitions, altered, both, case, change, column, more
from tests.evolution.stored import D1, D2, D3, Stored, purchase
from tests.online_stores import empty_store

# Cases whose change leaves right what is stored: other names, other bounds, other readers.
OF_READERS = (
    "collapsed",
    "shown_from_another",
    "dropped_column",
    "renamed_column",
    "dropped_from_a_sequence",
    "dropped_enrichment",
    "dropped_event_type",
    "renamed_event_type",
    "retired",
    "shorter",
    "narrower_window",
    "shorter_retention",
    "personal",
    "another_owner",
)
NOT_RUN = ("executor", "dropped_sequence")
# By case the columns that are stored with another type, and so null.
UNFIT: Mapping[str, str] = {
    "wider_type": "amount",
    "dimension": "vector",
    "quantization": "vector",
    "type_of_a_derived": "cents",
    "type_of_an_enrichment": "brand",
}
DEEP = (
    "nullable_column",
    "filter",
    "enrichment_key",
    "type_of_an_enrichment",
    "unit",
    "wider_type",
    "another_type",
    "identity",
    "user",
    "dropped_event_type",
)


def opened(folder: Path) -> LmdbStore:
    return LmdbStore(folder / "online", first_map_bytes=1 << 20, sync=False)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two built days of the shop, and a third that is streamed."""
    folder: Path = tmp_path_factory.mktemp("shop")
    with closing(opened(folder)) as store:
        Stored(folder, store).fill()
    return folder


@pytest.fixture
def shop(base: Path, tmp_path: Path) -> Iterator[Stored]:
    """One of its own."""
    shutil.copytree(base, tmp_path, dirs_exist_ok=True)
    with closing(opened(tmp_path)) as store:
        yield Stored(tmp_path, store)


@pytest.fixture(scope="module")
def read(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stored]:
    """One to look at, for any number of tests."""
    folder = tmp_path_factory.mktemp("read")
    shutil.copytree(base, folder, dirs_exist_ok=True)
    with closing(opened(folder)) as store:
        yield Stored(folder, store)


def whole(shop: Stored, made: Case | None = None) -> Answer:
    """An answer, in both forms, and by conditions on a column that may be stored with another type."""
    found = shop.answer()
    assert with_meta(answer_head("activity", "ann", found.events), meta_of(found.freshness))
    assert plain_stream(found.events)
    asked = UNFIT.get(made.name, "sku") if made is not None else "sku"
    nulls = shop.answer(where=f"{asked} IS NULL").events
    assert nulls.height == nulls[asked].null_count() == found.events[asked].null_count()
    if "vector" in found.events.columns:
        items = 8 if made is not None and made.name == "dimension" else 4
        near = shop.answer(top_k=TopK("vector", (1.0,) * items, 9, "cosine")).events
        assert near.height == found.events.height - found.events["vector"].null_count()
    return found


def before(events: pl.DataFrame) -> pl.DataFrame:
    """Of the two days that were built."""
    return events.filter(pl.col("event_time") < utc(2024, 5, 3))


def unfit(found: Answer) -> list[str]:
    return [told for told in found.freshness.degraded if "is stored as" in told]


@pytest.mark.parametrize("made", [each for each in CASES if each.name not in NOT_RUN], ids=str)
def test_old_days_answer_and_say_what_another_definition_made(read: Stored, made: Case) -> None:
    """Never an error, never another meaning without a word, and no alarm where nothing means anything else."""
    read.follow(SHOP)
    same = read.answer()
    assert (read.stale(), same.freshness.definitions, unfit(same)) == (set(), {}, [])
    read.follow(made.definitions)
    found, stale = whole(read, made), read.stale()
    told = [each for days in found.freshness.definitions.values() for each in days]
    if made.kind in ("none", "compatible") or made.name in OF_READERS:
        assert not stale
        assert not any(each.is_stale for each in told)
    else:
        assert {("events/purchase", "2024-05-01"), ("events/purchase", "2024-05-02")} <= stale
        if made.name != "another_type":  # of a column that the sequence does not show
            assert {(each.since, each.is_stale) for each in told} == {("2024-05-01", True), (None, True)}
            assert found.freshness.completeness < same.freshness.completeness
    hidden = UNFIT.get(made.name)
    assert [f"column {hidden} is stored" in said for said in unfit(found)] == ([True] if hidden else [])
    purchases = found.events.filter(pl.col("event_type") == "purchase")
    assert not hidden or purchases[hidden].null_count() == purchases.height == 5


@pytest.mark.parametrize("name", DEEP)
def test_streams_builds_upkeep_and_rollback_go_on_over_a_change(shop: Stored, name: str) -> None:
    made, first = case(name), shop.answer()
    shop.follow(made.definitions)
    shop.say(purchase(6, D3, other_member="ann"))
    shop.stream()
    shop.compact()
    found = shop.answer()
    if name in ("enrichment_key", "type_of_an_enrichment"):  # the table that streams look up in is of the one before
        assert found.events.filter(pl.col("event_id") == "o6")["brand"].to_list() == [None]
    assert found.events.height >= (6 if name == "dropped_event_type" else 8)
    shop.build(D1, D2, D3)
    rebuilt = whole(shop, made)
    # Of a message that was decoded when a column might be null nobody knows whether it would be refused now.
    told = {"purchase": (EarlierRows(str(D3), str(D3), rows=True, columns=(), missing=()),)} if name == "user" else {}
    assert (shop.stale(), rebuilt.freshness.definitions, unfit(rebuilt)) == (set(), told, [])
    # Back: what the older release cannot read is null and named, the others are as they were.
    shop.follow(SHOP)
    back, hidden = shop.answer(), UNFIT.get(name)
    assert bool(unfit(back)) is bool(hidden)
    if name not in ("filter", "user"):
        kept = [c for c in ("event_time", "event_id", "note", "sku") if c != hidden and name != "identity"]
        told = before(back.events).filter(pl.col("event_type") == "purchase")
        assert told.select(kept).equals(before(first.events).filter(pl.col("event_type") == "purchase").select(kept))
    shop.say(purchase(7, D3))
    shop.stream()
    shop.compact()
    shop.build(D1, D2, D3)
    restored = shop.answer()
    assert before(restored.events).equals(before(first.events))
    assert {"o5", "o6", "o7", "o8"} < set(restored.events["event_id"])
    assert restored.events.filter(pl.col("event_id") == "o6")["amount"].to_list() == [6]
    assert (shop.stale(), restored.freshness.definitions, unfit(restored)) == (set(), {}, [])


@pytest.mark.parametrize(
    ("name", "rows", "columns"),
    [
        ("field_of_a_source", False, ("note", "shout")),
        ("filter_of_a_source", True, ()),
        ("sql_of_a_source", False, ("note", "shout")),
    ],
)
def test_messages_that_an_earlier_definition_decoded_stay_told(
    shop: Stored, name: str, rows: bool, columns: tuple[str, ...]
) -> None:
    """They are not there to be decoded again, so a day that holds some says so, and is not built for ever."""
    shop.follow(case(name).definitions)
    shop.compact()
    shop.say(purchase(6, D3))
    shop.stream()
    shop.compact()
    for _ in range(2):
        shop.build(D1, D2, D3)
        found = shop.answer()
        assert found.freshness.definitions == {"purchase": (EarlierRows(str(D3), str(D3), rows, columns, ()),)}
        assert shop.stale() == set()
        assert made_plan(shop.runtime, shop.runtime.loaded).work == ()
        notes = dict(found.events.select("event_id", "note").iter_rows())
        if name == "field_of_a_source":
            assert (notes["o1"], notes["o5"], notes["o6"]) == ("else", "Note 5", "else")
    shop.follow(SHOP)  # o5 is right again, o6 is not
    assert ("events/purchase", str(D3)) in shop.stale()
    shop.build(D1, D2, D3)
    assert {each.since for each in shop.answer().freshness.definitions["purchase"]} == {str(D3)}


def test_a_column_that_messages_were_decoded_without_is_told_as_missing(shop: Stored) -> None:
    field = Column(name="remark", dtype="string")
    names = ("remark", *(name for name in ACTIVITY if name != "note"))
    shop.follow(both(more("purchases", field), more("purchase", field), change("activity", columns=names))(SHOP))
    shop.build(D1, D2, D3)
    found = shop.answer()
    (told,) = found.freshness.definitions["purchase"]
    assert (told.since, told.is_stale, told.missing) == (str(D3), False, ("remark",))
    remarks = dict(found.events.select("event_id", "remark").iter_rows())
    assert (remarks["o1"], remarks["o8"], remarks["o5"]) == ("else", "else", None)
    assert made_plan(shop.runtime, shop.runtime.loaded).work == ()


@pytest.mark.parametrize("kind", ["memory", "redis"])
def test_other_stores_tell_the_same(kind: str, tmp_path: Path) -> None:
    with empty_store(kind, tmp_path) as store:
        shop = Stored(tmp_path, store)
        shop.fill()
        shop.follow(case("wider_type").definitions)
        found = whole(shop, case("wider_type"))
        (named,) = unfit(found)
        assert "purchase: column amount is stored as int32, not as int64, and given as null" in named
        told = [(each.since, each.through, each.columns) for each in found.freshness.definitions["purchase"]]
        columns = ("amount", "cents")
        assert told == [("2024-05-01", "2024-05-02", columns), (None, None, columns)]
        shop.say(purchase(6, D3))
        shop.stream()
        shop.build(D1, D2, D3)
        assert (unfit(whole(shop)), shop.answer().freshness.definitions) == ([], {})


@pytest.mark.parametrize("kind", ["lmdb", "memory", "redis"])
def test_events_from_before_a_column_have_its_default_until_their_day_is_built_again(kind: str, tmp_path: Path) -> None:
    alone = both(case("column_with_default").make, change("activity", event_types=("purchase",), columns=("line",)))
    with empty_store(kind, tmp_path) as store:
        shop = Stored(tmp_path, store)
        shop.fill()
        shop.follow(alone(SHOP))

        def lines() -> dict[str, str | None]:
            return dict(shop.answer().events.select("event_id", "line").iter_rows())

        def in_lake() -> dict[str, str | None]:
            table = tables.events(shop.runtime, EventPlan.of(shop.runtime.loaded, "purchase"))
            paths = table.files()["path"].to_list()
            assert sorted(table.read(paths)["line"]) == sorted(table.scan().collect()["line"])
            return dict(table.scan().select("event_id", "line").collect().iter_rows())

        old = {f"o{n}": "none" for n in range(1, 5)}
        assert lines() == {**old, "o5": "none"}  # the last is streamed
        assert in_lake() == old
        assert not shop.plan().columns["line"].nullable
        assert plain_stream(shop.answer().events)
        assert {*shop.answer(where="line = 'none'").events["event_id"]} == {*old, "o5"}
        assert shop.answer(where="line IS NULL").events.is_empty()
        shop.say(purchase(6, D3))
        shop.stream()
        shop.compact()
        assert lines() == {**old, "o5": "none", "o6": "l6"}
        assert in_lake() == old
        shop.build(D1)
        mixed = {**old, "o1": "l1", "o2": "l2"}
        assert lines() == {**mixed, "o5": "none", "o6": "l6"}
        assert in_lake() == mixed
        shop.follow(SHOP)
        assert "line" not in shop.answer().events.columns
        shop.follow(alone(SHOP))
        assert lines() == {**mixed, "o5": "none", "o6": "l6"}
        shop.build(D1, D2, D3)
        assert in_lake() == {f"o{n}": f"l{n}" for n in (1, 2, 3, 4, 5, 6, 8)}
        assert shop.stale() == set()


def _alone(column: Column) -> Callable[[Definitions], Definitions]:
    """Purchases with a column more, which is all that the sequence shows."""
    return both(more("purchase", column), change("activity", event_types=("purchase",), columns=(column.name,)))


def test_a_default_says_nothing_of_days_that_were_built_with_the_column(shop: Stored) -> None:
    line = Column(name="line", dtype="string", nullable=False)
    shop.follow(_alone(line)(SHOP))
    shop.build(D1, D2)
    for default in ("none", "else"):
        shop.follow(_alone(altered(line, default=default))(SHOP))
        assert shop.stale() == set()
        found = shop.answer()
        assert set(found.events["line"]) == {"l1", "l2", "l3", "l4", default}
        assert [each.since for each in found.freshness.definitions["purchase"]] == [None]


def test_a_value_of_another_type_is_no_default(shop: Stored) -> None:
    size = Column(name="size", dtype="string", nullable=False, sql="line")
    shop.follow(_alone(size)(SHOP))
    shop.build(D1)
    shop.follow(_alone(Column(name="size", dtype="int32", nullable=False, default=7, sql="amount"))(SHOP))
    found = shop.answer()
    sizes = {"o1": None, "o2": None, "o3": 7, "o4": 7}
    assert dict(found.events.select("event_id", "size").iter_rows()) == {**sizes, "o5": 7}
    assert "column size is stored as string, not as int32, and given as null (2024-05-01)" in str(
        found.freshness.degraded
    )
    assert {*shop.answer(where="size = 7").events["event_id"]} == {"o3", "o4", "o5"}
    table = tables.events(shop.runtime, EventPlan.of(shop.runtime.loaded, "purchase"))
    assert dict(table.scan().select("event_id", "size").collect().iter_rows()) == sizes
    shop.build(D1)
    assert shop.answer().events.filter(event_id="o2")["size"].to_list() == [2]


@pytest.mark.parametrize("sql", [None, "COALESCE(fresh, 'old')"])
def test_an_old_day_is_built_again_where_sql_says_what_its_rows_have(sql: str | None, shop: Stored) -> None:
    fresh = Column(name="fresh", dtype="string", nullable=False, default="old", sql=sql)
    shop.follow(both(more("purchases", Column(name="fresh", dtype="string")), _alone(fresh))(SHOP))
    before = dict(shop.answer().events.select("event_id", "fresh").iter_rows())
    assert before == {f"o{number}": "old" for number in range(1, 6)}
    shop.build(D1)
    refused = set() if sql else {"o1", "o2"}
    assert dict(shop.answer().events.select("event_id", "fresh").iter_rows()) == {
        name: value for name, value in before.items() if name not in refused
    }


RELAXED = {
    "source": column("purchases", "line", nullable=True),
    "both": both(column("purchases", "line", nullable=True), column("purchase", "part", nullable=True)),
    "event type": column("purchase", "shelf", nullable=True),
    "default": column("purchase", "note", nullable=True, default=None),
}


@pytest.mark.parametrize(
    ("name", "lacking"), [("both", 2), ("default", 1), ("event type", 1), ("event type", 2), ("source", 1)]
)
def test_days_with_rows_that_were_refused_for_want_of_a_value_are_stale_when_it_is_wanted_no_more(
    name: str, lacking: int, shop: Stored
) -> None:
    """And none without such rows, nor one with rows that are refused for another reason."""
    strict = both(
        column("purchase", "shelf", nullable=False), column("purchase", "note", nullable=False, default="none")
    )(SHOP)
    field = {"source": "line", "both": "line", "event type": "shelf", "default": "note"}[name]
    shop.follow(strict)
    shop.files("purchases", D1, *(purchase(n, D1, **({field: None} if n <= lacking else {})) for n in (1, 2)))
    shop.files("purchases", D2, purchase(3, D2), purchase(4, D2, amount="four"))
    shop.build(D1, D2)
    refused = {f"o{n}" for n in range(1, lacking + 1)}
    assert shop.stale() == set()
    assert {"o1", "o2", "o3", "o4"} - {*shop.answer().events["event_id"]} == {*refused, "o4"}
    relaxed = RELAXED[name](strict)
    asset = "raw/purchases" if name in ("source", "both") else "events/purchase"
    planned = made_plan(shop.runtime, shop.loaded(relaxed))
    built = {each.asset: each.spans for each in planned.work if each.asset.startswith(("raw/", "events/"))}
    assert built == dict.fromkeys({asset, "events/purchase"}, ((str(D1), str(D1)),))
    shop.follow(relaxed)
    assert shop.stale() == {(asset, str(D1))}
    shop.build(D1)
    assert shop.stale() == set()
    still = refused if name == "source" else set()  # the event type wants its ``part``
    assert {"o1", "o2", "o3", "o4"} - {*shop.answer().events["event_id"]} == {*still, "o4"}
    assert made_plan(shop.runtime, shop.runtime.loaded).work == ()


@pytest.mark.parametrize("of", ["*.parquet", "*.json"])
@pytest.mark.parametrize("left", [None, b"", b"PAR1", b"{", b"PAR1" + bytes(64) + b"\xff\xff\xff\x7fPAR1"])
def test_refused_rows_that_cannot_be_read_stop_no_plan(shop: Stored, of: str, left: bytes | None) -> None:
    shop.files("purchases", D1, purchase(1, D1, line=None), purchase(2, D1))
    shop.build(D1)
    for file in (shop.folder / "home/lake/rejects/purchases").rglob(of):
        file.unlink() if left is None else file.write_bytes(left)
    relaxed = shop.loaded(RELAXED["both"](SHOP))
    assert not [each for each in made_plan(shop.runtime, relaxed).work if each.asset.startswith("raw/")]


def test_days_of_another_definition_wait_for_all_other_work_and_come_one_run_at_a_time(read: Stored) -> None:
    read.follow(case("filter").definitions)
    runtime, needed = read.runtime, all_needs(read.runtime)
    assets = list(assets_of(runtime))

    def asked(needed: Needs, *runs: Past, minutes: int = 10) -> list[tuple[str, dt.date, dt.date, bool]]:
        now = defined_at(runtime) + dt.timedelta(minutes=minutes)
        found = plan(runtime, assets, needed, lambda _: runs, now=now)
        return [(each.name, each.first, each.last, each.can_wait) for each in found if each.name == "events/purchase"]

    assert asked(needed) == [("events/purchase", D1, D2, True)]
    assert asked(needed, minutes=9) == []  # the channel has just moved, and may move back
    busy = Past("run", D3, D3, utc(2024, 5, 4).timestamp(), None, succeeded=False)
    assert asked(needed, busy) == []
    failed = replace(needed["events/purchase"][D1], kind="failed")
    assert asked({**needed, "events/purchase": {**needed["events/purchase"], D1: failed}}) == [
        ("events/purchase", D1, D1, False)
    ]
    (first,) = (each for each in plan(runtime, assets, needed, lambda _: (), now=utc(2099, 1, 1)) if each.can_wait)
    assert rebuild_request(first).tags["dagster/priority"] == "0"
    assert rebuild_request(first).tags["seqplat/work"] == "backfill"


def events_by_shard(table: LakeTable, shards: int) -> list[str]:
    """The ids of a day, read shard by shard by whoever knows of other shards than it was built with."""
    of_day = pl.col("day") == D3
    at = shard_column([table], "user_id", "shard", shards, of_day)
    found = [table.scan().filter(of_day & (at == shard)).select("event_id").collect() for shard in range(shards)]
    return list(pl.concat(found)["event_id"])


def test_no_event_is_lost_when_a_source_gets_fewer_shards(shop: Stored) -> None:
    """Rows keep the shard that they were decoded into."""
    shop.follow(change("purchases", shards=4)(SHOP))
    shop.say(*(purchase(20 + n, D3, member=f"user {n}") for n in range(12)))
    shop.stream()
    shop.build(D1, D2, D3)
    for shards in (3, 8, 1):
        shop.follow(change("purchases", shards=shards)(SHOP))
        list(events.build(shop.runtime, "purchase", [D3]))
        plan = EventPlan.of(shop.runtime.loaded, "purchase")
        rows = tables.events(shop.runtime, plan).scan().filter(pl.col("day") == D3).collect()
        assert rows["event_id"].n_unique() == rows.height == 14
        others = events_by_shard(tables.events(shop.runtime, plan), shards + 3)
        assert sorted(others) == sorted(rows["event_id"])
        assert rows["shard"].to_list() == rows.select(shard_of("user_id", shards))[:, 0].to_list() or shards == 1
