"""Worlds in which somebody looks at a gate on thirty days, and how often it says what is not true.

All of a world's runs are played at once, with the product's own evidence and design effect. ``python -m
tests.shadow.verdict.promise.worlds`` plays many runs and prints the table of ``docs/verdicts.md``.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seqplat_resources.comparison.contract import Sums
from seqplat_resources.shadow.verdict.bounds import share_evidence
from seqplat_resources.shadow.verdict.decide import ALPHA
from seqplat_resources.shadow.verdict.metrics import effect_of

Floats = npt.NDArray[np.float64]
LOOKS = 30
# Of events per user and day: some have hundreds of times as many as most.
MEAN, SIGMA = 8.0, 1.2


@dataclass(frozen=True)
class World:
    """How differences lie. ``clump`` is the share of a user's events that differ with the user; 0 is each by itself.

    ``by_activity``: users with more events are hit as much more often. ``lasting``: every day has the same users, and
    who is hit stays hit; else every day has others. ``by_day``: days are added up, so a user counts once a day.
    """

    name: str
    clump: float = 0.0
    by_activity: bool = False
    lasting: bool = False
    by_day: bool = False

    def days(self, rng: np.random.Generator, runs: int, users: int, share: float) -> Iterator[tuple[Floats, Floats]]:
        """Each day's differing and compared events of each user, in expectation ``share`` of them."""
        hit = activity = np.empty(0)
        for day in range(LOOKS):
            if not day or not self.lasting:
                activity = np.exp(rng.normal(np.log(MEAN) - SIGMA**2 / 2, SIGMA, (runs, users)))
                often = activity / (MEAN * np.exp(SIGMA**2)) if self.by_activity else 1.0
                hit = rng.random((runs, users)) < np.minimum(1.0, often * share / (self.clump or 1.0))
            compared = np.ceil(activity)
            at_once = (
                np.ceil(compared * self.clump) if self.clump == 1 else rng.binomial(compared.astype(int), self.clump)
            )
            yield (hit * at_once if self.clump else rng.binomial(compared.astype(int), share)).astype(float), compared


WORLDS = (
    World("each event by itself"),
    World("half of a user's events", clump=0.5),
    World("all events of a user", clump=1.0),
    World("all events of a user, by activity", clump=1.0, by_activity=True),
    World("half, the same users every day", clump=0.5, lasting=True),
    World("all, the same users every day", clump=1.0, lasting=True),
    World("all, the same users, days added up", clump=1.0, lasting=True, by_day=True),
)


def looks(world: World, rng: np.random.Generator, runs: int, users: int, share: float) -> Iterator[tuple[Sums, Floats]]:
    """After each day, the sums of all days so far as arrays over runs, and how many events are worth a trial."""
    total, seen = np.zeros((5, runs)), (np.zeros((runs, users)), np.zeros((runs, users)))
    whole = world.lasting and not world.by_day
    for day, today in enumerate(world.days(rng, runs, users, share), 1):
        seen = (seen[0] + today[0], seen[1] + today[1]) if whole else today
        d, n = seen
        sums = [each.sum(axis=1) for each in (d, n, d * d, n * n, d * n)]
        total = np.array(sums) if whole else total + sums
        found = Sums(np.full(runs, users if whole else day * users), *total)  # type: ignore[arg-type]
        yield found, effect_of(found) * (day if world.by_day else 1)


def ever(
    world: World, rng: np.random.Generator, runs: int, users: int, share: float, limit: float
) -> dict[str, npt.NDArray[np.bool_]]:
    """Of each run, whether at any look the gate passed, failed, or would have passed if events were independent."""
    found = {name: np.zeros(runs, np.bool_) for name in ("passed", "failed", "passed naively")}
    wanted = -np.log(ALPHA)
    for sums, effect in looks(world, rng, runs, users, share):
        d, n = np.asarray(sums.differing), np.asarray(sums.compared)
        below, enough = d < limit * n, share_evidence(d / effect, n / effect, limit) >= wanted
        found["passed"] |= below & enough
        found["failed"] |= ~below & enough
        found["passed naively"] |= below & (share_evidence(d, n, limit) >= wanted)
    return found


def main() -> None:
    """The table of the documentation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000)
    parser.add_argument("--users", type=int, default=500)
    parser.add_argument("--limit", type=float, default=0.02)
    asked = parser.parse_args()
    columns = [(1.0, "passed"), (1.0, "failed"), (0.5, "passed"), (2.0, "failed"), (1.0, "passed naively")]
    print("| how differences lie |", " | ".join(f"{name} at {times:g} x band" for times, name in columns), "|")  # noqa: T201
    print("| --- |", " | ".join("---:" for _ in columns), "|")  # noqa: T201
    for number, world in enumerate(WORLDS):
        found = {
            times: ever(
                world, np.random.default_rng([number, 15]), asked.runs, asked.users, times * asked.limit, asked.limit
            )
            for times in (1.0, 0.5, 2.0)
        }
        shown = [f"{100 * found[times][name].mean():.1f} %" for times, name in columns]
        print("|", " | ".join([world.name, *shown]), "|", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
