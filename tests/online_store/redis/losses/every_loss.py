"""A history in which everything happens once, and what becomes of it when keys are lost at a moment of it.

``python -m tests.online_store.redis.losses.every_loss`` loses every single key before every step; ``--pairs 200`` so
many pairs of kinds instead.
"""

import argparse
import copy
import random
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from seqplat_resources.errors import Retryable
from seqplat_resources.online_store.errors import StoreDamagedError
from seqplat_resources.online_store.folding import fold_crowded
from tests.online_store.redis.losses.losing import FILED, STREAMED, TYPES, P, Q, World
from tests.online_stores import redis_url

_STATE = ("log", "kept", "seen", "positions", "filed", "filed_days", "filtered", "token", "count")


def begin(w: World) -> None:
    """Eight days, of which five are rolled up; their stream has left the now view."""
    for number in range(1, 9):
        w.say(*((user, number) for user in ("ann", "bob", "cy")))
        w.file(number, ("ann", "cy"))
    w.stream()
    w.keep()
    w.publish(FILED, range(1, 9))
    for name in STREAMED * 2:
        w.publish(name, range(1, 9))


def stream_both(w: World) -> None:
    w.say(("ann", 8), ("ann", 9), ("bob", 9), ("dan", 9), ("cy", 9))
    w.stream()


def stream_more_than_is_kept(w: World) -> None:
    w.keep()
    w.say(("ann", 9), ("cy", 9))
    w.stream()


def publish_one_type(w: World) -> None:
    w.publish("click", [8, 9])


def publish_the_other_twice(w: World) -> None:
    """So that its batch leaves, which the first type still has."""
    w.publish("view", [8, 9])
    w.publish("view", [8, 9])


def stream_many_batches(w: World) -> None:
    for _ in range(3):
        w.say(("ann", 9), ("cy", 10))
        w.stream()


def fold(w: World) -> None:
    for name in STREAMED:
        fold_crowded(w.store, name, more_than=1)


def die_streaming(w: World) -> None:
    w.say(("dan", 9), ("cy", 8))
    w.die_streaming(Q)


def stream_beside_it(w: World) -> None:
    w.say(("bob", 9))
    w.stream([P])


def take_over(w: World) -> None:
    w.stream([Q])


def change_a_rolled_day(w: World) -> None:
    """A late row, and one that leaves."""
    w.say(("ann", 3), ("cy", 3))
    w.stream()
    w.keep()
    w.filtered.add(next(row.id for row in w.log[P] if row.user == "bob" and row.day == 3))
    for name in STREAMED:
        w.publish(name, [3])


def publish_new_days(w: World) -> None:
    w.say(("ann", 10), ("bob", 10))
    w.stream()
    w.keep()
    w.file(9, ("ann", "bob"))
    w.publish(FILED, [9])
    for name in STREAMED:
        w.publish(name, [9, 10])


def prune(w: World) -> None:
    for name in TYPES:
        w.store.prune(name, keep_epochs=1)


def stream_on(w: World) -> None:
    w.say(("ann", 10), ("dan", 10))
    w.stream()


def publish_and_fold(w: World) -> None:
    for name in STREAMED:
        w.publish(name, [10])
        fold_crowded(w.store, name, more_than=1)


def mend(w: World) -> None:
    """Everything is published until both kept epochs are of it."""
    w.stream()
    w.keep()
    for _ in range(2):
        for name in STREAMED:
            w.publish(name, range(1, 11))
        w.publish(FILED, range(1, 10))


def go_on(w: World) -> None:
    w.say(("ann", 10), ("bob", 10), ("cy", 10), ("dan", 10))
    w.stream()


STEPS: Sequence[Callable[[World], None]] = (
    stream_both,
    stream_more_than_is_kept,
    publish_one_type,
    publish_the_other_twice,
    stream_many_batches,
    fold,
    die_streaming,
    stream_beside_it,
    take_over,
    change_a_rolled_day,
    publish_new_days,
    prune,
    stream_on,
    publish_and_fold,
    mend,
    go_on,
)


@dataclass(frozen=True)
class Moment:
    """The world before a step: what the server had, and what everybody else knew."""

    step: int
    dumped: Mapping[bytes, bytes]
    state: Mapping[str, Any]

    @property
    def kinds(self) -> Mapping[str, Sequence[bytes]]:
        """The keys there are, by what they are of."""
        found = defaultdict[str, list[bytes]](list)
        for key in sorted(self.dumped):
            found[key.partition(b"{")[0].decode()].append(key)
        return found


@contextmanager
def world(moment: Moment | None = None) -> Iterator[World]:
    """A new one, or as it was at a moment."""
    made = World(redis_url("redis"))
    try:
        if moment:
            made.lose(made.keys())
            with made.client.pipeline(transaction=False) as pipeline:
                for key, value in moment.dumped.items():
                    pipeline.restore(made.prefix + key, 0, value)
                pipeline.execute()
            for name, value in copy.deepcopy(dict(moment.state)).items():
                setattr(made, name, value)
        yield made
    finally:
        made.lose(made.keys())
        made.close()


def moments() -> list[Moment]:
    """The world before every step of a history in which nothing is lost, which is checked as well."""
    found = []
    with world() as w:
        begin(w)
        w.look("begun", whole=True)
        for number, step in enumerate(STEPS):
            keys = w.keys()
            with w.client.pipeline(transaction=False) as pipeline:
                for key in keys:
                    pipeline.dump(w.prefix + key)
                dumped = dict(zip(keys, pipeline.execute(), strict=True))
            found.append(Moment(number, dumped, copy.deepcopy({name: getattr(w, name) for name in _STATE})))
            step(w)
            w.look(step.__name__, whole=True)
    assert w.problems == []
    return found


def problems_after(moment: Moment, lost: Iterable[bytes]) -> list[str]:
    """What is wrong with what is answered from there on. Steps that are refused are passed over, as they are told."""
    with world(moment) as w:
        w.lose(lost)
        w.look("lost")
        for step in STEPS[moment.step :]:
            try:
                step(w)
            except (Retryable, StoreDamagedError):
                w.positions = {}
            w.look(step.__name__, whole=step is go_on)
        return w.problems


def _losses(moment: Moment, pairs: int, draw: random.Random) -> Iterator[tuple[bytes, ...]]:
    if not pairs:
        yield from ((key,) for key in sorted(moment.dumped))
    kinds = moment.kinds
    for _ in range(pairs // len(STEPS)):
        yield tuple(draw.choice(kinds[kind]) for kind in draw.choices(sorted(kinds), k=2))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.online_store.redis.losses.every_loss", description=__doc__)
    parser.add_argument("--pairs", type=int, default=0)
    asked, count, failed = parser.parse_args(), 0, 0
    for moment in moments():
        for lost in _losses(moment, asked.pairs, random.Random(moment.step)):
            found, count = problems_after(moment, lost), count + 1
            failed += bool(found)
            if found:
                print(STEPS[moment.step].__name__, lost, *found[:5], sep="\n    ", flush=True)  # noqa: T201
    print(f"{failed} of {count} losses were answered wrongly")  # noqa: T201
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
