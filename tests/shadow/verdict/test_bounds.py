"""Bounds against their integrals, against exact arithmetic, and against what they promise at every look."""

import math
from decimal import Decimal, getcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import beta

from seqplat_resources.shadow.verdict.bounds import mean_bounds, mean_evidence, share_bounds, share_evidence

ALPHA = 0.05
FEW = settings(max_examples=40, deadline=None)
shares = st.floats(1e-6, 0.5)


@pytest.mark.parametrize(("limit", "trials"), [(0.001, 4_741), (0.0001, 47_436)])
def test_nothing_differing_proves_a_band_from_a_number_of_trials_on(limit: float, trials: int) -> None:
    assert share_bounds(0, trials, limit, ALPHA).upper <= limit
    assert share_bounds(0, trials - 1, limit, ALPHA).upper > limit


@pytest.mark.parametrize(("differing", "compared"), [(0, 50), (3, 50), (2.5, 17.25), (50, 50)])
def test_evidence_of_a_share_is_the_mixture_over_all_shares(differing: float, compared: float) -> None:
    limit, at = 0.02, 0.03

    def likelihood(share: float) -> float:
        ratio = (share / at) ** differing * ((1 - share) / (1 - at)) ** (compared - differing)
        return float(ratio * beta.pdf(share, 1, 1 / limit))

    mixture = quad(likelihood, 0, 1, points=[0.01, 0.05, 0.2, 0.9], limit=200)[0]
    assert share_evidence(differing, compared, limit, at=at) == pytest.approx(math.log(mixture), abs=1e-7)


@pytest.mark.parametrize(("ahead", "squares"), [(3.0, 0.0), (5.0, 2.5), (10.0, 30.0)])
def test_evidence_of_a_mean_is_the_mixture_over_all_bets(ahead: float, squares: float) -> None:
    def won(bet: float) -> float:
        return (1 - bet) ** squares * math.exp(bet * (ahead + squares)) * math.exp(bet - 1)

    mixture = quad(won, 0, 1)[0] / (1 - math.exp(-1))
    below = mean_evidence(2.0, squares, 100.0, (2.0 + ahead) / 100, below=True)
    above = mean_evidence(2.0 + ahead, squares, 100.0, 0.02, below=False)
    assert below == pytest.approx(math.log(mixture), abs=1e-9)
    assert above == pytest.approx(math.log(mixture), abs=1e-9)


@pytest.mark.parametrize("compared", [10**3, 10**6, 10**10])
@pytest.mark.parametrize("times", [0.0, 0.5, 1.01, 2.0])
def test_evidence_is_exact_up_to_ten_billion_trials(compared: int, times: float) -> None:
    limit = 0.001
    differing = round(times * limit * compared)
    exact = exact_evidence(differing, compared, limit)
    assert share_evidence(differing, compared, limit) == pytest.approx(exact, rel=1e-10, abs=2e-4)


def exact_evidence(differing: int, compared: int, limit: float) -> float:
    """In 60 digits, by Stirling's series."""
    getcontext().prec = 60
    s, n, p = Decimal(differing), Decimal(compared), Decimal(repr(limit))
    seen = log_gamma(1 + s) + log_gamma(1 / p + n - s) - log_gamma(1 + 1 / p + n)
    prior = log_gamma(Decimal(1)) + log_gamma(1 / p) - log_gamma(1 + 1 / p)
    return float(seen - prior - s * p.ln() - (n - s) * (1 - p).ln())


def log_gamma(x: Decimal) -> Decimal:
    pi, shifted = Decimal("3.14159265358979323846264338327950288419716939937510582097494"), Decimal(0)
    while x < 60:
        shifted, x = shifted + x.ln(), x + 1
    bernoulli = [Decimal(1) / 6, Decimal(-1) / 30, Decimal(1) / 42, Decimal(-1) / 30, Decimal(5) / 66]
    series = sum(b / (2 * k * (2 * k - 1) * x ** (2 * k - 1)) for k, b in enumerate(bernoulli, 1))
    return (x - Decimal("0.5")) * x.ln() - x + (2 * pi).ln() / 2 + series - shifted


@FEW
@given(st.integers(1, 10**10), st.floats(0, 1), shares, st.floats(1e-9, 0.2))
def test_both_ends_are_where_the_evidence_is_enough(compared: int, part: float, limit: float, alpha: float) -> None:
    differing = math.floor(part * compared)
    found, wanted = share_bounds(differing, compared, limit, alpha), -math.log(alpha)
    seen = differing / compared
    assert 0 <= found.lower <= seen <= found.upper <= 1
    for end in {found.lower, found.upper} - {0.0, 1.0}:
        if 1e-200 < end < 1 - 1e-6:  # nearer to 1 there are few numbers
            near = share_evidence(differing, compared, limit, at=end)
            assert near == pytest.approx(wanted, rel=1e-5, abs=1e-3 + compared * 1e-13)


@FEW
@given(st.integers(0, 400), st.integers(1, 10**6), shares, st.integers(2, 20))
def test_more_differences_move_both_ends_up_and_more_of_the_same_moves_them_together(
    differing: int, alike: int, limit: float, times: int
) -> None:
    compared = differing + alike
    found = share_bounds(differing, compared, limit, ALPHA)
    worse = share_bounds(differing + 1, compared, limit, ALPHA)
    surer = share_bounds(differing, compared, limit, ALPHA / 10)
    longer = share_bounds(differing, compared + 1, limit, ALPHA)
    assert worse.lower >= found.lower
    assert worse.upper >= found.upper
    assert surer.upper >= found.upper
    assert surer.lower <= found.lower
    assert longer.upper <= found.upper + 1e-15
    more = share_bounds(times**3 * differing, times**3 * compared, limit, ALPHA)
    assert more.upper - more.lower <= (found.upper - found.lower) * (1 + 1e-9)


@FEW
@given(st.integers(0, 100), st.integers(1, 10**6), shares)
def test_the_bound_is_within_a_band_just_where_the_evidence_says_so(differing: int, alike: int, limit: float) -> None:
    compared = differing + alike
    evidence = share_evidence(differing, compared, limit) + math.log(ALPHA)
    if abs(evidence) > 1e-6:
        found = share_bounds(differing, compared, limit, ALPHA)
        below = differing < limit * compared
        assert (found.upper < limit) == (below and evidence > 0)
        assert (found.lower > limit) == (not below and evidence > 0)


@FEW
@given(st.integers(1, 10**6), st.floats(0, 1), st.floats(0, 1), st.floats(1e-6, 0.2))
def test_bounds_of_a_mean_hold_it_and_widen_with_its_variance(n: int, mean: float, spread: float, alpha: float) -> None:
    total = n * mean
    found, wider = (mean_bounds(total, total * part, n, alpha) for part in (spread / 2, spread))
    assert 0 <= wider.lower <= found.lower <= mean + 1e-9
    assert mean - 1e-9 <= found.upper <= wider.upper <= 1
    if 0 < found.upper < 1:
        evidence = mean_evidence(total, total * spread / 2, n, found.upper, below=True)
        assert evidence == pytest.approx(-math.log(alpha), rel=1e-4, abs=1e-4)


def test_nothing_compared_says_nothing() -> None:
    assert share_bounds(0, 0, 0.001, ALPHA) == mean_bounds(0, 0, 0, ALPHA)
    assert (share_bounds(0, 0, 0.001, ALPHA).lower, share_bounds(0, 0, 0.001, ALPHA).upper) == (0, 1)


def test_arrays_are_judged_as_their_numbers_are() -> None:
    differing, compared = np.array([0.0, 3.0, 2.5]), np.array([10.0, 3.0, 1e10])
    together = share_evidence(differing, compared, 0.01)
    assert list(together) == [share_evidence(d, n, 0.01) for d, n in zip(differing, compared, strict=True)]
    means = mean_evidence(differing, differing / 2, compared, 0.3, below=True)
    alone = zip(differing, differing / 2, compared, strict=True)
    assert list(means) == [mean_evidence(*each, 0.3, below=True) for each in alone]


@pytest.mark.parametrize("limit", [0.3, 0.02])
def test_bounds_of_means_hold_at_every_look(limit: float) -> None:
    """1,000 people look 30 times at values whose mean is the limit itself: few ever see it excluded."""
    rng, wanted = np.random.default_rng(15), -math.log(ALPHA)
    values = rng.beta(limit, 1 - limit, (1000, 30, 20))
    total, squares = (each.sum(axis=2).cumsum(axis=1) for each in (values, values**2))
    compared = np.arange(1, 31) * 20.0
    for below in (True, False):
        ever = (mean_evidence(total, squares, compared, limit, below=below) >= wanted).any(axis=1)
        assert ever.mean() <= ALPHA
    shares = np.maximum(share_evidence(total, compared, limit), 0)  # values in part are trials that differ in part
    assert (shares >= wanted).any(axis=1).mean() <= ALPHA
