"""Plans: what follows of a change, what it takes, and that carrying one out ends where it says, whatever breaks in."""

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from seqplat_resources.batch.backfill.price import PriceInvalid, hour_price
from seqplat_resources.batch.builds import events, raw
from seqplat_resources.batch.days.troubles import DayTroubles
from seqplat_resources.planning import run
from seqplat_resources.planning.build import made
from seqplat_resources.planning.explain import headline, markdown, step_lines
from seqplat_resources.planning.plan import NoSuchPlan, Plan, PlanStore, spans_of
from seqplat_resources.planning.publish import BreakingChange, publish
from seqplat_resources.planning.readers import Readership
from seqplat_resources.planning.run import PlanOutdated, apply
from seqplat_resources.quality.schema import schema
from seqplat_resources.records.lease import LeaseHeld
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.store import LoadedRelease, ReleaseStore
from seqplat_resources.training.daily import DailySet
from sequence_defs import Column
from tests.building import ManualClock, days, runtime_for, utc
from tests.evolution.changes import CASES, SHOP, START, Case, Definitions, altered, both, case, change, less, more
from tests.evolution.shop_home import BUILT, built_shop, write_rows
from tests.evolution.test_compare import BUYERS
from tests.evolution.test_gate import compiled


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    return built_shop(tmp_path_factory.mktemp("planned"))


def plan_of(runtime: Runtime, definitions: Definitions) -> Plan:
    store = ReleaseStore(runtime.home)
    return made(runtime, store.get(store.put(compiled(definitions).release)))


def assets(plan: Plan) -> dict[str, int]:
    return {each.asset: each.days for each in plan.work}


@pytest.mark.parametrize("made_case", CASES, ids=str)
def test_a_plan_is_data_and_says_what_follows(shop: Runtime, made_case: Case) -> None:
    plan = plan_of(shop, made_case.definitions)
    assert plan.kind == made_case.kind
    assert Plan.heard(json.loads(json.dumps(plan.said()))) == plan
    assert plan.follows.keys() == {each.object for each in plan.changes}
    assert markdown(plan).count("`seqplat apply") == 1
    if made_case.kind == "none":
        assert plan.work == ()
    if plan.refused:
        assert "new version" in plan.follows[plan.refused[0].object]


def test_what_has_to_be_built_follows_from_what_moved(shop: Runtime) -> None:
    both_days = len(BUILT)
    events = {"events/purchase": both_days, "online/purchase": both_days}  # no table of the sequence is built
    assert assets(plan_of(shop, case("filter").definitions)) == events
    decoded = assets(plan_of(shop, case("sql_of_a_source").definitions))
    assert decoded == {"raw/purchases": both_days, **events}
    looked_up = assets(plan_of(shop, case("enrichment_filter").definitions))
    assert looked_up == {"enrichments/product": both_days, **events}
    assert assets(plan_of(shop, case("longer").definitions)) == {}
    assert assets(plan_of(shop, case("collapsed").definitions)) == {}  # rows are put together when they are read


def test_a_column_more_is_filled_alone(shop: Runtime) -> None:
    work, shown = plan_of(shop, case("nullable_column").definitions).work
    assert (shown.asset, shown.columns) == ("online/purchase", ())
    assert (work.asset, work.columns, work.days) == ("events/purchase", ("line",), len(BUILT))
    assert work.spans == ((str(BUILT[0]), str(BUILT[-1])),)


def test_a_new_event_type_is_built_and_shown(shop: Runtime) -> None:
    work = assets(plan_of(shop, case("new_event_type").definitions))
    assert work["events/buy"] == work["online/buy"] == 3  # until yesterday, by the clock of the shop


def test_what_was_published_and_never_built_is_built(tmp_path: Path) -> None:
    write_rows(tmp_path / "files")
    published = runtime_for(tmp_path / "home", SHOP, tmp_path / "files", clock=ManualClock(utc(2024, 5, 4)))
    plan = made(published, published.loaded)
    assert not plan.publishes
    assert "not all of its days" in headline(plan)
    of_each = ("raw/purchases", "events/purchase", "online/purchase", "raw/visits", "events/visit", "online/visit")
    assert assets(plan) == dict.fromkeys((*of_each, "enrichments/product", "sequences/activity"), 3)


def test_days_before_the_first_are_built_and_shown_where_an_event_type_starts_earlier(tmp_path: Path) -> None:
    """And a day that was not built before, in the days there were, is no business of the change."""
    shop = built_shop(tmp_path)
    earlier = change("purchases", start=START - dt.timedelta(days=3))
    assert assets(plan_of(shop, earlier(SHOP))) == dict.fromkeys(
        ("raw/purchases", "enrichments/product", "events/purchase", "online/purchase"), 3
    )
    kept = both(earlier, change("purchase", retention_days=5))
    plan = plan_of(shop, kept(SHOP))
    assert assets(plan)["events/purchase"] == 2  # more would be deleted at once
    assert [line for line in plan.told if "retention_days keeps none" in line and "events/purchase: 1 day" in line]


def test_a_new_sequence_is_built_with_what_it_is_made_of(shop: Runtime) -> None:
    assert assets(plan_of(shop, case("new_sequence").definitions)) == {"sequences/more": len(BUILT)}
    new = both(case("new_event_type").make, case("new_sequence").make)
    of_new = both(new, change("more", event_types=("buy",), columns=("cents",)))
    assert assets(plan_of(shop, of_new(SHOP)))["sequences/more"] == 3


def test_what_nobody_measured_is_said_so(shop: Runtime) -> None:
    plan = plan_of(shop, case("filter").definitions)
    assert plan.unmeasured == ["events/purchase", "online/purchase"]
    assert "no measurement yet" in "\n".join(step_lines(plan))


@pytest.mark.parametrize(
    ("said", "of_9_minutes"), [("0.40 EUR", "0.06 EUR"), ("0 EUR", "0.00 EUR"), ("12 $", "1.80 $")]
)
def test_what_building_costs_is_said_where_an_hour_has_a_price(shop: Runtime, said: str, of_9_minutes: str) -> None:
    home = replace(shop.home, environment={**shop.home.environment, "SEQPLAT_HOUR_PRICE": said})
    plan = plan_of(replace(shop, home=home), case("filter").definitions)
    plan = replace(plan, work=(replace(plan.work[0], seconds=540.0),))
    assert list(step_lines(plan))[-1].endswith(f"about 9.0 min, {of_9_minutes}")
    unmeasured = replace(plan, work=(replace(plan.work[0], seconds=None),))
    assert list(step_lines(unmeasured))[-1].endswith(f"about 0 s, without {plan.work[0].asset}: no measurement yet")
    assert Plan.heard(json.loads(json.dumps(plan.said()))) == plan


@pytest.mark.parametrize(
    "said", ["1", "EUR 1", "1,50 EUR", "-1 EUR", "nan EUR", "1e5 EUR", "1 EUR/h", "٣ EUR", "1 [red]"]
)
def test_what_is_no_price_is_refused(said: str) -> None:
    with pytest.raises(PriceInvalid, match=r"SEQPLAT_HOUR_PRICE='0\.40 EUR'"):
        hour_price({"SEQPLAT_HOUR_PRICE": said})


def test_days_are_kept_as_runs() -> None:
    some = [*days(START, 3), *days(BUILT[0].replace(month=7), 1)]
    assert spans_of(some) == (("2024-05-01", "2024-05-03"), ("2024-07-01", "2024-07-01"))


def test_a_plan_is_found_by_the_beginning_of_its_name_and_a_damaged_one_is_not_carried_out(tmp_path: Path) -> None:
    runtime = runtime_for(tmp_path, SHOP)
    plans = PlanStore(runtime.home)
    reader = Readership("activity", "k", "shop", "now")
    plan = replace(plan_of(runtime, case("longer").definitions), readings=(reader,))
    name = plans.put(plan)
    assert plans.put(plan) == name
    assert plans.get(name[:6]) == plan
    path = tmp_path / "plans" / f"{name}.json"
    path.write_text(path.read_text().replace('"move":1', '"move":7'))
    with pytest.raises(NoSuchPlan, match="damaged"):
        plans.get(name)
    with pytest.raises(NoSuchPlan, match="no single plan"):
        plans.get("feed")


class Killed(Exception):
    """The process is gone here."""


def killed_at(number: int) -> Callable[[int], None]:
    def step(at: int) -> None:
        if at == number:
            raise Killed

    return step


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_plan_goes_on_where_it_was_killed(tmp_path: Path, number: int) -> None:
    runtime = built_shop(tmp_path)
    store = ReleaseStore(runtime.home)
    plan = plan_of(runtime, case("filter").definitions)
    built: list[str] = []

    def fill(of: Plan) -> bool:
        assert store.current("dev").release == of.release
        built.append(of.name)
        return True

    with pytest.raises(Killed):
        apply(store, plan, fill, by="tests", step=killed_at(number))
    done = apply(store, plan, fill, by="tests")
    assert (done.complete, done.move.number, done.move.note) == (True, plan.move + 1, f"plan {plan.name}")
    assert len(store.history("dev")) == plan.move + 1
    assert built[-1] == plan.name


def test_a_new_plan_has_what_is_left_of_one_that_was_stopped(tmp_path: Path) -> None:
    """Days that are not there, also of a build that was killed; not one that waits, nor one that was never planned."""
    runtime = built_shop(tmp_path)
    earlier = change("purchases", start=START - dt.timedelta(days=3))(SHOP)
    store, plan = ReleaseStore(runtime.home), plan_of(runtime, earlier)
    PlanStore(runtime.home).put(plan)
    began, tried = START - dt.timedelta(days=3), START - dt.timedelta(days=2)

    def stopped(_: Plan) -> bool:
        there = replace(runtime, loaded=store.load("dev"))
        list(raw.ingest(there, "purchases", [tried]))
        DayTroubles(there.home, there.clock).begin("events/purchase", "a run", [began])
        DayTroubles(there.home, there.clock).note("events/purchase", {tried: "no file"}, "waits")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply(store, plan, stopped, by="tests")
    left = plan_of(replace(runtime, loaded=store.load("dev")), earlier)
    assert (left.publishes, assets(left)["raw/purchases"], assets(left)["events/purchase"]) == (False, 2, 2)
    assert left.work[0].spans == ((str(began), str(began)), (str(START - dt.timedelta(days=1)),) * 2)
    PlanStore(runtime.home).put(left)
    assert not apply(store, left, lambda _: False, by="tests").complete  # what cannot be built is tried once
    assert plan_of(replace(runtime, loaded=store.load("dev")), earlier).work == ()


def test_what_is_left_of_a_plan_is_known_wherever_it_was_killed(tmp_path: Path) -> None:
    """Killed before it published, nothing of it was begun; killed right after, all of it was. One that is refused
    takes nothing away.
    """
    runtime = built_shop(tmp_path)
    earlier = change("purchases", start=START - dt.timedelta(days=3))(SHOP)
    store, plan, plans = ReleaseStore(runtime.home), plan_of(runtime, earlier), PlanStore(runtime.home)
    plans.put(plan)
    other = plan_of(runtime, case("longer").definitions)
    plans.put(other)

    def left() -> tuple[str, ...]:
        now = replace(runtime, loaded=store.load("dev"))
        return tuple(each.asset for each in made(now, now.loaded).work)

    with pytest.raises(Killed):
        apply(store, plan, lambda _: True, by="tests", step=killed_at(1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "publish", stopped)
        with pytest.raises(KeyboardInterrupt):
            apply(store, plan, lambda _: True, by="tests")
    assert left() == ()
    with pytest.raises(Killed):
        apply(store, plan, lambda _: True, by="tests", step=killed_at(2))
    assert "events/purchase" in left()
    with pytest.raises(PlanOutdated):
        apply(store, other, lambda _: True, by="tests")
    assert "events/purchase" in left()
    assert apply(store, plan, lambda _: True, by="tests").complete
    assert left() == ()


def stopped(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_of_two_who_apply_one_wins(tmp_path: Path) -> None:
    runtime = built_shop(tmp_path)
    store, plan = ReleaseStore(runtime.home), plan_of(runtime, case("filter").definitions)

    def fill(_: Plan) -> bool:
        with pytest.raises(LeaseHeld):
            apply(store, plan, fill, by="another")
        return False

    assert not apply(store, plan, fill, by="tests").complete


def test_a_plan_of_a_channel_that_moved_is_refused_with_what_moved(tmp_path: Path) -> None:
    runtime = runtime_for(tmp_path, SHOP)
    store = ReleaseStore(runtime.home)
    plan = plan_of(runtime, case("longer").definitions)
    publish(store, compiled(case("owner").definitions).release, "dev", by="ann", note="hurry")
    with pytest.raises(PlanOutdated, match=r"move 2 by ann .*hurry"):
        apply(store, plan, lambda _: True, by="tests")
    assert store.current("dev").number == 2


def test_what_breaks_is_carried_out_with_a_reason_alone(tmp_path: Path) -> None:
    runtime = built_shop(tmp_path)
    store, plan = ReleaseStore(runtime.home), plan_of(runtime, case("unit").definitions)
    with pytest.raises(BreakingChange):
        apply(store, plan, lambda _: True, by="tests")
    done = apply(store, plan, lambda _: True, by="tests", allowed="nobody reads it")
    assert done.move.note.endswith("because nobody reads it")


def test_a_plan_that_is_carried_out_leaves_nothing_to_do(tmp_path: Path) -> None:
    runtime = built_shop(tmp_path)
    store, plan = ReleaseStore(runtime.home), plan_of(runtime, case("longer").definitions)
    apply(store, plan, lambda _: True, by="tests")
    again = plan_of(replace(runtime, loaded=store.load("dev")), case("longer").definitions)
    assert (again.is_empty, again.changes) == (True, ())


def test_two_changes_of_one_object_follow_together(shop: Runtime) -> None:
    some = both(change("purchase", filter="amount > 2", owner="team:other"), less("activity", "cents"))
    wider = both(some, more("purchase", Column(name="line", dtype="string")))
    plan = plan_of(shop, wider(SHOP))
    assert plan.follows["event_types/purchase"] == "publish, backfill"
    assert plan.follows["sequences/activity"] == "new version"


@pytest.mark.parametrize("noted", [True, False])
def test_raw_days_that_an_earlier_release_read_without_a_column_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noted: bool
) -> None:
    """A source got a column; what takes it came a release later. Days of earlier versions note no meaning."""
    with monkeypatch.context() as patched:
        if not noted:
            of = LoadedRelease.meaning_of
            patched.setattr(LoadedRelease, "meaning_of", lambda self, at: "" if at[:3] == "raw" else of(self, at))
        runtime = built_shop(tmp_path)
    store = ReleaseStore(runtime.home)
    wider = more("purchases", Column(name="shop", dtype="string"))
    publish(store, compiled(wider(SHOP)).release, "dev", by="ann", note="")
    runs_wider = replace(runtime, loaded=store.load("dev"))
    assert assets(plan_of(runs_wider, wider(SHOP))) == {}  # nobody takes it yet
    taken = both(wider, more("purchase", Column(name="shop", dtype="string")))
    built = assets(plan_of(runs_wider, taken(SHOP)))
    assert built == dict.fromkeys(("raw/purchases", "events/purchase", "online/purchase"), len(BUILT))


def test_days_built_again_with_another_type_have_the_declared_columns(tmp_path: Path) -> None:
    built_shop(tmp_path)
    other = runtime_for(tmp_path / "home", case("wider_type").definitions, tmp_path / "files")
    assert not schema(other, "purchase", BUILT)["passed"].any()
    list(raw.ingest(other, "purchases", BUILT))
    list(events.build(other, "purchase", BUILT))
    assert schema(other, "purchase", BUILT)["passed"].all()


def test_sets_that_hold_what_is_built_again_are_made_again(tmp_path: Path) -> None:
    before = (*SHOP, BUYERS)
    runtime = built_shop(tmp_path, before)
    DailySet.of(runtime, "buyers").make(START)
    plan = plan_of(runtime, (*case("filter").definitions, BUYERS))
    assert assets(plan)["training/buyers"] == 1
    assert any("training sets buyers" in line for line in markdown(plan).splitlines())
    assert [each["reach"]["training"] for each in plan.said()["changes"]] == [("buyers",)]
    assert assets(plan_of(runtime, (*case("description").definitions, BUYERS))) == {}
    other = altered(BUYERS, length=2)
    assert assets(plan_of(runtime, (*SHOP, other))) == {"training/buyers": 1}
