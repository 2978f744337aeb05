"""How many independent trials counts are worth, and bands by name, type and noise."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqplat_resources.comparison.contract import Sums
from seqplat_resources.shadow.verdict.bands import BANDS, above_noise, column_band
from seqplat_resources.shadow.verdict.metrics import Metric, MetricInvalid, design_effect
from sequence_defs.schema import Compared

users = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), min_size=1, max_size=30)


def sums_of(differing: list[int], compared: list[int]) -> Sums:
    return Sums.of(pl.Series(differing), pl.Series(compared))


@settings(max_examples=30, deadline=None)
@given(users)
def test_an_event_is_worth_one_trial_at_most(pairs: list[tuple[int, int]]) -> None:
    sums = sums_of([min(d, n) for d, n in pairs], [n for _, n in pairs])
    metric = Metric.of_users("m", "event", 0.1, sums)
    assert metric.design_effect >= 1
    assert 0 <= metric.hits <= metric.trials <= metric.compared
    assert metric.trials <= metric.users * (1 + 1e-9) or sums.differing  # nothing differing proves nothing of events
    one, drawn, every = (
        design_effect(sums + sums, **said) for said in ({}, {"days": 2, "coverage": 0.25}, {"days": 2})
    )
    assert drawn == pytest.approx(1.75 * one)
    assert every == one
    assert Metric.of_users("m", "event", 0.1, sums + sums, days=2).users == metric.users


def test_users_with_one_event_each_are_trials() -> None:
    assert design_effect(sums_of([0, 1, 0, 0, 1], [1] * 5)) == pytest.approx(1)


@pytest.mark.parametrize("hit", [0, 1, 40])
def test_users_of_whom_all_or_nothing_differs_are_trials_whatever_their_events(hit: int) -> None:
    sums = sums_of([20] * hit + [0] * (1000 - hit), [20] * 1000)
    assert design_effect(sums) == pytest.approx(20, rel=0.01)


def test_differences_one_by_one_are_worth_more_the_more_there_are() -> None:
    rng = np.random.default_rng(15)
    effects = []
    for count in (1_000, 100_000):
        d = rng.binomial(20, 0.05, count)
        effects.append(design_effect(Sums.of(pl.Series(d), pl.Series(np.full(count, 20)))))
    assert 5 > effects[0] > effects[1] >= 1
    assert effects[1] < 1.1


def test_nothing_compared_is_no_trial() -> None:
    metric = Metric.of_users("m", "event", 0.1, Sums())
    assert (metric.trials, metric.hits, metric.value) == (0, 0, None)


SOUND = Metric("only_legacy", "event", 0.001, 3, 1_000, 50)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"differing": 1_001}, "1001 differ of 1000 compared"),
        ({"differing": float("nan")}, "are not all numbers from 0 on"),
        ({"compared": float("inf")}, "are not all numbers from 0 on"),
        ({"compared": 1e14}, "1e+14 compared are more than is counted exactly"),
        ({"limit": -0.1}, "are not all numbers from 0 on"),
        ({"design_effect": 0.5}, "a design effect of 0.5 would make more of the trials"),
        ({"users": 0}, "1000 compared of 0 users"),
        ({"squares": 4.0}, "squares sum up to 4, distances to 3"),
    ],
)
def test_numbers_that_count_nothing_are_refused(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(MetricInvalid, match=r"metric 'only_legacy'.*nothing is judged") as raised:
        replace(SOUND, **wrong)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("dtype", "compared", "limit"),
    [
        ("string", Compared(), 0.0001),
        ("int64", Compared(), 0.0001),
        ("timestamp", Compared(absolute=0.5), 0.0001),
        ("int64", Compared(absolute=1), 0.001),
        ("float64", Compared(), 0.001),
        ("list[float32]", Compared(), 0.001),
        ("vector[int8,4]", Compared(), 0.001),
        ("vector[float16,32]", Compared(cosine=0.999), 0.001),
        ("float64", Compared(limit=0.02), 0.02),
    ],
)
def test_a_column_has_the_band_of_its_type_or_its_own(dtype: str, compared: Compared, limit: float) -> None:
    assert column_band("price", dtype, compared).limit == limit


def test_bands_have_their_names_and_noise_raises_them() -> None:
    assert all(band.name == name and 0 < band.limit <= 0.05 for name, band in BANDS.items())
    assert [above_noise(0.001, floor) for floor in (None, 0.0, 0.0004, 0.0006, 0.2, float("nan"))] == [
        0.001,
        0.001,
        0.001,
        0.0012,
        0.001,  # no noise
        0.001,
    ]
