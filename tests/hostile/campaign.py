"""Worlds by the thousand: draw one of a seed, play it, and where it fails make it small and go on."""

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.hostile.material.draws import Seeded
from tests.hostile.properties import PROPERTIES, Property
from tests.hostile.shrink import Failure, shrunk, tried


@dataclass(frozen=True)
class Found:
    """A failure with what is left of the steps. The seed alone makes all of them again."""

    name: str
    seed: int
    failure: Failure
    steps: Sequence[Any]

    def __str__(self) -> str:
        told = "\n".join(f"    {str(step)[:1500]}" for step in self.steps)
        again = f'python -m tests.hostile --only "{self.name}" --seed {self.seed} --worlds 1'
        return f"{self.name}: {self.failure.kind}\n  {self.failure.text[:1200]}\n  again: {again}\n  steps:\n{told}"


@dataclass
class Campaign:
    """``shrink_s`` bounds the time for making the first failure of each kind small; others are only counted."""

    shrink_s: float = 60.0
    worlds: Counter[str] = field(default_factory=Counter)
    failed: Counter[tuple[str, str]] = field(default_factory=Counter)
    found: list[Found] = field(default_factory=list)

    def world(self, name: str, seed: int) -> Found | None:
        """One world; its failure where it is the first of its kind."""
        that, steps = PROPERTIES[name], PROPERTIES[name].make(Seeded(f"{name} {seed}"))
        failure = tried(_in_a_folder(that), steps)
        self.worlds[name] += 1
        if failure is None:
            return None
        self.failed[name, failure.kind] += 1
        if self.failed[name, failure.kind] > 1:
            return None
        small, failure = shrunk(_in_a_folder(that), steps, failure, seconds=self.shrink_s)
        self.found.append(Found(name, seed, failure, small))
        return self.found[-1]

    def report(self) -> str:
        """Worlds by property and failures by kind."""
        lines = [f"  {name:12} {count:6} worlds" for name, count in sorted(self.worlds.items())]
        lines += [f"  FAILED {count:5} x {name}: {kind}" for (name, kind), count in self.failed.most_common()]
        return "\n".join(lines)


def _in_a_folder(that: Property) -> Any:
    def play(steps: Sequence[Any]) -> None:
        with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
            that.play(steps, Path(folder))

    return play


def run(names: Sequence[str], *, seed: int, minutes: float, worlds: int | None = None) -> Campaign:
    """Play the properties in turn until the time is over, or so many worlds of each."""
    campaign, began, told = Campaign(), time.monotonic(), time.monotonic()
    for number, name in _turns(names, worlds):
        if time.monotonic() - began > minutes * 60:
            break
        if found := campaign.world(name, seed + number):
            print(f"\n{found}\n", flush=True)  # noqa: T201
        if time.monotonic() - told > 60:
            told = time.monotonic()
            print(f"after {(told - began) / 60:.0f} min:\n{campaign.report()}", file=sys.stderr, flush=True)  # noqa: T201
    return campaign


def _turns(names: Sequence[str], worlds: int | None) -> Iterator[tuple[int, str]]:
    number = 0
    while worlds is None or number < worlds:
        for name in names:
            yield number, name
        number += 1


@contextmanager
def quiet() -> Iterator[None]:
    """Without the words of native code on standard error: a panic is judged by what comes of it."""
    import os

    kept = os.dup(2)
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
