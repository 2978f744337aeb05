"""The state of a window: what passes, what fails, what waits and for how much, and what refuses to pass."""

import datetime as dt
from bisect import bisect_left
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from seqplat_resources.shadow.verdict.accepted import AcceptedDifference
from seqplat_resources.shadow.verdict.account import headline
from seqplat_resources.shadow.verdict.decide import ALPHA, Obstacle, Window, decide
from seqplat_resources.shadow.verdict.detectable import smallest_caught
from seqplat_resources.shadow.verdict.metrics import MetricInvalid
from tests.shadow.verdict.samples import FIRST, TODAY, metric, question, verdict, window

LEVEL = AcceptedDifference("only_legacy", 0.01, dt.date(2026, 12, 31), "ana", "old filter")


@pytest.mark.parametrize(
    ("differing", "compared", "state", "said"),
    [
        (0, 4_741, "PASS", "at most 0.1 %, within 0.1 %"),
        (0, 4_740, "HOLD", "up to 0.1 % is possible, 0.1 % is the band; about 4 more users like these would pass it"),
        (3, 10_000, "HOLD", "would pass it"),
        (40, 10_000, "FAIL", "at least 0.214 %, beyond 0.1 %"),
        (14, 10_000, "HOLD", "would fail it"),
        (10, 10_000, "HOLD", "so near to the band of 0.1 % that no number of users settles it; mend"),
        (0, 0, "HOLD", "nothing was compared"),
        (10**6, 10**10, "PASS", "at most 0.01 %, within 0.1 %"),
    ],
)
def test_one_metric(differing: int, compared: int, state: str, said: str) -> None:
    found = decide(question(metric(differing, compared)))
    assert (found.state, found.judged[0].state) == (state, state)
    assert said in found.judged[0].because


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (question(), "nothing was compared"),
        (question(metric(), promised=("only_legacy", "top_10")), "nothing was counted of top_10"),
        (question(metric(), window=window(6)), "6 of at least 7 full days were judged"),
        (question(metric(), window=window(9, without=(3, 5))), "missing_days: 2 day(s) were not judged: 2026-11-04, "),
        (question(metric(), window=Window(FIRST, FIRST, (FIRST,) * 7)), "1 of at least 7 full days were judged"),
        (question(metric(), window=replace(window(), judged=())), "and 4 more"),
        (question(metric(), obstacles=(Obstacle("many_to_many_keys", 1, 10**6, "key 7 has 2 and 3"),)), "key 7 has"),
        (question(metric(), obstacles=(Obstacle("rejected_rows", 11, 10_000, "no time"),)), "rejected_rows: no time"),
        (question(metric(), obstacles=(Obstacle("never_heard_of", 1, 10**9, "odd"),)), "never_heard_of: odd"),
        (question(metric(), metric(0, 0, name="top_10")), "top_10: nothing was compared"),
    ],
)
def test_what_refuses_to_pass_is_named(asked: object, said: str) -> None:
    found = decide(asked)  # type: ignore[arg-type]
    assert found.state == "HOLD"
    assert any(said in reason for reason in found.because)


def test_a_tolerated_obstacle_refuses_nothing() -> None:
    rejected = Obstacle("rejected_rows", 10, 10_000, "no time")
    assert decide(question(metric(), obstacles=(rejected,))).state == "PASS"


def test_one_failing_metric_fails_all_and_comes_first_and_needs_no_days() -> None:
    few = question(metric(3), metric(400, name="unexplained"), metric(name="only_ours"), window=window(1))
    found = decide(few)
    assert found.state == "FAIL"
    assert found.because[0].startswith("unexplained: at least")
    assert [each.state for each in found.judged] == ["HOLD", "FAIL", "PASS"]


def test_more_metrics_make_it_harder_to_fail_and_no_harder_to_pass() -> None:
    wrong, right = metric(24), metric(0, 4_741, name="x")
    assert decide(question(wrong)).state == "FAIL"
    others = [metric(name=f"m{n}") for n in range(40)]
    assert decide(question(wrong, *others)).judged[0].state == "HOLD"
    assert decide(question(right, *others)).state == "PASS"


def test_a_hold_says_how_many_users_and_days_it_waits_for() -> None:
    asked = question(metric(3, 10_000), metric(0, 4_000, name="b"))
    found = decide(asked)
    assert found.more_users is not None
    assert found.more_days == pytest.approx(found.more_users / 10_000 * 7, abs=1)
    more = 10_000 + found.more_users
    assert decide(question(metric(3 * more / 10_000, more))).state == "PASS"
    fewer = 10_000 + found.more_users * 0.9
    assert decide(question(metric(3 * fewer / 10_000, fewer))).state == "HOLD"
    early = decide(question(metric(), window=window(5)))
    assert (early.more_users, early.more_days) == (0, 2)


@pytest.mark.parametrize(("differing", "more"), [(96, True), (105, True), (100, False)])
def test_what_lies_at_its_band_is_told_not_to_settle(differing: int, more: bool) -> None:
    at_band, few = metric(differing, 100_000), metric(0, 4_000, name="b")
    found = decide(question(few, at_band))
    assert (found.state, found.more_users, found.more_days) == ("HOLD", None, None)
    said = found.because[0]
    assert said.startswith("only_legacy: 0.")
    assert ("more users to settle it" in said) is more
    assert "mend what differs" in said
    assert "`seqplat shadow accept`" in said
    assert headline(verdict(question(few, at_band))).endswith(said)
    young = decide(question(metric(0, 100)))
    assert young.more_users is not None, "that little was compared is no reason not to wait"


@pytest.mark.parametrize(
    ("differing", "limit", "state"), [(0, 0.0, "PASS"), (1, 0.0, "FAIL"), (10_000, 1.0, "PASS"), (0, 1.0, "PASS")]
)
def test_bands_of_nothing_and_of_everything_are_about_what_was_compared(
    differing: int, limit: float, state: str
) -> None:
    assert decide(question(metric(differing, limit=limit))).state == state


def test_means_are_judged_by_their_own_variance() -> None:
    steady = metric(15, 5_000, name="jaccard", limit=0.005, squares=0.1)
    assert decide(question(steady)).state == "PASS"
    assert decide(question(replace(steady, squares=15.0))).state == "HOLD"
    assert decide(question(replace(steady, differing=60.0, squares=0.4))).state == "FAIL"


def test_noise_raises_a_band_and_says_so() -> None:
    noisy = question(metric(40), floors={"only_legacy": 0.005})
    assert decide(question(metric(40))).state == "FAIL"
    assert decide(noisy).state == "PASS"
    assert "the band is twice the noise floor, 0.1 % by default" in decide(noisy).judged[0].because


@pytest.mark.parametrize(
    ("differing", "level", "today", "state", "said"),
    [
        (40, LEVEL, TODAY, "PASS", "1 % is accepted until 2026-12-31 by ana: old filter"),
        (40, LEVEL, LEVEL.until, "PASS", "is accepted"),
        (40, LEVEL, LEVEL.until + dt.timedelta(days=1), "FAIL", "what was accepted of it ended on 2026-12-31"),
        (200, LEVEL, TODAY, "FAIL", "worse than what was accepted, beyond 1 %"),
        (0, replace(LEVEL, at_most=0.00001), TODAY, "PASS", "within 0.1 %"),  # no band gets tighter by it
        (40, replace(LEVEL, metric="only_ours"), TODAY, "FAIL", "beyond 0.1 %"),
    ],
)
def test_an_accepted_difference_is_judged_by_its_level_until_it_ends(
    differing: int, level: AcceptedDifference, today: dt.date, state: str, said: str
) -> None:
    found = decide(question(metric(differing), accepted=(level,), decided_on=today))
    assert found.state == state
    assert said in found.judged[0].because


def test_one_name_counted_twice_is_no_question() -> None:
    with pytest.raises(MetricInvalid, match="counted twice"):
        question(metric(), metric(1))

    with pytest.raises(MetricInvalid, match="a noise floor of nan is no share"):
        question(metric(), floors={"only_legacy": float("nan")})


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 200), st.integers(200, 10**6), st.floats(1e-4, 0.3), st.floats(1, 30))
def test_worse_counts_have_no_better_state(differing: int, compared: int, limit: float, effect: float) -> None:
    order = ["PASS", "HOLD", "FAIL"]
    some = metric(differing, compared, limit=limit, design_effect=effect)
    worse = replace(some, differing=min(differing + 5, compared))
    states = [decide(question(each)).state for each in (some, worse)]
    assert order.index(states[0]) <= order.index(states[1])
    doubtful = replace(some, design_effect=2 * effect)
    if states[0] == "HOLD":
        assert decide(question(doubtful)).state == "HOLD"


@pytest.mark.parametrize("compared", [500, 10_000, 10**7])
@pytest.mark.parametrize("limit", [0.0, 0.001, 0.01])
def test_the_smallest_defect_fails_in_95_of_100_windows(compared: int, limit: float) -> None:
    size, alpha = metric(0, compared, limit=limit), ALPHA / 5
    share = smallest_caught(size, limit, alpha=alpha)
    assert share is not None
    fails = bisect_left(range(compared), True, round(limit * compared), key=lambda k: is_failing(k, compared, limit))
    assert binom.sf(fails - 1, compared, share) == pytest.approx(0.95, abs=1e-6)
    assert binom.sf(fails - 1, compared, 0.99 * share) < 0.95


def is_failing(differing: int, compared: int, limit: float) -> bool:
    others = [metric(name=f"m{n}") for n in range(4)]
    return decide(question(metric(differing, compared, limit=limit), *others)).judged[0].state == "FAIL"


def test_too_little_catches_no_defect_and_a_mean_catches_no_more_than_a_share() -> None:
    assert smallest_caught(metric(0, 0), 0.001, alpha=ALPHA) is None
    assert smallest_caught(metric(0, 1), 0.5, alpha=ALPHA) is None
    assert smallest_caught(metric(), 1.0, alpha=ALPHA) is None
    mean = smallest_caught(metric(squares=0.0), 0.001, alpha=ALPHA)
    assert mean is not None
    assert 0.001 < mean < 0.01
