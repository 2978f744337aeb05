"""Days that are built together: those that cannot be cost no other, and every day comes once."""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqplat_resources.batch.days.outcomes import DayFailed, outcomes
from seqplat_resources.batch.days.result import BucketResult
from seqplat_resources.errors import Final, Retryable
from tests.building import days

DAYS = days(dt.date(2024, 5, 1), 30)


def building(
    bad: set[dt.date], fail: Callable[[dt.date], BaseException], calls: list[int]
) -> Callable[..., Iterator[BucketResult]]:
    """A build that commits days three by three, as spans do, and raises for the span of a bad one."""

    def run(asked: Sequence[dt.date]) -> Iterator[BucketResult]:
        calls.append(len(asked))
        for start in range(0, len(asked), 3):
            span = asked[start : start + 3]
            for day in span:
                if day in bad:
                    raise fail(day)
            yield from (BucketResult("t", day, 1, 1, 1) for day in span)

    return run


@given(bad=st.sets(st.sampled_from(DAYS)), count=st.integers(0, len(DAYS)))
def test_exactly_the_bad_days_fail_and_every_day_comes_once(bad: set[dt.date], count: int) -> None:
    asked, calls = DAYS[:count], list[int]()
    found = list(outcomes(building(bad, lambda day: Final(f"{day} is bad"), calls), asked))
    assert sorted(each.day for each in found) == asked
    assert {each.day for each in found if isinstance(each, DayFailed)} == bad.intersection(asked)
    assert all(str(each.error) == f"{each.day} is bad" for each in found if isinstance(each, DayFailed))


@pytest.mark.parametrize(
    ("error", "calls"), [(Retryable("away"), 1), (Final("no such file"), 7), (OSError(28, "full"), 7)]
)
def test_what_is_the_same_for_all_days_is_not_tried_for_each(error: Exception, calls: int) -> None:
    made = list[int]()
    found = list(outcomes(building(set(DAYS), lambda _: error, made), DAYS))
    assert [each.day for each in found if isinstance(each, DayFailed)] == DAYS
    assert len(made) <= calls


def test_a_native_panic_is_the_day_s_own() -> None:
    found = list(outcomes(building({DAYS[4]}, lambda _: pl.exceptions.PanicException("index out of bounds"), []), DAYS))
    assert [each.day for each in found if isinstance(each, DayFailed)] == [DAYS[4]]


def test_an_error_after_the_last_day_is_nobodys() -> None:
    def run(asked: Sequence[dt.date]) -> Iterator[BucketResult]:
        yield from (BucketResult("t", day, 1, 1, 1) for day in asked)
        raise Final("the rest was not done")

    with pytest.raises(Final, match="the rest was not done"):
        list(outcomes(run, DAYS))
