"""What a gate promises: at most one false verdict in twenty, however differences lie and however often one looks."""

import numpy as np
import pytest
from scipy.stats import binom

from seqplat_resources.shadow.verdict.bounds import mean_evidence, share_evidence
from seqplat_resources.shadow.verdict.decide import ALPHA
from tests.shadow.verdict.promise.worlds import LOOKS, WORLDS, Floats, World, ever

RUNS, USERS, LIMIT = 300, 150, 0.03


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_a_gate_at_its_band_is_wrong_once_in_twenty_at_most(world: World) -> None:
    found = ever(world, np.random.default_rng(15), RUNS, USERS, LIMIT, LIMIT)
    assert found["passed"].mean() <= ALPHA
    assert found["failed"].mean() <= ALPHA
    if world.clump:  # that is what the design effect is for
        assert found["passed naively"].mean() > 0.3


@pytest.mark.parametrize("world", WORLDS[:3], ids=lambda world: world.name)
def test_a_gate_decides_what_is_clear(world: World) -> None:
    rng = np.random.default_rng(15)
    assert ever(world, rng, 50, 4 * USERS, LIMIT / 3, LIMIT)["passed"].mean() > 0.9
    assert ever(world, rng, 50, 4 * USERS, LIMIT * 3, LIMIT)["failed"].mean() > 0.9


def test_all_metrics_together_fail_a_sound_side_once_in_twenty_at_most() -> None:
    """1,000 replays of one side against itself, ten metrics, thirty looks; all at their bands, the worst that is sound.

    Intervals for a fixed number of trials do not keep that.
    """
    rng, runs, users = np.random.default_rng(15), 1_000, 300
    shares, means = [0.001, 0.005, 0.0005, 0.0001, 0.001, 0.001, 0.01, 0.02], [0.005, 0.02]
    alpha, trials = ALPHA / (len(shares) + len(means)), np.arange(1, LOOKS + 1) * float(users)
    failed, naively = np.zeros(runs, np.bool_), np.zeros(runs, np.bool_)

    def seen(share: float) -> Floats:
        return rng.binomial(users, share, (runs, LOOKS)).cumsum(axis=1).astype(float)

    for limit in shares:
        hits = seen(limit)
        failed |= ((hits > limit * trials) & (share_evidence(hits, trials, limit) >= -np.log(alpha))).any(axis=1)
        naively |= (binom.sf(hits - 1, trials, limit) <= alpha).any(axis=1)
    for limit in means:  # of users some are at a distance of 0.05, and few have nothing in common
        near, far = seen(12 * limit), seen(0.4 * limit)
        evidence = mean_evidence(0.05 * near + far, 0.0025 * near + far, trials, limit, below=False)
        failed |= (evidence >= -np.log(alpha)).any(axis=1)
    assert failed.mean() <= ALPHA
    assert naively.mean() > ALPHA


def test_a_window_that_slides_for_a_month_is_wrong_once_in_twenty_at_most() -> None:
    """The last 14 days, looked at on 46 of 60; the promise is about windows that grow, and leaves room for that."""
    users, limit, width = 1_000, 0.01, 14
    hits = np.random.default_rng(15).binomial(users, limit, (2_000, 60)).cumsum(axis=1)
    seen, trials = (hits[:, width:] - hits[:, :-width]).astype(float), float(width * users)
    enough = share_evidence(seen, trials, limit) >= -np.log(ALPHA)
    assert (enough & (seen < limit * trials)).any(axis=1).mean() <= ALPHA
    assert (enough & (seen > limit * trials)).any(axis=1).mean() <= ALPHA
