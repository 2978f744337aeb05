"""What was known of an event at any time, against plain Python and against the rule that says who wins."""

import datetime as dt
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqplat_resources.rules import known as rule
from seqplat_resources.rules.identity import IDENTITY
from seqplat_resources.rules.known import KNOWN_FROM, KNOWN_UNTIL, known
from seqplat_resources.rules.precedence import winners
from tests.building import utc

NOON, THREE_DAYS = utc(2024, 5, 1, 12), dt.timedelta(days=3)
Cell = dict[str, Any]
SCHEMA = {
    "user_id": pl.Int64(),
    "event_id": pl.String(),
    "event_time": pl.Datetime("us", "UTC"),
    "available_time": pl.Datetime("us", "UTC"),
    "rev": pl.Int64(),
    "op": pl.String(),
    "ingest_time": pl.Datetime("us", "UTC"),
    "source_partition": pl.String(),
    "offset": pl.Int64(),
}


def frame(*rows: Cell) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=SCHEMA, orient="row")


def hours(least: int, most: int) -> st.SearchStrategy[dt.datetime]:
    return st.integers(least, most).map(lambda count: NOON + dt.timedelta(hours=count))


cells = st.fixed_dictionaries(
    {
        "user_id": st.sampled_from([1, 2]),
        "event_id": st.sampled_from("ab"),
        "event_time": hours(0, 100),
        "available_time": hours(100, 106),
        "rev": st.sampled_from([0, 0, 1, 2]),
        "op": st.sampled_from(["upsert", "retract"]),
        "ingest_time": hours(100, 103),
        "source_partition": st.sampled_from("pq"),
        "offset": st.integers(0, 3),
    }
)


def rank(row: Cell) -> tuple[Any, ...]:
    return -row["rev"], row["ingest_time"], row["source_partition"], row["offset"]


def outranks(other: Cell, row: Cell, horizon: dt.timedelta) -> bool:
    times = other["event_time"], row["event_time"]
    is_near = times[0].date() == times[1].date() or abs(times[0] - times[1]) <= horizon
    is_same = all(other[name] == row[name] for name in IDENTITY)
    return is_same and rank(other) < rank(row) and (is_near or other["rev"] > row["rev"])


@pytest.mark.parametrize("pairs_at_once", [1, 1 << 21])
@given(rows=st.lists(cells, max_size=12), horizon_h=st.sampled_from([0, 1, 24, 72]))
def test_a_row_is_known_until_the_first_that_outranks_it(pairs_at_once: int, rows: list[Cell], horizon_h: int) -> None:
    horizon, before = dt.timedelta(hours=horizon_h), rule._PAIRS_AT_ONCE
    rule._PAIRS_AT_ONCE = pairs_at_once
    try:
        found = known(frame(*rows), horizon)
    finally:
        rule._PAIRS_AT_ONCE = before
    seen, once = set(), list[Cell]()
    for row in rows:
        name = (row["user_id"], row["event_id"], row["event_time"], rank(row))
        once += [row] if name not in seen else []
        seen.add(name)
    assert found.drop(KNOWN_FROM, KNOWN_UNTIL).rows(named=True) == once
    assert found[KNOWN_FROM].to_list() == [row["available_time"] for row in once]
    assert found[KNOWN_UNTIL].to_list() == [
        min((other["available_time"] for other in once if outranks(other, row, horizon)), default=None) for row in once
    ]


@given(rows=st.lists(cells, max_size=10), horizon_h=st.sampled_from([0, 24, 72]), at=hours(99, 107))
def test_those_known_at_a_time_are_the_winners_of_what_was_available(
    rows: list[Cell], horizon_h: int, at: dt.datetime
) -> None:
    horizon = dt.timedelta(hours=horizon_h)
    found = known(frame(*rows), horizon)
    available = found.filter(pl.col("available_time") <= at)
    winner = winners(available, IDENTITY, horizon).to_list()
    kept = available.filter([place == n for n, place in enumerate(winner)])
    is_known = (pl.col(KNOWN_FROM) <= at) & pl.col(KNOWN_UNTIL).is_null().or_(pl.col(KNOWN_UNTIL) > at)
    assert found.filter(is_known).drop(KNOWN_FROM, KNOWN_UNTIL).equals(kept.drop(KNOWN_FROM, KNOWN_UNTIL))


def test_rows_that_are_alone_are_known_for_ever() -> None:
    rows = frame(*({**_ROW, "event_id": str(number)} for number in range(3)))
    found = known(rows, THREE_DAYS)
    assert found[KNOWN_FROM].equals(rows["available_time"].alias(KNOWN_FROM))
    assert found[KNOWN_UNTIL].null_count() == 3


def test_one_id_for_all_events_of_a_user_takes_no_more_memory_than_time() -> None:
    """8,000 rows of one id in six days: 11 M pairs are looked at, few at a time."""
    rows = frame(*({**_ROW, "event_time": NOON + dt.timedelta(minutes=n), "offset": n} for n in range(8_000)))
    found = known(rows.with_columns(available_time=pl.col("event_time")), dt.timedelta(hours=1))
    assert found[KNOWN_UNTIL].null_count() == 1


_ROW: Cell = {
    "user_id": 1,
    "event_id": "a",
    "event_time": NOON,
    "available_time": NOON,
    "rev": 0,
    "op": "upsert",
    "ingest_time": NOON,
    "source_partition": "p",
    "offset": 0,
}
