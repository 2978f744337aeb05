"""Each rule of precedence alone, and all of them against plain Python."""

import datetime as dt
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqplat_resources.rules.precedence import PRECEDENCE, decided_by, outranked, winners
from tests.building import utc

NOON, THREE_DAYS = utc(2024, 5, 1, 12), dt.timedelta(days=3)
Cell = dict[str, Any]
SCHEMA = {
    "id": pl.String(),
    "event_time": pl.Datetime("us", "UTC"),
    "erased": pl.Boolean(),
    "rev": pl.Int64(),
    "from_batch": pl.Boolean(),
    "ingest_time": pl.Datetime("us", "UTC"),
    "source_partition": pl.String(),
    "offset": pl.Int64(),
}
# From the strongest rule to the weakest, what loses and what wins.
RULES: dict[str, tuple[Any, Any]] = {
    "erased": (False, True),
    "rev": (0, 1),
    "from_batch": (False, True),
    "ingest_time": (utc(2024, 5, 2), utc(2024, 5, 1)),
    "source_partition": ("clicks:1", "clicks:0"),
    "offset": (11, 10),
}


def frame(*rows: Cell) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=SCHEMA, orient="row")


def row(**changes: Any) -> Cell:
    return {"id": "a", "event_time": NOON, **{name: loses for name, (loses, _) in RULES.items()}, **changes}


def test_the_rules_are_these() -> None:
    assert list(PRECEDENCE) == list(RULES)


@pytest.mark.parametrize("rule", RULES)
def test_a_stronger_rule_decides_against_all_weaker_ones(rule: str) -> None:
    weaker = list(RULES)[list(RULES).index(rule) + 1 :]
    loser = row(**{name: RULES[name][1] for name in weaker})
    winner = row(**{rule: RULES[rule][1]})
    assert winners(frame(loser, winner), ["id"], THREE_DAYS).to_list() == [1, 1]
    assert winners(frame(winner, loser), ["id"], THREE_DAYS).to_list() == [0, 0]
    assert outranked(frame(loser, winner), frame(winner, loser), ["id"], THREE_DAYS).height == 1
    assert decided_by(loser, winner) == rule


def test_a_level_that_a_frame_does_not_have_decides_nothing() -> None:
    assert winners(frame(row(), row(rev=1)).drop("erased", "from_batch"), ["id"], THREE_DAYS).to_list() == [1, 1]


@pytest.mark.parametrize("rule", ["erased", "rev"])
def test_a_higher_level_counts_however_far_apart_the_times_are(rule: str) -> None:
    later = row(event_time=utc(2030, 1, 1), **{rule: RULES[rule][1]})
    assert winners(frame(row(), later), ["id"], THREE_DAYS).to_list() == [1, 1]
    assert winners(frame(row(), row(event_time=utc(2030, 1, 1))), ["id"], THREE_DAYS).to_list() == [0, 1]


@pytest.mark.parametrize(
    ("later_us", "horizon_h", "is_copy"),
    [
        (72 * 3_600_000_000, 72, True),
        (72 * 3_600_000_000 + 1, 72, False),
        (43_199_999_999, 0, True),
        (43_200_000_000, 0, False),
    ],
)
def test_the_horizon_is_exact_and_a_day_is_always_inside(later_us: int, horizon_h: int, is_copy: bool) -> None:
    other = row(event_time=NOON + dt.timedelta(microseconds=later_us), offset=12)
    found = winners(frame(row(), other), ["id"], dt.timedelta(hours=horizon_h)).to_list()
    assert found == [0, 0 if is_copy else 1]


cells = st.fixed_dictionaries(
    {
        "id": st.sampled_from("ab"),
        "event_time": st.integers(0, 100).map(lambda hours: NOON + dt.timedelta(hours=hours)),
        "erased": st.sampled_from([False, False, False, True]),
        "rev": st.sampled_from([0, 0, 1]),
        "from_batch": st.booleans(),
        "ingest_time": st.integers(0, 3).map(lambda hours: NOON + dt.timedelta(hours=hours)),
        "source_partition": st.sampled_from("pq"),
        "offset": st.integers(0, 3),
    }
)


@given(rows=st.lists(cells, max_size=12), horizon_h=st.sampled_from([0, 1, 24, 72]))
def test_who_wins_is_what_plain_python_says(rows: list[Cell], horizon_h: int) -> None:
    horizon = dt.timedelta(hours=horizon_h)

    def rank(row: Cell) -> tuple[Any, ...]:
        place = row["ingest_time"], row["source_partition"], row["offset"]
        return (not row["erased"], -row["rev"], not row["from_batch"], *place)

    def reaches(other: Cell, row: Cell) -> bool:
        times = other["event_time"], row["event_time"]
        is_higher = (other["erased"], other["rev"]) > (row["erased"], row["rev"])
        return is_higher or times[0].date() == times[1].date() or abs(times[0] - times[1]) <= horizon

    best = [
        min((rank(other), n) for n, other in enumerate(rows) if other["id"] == row["id"] and reaches(other, row))
        for row in rows
    ]
    assert winners(frame(*rows), ["id"], horizon).to_list() == [n for _, n in best]
    given_way = outranked(frame(*rows).with_row_index("row"), frame(*rows), ["id"], horizon)
    losers = {n for n, (better, _) in enumerate(best) if better < rank(rows[n])}
    assert set(given_way["row"]) == losers
