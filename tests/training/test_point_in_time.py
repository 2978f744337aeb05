"""The rule of training sets, against a loop in plain Python."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqplat_resources.times import DAY_US
from seqplat_resources.training import point_in_time
from seqplat_resources.training.point_in_time import FOREVER, Labels, Revisions, Span, Taken, taken

HOUR_US = DAY_US // 24


@dataclass(frozen=True)
class Row:
    user: int
    time: int
    known_from: int
    known_until: int


@st.composite
def rows_of_users(draw: st.DrawFn) -> list[Row]:
    """A few users; most rows prompt, some late, some never known, corrected, or known before they happened."""
    found = []
    for user in draw(st.lists(st.integers(0, 5), unique=True, max_size=4)):
        for _ in range(draw(st.integers(0, 12))):
            time = draw(st.integers(0, 40)) * HOUR_US // 2
            known_from = time + draw(st.sampled_from([0, 1, 1, 1, HOUR_US, 30 * HOUR_US, -HOUR_US]))
            lasts = draw(st.sampled_from([None, None, None, 0, 1, HOUR_US, 20 * HOUR_US]))
            found.append(Row(user, time, known_from, FOREVER if lasts is None else known_from + lasts))
    return sorted(found, key=lambda row: (row.user, -row.time))


labels_of_users = st.lists(
    st.tuples(st.integers(-1, 6), st.integers(-2, 44).map(lambda n: n * HOUR_US // 2)), max_size=8
)
spans = st.builds(
    Span,
    length=st.sampled_from([None, 1, 2, 3, 100]),
    embargo_us=st.sampled_from([0, 1, HOUR_US]),
    inclusive=st.booleans(),
    window_days=st.sampled_from([None, 1, 2]),
    newest_day=st.integers(0, 2),
)


def expected(rows: Sequence[Row], user: int, time: int, span: Span) -> list[int]:
    found = []
    for place, row in enumerate(rows):
        is_before = row.time < time - span.embargo_us or (span.inclusive and row.time == time - span.embargo_us)
        first = None
        if span.window_days is not None:
            first = (min(span.newest_day, time // DAY_US) - span.window_days + 1) * DAY_US
        is_known = row.known_from <= time < row.known_until and (first is None or row.time >= first)
        if row.user == user and is_before and is_known:
            found.append(place)
    return found[: span.length]


def given_rows(rows: Sequence[Row]) -> Revisions:
    return Revisions.of(
        *([getattr(row, name) for row in rows] for name in ("user", "time", "known_from", "known_until"))
    )


def shown(found: Taken, labels: int) -> list[list[int]]:
    places, counts = found.places(0, labels)
    return [part.tolist() for part in np.split(places, np.cumsum(counts)[:-1])] if labels else []


@pytest.mark.parametrize("pairs", [1, 1 << 21])
@given(rows=rows_of_users(), labels=labels_of_users, span=spans)
def test_each_label_has_the_newest_rows_that_were_known(
    pairs: int, rows: list[Row], labels: list[tuple[int, int]], span: Span
) -> None:
    before, point_in_time._PAIRS = point_in_time._PAIRS, pairs
    try:
        found = taken(given_rows(rows), Labels.of(*map(list, zip(*labels, strict=True))) if labels else NOBODY, span)
    finally:
        point_in_time._PAIRS = before
    wanted = [expected(rows, user, time, span) for user, time in labels]
    assert shown(found, len(labels)) == wanted
    assert found.count.tolist() == list(map(len, wanted))
    fewer, used = found.of_used()
    kept = np.flatnonzero(used)
    assert [[int(kept[place]) for place in places] for places in shown(fewer, len(labels))] == wanted
    for number, places in enumerate(wanted):  # row groups ask for some labels at a time
        assert found.places(number, number + 1)[0].tolist() == places


NOBODY = Labels.of([], [])


@given(rows=rows_of_users(), labels=labels_of_users, span=spans)
def test_rows_as_of_now_are_known_always(rows: list[Row], labels: list[tuple[int, int]], span: Span) -> None:
    given = given_rows(rows)
    always = [Row(row.user, row.time, -FOREVER, FOREVER) for row in rows]
    if labels:
        found = taken(
            Revisions.always_known(given.user, given.time), Labels.of(*map(list, zip(*labels, strict=True))), span
        )
        assert shown(found, len(labels)) == [expected(always, user, time, span) for user, time in labels]


@given(rows=rows_of_users(), label=st.tuples(st.integers(0, 5), st.integers(0, 44).map(lambda n: n * HOUR_US // 2)))
def test_nothing_at_or_after_a_label_changes_what_it_has(rows: list[Row], label: tuple[int, int]) -> None:
    """What happened, or became known, or was corrected after it might as well not be there."""
    user, time = label
    then = [
        Row(row.user, row.time, row.known_from, row.known_until if row.known_until <= time else FOREVER)
        for row in rows
        if row.time < time and row.known_from <= time
    ]
    names = [
        [given[place] for place in shown(taken(given_rows(given), Labels.of([user], [time]), Span(length=3)), 1)[0]]
        for given in (rows, then)
    ]
    assert [(row.time, row.known_from) for row in names[0]] == [(row.time, row.known_from) for row in names[1]]


def test_many_revisions_of_one_event_are_passed_over_in_pieces_that_double() -> None:
    """10,000 revisions of which the last alone counts, before three events: far fewer passes than revisions."""
    size = 10_000
    known_from = [size + n for n in reversed(range(size))]
    known_until = [FOREVER, *known_from[:-1]]
    rows = Revisions.of(
        [0] * (size + 3), [10] * size + [3, 2, 1], [*known_from, 3, 2, 1], [*known_until, *[FOREVER] * 3]
    )
    found = taken(rows, Labels.of([0, 0], [3 * size, size + 5]), Span(length=2))
    assert shown(found, 2) == [[0, size], [size - 6, size]]
