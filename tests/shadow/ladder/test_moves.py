"""The ladder: every move is written with its reason, rests on grounds, and one of two movers wins."""

import datetime as dt
import threading

import pytest

from seqplat_resources.home import Home
from seqplat_resources.records.log import RecordConflict
from seqplat_resources.shadow.ladder.moves import Grounds, Ladder, LadderDamaged, LadderError, Move
from seqplat_resources.shadow.ladder.steps import STEPS
from tests.building import ManualClock
from tests.properties.clicks import click

PASS = Grounds("PASS", "d1")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def ladder(home: Home, clock: ManualClock) -> Ladder:
    return Ladder(home, click().model_copy(update={"lifecycle": "shadow"}), clock)


def test_what_nobody_moved_stands_where_its_stage_says(home: Home) -> None:
    for stage, step in {"draft": "legacy", "shadow": "shadow", "live": "live", "deprecated": "live"}.items():
        found = Ladder(home, click().model_copy(update={"lifecycle": stage})).standing()
        assert (found.step.name, found.since, found.number) == (step, None, 0)


def test_the_whole_way_up_with_who_when_why_and_evidence(ladder: Ladder, clock: ManualClock) -> None:
    for expected in ("ab_1", "ab_10", "ab_50", "live"):
        clock.time += dt.timedelta(days=1)
        move = ladder.advance(by="ann", grounds=PASS)
        assert (move.step, ladder.standing().step.name, move.moved_at) == (expected, expected, clock.now())
    with pytest.raises(LadderError, match="seqplat cutover retire click"):
        ladder.advance(by="ann", grounds=PASS)
    ladder.retire(by="ann", reason="switched off")
    with pytest.raises(LadderError, match="retired: there is no old pipeline"):
        ladder.roll_back(by="ann", reason="regret")
    history = ladder.history()
    assert [move.number for move in history] == [5, 4, 3, 2, 1]
    assert history[-1] == Move(1, "click", "advance", "ab_1", "shadow", False, history[-1].moved_at, "ann", "", PASS)


@pytest.mark.parametrize("grounds", [Grounds(), Grounds("HOLD", "d"), Grounds("FAIL", "d")])
def test_without_a_passing_verdict_it_stays_unless_overridden(ladder: Ladder, grounds: Grounds) -> None:
    with pytest.raises(LadderError, match=r"stays at shadow.*seqplat shadow verdict click"):
        ladder.advance(by="ann", grounds=grounds)
    assert ladder.history() == []
    overridden = Grounds(grounds.state, grounds.digest, override="the old one dropped a day")
    assert ladder.advance(by="ann", grounds=overridden).grounds == overridden
    assert ladder.history()[0].grounds.override


def test_what_is_held_goes_down_and_not_up(ladder: Ladder) -> None:
    ladder.advance(by="ann", grounds=PASS)
    ladder.advance(by="ann", grounds=PASS)
    ladder.hold(by="bob", reason="holiday")
    with pytest.raises(LadderError, match=r"held at ab_10.*--resume"):
        ladder.advance(by="ann", grounds=PASS)
    with pytest.raises(LadderError, match="held at ab_10 already"):
        ladder.hold(by="ann", reason="again")
    move = ladder.roll_back(by="seqplat", reason="events_match_legacy failed", asked=False)
    assert (move.action, move.step, move.is_held) == ("step_back", "ab_1", True)
    ladder.hold(by="bob", reason="mended", resume=True)
    assert ladder.advance(by="bob", grounds=PASS).step == "ab_10"


def test_holding_and_letting_go_begin_no_step(ladder: Ladder, clock: ManualClock) -> None:
    """A verdict that was made meanwhile is about the step where users stand, and its days count on."""
    ladder.hold(by="bob", reason="holiday")
    assert (ladder.standing().since, ladder.standing().is_held) == (None, True)
    ladder.hold(by="bob", reason="back", resume=True)
    came = ladder.advance(by="ann", grounds=Grounds("PASS", "7"))
    for resume in (False, True):
        clock.time += dt.timedelta(days=1)
        ladder.hold(by="bob", reason="holiday", resume=resume)
        standing = ladder.standing()
        assert (standing.since, standing.rests_on, standing.is_held) == (came.moved_at, 7, not resume)
    assert standing.number == 5


def test_down_by_one_or_to_a_lower_step(ladder: Ladder) -> None:
    for _ in range(4):
        ladder.advance(by="ann", grounds=PASS)
    with pytest.raises(LadderError, match="live is not below that"):
        ladder.roll_back(by="ann", reason="?", to="live")
    assert ladder.roll_back(by="ann", reason="alarm", to="ab_1").step == "ab_1"
    assert ladder.roll_back(by="ann", reason="alarm").step == "shadow"
    assert ladder.roll_back(by="ann", reason="alarm").step == "legacy"
    with pytest.raises(LadderError, match="nothing is not below"):
        ladder.roll_back(by="ann", reason="alarm")
    assert ladder.advance(by="ann", grounds=Grounds()).step == "shadow"  # comparing costs nobody anything


def test_of_two_operators_one_wins_and_the_other_is_told(ladder: Ladder) -> None:
    at, told = ladder.standing(), list[str]()
    together = threading.Barrier(8)

    def move(name: str) -> None:
        together.wait()
        try:
            ladder.advance(by=name, grounds=PASS, at=at)
        except RecordConflict as error:
            told.append(str(error))

    threads = [threading.Thread(target=move, args=(f"operator {n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ladder.history()) == 1
    assert len(told) == 7
    assert "read it and decide again" in told[0]


@pytest.mark.parametrize("blank", ["", " ", "\n"])
def test_a_move_without_a_reason_is_none(ladder: Ladder, blank: str) -> None:
    with pytest.raises(LadderError, match="stays at shadow"):
        ladder.advance(by="ann", grounds=Grounds(override=blank))
    for move in (ladder.hold, ladder.roll_back, ladder.retire):
        with pytest.raises(LadderError, match="say why"):
            move(by="ann", reason=blank)
    assert ladder.history() == []


def test_shares_grow_on_the_way_up() -> None:
    shares = [step.share for step in STEPS]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 10_000)


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b'{"step": "ab_2"}', b"\xff"])
def test_a_damaged_move_is_named(ladder: Ladder, data: bytes) -> None:
    ladder.advance(by="ann", grounds=PASS)
    ladder.home.objects.put("cutover/click/000000000001.json", data)
    with pytest.raises(LadderDamaged, match=r"000000000001\.json is damaged.*seqplat cutover status click"):
        ladder.standing()
