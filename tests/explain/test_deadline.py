"""Explanations that run out of time: less is told, and nothing else."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import pytest

from seqplat_resources.clock import Deadline
from seqplat_resources.explain import Explanation
from seqplat_resources.explain.account.model import UNKNOWN
from tests.explain.world import FILTERED, build, clicked, outcomes, said, stream, why
from tests.stream.world import Shop


@dataclass(frozen=True)
class _After(Deadline):
    """Over once it has been looked at so many times."""

    looks: list[None]

    @property
    def is_over(self) -> bool:
        self.looks[:] = self.looks[1:]
        return not self.looks


def ever_later(shop: Shop, event_id: str) -> Iterator[Explanation]:
    """Explanations that run out of time ever later, and the first that does not."""
    for looks in count(1):
        deadline = _After(0.0, [None] * looks)
        yield why(shop, event_id, deadline=deadline)
        if deadline.looks:
            return


def test_without_any_time_it_says_so(shop: Shop) -> None:
    shop.say([clicked(1, 2)])
    stream(shop)
    found = why(shop, 1, deadline=Deadline.after(0))
    assert found.verdict.code == "not_known"
    assert "because time ran out: ask again with the day on which it happened, or with more time" in found.verdict.text
    assert set(outcomes(found).values()) == {UNKNOWN}
    assert "not known here, because time ran out before it was read" in said(found, "answer")


@pytest.mark.parametrize("event_id", ["1", "2", "3", "nobody's"])
def test_wherever_time_runs_out_the_verdict_is_the_true_one_or_that_it_is_not_known(shop: Shop, event_id: str) -> None:
    shop.say([clicked(1, 2), clicked(2, 2, amount=FILTERED)])
    stream(shop)
    build(shop)
    shop.say([clicked(3, 1), clicked(2, 2, amount=FILTERED)])
    stream(shop)
    whole = why(shop, event_id)
    codes = []
    for found in ever_later(shop, event_id):
        codes.append(found.verdict.code)
        assert found.verdict == whole.verdict or found.verdict.code == "not_known"
        for step in found.steps:
            assert step.outcome == UNKNOWN or step.name in outcomes(whole)
    assert codes[0] == "not_known"
    assert codes[-1] == whole.verdict.code
    assert codes == sorted(codes, key=lambda code: code != "not_known")


def test_a_search_that_is_broken_off_says_how_far_it_came(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqplat_resources.explain.trace.raw.DAYS_AT_ONCE", 1)
    shop.say([clicked(1, 1), clicked(2, 2)])
    stream(shop)
    texts = {said(found, "raw") for found in ever_later(shop, "nobody's")}
    assert any("time ran out when 2024-05-03 of rows had been searched" in text for text in texts), texts
