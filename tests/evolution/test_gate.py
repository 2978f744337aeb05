"""What publish says of every change, where the shop is built and where nothing is."""

import datetime as dt
import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from seqplat_resources.batch.builds import events, raw
from seqplat_resources.batch.publish import events as published
from seqplat_resources.engine.registry import digests
from seqplat_resources.home import Home
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.planning.gate import Gated, judge
from seqplat_resources.planning.publish import BreakingChange, publish, rollback
from seqplat_resources.planning.readers import Readership, Registry, not_counted
from seqplat_resources.records.log import RecordConflict
from seqplat_resources.release.store import LoadedRelease, ReleaseStore
from sequence_defs import Column
from sequence_defs.compiler.release import dump, release_id
from tests.building import ManualClock, runtime_for, utc
from tests.evolution.changes import (
    CASES,
    SHOP,
    TURNED,
    VERSIONED,
    Case,
    Definitions,
    both,
    case,
    change,
    column,
    less,
    more,
    release_of,
    without,
)
from tests.evolution.shop_home import BUILT, built_shop

# Compared, these make no row of the built days another; each says why in its ruling.
NOT_STALE = {"collapsed", "stricter_source", "shown_from_another"}


def compiled(definitions: Definitions) -> LoadedRelease:
    release = release_of(definitions, executors=dict(digests()))
    return LoadedRelease(release_id(dump(release)), release)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> ReleaseStore:
    return ReleaseStore(built_shop(tmp_path_factory.mktemp("shop")).home)


@pytest.fixture
def store(tmp_path: Path) -> ReleaseStore:
    """A home of which nothing is built."""
    return ReleaseStore(runtime_for(tmp_path / "home", SHOP).home)


def registry_of(*readers: Readership) -> Registry:
    """Readers were counted, and these were there."""
    return lambda sequence: tuple(each for each in readers if each.sequence == sequence)


def gated(store: ReleaseStore, definitions: Definitions) -> Gated:
    return judge(store, "dev", compiled(definitions))


@pytest.mark.parametrize("made", CASES, ids=str)
def test_what_is_stored_is_never_broken_in_place(built: ReleaseStore, made: Case) -> None:
    found = gated(built, made.definitions)
    assert found.kind == made.kind
    assert {each.place for each in found.refused} >= ({made.place} if made.kind == "breaking" else set())
    assert all(each.way_out for each in found.refused)
    assert bool(found.refused) == (made.kind == "breaking")
    if made.kind == "semantic" and made.name not in NOT_STALE:
        assert {name: list(days) for name, days in found.stale.items()}["purchase"] == BUILT
    if made.kind in ("none", "compatible"):
        assert found.stale == {}


def test_where_nothing_is_stored_everything_passes(store: ReleaseStore) -> None:
    for made in CASES:
        found = gated(store, made.definitions)
        assert (found.kind, found.refused, found.stale) == (made.kind, (), {}), made.name


def test_a_refused_release_moves_nothing_and_says_every_way_out(built: ReleaseStore) -> None:
    before = built.current("dev")
    broken = both(case("unit").make, case("shorter").make)(SHOP)
    with pytest.raises(BreakingChange) as refused:
        publish(built, compiled(broken).release, "dev", by="tests")
    said = str(refused.value)
    assert built.current("dev") == before
    assert "sources/purchases columns.amount.unit: USD -> cents" in said
    assert "sequences/activity length: 50 -> 10" in said
    assert said.count("way out:") == 2
    assert "'amount@2'" in said


def test_a_reason_lets_it_pass_and_stays_in_the_history_and_back_is_always_possible(tmp_path: Path) -> None:
    store = ReleaseStore(built_shop(tmp_path).home)
    found = publish(store, compiled(case("unit").definitions).release, "dev", by="tests", note="now", allowed="a bet")
    assert found.move.note == "now; breaking (1 change(s)), because a bet"
    # What the tables hold is USD still: the very definitions they were made by break nothing.
    again = gated(store, SHOP)
    assert (again.refused, again.kind) == ((), "semantic")
    assert "back to what is stored" in again.changes[0].why
    back = rollback(store, "dev", by="tests")
    assert back.move.release == found.gated.base


def test_what_was_removed_is_compared_when_it_comes_again(tmp_path: Path) -> None:
    """A type that was dropped and comes again under its name meets what is stored of the old one."""
    store = ReleaseStore(built_shop(tmp_path).home)
    publish(store, compiled(case("dropped_event_type").definitions).release, "dev", by="tests", allowed="it went")
    assert gated(store, SHOP).refused == ()
    other = change("visit", id_field=None, natural_key=("visit_id",))(SHOP)
    assert [each.place for each in gated(store, other).refused] == [
        "event_types/visit id_field",
        "event_types/visit natural_key",
    ]


def test_a_column_that_comes_again_as_something_else_meets_what_the_table_holds(tmp_path: Path) -> None:
    store = ReleaseStore(built_shop(tmp_path).home)
    gone = both(less("purchase", "gift_sku"), less("purchases", "gift_sku"))(SHOP)
    publish(store, compiled(gone).release, "dev", by="tests")
    again = both(
        more("purchases", Column(name="gift_sku", dtype="string")),
        more("purchase", Column(name="gift_sku", dtype="string")),
    )(gone)
    refused = gated(store, again).refused
    assert {each.place for each in refused} == {
        "event_types/purchase columns.gift_sku",
        "sources/purchases columns.gift_sku",
    }
    assert all("int64" in each.why for each in refused)
    assert gated(store, SHOP).refused == ()


def test_of_two_who_publish_one_wins(store: ReleaseStore) -> None:
    """The gate judged a move that another one overtook."""
    found = gated(store, case("longer").definitions)
    publish(store, compiled(case("owner").definitions).release, "dev", by="another")
    with pytest.raises(RecordConflict):
        store.move("dev", store.put(compiled(case("longer").definitions).release), by="tests", expected=found.move)


def test_a_damaged_release_is_mended_by_publishing_it_and_passed_over_by_others(tmp_path: Path) -> None:
    store = ReleaseStore(built_shop(tmp_path).home)
    longer = publish(store, compiled(case("longer").definitions).release, "dev", by="tests")
    path = Path(store.home.uri(f"releases/{longer.move.release}.json"))
    path.write_text(json.dumps({"format_version": 1}))
    found = gated(store, case("unit").definitions)
    assert found.refused
    assert "does not hash to its name" in found.told[0]
    same = publish(store, compiled(case("longer").definitions).release, "dev", by="tests")
    assert (same.move, same.gated.told) == (longer.move, ())


def test_a_protected_object_changes_its_meaning_only_with_a_reason(tmp_path: Path) -> None:
    shop = change("activity", tags={"protected": "yes"})(SHOP)
    store = ReleaseStore(built_shop(tmp_path, shop).home)
    louder = column("purchase", "shout", sql="LOWER(note)")(shop)
    (refused,) = gated(store, louder).refused
    assert "sequences/activity is protected by its tag" in refused.why
    untagged = gated(store, change("activity", tags={})(shop))
    assert (untagged.kind, untagged.refused) == ("none", ())


def test_another_channel_of_which_nothing_runs_is_not_gated(built: ReleaseStore) -> None:
    found = judge(built, "prod", compiled(case("unit").definitions))
    assert (found.move, found.base, found.refused) == (0, "", ())


def test_two_event_types_gone_at_once_are_both_said(built: ReleaseStore) -> None:
    found = gated(built, without("activity", "visit", "purchase")(SHOP))
    assert [each.object for each in found.refused] == [
        "event_types/purchase",
        "event_types/visit",
        "sequences/activity",
    ]


def test_home_without_store_or_lake(tmp_path: Path) -> None:
    """A channel that was only published to has neither lake nor online store, and is looked at all the same."""
    store = ReleaseStore(Home(str(tmp_path), {}))
    publish(store, compiled(SHOP).release, "dev", by="tests")
    assert publish(store, compiled(case("unit").definitions).release, "dev", by="tests").move.number == 2


def test_what_was_deprecated_for_a_month_and_is_read_no_more_may_go(tmp_path: Path) -> None:
    clock = ManualClock(utc(2024, 5, 4))
    store = ReleaseStore(built_shop(tmp_path).home, clock)
    deprecated = change("activity", lifecycle="deprecated")
    without_it = compiled(without("activity")(SHOP))

    def refused(*read: str, known: bool = True) -> list[str]:
        registry = registry_of(*(Readership(name, "k", "shop", "now") for name in read)) if known else not_counted
        found = judge(store, "dev", without_it, registry=registry)
        return [each.way_out for each in found.refused if each.object == "sequences/activity"]

    assert "deprecated" in refused()[0]  # it is live
    publish(store, compiled(deprecated(SHOP)).release, "dev", by="tests")
    assert refused() == ["it is deprecated: let it go on 2024-06-03, 30 days after that"]
    clock.time += dt.timedelta(days=20)
    publish(store, compiled(both(deprecated, change("visit", description="Else."))(SHOP)).release, "dev", by="tests")
    clock.time += dt.timedelta(days=10)  # another release meanwhile said the same
    assert refused("activity")[0].endswith("in activity for 14 days: key k of tenant shop did")
    assert "nobody has read activity" in refused(known=False)[0]
    assert refused() == []
    retired = judge(store, "dev", compiled(change("activity", lifecycle="retired")(SHOP)), registry=registry_of())
    assert retired.refused == ()
    publish(store, compiled(change("activity", description="Live again.")(SHOP)).release, "dev", by="tests")
    publish(store, compiled(deprecated(SHOP)).release, "dev", by="tests")
    assert refused() == ["it is deprecated: let it go on 2024-07-03, 30 days after that"]
    clock.time = utc(9999, 12, 31)  # a wrong clock dates a move
    publish(store, compiled(change("activity", description="Live.")(SHOP)).release, "dev", by="tests")
    publish(store, compiled(deprecated(SHOP)).release, "dev", by="tests")
    clock.time = utc(2024, 7, 4)
    assert refused() == ["it is deprecated: let it go in 30 days"]


def test_a_name_turns_to_another_column_when_nearly_all_rows_have_it(tmp_path: Path) -> None:
    """Refused with what is lacking and the command that fills it; a reason lets it pass; covered, it passes."""
    runtime = built_shop(tmp_path)
    store = ReleaseStore(runtime.home)
    (refused,) = gated(store, TURNED(SHOP)).refused
    assert refused.place == "sequences/activity columns.amount"
    assert "which 0.0% of its rows have: it would be null in 2 day(s), 2024-05-01 to 2024-05-02" in refused.why
    fill = "seqplat backfill 2024-05-01 2024-05-02 +events/purchase+ --column purchase.amount@2"
    assert refused.way_out == f"first publish amount@2 without turning the name to it; run `{fill}`, then publish this"
    publish(store, compiled(VERSIONED(SHOP)).release, "dev", by="tests")
    (refused,) = gated(store, TURNED(SHOP)).refused
    assert refused.way_out == f"run `{fill}`, then publish this"
    runtime = replace(runtime, loaded=store.load("dev"))
    list(raw.ingest(runtime, "purchases", BUILT))
    for day in BUILT:
        with closing(open_online_store(runtime.home)) as online:
            list(events.build(runtime, "purchase", [day], columns=["amount@2"]))
            list(published.publish(runtime, online, "purchase", [day]))
        left = [each.why for each in gated(store, TURNED(SHOP)).refused]
        assert not left if day == BUILT[-1] else "50.0% of its rows" in left[0]
    assert publish(store, compiled(TURNED(SHOP)).release, "dev", by="tests").gated.kind == "semantic"
    assert gated(store, VERSIONED(SHOP)).refused == ()  # and back: the old one is covered as well
