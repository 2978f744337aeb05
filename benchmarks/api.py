"""The API benchmarks, on one home that is built for all of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import api_home, api_long, api_serve, api_soak
from benchmarks.api_contest import Plan
from benchmarks.api_data import Shape

PARTS = ("serve", "batch", "long", "soak")
NAMES = api_serve.NAMES
REPEAT = 3
SOAK_MINUTES, QUICK_SOAK_MINUTES = 10.0, 1.0
LONG_S, QUICK_LONG_S = 20.0, 2.0
SERVE = Plan()
# A batch is a hundred times the work, so fewer connections saturate the server, and less often.
BATCH = Plan(connections=(1, 2, 4, 8))
QUICK = Plan(connections=(1, 4), warm_s=1, closed_s=2, paced_s=3)
QUICK_SHAPE = Shape(users=200, long_users=4)


def run(
    *,
    parts: Sequence[str],
    names: Sequence[str],
    quick: bool,
    minutes: float,
    repeat: int | None,
    cache: Path,
    results: Path,
    keep: bool = False,
) -> Iterator[Path]:
    """Build the home, run the parts, and give the file of each result.

    Raises:
        WrongAnswerError: an answer is not what the generator says. LoadFailedError: a request was not answered.
        ServerFailedError: a server did not come up, or ended by itself.
    """
    home = api_home.build(cache, QUICK_SHAPE if quick else Shape())
    turns = repeat or (1 if quick else REPEAT)
    if "serve" in parts:
        yield api_serve.serve(home, QUICK if quick else SERVE, names, repeat=turns, results=results)
    if "batch" in parts:
        yield api_serve.batch(home, QUICK if quick else BATCH, names, repeat=turns, results=results)
    if "long" in parts:
        yield api_long.run(home, seconds=QUICK_LONG_S if quick else LONG_S, results=results)
    if "soak" in parts:  # last: it changes the home
        if quick:
            yield api_soak.run(home, minutes=QUICK_SOAK_MINUTES, warm_s=20.0, quiet_s=10.0, results=results)
        else:
            yield api_soak.run(home, minutes=minutes, results=results)
    if not keep:
        shutil.rmtree(home.folder)
