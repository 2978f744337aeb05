"""Longest increasing subsequences of many runs of numbers at once.

A run falls into *blocks* wherever all numbers before a place are below all after it; a longest subsequence of the run
is one of each block, one after the other. In sequences that differ little nearly all blocks are single numbers. The
others are dealt out on piles as in patience sorting, many blocks side by side: their n-th numbers in one step.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

# Piles of so many numbers are dealt at a time: 2 MB, so that they stay in the processor's cache.
_PILES = 1 << 18


def longest_increasing(values: Ints, run: Ints, runs: int) -> Ints:
    """By run the length of its longest strictly increasing subsequence.

    Shapes:
        In: distinct numbers, and for each its run, 0 to ``runs`` - 1, ascending; all numbers of a run are above those
        of the runs before it. Out: ``runs`` lengths, 0 for a run without numbers.
    Cost:
        Two passes; for numbers in blocks of several, times log(length), and a step of numpy per place in a block.
    """
    if not len(values):
        return np.zeros(runs, np.int64)
    highest = np.maximum.accumulate(values)
    lowest = np.minimum.accumulate(values[::-1])[::-1]
    start = np.concatenate([[0], np.flatnonzero(highest[:-1] < lowest[1:]) + 1])
    length = np.diff(np.append(start, len(values)))
    found = np.ones(len(start), np.int64)
    for group in _alike(length):
        first, size = start[group], length[group]
        base = lowest[first]
        room = int((highest[first + size - 1] - base).max()) + 2
        found[group] = _piles(values, first, size, base, room)
    return np.bincount(run[start], found, runs).astype(np.int64)


def _alike(length: Ints) -> Iterator[Ints]:
    """Blocks of several numbers, longest first, in groups of lengths that differ by two times at most."""
    several = np.flatnonzero(length > 1)
    several = several[np.argsort(-length[several], kind="stable")]
    at = 0
    while at < len(several):
        longest = int(length[several[at]])
        end = int(np.searchsorted(-length[several], -(longest // 2), side="left"))
        group = several[at : min(max(end, at + 1), at + max(_PILES // longest, 1))]
        yield group
        at += len(group)


def _piles(values: Ints, start: Ints, length: Ints, base: Ints, room: int) -> Ints:
    """By block, longest first, how many piles there are when all is dealt; its numbers are ``base`` and up to ``room``.

    The tops of all piles lie in one array, block after block, free places above all numbers of their block. So it is
    sorted as a whole, and one search finds the pile of a number among those of its own block.
    """
    blocks, width = len(start), int(length[0])
    shift = np.arange(blocks) * room - base
    free = np.arange(1, blocks + 1) * room - 1
    tops = np.repeat(free, width)
    # Shorter blocks stand behind: after their last number they are no longer dealt to.
    dealing = blocks - np.searchsorted(length[::-1], np.arange(width), side="right")
    for place, count in enumerate(dealing.tolist()):
        number = values[start[:count] + place] + shift[:count]
        tops[np.searchsorted(tops, number)] = number
    piles: Ints = (tops.reshape(blocks, width) < free[:, None]).sum(axis=1)
    return piles
