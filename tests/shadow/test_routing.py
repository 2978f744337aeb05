"""Arms of users: the same everywhere, evenly spread, exactly the share, and never back while the share grows."""

import math
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from seqplat_resources.shadow.routing import WHOLE, is_ours, position

USERS = [str(number) for number in range(100_000)]


def test_what_others_compute_in_their_language() -> None:
    """Numbers to test another implementation against; docs/cutover.md shows them."""
    assert position("purchase", "42") == 0x2955D163B7FB5ABD
    assert position("purchase", "José") == 0xE8E29EE6C3762ED


def test_positions_are_uniform_and_event_types_independent() -> None:
    bins, of_both = [0] * 64, 0
    for user in USERS:
        bins[position("purchase", user) >> 58] += 1
        of_both += is_ours("purchase", user, share=5_000) and is_ours("visit", user, share=5_000)
    expected = len(USERS) / 64
    chi_square = sum((count - expected) ** 2 / expected for count in bins)
    assert chi_square < 63 + 4 * math.sqrt(2 * 63), chi_square  # four standard deviations
    assert abs(of_both / len(USERS) - 0.25) < 4 * math.sqrt(0.25 * 0.75 / len(USERS))


def test_the_share_is_the_one_stated() -> None:
    for share in (1, 100, 1_000, 5_000, 9_999):
        ours = sum(is_ours("purchase", user, share=share) for user in USERS)
        wanted = share / WHOLE
        assert abs(ours / len(USERS) - wanted) < 4 * math.sqrt(wanted * (1 - wanted) / len(USERS)), share
    assert not any(is_ours("purchase", user, share=0) for user in USERS[:100])
    assert all(is_ours("purchase", user, share=WHOLE) for user in USERS[:100])


@given(st.text(), st.text(), st.lists(st.integers(0, WHOLE), min_size=2))
def test_nobody_moves_back_while_the_share_grows(event_type: str, user: str, shares: list[int]) -> None:
    arms = [is_ours(event_type, user, share=share) for share in sorted(shares)]
    assert arms == sorted(arms)


def test_another_process_says_the_same() -> None:
    script = "from seqplat_resources.shadow.routing import position; print(position('visit', 'ünïcode \\ud800'))"
    told = [
        subprocess.run([sys.executable, "-c", script], capture_output=True, env={"PYTHONHASHSEED": seed}, check=True)
        for seed in ("1", "2")
    ]
    assert {int(each.stdout) for each in told} == {position("visit", "ünïcode \ud800")}
