"""What became of each day that a build was asked for. A day that cannot be built costs no other."""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import polars as pl

from seqplat_resources.batch.days.result import BucketResult
from seqplat_resources.errors import Retryable
from seqplat_resources.foreign_errors import in_our_words
from seqplat_resources.lake.fence import ConcurrentWrite
from seqplat_resources.records.lease import LeaseHeld

Build: TypeAlias = Callable[[Sequence[dt.date]], Iterator[BucketResult]]

# What passes by itself is the same for all days (a store that is away), but for these, which are about one bucket.
_OF_ONE_BUCKET = (LeaseHeld, ConcurrentWrite)


@dataclass(frozen=True)
class DayFailed:
    """A day that was not built, and why."""

    day: dt.date
    error: BaseException


def outcomes(run: Build, days: Sequence[dt.date]) -> Iterator[BucketResult | DayFailed]:
    """Build ``days`` together; where that fails, what is left of them by halves, until the days it fails for are alone.

    Every day comes once, as a result or as a failure.

    Raises:
        Exception: whatever ``run`` raises when it has given all of its days.
    Cost: a range with one bad day is begun again once for each halving; what was built is not built again. Where days
    fail alone with the same words one after the other, so do those that are left, untried.
    """
    waiting, last = [list(days)], ""
    while waiting:
        left = waiting.pop()
        try:
            for result in run(tuple(left)):
                left.remove(result.day)
                yield result
        except (Exception, pl.exceptions.PanicException) as error:
            if not left:
                raise
            why = _error_in_our_words(error)
            shared = isinstance(why, Retryable) and not isinstance(why, _OF_ONE_BUCKET)
            same = len(left) == 1 and str(why) == last
            if shared or same:
                left += [day for part in reversed(waiting) for day in part]
                waiting = []
            elif len(left) > 1:
                waiting += [left[len(left) // 2 :], left[: len(left) // 2]]
                continue
            last = str(why)
            yield from (DayFailed(day, why) for day in left)


def _error_in_our_words(error: BaseException) -> BaseException:
    """In our words, where there are some: a full disk, a panic, a file that is damaged."""
    told = in_our_words(error)
    if told is None or told is error:
        return error
    told.__cause__ = error  # the run's page shows both
    return told
