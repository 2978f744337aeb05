"""Operators as processes of their own: ``python -m tests.shadow.ladder.mover``, which forks one for each of its orders.

Steps of a move: 1 it is decided and nothing is written; 2 its record is written, and nobody has looked at what else is
there; 3 it is known to be the only one of its number; 4 the caller was told. An operator with a step dies there.
"""

import json
import os
import signal
import sys
from typing import Any

from seqplat_resources.home import Home
from seqplat_resources.records import log as records
from seqplat_resources.records.log import RecordConflict, RecordLog
from seqplat_resources.shadow.ladder.moves import Grounds, Ladder, Move, Standing
from tests.properties.clicks import click

STEPS = (1, 2, 3, 4)
PASS = Grounds("PASS", "1")


def ladder_of(root: str) -> Ladder:
    return Ladder(Home(root, {}), click().model_copy(update={"lifecycle": "shadow"}))


def moved(ladder: Ladder, what: str, by: str, at: Standing | None = None) -> Move:
    """Up, down by a person, or down by itself."""
    if what == "advance":
        return ladder.advance(by=by, grounds=PASS, at=at)
    return ladder.roll_back(by=by, reason="alarm", asked=what == "rollback", at=at)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _dying_at(step: int) -> None:
    put, listed, written = records.obstore.put, RecordLog._listed, []

    def putting(*args: Any, **kwargs: Any) -> Any:
        if step == 1:
            _die()
        found = put(*args, **kwargs)
        written.append(True)
        if step == 2:
            _die()
        return found

    def listing(log: RecordLog) -> list[int]:
        found = listed(log)
        if written and step == 3:
            _die()
        return found

    records.obstore.put = putting  # type: ignore[assignment]
    RecordLog._listed = listing  # type: ignore[method-assign]


def _operator(root: str, what: str, by: str, step: int, ready: int, start: int) -> int:
    """0: moved, 3: told that somebody else was first."""
    ladder = ladder_of(root)
    at = ladder.standing()
    if step:
        _dying_at(step)
    os.write(ready, b".")
    os.read(start, 1)  # until all have decided, so that those who move at once really meet
    try:
        moved(ladder, what, by, at)
    except RecordConflict:
        return 3
    if step:
        _die()
    return 0


def main(orders: list[tuple[str, str, str, int]]) -> None:
    """How each ended, in their order; less than 0 is a signal."""
    (here, ready), (start, go), children = os.pipe(), os.pipe(), list[int]()
    for order in orders:
        if not (child := os.fork()):
            os._exit(_operator(*order, ready, start))
        children.append(child)
    for _ in children:
        os.read(here, 1)
    os.write(go, b"." * len(children))
    print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]))  # noqa: T201


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
