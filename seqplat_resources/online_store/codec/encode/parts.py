"""Runs of bytes that make up sections: what every user has of one kind, written for all users at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from seqplat_resources.online_store.codec import ragged
from seqplat_resources.online_store.codec.layout import Flags, Ints, Octets, Words


@dataclass(frozen=True)
class Numbers:
    """``counts[u]`` unsigned numbers of ``widths[u]`` bytes for user u; ``words`` holds all users' end to end."""

    words: Words
    counts: Ints
    widths: Ints

    @cached_property
    def sizes(self) -> Ints:
        return self.counts * self.widths

    def write(self, out: Octets, at: Ints) -> None:
        widths = np.repeat(self.widths, self.counts)
        places = np.repeat(at, self.counts) + ragged.position_in_run(self.counts) * widths
        ragged.write_words(out, places, self.words, widths)

    def of(self, users: Flags) -> "Numbers":
        return Numbers(self.words[np.repeat(users, self.counts)], self.counts * users, self.widths)

    def spread(self, active: Ints, users: int) -> "Numbers":
        return Numbers(self.words, _everyone(self.counts, active, users), _everyone(self.widths, active, users))


@dataclass(frozen=True)
class Strings:
    """``data[starts[u] : starts[u] + sizes[u]]`` for user u."""

    data: Octets
    starts: Ints
    sizes: Ints

    def write(self, out: Octets, at: Ints) -> None:
        ragged.copy_runs(out, at, self.data, self.starts, self.sizes)

    def of(self, users: Flags) -> "Strings":
        return Strings(self.data, self.starts, self.sizes * users)

    def spread(self, active: Ints, users: int) -> "Strings":
        return Strings(self.data, _everyone(self.starts, active, users), _everyone(self.sizes, active, users))


# Some bytes of every user's section: ``sizes`` per user; ``write`` puts each user's at ``out[at[user]]``; ``of`` leaves
# the other users nothing; ``spread`` turns entries of the ``active`` users into entries of all, nothing for the rest.
Part = Numbers | Strings


@dataclass(frozen=True)
class Body:
    """A way to say the values of one stream: a tag per user, and the parts that follow each other in its section."""

    tags: Octets
    parts: Sequence[Part]

    @cached_property
    def sizes(self) -> Ints:
        return np.asarray(np.sum([part.sizes for part in self.parts], axis=0), dtype=np.int64)

    def write(self, out: Octets, at: Ints) -> None:
        for part in self.parts:
            part.write(out, at)
            at = at + part.sizes


def shortest(bodies: Sequence[Body], allowed: Sequence[Flags | None]) -> Body:
    """Of several ways the shortest of each user, the first of equal ones; not where ``allowed`` says no."""
    sizes = np.array(
        [
            body.sizes if fits is None else np.where(fits, body.sizes, np.iinfo(np.int64).max)
            for body, fits in zip(bodies, allowed, strict=True)
        ]
    )
    best = sizes.argmin(axis=0)
    used = [(best == k, body) for k, body in enumerate(bodies)]
    tags = np.select([users for users, _ in used], [body.tags for _, body in used]).astype(np.uint8)
    return Body(tags, [part.of(users) for users, body in used for part in body.parts])


def _everyone(entries: Ints, active: Ints, users: int) -> Ints:
    if active.size == users:
        return entries
    spread = np.zeros(users, np.int64)
    spread[active] = entries
    return spread
