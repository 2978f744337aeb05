"""When the client tries again, with a clock that the test moves."""

import pytest

from serving.client.attempts import FIRST_WAIT_S, Attempts
from serving.client.errors import BadRequest, DeadlineExceeded, QuotaExceeded, Unavailable, Unreachable


class Hand:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def attempts(
    hand: Hand, *, deadline_s: float = 1.0, most: int = 3, margin_s: float = 0.02, jitter: float = 1.0
) -> Attempts:
    return Attempts(deadline_s, most, margin_s, clock=hand, jitter=lambda: jitter)


def test_waits_double() -> None:
    tried = attempts(Hand(), most=4)
    assert [tried.wait_s(Unreachable("gone")) for _ in range(3)] == [FIRST_WAIT_S, 2 * FIRST_WAIT_S, 4 * FIRST_WAIT_S]


def test_waits_are_half_as_long_with_the_least_jitter() -> None:
    assert attempts(Hand(), jitter=0.0).wait_s(Unreachable("gone")) == FIRST_WAIT_S / 2


def test_the_last_attempt_s_error_is_raised() -> None:
    tried, error = attempts(Hand(), most=2), Unreachable("gone again")
    tried.wait_s(Unreachable("gone"))
    with pytest.raises(Unreachable, match="gone again"):
        tried.wait_s(error)


def test_a_refusal_that_stays_is_raised_at_once() -> None:
    with pytest.raises(BadRequest):
        attempts(Hand()).wait_s(BadRequest(400, {}))


def test_the_server_s_retry_after_is_waited_for_and_callers_are_spread_behind_it() -> None:
    refused = QuotaExceeded(429, {}, retry_after_s=0.5)
    assert attempts(Hand(), jitter=0.0).wait_s(refused) == 0.5
    assert attempts(Hand(), jitter=1.0).wait_s(refused) == 0.5 * 1.25


def test_an_attempt_that_would_come_too_late_is_not_waited_for() -> None:
    with pytest.raises(Unavailable):
        attempts(Hand(), deadline_s=1.0).wait_s(Unavailable(503, {}, retry_after_s=5.0))


def test_an_attempt_that_would_have_less_than_the_margin_is_not_waited_for() -> None:
    refused = Unavailable(503, {}, retry_after_s=0.9)
    assert attempts(Hand(), margin_s=0.05, jitter=0.0).wait_s(refused) == 0.9
    with pytest.raises(Unavailable):
        attempts(Hand(), margin_s=0.1, jitter=0.0).wait_s(refused)


def test_the_deadline_is_one_for_all_attempts() -> None:
    hand = Hand()
    tried = attempts(hand)
    hand.now += 0.7
    assert tried.left_s() == pytest.approx(0.3)
    tried.wait_s(Unreachable("gone"))
    hand.now += 0.3
    with pytest.raises(DeadlineExceeded, match=r"^no answer within 1 s; .* deadline_s; before that: gone$"):
        tried.left_s()


def test_the_server_is_told_what_is_left_less_the_margin() -> None:
    hand = Hand()
    tried = attempts(hand, deadline_s=0.5, margin_s=0.02)
    assert tried.server_ms() == 480
    hand.now += 0.1
    assert tried.server_ms() == 380
    hand.now += 0.39
    assert tried.server_ms() == 1
    hand.now += 9
    assert tried.server_ms() == 1
    assert attempts(hand, deadline_s=3600).server_ms() == 60_000
