"""The reader's check notices what it is there for."""

import pytest

from tests.chaos.messages import by_member, meaning, said, seen_through

HISTORIES = by_member(said(6000, seed=5))
LONG = max(HISTORIES.values(), key=len)


def test_what_the_first_messages_mean_is_found_for_any_number_of_them() -> None:
    for count in range(len(LONG) + 1):
        through = seen_through(LONG, meaning(LONG[:count]), 0)
        assert through is not None
        assert meaning(LONG[:through]) == meaning(LONG[:count])
        assert seen_through(LONG, meaning(LONG[:count]), count) == count


@pytest.mark.parametrize("history", [h for h in HISTORIES.values() if len(h) > 10][:20])
def test_a_lost_a_doubled_an_old_and_a_resurrected_visit_are_noticed(history: list) -> None:  # type: ignore[type-arg]
    whole = meaning(history)
    assert seen_through(history, whole[:3] + whole[4:], 0) is None
    assert seen_through(history, sorted([*whole, whole[2]], reverse=True), 0) is None
    at, visit, revision = whole[0]
    assert seen_through(history, [(at, visit, revision + 1), *whole[1:]], 0) is None
    gone = [m for m in history if m.retracts]
    for message in gone[:1]:
        revived = sorted([*whole, (message.at, message.visit, message.revision)], reverse=True)
        assert seen_through(history, revived, 0) is None


def test_an_answer_that_knows_less_than_one_before_is_noticed() -> None:
    fresh = max(n for n, m in enumerate(LONG) if m.revision == 0 and m not in LONG[:n])
    assert seen_through(LONG, meaning(LONG[:fresh]), fresh + 1) is None
