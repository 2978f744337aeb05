"""Where sessions begin, and what becomes of those that late events change, against an oracle in plain Python."""

import datetime as dt
import random
import time

import hypothesis.strategies as st
import polars as pl
import pytest
from hypothesis import given

from seqplat_resources.rules.sessions import (
    FINAL,
    GONE,
    OPEN,
    OWNER,
    PROVISIONAL,
    STANDS,
    Cut,
    Namer,
    folded,
    numbered,
    revised,
    state,
)
from seqplat_resources.times import DAY_US
from tests.building import utc
from tests.rules.sessions_oracle import START, Event, sessions_of

HALF_HOUR, DAY = 1800, 86_400
CUT = Cut(HALF_HOUR * 1_000_000, DAY_US)
NAMER = Namer("shop", "v1")
VALUES = {"spent": pl.col("amount").sum(), "first_amount": pl.col("amount").first(ignore_nulls=True)}


def frame(events: list[Event]) -> pl.DataFrame:
    rows = [
        (
            e.user,
            e.scope,
            START + dt.timedelta(seconds=e.at_s),
            e.boundary,
            e.event_type,
            e.name,
            "p",
            e.offset,
            e.amount,
        )
        for e in events
    ]
    schema = {
        "user_id": pl.String(),
        "scope": pl.String(),
        "event_time": pl.Datetime("us", "UTC"),
        "is_boundary": pl.Boolean(),
        "event_type": pl.String(),
        "event_id": pl.String(),
        "source_partition": pl.String(),
        "offset": pl.Int64(),
        "amount": pl.Int64(),
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def ours(events: list[Event], cut: Cut = CUT) -> pl.DataFrame:
    return folded(numbered(frame(events), cut), cut, VALUES, NAMER)


# Times meet the gap and the cap exactly, lie a second beside them, repeat, and cross days.
PAUSES = st.sampled_from([0, 0, 1, 60, 1799, 1800, 1801, 3600, 7200, 43_200, 86_399, 86_400, 86_401])
TIMES = st.lists(PAUSES, min_size=1, max_size=40).map(lambda pauses: [sum(pauses[: n + 1]) for n in range(len(pauses))])


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    found: list[Event] = []
    for user in draw(st.lists(st.sampled_from("ab"), min_size=1, max_size=3)):
        for at in draw(TIMES):
            found.append(
                Event(
                    user,
                    at,
                    f"e{len(found)}",
                    offset=draw(st.integers(0, 2)),
                    scope=draw(st.sampled_from([None, None, None, "web", ""])),
                    boundary=draw(st.sampled_from([False, False, False, None, True])),
                    amount=draw(st.sampled_from([None, 1, 2])),
                )
            )
    return draw(st.permutations(found))


@given(histories(), st.sampled_from([60, HALF_HOUR, DAY]), st.sampled_from([1, HALF_HOUR, 7200, DAY]))
def test_sessions_are_those_of_the_oracle(events: list[Event], gap_s: int, cap_s: int) -> None:
    expected = sorted(
        (
            each.name("shop", "v1"),
            each.events[0].at_s,
            each.events[-1].at_s,
            len(each.events),
            sum(e.amount or 0 for e in each.events),
            next((e.amount for e in each.events if e.amount is not None), None),
            each.chain_s,
        )
        for each in sessions_of(events, gap_s=gap_s, cap_s=cap_s)
    )
    seconds = [
        ((pl.col(name).dt.epoch("us") - int(START.timestamp()) * 1_000_000) // 1_000_000).alias(name)
        for name in ("start_time", "end_time")
    ]
    found = ours(events, Cut(gap_s * 1_000_000, cap_s * 1_000_000)).with_columns(
        *seconds, chain=pl.col("chain_us") // 1_000_000 - int(START.timestamp())
    )
    said = found.select("session_id", "start_time", "end_time", "events", "spent", "first_amount", "chain").rows()
    assert sorted(said) == expected


def test_a_pause_of_exactly_the_gap_ends_a_session() -> None:
    assert ours([Event("a", 0, "1"), Event("a", 1800, "2")])["events"].to_list() == [1, 1]
    assert ours([Event("a", 0, "1"), Event("a", 1799, "2")])["events"].to_list() == [2]


def test_a_session_is_exactly_as_long_as_the_cap_and_no_longer() -> None:
    bot = [Event("a", at, f"{at}") for at in range(0, 3 * DAY, 600)]
    lengths = (ours(bot)["end_time"] - ours(bot)["start_time"]).to_list()
    assert lengths == [dt.timedelta(days=1), dt.timedelta(days=1), dt.timedelta(hours=23, minutes=30)]


def test_midnight_ends_no_session() -> None:
    found = ours([Event("a", DAY - 60, "1"), Event("a", DAY + 60, "2")])
    assert found["events"].to_list() == [2]


def test_no_events_have_no_sessions() -> None:
    assert ours([]).height == 0


def test_a_session_is_open_then_provisional_then_final() -> None:
    one = ours([Event("a", 0, "1")])

    def at(now: dt.datetime, sealed: dt.datetime) -> str:
        said: str = one.select(state(now, pl.lit(int(sealed.timestamp()) * 1_000_000))).item()
        return said

    day, half_past = utc(2024, 5, 1), utc(2024, 5, 1, 0, 30)
    assert at(utc(2024, 5, 1, 0, 29), day) == OPEN
    assert at(half_past, day) == PROVISIONAL
    assert at(half_past, half_past) == FINAL


def test_a_session_that_another_follows_is_not_open() -> None:
    two = ours([Event("a", 0, "1"), Event("a", 60, "2", boundary=True)])
    said = two.select(state(utc(2024, 5, 1, 0, 2), pl.lit(0))).to_series().to_list()
    assert said == [PROVISIONAL, OPEN]


def stored(before: pl.DataFrame | None, events: list[Event]) -> pl.DataFrame:
    now = ours(events).drop("chain_us", "closes_us", "is_followed")
    if before is None:
        none = {"rev": pl.Int64(), "op": pl.String(), "superseded_by": pl.String()}
        before = pl.DataFrame(schema={**now.schema, **none})
    return revised(before, now, now.select("session_id", *OWNER, "start_time", "end_time"))


def name(events: list[Event], at: int = 0) -> str:
    return sessions_of(events, gap_s=HALF_HOUR, cap_s=DAY)[at].name("shop", "v1")


def told(rows: pl.DataFrame) -> list[tuple[str, int, str, str | None]]:
    return rows.select("session_id", "rev", "op", "superseded_by").rows()


def test_an_earlier_event_renames_a_session() -> None:
    events = [Event("a", 600, "1")]
    first = stored(None, events)
    late = [*events, Event("a", 0, "0")]
    assert told(stored(first, late)) == [(name(late), 0, STANDS, None), (name(events), 1, GONE, name(late))]


def test_an_event_between_two_sessions_makes_them_one() -> None:
    apart = [Event("a", 0, "1"), Event("a", 3000, "2")]
    joined = stored(stored(None, apart), [*apart, Event("a", 1500, "3")])
    assert told(joined) == [(name(apart), 1, STANDS, None), (name(apart, 1), 1, GONE, name(apart))]


def test_a_retraction_splits_a_session_and_what_it_took_is_a_session_again() -> None:
    apart, bridge = [Event("a", 0, "1"), Event("a", 3000, "2")], Event("a", 1500, "3")
    joined = stored(stored(None, apart), [*apart, bridge])
    assert told(stored(joined, apart)) == [(name(apart), 2, STANDS, None), (name(apart, 1), 2, STANDS, None)]


def test_a_session_without_any_event_left_is_gone_for_nothing() -> None:
    events = [Event("a", 0, "1")]
    gone = stored(stored(None, events), [])
    assert told(gone) == [(name(events), 1, GONE, None)]
    assert told(stored(gone, [])) == told(gone)


def test_a_session_that_did_not_change_keeps_its_revision() -> None:
    events = [Event("a", 0, "1"), Event("b", 0, "1", scope="web")]
    first = stored(None, events)
    assert stored(first, events).equals(first)


@given(histories(), st.data())
def test_what_is_stored_says_what_there_is_whatever_came_when(events: list[Event], data: st.DataObject) -> None:
    """And of each that is gone, whose place was taken, a session that stands."""
    rows: pl.DataFrame | None = None
    for _ in range(3):
        rows = stored(rows, [event for event in events if data.draw(st.booleans())])
    rows = stored(rows, events)
    once, stands = stored(None, events), rows.filter(pl.col("op") == STANDS)
    assert stands.drop("rev").equals(once.drop("rev"))
    assert rows["session_id"].is_unique().all()
    heirs = rows.filter(pl.col("op") == GONE)["superseded_by"].drop_nulls()
    assert set(heirs) <= set(stands["session_id"])


@pytest.mark.parametrize("users", [1, 1000])
def test_time_grows_with_events_alone(users: int) -> None:
    """A million events in a few seconds, be they of one bot or of many people."""
    of = random.Random(1)
    n = 300_000
    at = sorted(of.randrange(30 * DAY) for _ in range(n))
    rows = pl.DataFrame({"at": at, "user": [f"u{of.randrange(users)}" for _ in range(n)]}).with_row_index("event_id")
    events = rows.select(
        pl.col("user").alias("user_id"),
        pl.lit(None, pl.String).alias("scope"),
        (pl.lit(START) + pl.duration(seconds="at")).alias("event_time"),
        pl.lit(False).alias("is_boundary"),
        pl.lit("click").alias("event_type"),
        pl.col("event_id").cast(pl.String),
        pl.lit(1).alias("amount"),
    )
    began = time.process_time()
    found = folded(numbered(events, CUT), CUT, VALUES, NAMER)
    assert found["events"].sum() == n
    assert time.process_time() - began < 10
