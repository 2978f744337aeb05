"""Whether arms are as large as declared: if not, something keeps users out of one, and no number can be trusted."""

from dataclasses import dataclass
from typing import Final

import scipy  # which imports its packages when they are used: they take longer than all of Polars

from seqplat_resources.shadow.routing import WHOLE

# Both have to be reached: with millions of users a deviation that matters to nobody is certain.
LEAST_P: Final = 0.001
LEAST_DEVIATION: Final = 0.001


@dataclass(frozen=True)
class SampleRatio:
    """``ours`` of all users, where ``declared`` (of 10,000) should be. ``p`` is that of the chi-square test.

    ``says`` is in words what is wrong; empty where nothing is.
    """

    ours: int
    legacy: int
    declared: int
    p: float | None
    is_red: bool
    is_enough: bool
    says: str = ""

    @property
    def users(self) -> int:
        return self.ours + self.legacy

    @property
    def share(self) -> float | None:
        """Of users with our events."""
        return self.ours / self.users if self.users else None


def sample_ratio(ours: int, legacy: int, declared: int) -> SampleRatio:
    """Compare how many there are with how many should be.

    It is enough to be judged by if an arm without any user would be noticed. Where an arm should have few users the
    chi-square test rejects too often, so there the exact binomial test has to reject as well.
    """
    users, share = ours + legacy, declared / WHOLE
    if not users or not 0 < share < 1:
        return SampleRatio(ours, legacy, declared, None, is_red=False, is_enough=False, says="no user was exposed")
    p = float(scipy.special.chdtrc(1, (ours - users * share) ** 2 / (users * share * (1 - share))))
    smaller = min(share, 1 - share)
    is_enough = bool(scipy.special.chdtrc(1, users * smaller / (1 - smaller)) < LEAST_P)
    is_far = abs(ours / users - share) >= LEAST_DEVIATION
    is_red = p < LEAST_P and is_far and _exact(ours, users, share) < LEAST_P
    says = "" if is_enough else f"{users:,} users were exposed, too few to tell whether arms are as large as declared"
    if is_red:
        says = (
            f"{100 * ours / users:.3g} % of users have our events, declared are {100 * share:.3g} % (p {p:.1g}): "
            "something keeps users out of an arm, so no metric can be trusted"
        )
    return SampleRatio(ours, legacy, declared, p, is_red=is_red, is_enough=is_enough, says=says)


def _exact(ours: int, users: int, share: float) -> float:
    """Twice the smaller tail of the binomial distribution."""
    below = float(scipy.special.bdtr(ours, users, share))
    above = float(scipy.special.bdtrc(ours - 1, users, share)) if ours else 1.0
    return min(1.0, 2 * min(below, above))
