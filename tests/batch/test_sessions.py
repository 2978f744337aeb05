"""Session days that are built while events come in any order say what the events there are say, built at once."""

import datetime as dt
from pathlib import Path

import hypothesis.strategies as st
import polars as pl
import pytest
from hypothesis import given, settings

from seqplat_resources.batch.builds import sessions
from seqplat_resources.batch.days.needs import MOVED, needs
from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.views import EventsMissing, moved
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.home import Home
from seqplat_resources.lake.files import FilePart
from seqplat_resources.quality.sessions import sessions_apart, sessions_final
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.view_plan import ViewPlan
from seqplat_resources.rules.sessions import FINAL, PROVISIONAL, STANDS
from sequence_defs.schema import Aggregate, Column, Definition, EventType, SessionView, Source, Tenant, Time
from tests.building import ManualClock, runtime_for, utc
from tests.rules.sessions_oracle import START, Event, sessions_of

DAY = 86_400
FIRST = START.date()
DAYS = [FIRST + dt.timedelta(days=n) for n in range(5)]
OF_TEAM = {"tenant": "shop", "owner": "team:shop", "description": "Of a shop."}


def definitions(**view: object) -> tuple[Definition, ...]:
    columns = (
        Column(name="at", dtype="timestamp"),
        Column(name="member", dtype="string", nullable=False),
        Column(name="number", dtype="string", nullable=False),
        Column(name="place", dtype="string"),
        Column(name="amount", dtype="int64"),
        Column(name="is_login", dtype="bool"),
    )
    time = {"event_time": Time(sql="at"), "user_id": "member", "start": FIRST}
    declared = {
        "scope": "place",
        "boundary": "is_login",
        "columns": (
            Aggregate(name="spent", kind="sum", column="amount"),
            Aggregate(name="orders", kind="count", event_types=("order",)),
        ),
    }
    return (
        Tenant(name="shop", tenant="shop"),
        Source(name="clicks", location="{day}.csv", columns=columns, **time, **OF_TEAM),
        Source(name="orders", location="{day}.csv", columns=columns, **time, **OF_TEAM),
        *(
            EventType(name=name, source=f"{name}s", id_field="number", columns=columns[2:], **OF_TEAM)
            for name in ("click", "order")
        ),
        SessionView(name="visit", event_types=("click", "order"), **{**declared, **view}, **OF_TEAM),
    )


def shop(folder: Path, **view: object) -> Runtime:
    return runtime_for(folder, definitions(**view), clock=ManualClock(utc(2024, 6, 1)))


def put(runtime: Runtime, events: list[Event], days: list[dt.date]) -> None:
    """Event buckets as the engine leaves them."""
    for name in ("click", "order"):
        table = tables.events(runtime, EventPlan.of(runtime.loaded, name))
        for day in days:
            rows = [event for event in events if event.event_type == name and date(event) == day]
            said = {
                "user_id": [e.user for e in rows],
                "event_id": [e.name for e in rows],
                "event_time": [START + dt.timedelta(seconds=e.at_s) for e in rows],
                "number": [e.name for e in rows],
                "place": [e.scope for e in rows],
                "amount": [e.amount for e in rows],
                "is_login": [e.boundary for e in rows],
                "offset": [e.offset for e in rows],
            }
            fixed = {"event_type": name, "op": "upsert", "source_partition": "p", "rev": 0, "shard": 0}
            frame = pl.DataFrame(said, schema={key: table.schema[key] for key in said})
            others = {key: pl.lit(fixed.get(key), of) for key, of in table.schema.items() if key not in said}
            table.replace({"day": day}, [FilePart(frame.with_columns(**others).select(list(table.schema)))])


def date(event: Event) -> dt.date:
    return (START + dt.timedelta(seconds=event.at_s)).date()


def read(runtime: Runtime) -> pl.DataFrame:
    return tables.view(runtime, ViewPlan.of(runtime.loaded, "sessions/visit")).scan().collect()


def mend(runtime: Runtime) -> None:
    """Build what is to be built again, until nothing is."""
    for _ in range(2 * len(DAYS)):
        if not (days := list(moved(runtime, "sessions/visit"))):
            return
        list(sessions.build(runtime, "visit", days))
    raise AssertionError("there is no end to it")


def told(rows: pl.DataFrame) -> list[tuple[object, ...]]:
    stands = rows.filter(pl.col("op") == STANDS)
    at_s = [(pl.col(name).dt.epoch("s") - int(START.timestamp())).alias(name) for name in ("start_time", "end_time")]
    return sorted(stands.select("session_id", *at_s, "events", "spent", "orders", pl.col("day")).rows())


def expected(runtime: Runtime, events: list[Event], gap_s: int = 1800, cap_s: int = DAY) -> list[tuple[object, ...]]:
    version = ViewPlan.of(runtime.loaded, "sessions/visit").namer.version
    return sorted(
        (
            each.name("shop", version),
            each.events[0].at_s,
            each.events[-1].at_s,
            len(each.events),
            sum(e.amount or 0 for e in each.events),
            sum(e.event_type == "order" for e in each.events),
            date(each.events[0]),
        )
        for each in sessions_of(events, gap_s=gap_s, cap_s=cap_s)
    )


# Around midnights, and in chains that are longer than a day.
TIMES = st.one_of(
    st.integers(0, 5 * DAY - 1),
    st.tuples(st.integers(1, 4), st.sampled_from([-3600, -1800, -1799, -1, 0, 1, 1799, 1800])).map(
        lambda of: of[0] * DAY + of[1]
    ),
    st.integers(0, 5 * 72 - 1).map(lambda n: n * 1200),
)
EVENTS = st.lists(
    st.builds(
        Event,
        st.sampled_from("ab"),
        TIMES,
        st.uuids(version=4).map(str),
        offset=st.integers(0, 1),
        scope=st.sampled_from([None, None, "web"]),
        boundary=st.sampled_from([False, False, False, None, True]),
        amount=st.sampled_from([None, 1, 2]),
        event_type=st.sampled_from(["click", "order"]),
    ),
    max_size=25,
)
BOTS = st.builds(
    lambda start, stop: [Event("bot", at, f"b{at}") for at in range(start, stop, 1200)],
    st.integers(0, DAY),
    st.integers(2 * DAY, 5 * DAY - 1),
)


@given(EVENTS, BOTS | st.just([]), st.data(), st.sampled_from([(1800, DAY), (DAY, DAY), (1800, 3600), (3600, 3 * DAY)]))
@settings(max_examples=15)
def test_whatever_came_when_sessions_are_those_of_all_events(
    tmp_path_factory: pytest.TempPathFactory,
    events: list[Event],
    bot: list[Event],
    data: st.DataObject,
    cut: tuple[int, int],
) -> None:
    """Days are built in any order, and of some events; then more come and others go; what moved is built again."""
    events = [*events, *bot]
    folder = tmp_path_factory.mktemp("home")
    runtime = shop(folder, gap_s=cut[0], cap_s=cut[1])
    some = [event for event in events if data.draw(st.booleans())]
    put(runtime, some, DAYS)
    for day in data.draw(st.permutations(DAYS)):
        list(sessions.build(runtime, "visit", [day]))
    assert told(read(runtime)) == expected(runtime, some, *cut)
    for step in (data.draw(st.lists(st.sampled_from(events), unique=True)) if events else [], events):
        changed = {date(event) for event in {*some} ^ {*step}}
        put(runtime, step, sorted(changed))
        some = list(step)
        mend(runtime)
        assert told(read(runtime)) == expected(runtime, some, *cut)
    rows, stands = read(runtime), {row[0] for row in expected(runtime, events, *cut)}
    assert rows["session_id"].is_unique().all()
    assert set(rows["superseded_by"].drop_nulls()) <= stands
    assert sessions_apart(runtime, "visit", DAYS)["passed"].all()


def test_a_late_event_repairs_the_sessions_around_it_and_no_other(tmp_path: Path) -> None:
    """Over midnight, too: the second day's session is gone for that of the first, whose id it does not change."""
    runtime = shop(tmp_path)
    others = [Event("b", at, f"b{at}") for at in (0, 7200, DAY + 7200, 2 * DAY)]
    events = [*others, Event("a", DAY - 900, "1"), Event("a", DAY + 1200, "2")]
    put(runtime, events, DAYS)
    list(sessions.build(runtime, "visit", DAYS))
    before = read(runtime)
    put(runtime, [*events, Event("a", DAY, "late")], [DAYS[1]])
    assert list(moved(runtime, "sessions/visit")) == [DAYS[0], DAYS[1], DAYS[2]]
    mend(runtime)
    after, key = read(runtime), ["session_id", "rev", "op", "superseded_by"]
    changed = after.select(key).join(before.select(key), on=key, how="anti", nulls_equal=True).sort("op")
    first, second = (
        row[0] for row in expected(runtime, events) if row[0] not in {r[0] for r in expected(runtime, others)}
    )
    first, second = sorted((first, second), key=lambda name: before.filter(session_id=name)["start_time"][0])
    assert changed.rows() == [(second, 1, "retract", first), (first, 1, "upsert", None)]


def test_a_day_is_to_be_built_again_only_where_events_that_decide_it_are_others(tmp_path: Path) -> None:
    runtime = shop(tmp_path)
    events = [Event("a", n * DAY + 43_200, f"{n}") for n in range(5)]
    put(runtime, events, DAYS)
    list(sessions.build(runtime, "visit", DAYS))
    put(runtime, [*events, Event("a", 2 * DAY + 50_000, "late")], [DAYS[2]])
    assert list(moved(runtime, "sessions/visit")) == [DAYS[2]]
    (need,) = needs(runtime, "sessions/visit").values()
    assert (need.kind, need.why) == (MOVED, "built since: events/click 2024-05-03, events/order 2024-05-03")


def test_a_session_that_goes_on_after_midnight_is_final_once_the_next_day_is_there(tmp_path: Path) -> None:
    runtime = shop(tmp_path)
    put(runtime, [Event("a", DAY - 60, "1"), Event("b", 0, "1")], DAYS[:1])
    list(sessions.build(runtime, "visit", DAYS[:1]))
    assert read(runtime).sort("user_id")["state"].to_list() == [PROVISIONAL, FINAL]
    assert sessions_final(runtime, "visit", DAYS[:1])["passed"].to_list() == [True]
    put(runtime, [Event("a", DAY + 60, "2")], DAYS[1:2])
    mend(runtime)
    assert read(runtime).sort("user_id")["state"].to_list() == [FINAL, FINAL]


def test_a_session_may_begin_on_a_day_that_is_not_there_yet(tmp_path: Path) -> None:
    runtime = shop(tmp_path)
    put(runtime, [Event("a", DAY + 60, "2")], DAYS[1:3])
    list(sessions.build(runtime, "visit", DAYS[1:2]))
    assert read(runtime)["state"].to_list() == [PROVISIONAL]
    put(runtime, [Event("a", DAY - 60, "1")], DAYS[:1])
    mend(runtime)
    assert read(runtime).filter(op=STANDS).height == 0  # and what stands is of the day before, which nobody built
    list(sessions.build(runtime, "visit", DAYS[:1]))
    assert told(read(runtime)) == expected(runtime, [Event("a", DAY - 60, "1"), Event("a", DAY + 60, "2")])


def test_a_day_without_its_events_is_refused_with_the_way_out(tmp_path: Path) -> None:
    runtime = shop(tmp_path)
    with pytest.raises(EventsMissing) as refused:
        list(sessions.build(runtime, "visit", DAYS[:1]))
    assert str(refused.value) == (
        "sessions/visit 2024-05-01: events of ['click', 'order'] were never built for that day; "
        "materialize events/click, events/order first, or together with it"
    )


def test_another_definition_names_sessions_anew_and_one_more_column_does_not(tmp_path: Path) -> None:
    runtime, events = shop(tmp_path), [Event("a", 0, "1")]
    put(runtime, events, DAYS[:1])
    list(sessions.build(runtime, "visit", DAYS[:1]))
    (name,) = read(runtime)["session_id"]
    wider = (Aggregate(name="spent", kind="sum", column="amount"), Aggregate(name="most", kind="max", column="amount"))
    runtime = shop(tmp_path, columns=(*wider, Aggregate(name="orders", kind="count", event_types=("order",))))
    assert moved(runtime, "sessions/visit")[FIRST].is_redefined
    list(sessions.build(runtime, "visit", DAYS[:1]))
    assert read(runtime).select("session_id", "rev").rows() == [(name, 0)]
    runtime = shop(tmp_path, gap_s=60)
    list(sessions.build(runtime, "visit", DAYS[:1]))
    assert name not in read(runtime)["session_id"].to_list()
    assert isinstance(runtime.home, Home)
