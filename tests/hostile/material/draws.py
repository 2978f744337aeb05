"""Where choices come from: a seed, so that a long run can be told by one number, or Hypothesis, which makes them small.

Generators take a ``Draw`` and know neither; so both draw from the same tables.
"""

import random
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from hypothesis import strategies as st

T = TypeVar("T")


class Draw(Protocol):
    """A source of choices."""

    def of(self, options: Sequence[T]) -> T:
        """One of them."""
        ...

    def number(self, low: int, high: int) -> int:
        """A whole number, both ends included."""
        ...

    def chance(self, share: float) -> bool:
        """True in about ``share`` of all cases."""
        ...


class Seeded:
    """Choices of a seed."""

    def __init__(self, seed: int | str) -> None:
        self._random = random.Random(seed)

    def of(self, options: Sequence[T]) -> T:
        return options[self._random.randrange(len(options))]

    def number(self, low: int, high: int) -> int:
        return self._random.randint(low, high)

    def chance(self, share: float) -> bool:
        return self._random.random() < share


class Drawn:
    """Choices of a Hypothesis test. What is simplest comes first: false, the lowest number, the first option."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw

    def of(self, options: Sequence[T]) -> T:
        return options[self._draw(st.integers(0, len(options) - 1))]

    def number(self, low: int, high: int) -> int:
        return self._draw(st.integers(low, high))

    def chance(self, share: float) -> bool:
        return self._draw(st.integers(0, 99)) >= 100 * (1 - share)


def mostly(few: Sequence[T], hostile: Sequence[T]) -> st.SearchStrategy[T]:
    """Nearly always one of ``few``, so that what is drawn collides; now and then what a producer might send instead."""
    return st.sampled_from([*few * (8 * len(hostile) // len(few)), *hostile])


def strategy(make: Callable[[Draw], T]) -> st.SearchStrategy[T]:
    """A generator as a Hypothesis strategy."""

    @st.composite
    def made(draw: st.DrawFn) -> T:
        return make(Drawn(draw))

    return made()
