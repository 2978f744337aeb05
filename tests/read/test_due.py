"""Which days should be built by now: against plain sets of dates, whatever was built and whenever one looks."""

import datetime as dt

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from seqplat_resources.read.merge.due import Due, completeness
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.times import number_of
from sequence_defs.schema import Sequence
from tests.budget import examples
from tests.building import days
from tests.properties.clicks import click, clicks, loaded, shop

NOW = dt.date(2024, 5, 20)
DATES = st.dates(dt.date(2024, 5, 1), dt.date(2024, 6, 10))


def due(built: list[dt.date], start: dt.date | None, end: dt.date | None, now: dt.date = NOW) -> Due:
    return Due.of(np.array([number_of(day) for day in sorted(built)], np.int64), (start, end), number_of(now))


@settings(max_examples=examples(100))
@given(st.sets(DATES, max_size=12), st.none() | DATES, st.none() | DATES, DATES, st.none() | DATES)
def test_it_is_the_days_from_the_first_to_yesterday_or_the_end(
    built: set[dt.date], start: dt.date | None, end: dt.date | None, now: dt.date, after: dt.date | None
) -> None:
    first = start or min(built, default=None)
    should = {day for day in days(dt.date(2024, 5, 1), 50) if first and first <= day < min(end or now, now)}
    found = due(list(built), start, end, now)
    assert (found.total, found.built()) == (len(should), len(should & built))
    share = completeness([found])
    assert share == (len(should & built) / len(should) if should else 1.0 if first else 0.0)
    said = found.problem()
    assert (said is None) == (bool(built) and should <= built)
    if said and built:
        assert said == f"{len(should - built)} of {len(should)} days not built, newest built {max(built)}"
    if after is not None:
        assert found.built(number_of(after)) == len({day for day in should & built if day > after})


def test_a_platform_that_stopped_nine_days_ago_says_so() -> None:
    built = days(dt.date(2024, 4, 8), 33)
    found = due(built, built[0], None)
    assert found.problem() == "9 of 42 days not built, newest built 2024-05-10"
    assert completeness([found]) == 33 / 42


def test_a_gap_in_the_middle_counts_as_much() -> None:
    built = days(dt.date(2024, 5, 1), 19)
    del built[7]
    assert due(built, None, None).problem() == "1 of 19 days not built, newest built 2024-05-19"


def test_event_types_count_by_their_days() -> None:
    whole, none = due(days(NOW - dt.timedelta(3), 3), None, None), due([], NOW - dt.timedelta(1), None)
    assert completeness([whole, none]) == 3 / 4
    assert completeness([none], after_day=0) == 0.0


def test_nothing_is_due_of_a_retired_event_type() -> None:
    recent = Sequence(name="recent", tenant="shop", event_types=("click",), columns=("item",), length=5)
    for lifecycle, promised in (("live", ["click"]), ("retired", [])):
        made = loaded(shop, clicks(), click(lifecycle=lifecycle), recent)
        assert list(SequencePlan.of(made, "recent").promised) == promised
