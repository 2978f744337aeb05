"""Who accepts what, for how long; and that two people at once do not overwrite each other."""

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest

from seqplat_resources.home import Home
from seqplat_resources.records.log import RecordConflict
from seqplat_resources.shadow.verdict.accepted import AcceptedDifference, AcceptedDifferences, CannotAccept
from tests.building import ManualClock

NOW = dt.datetime(2026, 11, 20, 9, tzinfo=dt.UTC)
LEVEL = AcceptedDifference("differs_price", 0.01, dt.date(2026, 12, 31), "ana", "legacy rounds half up")


@pytest.fixture
def accepted(tmp_path: Path) -> AcceptedDifferences:
    return AcceptedDifferences(Home(str(tmp_path), {}), "purchase", ManualClock(NOW))


def test_a_level_is_kept_lowered_and_withdrawn_and_all_of_it_is_remembered(accepted: AcceptedDifferences) -> None:
    assert accepted.current().differences == ()
    accepted.accept(LEVEL, by="ana")
    accepted.accept(replace(LEVEL, metric="only_ours"), by="bo")
    accepted.accept(replace(LEVEL, at_most=0.002), by="cy")
    kept = accepted.current()
    assert {each.metric: (each.at_most, each.by, each.at) for each in kept.differences} == {
        "only_ours": (0.01, "bo", NOW),
        "differs_price": (0.002, "cy", NOW),
    }
    accepted.withdraw("differs_price", by="di", reason="fixed")
    assert [each.metric for each in accepted.current().differences] == ["only_ours"]
    accepted.accept(LEVEL, by="ana")  # higher again, now that it was withdrawn
    assert [(each.number, each.by, each.what.split(":")[0]) for each in accepted.history()] == [
        (1, "ana", "accepts 1 % of differs_price until 2026-12-31"),
        (2, "bo", "accepts 1 % of only_ours until 2026-12-31"),
        (3, "cy", "accepts 0.2 % of differs_price until 2026-12-31"),
        (4, "di", "withdraws differs_price"),
        (5, "ana", "accepts 1 % of differs_price until 2026-12-31"),
    ]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"owner": " "}, "needs a metric, an owner who answers for it, and a reason"),
        ({"reason": ""}, "needs a metric, an owner"),
        ({"at_most": 0.0}, "needs a level between 0 and 1, as 0.005 for 0.5 %, not 0.0"),
        ({"at_most": 1.0}, "needs a level"),
        ({"at_most": float("nan")}, "needs a level"),
        ({"until": dt.date(2026, 11, 19)}, r"ended on 2026-11-19, before today \(2026-11-20\); give a later day"),
        ({"at_most": 0.02}, r"is 1 % until 2026-12-31 \(ana\), and a level only goes down; withdraw it first"),
    ],
)
def test_what_nobody_could_answer_for_is_refused(
    accepted: AcceptedDifferences, wrong: dict[str, object], said: str
) -> None:
    accepted.accept(LEVEL, by="ana")
    with pytest.raises(CannotAccept, match=said):
        accepted.accept(replace(LEVEL, **wrong), by="bo")  # type: ignore[arg-type]
    assert len(accepted.history()) == 1


def test_an_expired_level_is_no_ratchet(accepted: AcceptedDifferences) -> None:
    accepted.accept(LEVEL, by="ana")
    later = replace(accepted, clock=ManualClock(NOW + dt.timedelta(days=60)))
    later.accept(replace(LEVEL, at_most=0.02, until=dt.date(2027, 6, 1)), by="bo")
    assert later.current().differences[0].at_most == 0.02


def test_withdrawing_needs_one_that_is_there_and_a_reason(accepted: AcceptedDifferences) -> None:
    accepted.accept(LEVEL, by="ana")
    with pytest.raises(CannotAccept, match="those are: differs_price"):
        accepted.withdraw("only_ours", by="bo", reason="x")
    with pytest.raises(CannotAccept, match="say why"):
        accepted.withdraw("differs_price", by="bo", reason=" ")


def test_of_two_people_at_once_one_is_told(accepted: AcceptedDifferences) -> None:
    seen = accepted.current()
    accepted.accept(LEVEL, by="ana", after=seen)
    with pytest.raises(RecordConflict, match="shadow/purchase/accepted"):
        accepted.accept(replace(LEVEL, metric="only_ours"), by="bo", after=seen)
    assert [each.metric for each in accepted.current().differences] == ["differs_price"]
