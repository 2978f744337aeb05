"""What readers ask for decides what may become narrower, and which column may go."""

import datetime as dt
from pathlib import Path

import pytest

from seqplat_resources.planning.gate import judge
from seqplat_resources.planning.publish import publish
from seqplat_resources.planning.readers import Readership, Registry, not_counted
from seqplat_resources.release.store import ReleaseStore
from tests.building import ManualClock, utc
from tests.evolution.changes import SHOP, Definitions, both, change, less, without
from tests.evolution.shop_home import built_shop
from tests.evolution.test_gate import compiled, registry_of

NARROWER = {
    "length": (change("activity", length=10), {"events": 11}, {"events": 10}),
    "window": (change("activity", window_days=7), {"days": 8}, {"days": 7}),
    "retention": (change("purchase", retention_days=30), {"days": 31}, {"days": 30}),
    "retention of a source": (change("purchases", retention_days=30), {"days": None}, {"days": 3}),
    "retention of an enrichment": (change("product", retention_days=30), {"days": None}, {"days": 30}),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> ReleaseStore:
    return ReleaseStore(built_shop(tmp_path_factory.mktemp("shop")).home)


@pytest.mark.parametrize("narrower", sorted(NARROWER))
def test_narrower_is_refused_only_where_a_reader_asks_for_more(built: ReleaseStore, narrower: str) -> None:
    make, more, enough = NARROWER[narrower]

    def refused(registry: Registry) -> list[str]:
        return [each.way_out for each in judge(built, "dev", compiled(make(SHOP)), registry=registry).refused]

    def reader(wanted: dict[str, int | None]) -> Readership:
        return Readership("activity", "k1", "shop", "now", ("sku",), **{"events": 1, "days": 1, **wanted})

    assert "not counted for 14 days" in refused(not_counted)[0]
    (said,) = refused(registry_of(reader(enough), reader(more)))
    (measure,) = more
    asked = f"all {measure}" if more[measure] is None else f"{more[measure]} {measure}"
    assert f"key k1 of tenant shop asks for {asked}; it passes once nobody does" in said
    assert refused(registry_of(reader(enough))) == refused(registry_of()) == []


def test_nobody_needs_older_days_than_the_window_of_the_sequence(tmp_path: Path) -> None:
    week = change("activity", window_days=7)(SHOP)
    store = ReleaseStore(built_shop(tmp_path, week).home)
    shorter = compiled(change("purchase", retention_days=7)(week))
    assert judge(store, "dev", shorter, registry=registry_of(Readership("activity", "k", "shop", "now"))).refused == ()


def test_a_column_goes_alone_as_a_whole_object_does(tmp_path: Path) -> None:
    """Its way out, followed to the letter: deprecated in the sequence, a month, two weeks without anybody."""
    clock = ManualClock(utc(2024, 5, 4))
    store = ReleaseStore(built_shop(tmp_path).home, clock)
    gone = both(less("activity", "note", "shout"), less("purchase", "note", "shout"))

    def refused(definitions: Definitions, *columns: str) -> dict[str, str]:
        readers = [Readership("activity", "k", "shop", "now", columns)] if columns else []
        found = judge(store, "dev", compiled(definitions), registry=registry_of(*readers))
        return {each.place: each.way_out for each in found.refused}

    places = {f"{of}.{name}" for of in ("event_types/purchase columns", "sequences/activity columns")
              for name in ("note", "shout")}  # fmt: skip
    said = refused(gone(SHOP))
    assert said.keys() == places
    assert "deprecated=('note',)" in said["sequences/activity columns.note"]
    one = change("activity", deprecated=("note",))(SHOP)
    assert publish(store, compiled(one).release, "dev", by="tests").gated.kind == "compatible"
    clock.time += dt.timedelta(days=20)
    two = change("activity", deprecated=("note", "shout"))(SHOP)
    publish(store, compiled(two).release, "dev", by="tests")
    clock.time += dt.timedelta(days=10)
    said = refused(gone(SHOP), "sku")
    assert {place: way_out for place, way_out in said.items() if place.endswith("shout")} == said
    assert said["sequences/activity columns.shout"] == "it is deprecated: let it go on 2024-06-23, 30 days after that"
    clock.time += dt.timedelta(days=20)
    assert refused(gone(SHOP), "sku", "shout") == dict.fromkeys(
        ("event_types/purchase columns.shout", "sequences/activity columns.shout"),
        "it may go once nobody has read it in activity for 14 days: key k of tenant shop did",
    )
    assert refused(gone(SHOP), "sku") == refused(gone(SHOP)) == {}


def test_an_event_type_leaves_its_sequences_as_it_goes(tmp_path: Path) -> None:
    clock = ManualClock(utc(2024, 5, 4))
    store = ReleaseStore(built_shop(tmp_path).home, clock)
    gone = compiled(both(without("visit"), change("activity", event_types=("purchase",)))(SHOP))
    publish(store, compiled(change("visit", lifecycle="deprecated")(SHOP)).release, "dev", by="tests")
    clock.time += dt.timedelta(days=30)
    reader = Readership("activity", "k", "shop", "now", ("sku",))
    assert {each.object for each in judge(store, "dev", gone, registry=registry_of(reader)).refused} == {
        "event_types/visit",
        "sequences/activity",
    }
    assert judge(store, "dev", gone, registry=registry_of()).refused == ()


def test_no_detour_over_a_draft_lets_go_what_has_readers(built: ReleaseStore) -> None:
    for name in ("activity", "visit"):
        found = judge(built, "dev", compiled(change(name, lifecycle="draft")(SHOP)))
        assert [each.field for each in found.refused] == ["lifecycle"], name
