"""Rows are put together as one event after the other says: ties, no items, near and far, many owners at once."""

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from seqplat_resources.rules.collapse import heads, items, together
from seqplat_resources.rules.objects import bit
from seqplat_resources.rules.spans import first_beyond, span_starts
from tests.collapse_oracle import Oracle

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
ACTIONS = ("view", "buy")
FAR = 10**16  # microseconds, 300 years
times = st.one_of(st.integers(0, 30), st.sampled_from([-FAR, FAR, 0, 10, 20]))
events = st.fixed_dictionaries(
    {
        "owner": st.integers(0, 2),
        "item": st.sampled_from(["tea", "jam", "", None]),
        "size": st.sampled_from([1, 2, 2, None]),
        "time": times,
        "action": st.sampled_from(["view", "buy", "smell", None]),
    }
)


@given(st.lists(events, max_size=40), st.integers(1, 12), st.sampled_from([None, 0, 1, 3]), st.booleans())
@example([], 1, 1, False)
def test_rows_are_those_of_the_oracle(said: list[dict[str, Any]], within: int, most: int | None, by_two: bool) -> None:
    said = sorted(said, key=lambda event: (event["owner"], -event["time"]))
    by = ["item", "size"] if by_two else ["item"]
    types = {"owner": pl.Int64, "item": pl.String, "size": pl.Int64, "time": pl.Int64, "action": pl.String}
    frame = pl.DataFrame(said, schema=types, orient="row")
    owner, time = (np.asarray(frame[name].to_numpy(), np.int64) for name in ("owner", "time"))
    bits = frame.select(bit(pl.col("action"), ACTIONS)).to_series()
    places, found = together(owner, items(frame.select(by)), time, bits, within, most)

    def item(event: Any) -> tuple[Any, ...] | None:
        key = tuple(event[name] for name in by)
        return None if None in key else key

    oracle = Oracle(dt.timedelta(microseconds=within), ACTIONS, item, lambda event: event["action"])
    rows = [
        {**event, "event_time": EPOCH + dt.timedelta(microseconds=event["time"]), "at": n}
        for n, event in enumerate(said)
    ]
    expected = [row for who in range(3) for row in oracle.rows([r for r in rows if r["owner"] == who], most)]
    assert places.tolist() == [row["at"] for row in expected]
    assert found.to_dicts() == [{name: row[name] for name in ("actions", "events", "first_time")} for row in expected]


@given(st.lists(st.lists(times, min_size=1, max_size=30), min_size=1, max_size=5), st.integers(1, 12))
def test_spans_begin_where_the_one_before_ends(runs: list[list[int]], most: int) -> None:
    expected, time, first = [], [], []
    for run in map(sorted, runs):
        begin = None
        for number, at in enumerate(run):
            begins = begin is None or at - begin > most
            begin = at if begins else begin
            expected.append(begins)
            time.append(at)
            first.append(number == 0)
    assert span_starts(np.array(time, np.int64), np.array(first), most).tolist() == expected


@given(st.lists(times, max_size=20), st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20), times), max_size=5))
def test_the_first_beyond_is_that_of_a_walk(of: list[int], asked: list[tuple[int, int, int]]) -> None:
    of = sorted(of)
    ranges = [(min(a, b, len(of)), min(max(a, b), len(of)), bound) for a, b, bound in asked]
    found = (
        first_beyond(np.array(of, np.int64), *(np.array(each, np.int64) for each in zip(*ranges, strict=True)))
        if ranges
        else []
    )
    assert [*found] == [next((n for n in range(a, b) if of[n] > bound), b) for a, b, bound in ranges]


def test_a_long_run_takes_few_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a million events of one item, in rows of two: as many rows as there are pauses of a moment."""
    size, passes = 500_000, 0
    flatnonzero = np.flatnonzero

    def counted(values: Any) -> Any:
        nonlocal passes
        passes += 1
        return flatnonzero(values)

    monkeypatch.setattr(np, "flatnonzero", counted)
    nobody = np.zeros(size, np.int64)
    head = heads(nobody, nobody, np.arange(size, 0, -1) * 10, within_us=10)
    assert head.tolist()[:5] == [0, 0, 2, 2, 4]
    assert np.unique(head).size == size // 2
    assert passes < 2 * size.bit_length()
