"""Who is killed at any step of a move has moved or has not; of operators who move at once one wins, the others know."""

import json
import signal
import subprocess
import sys
from pathlib import Path

from tests.lake.numbers_table import REPOSITORY
from tests.shadow.ladder.mover import PASS, STEPS, ladder_of, moved

WRITTEN = 2
# To where users of ab_10 are moved, and whether they are held there.
MOVES = {"advance": ("ab_50", False), "rollback": ("ab_1", False), "step_back": ("ab_1", True)}


def _ended(*orders: tuple[str, str, str, int]) -> list[int]:
    command = [sys.executable, "-m", "tests.shadow.ladder.mover", json.dumps(orders)]
    done = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, timeout=120)
    ended: list[int] = json.loads(done.stdout)
    return ended


def test_a_move_is_made_or_not_whoever_is_killed_where(tmp_path: Path) -> None:
    orders = [(str(tmp_path / f"{what}-{step}"), what, "bob", step) for what in MOVES for step in STEPS]
    for root, *_ in orders:
        for _ in range(2):
            ladder_of(root).advance(by="ann", grounds=PASS)
    assert set(_ended(*orders)) == {-signal.SIGKILL}
    for root, what, by, step in orders:
        ladder, has_moved = ladder_of(root), step >= WRITTEN
        standing = ladder.standing()
        assert (standing.step.name, standing.is_held) == (MOVES[what] if has_moved else ("ab_10", False)), (what, step)
        history = ladder.history()
        assert [move.number for move in history] == ([3, 2, 1] if has_moved else [2, 1])
        assert (history[0].moved_by == by) is has_moved
        if standing.is_held:
            ladder.hold(by="ann", reason="looked", resume=True)
        assert moved(ladder, "advance", "cleo").before == standing.step.name, "the next one goes on from there"


def test_of_operators_at_once_one_moves_and_the_others_are_told(tmp_path: Path) -> None:
    root = str(tmp_path)
    ladder_of(root).advance(by="ann", grounds=PASS)
    everybody = [("advance", "bob"), ("rollback", "cleo"), ("step_back", "seqplat"), ("advance", "dan")]
    ended = _ended(*((root, what, by, 0) for what, by in everybody))
    assert sorted(ended) == [0, 3, 3, 3]
    first, second = ladder_of(root).history()
    assert (first.action, first.moved_by) == everybody[ended.index(0)]
    assert (first.before, second.step) == ("ab_1", "ab_1")
