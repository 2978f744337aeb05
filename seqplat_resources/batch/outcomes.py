"""What became of each day that a build was asked for. A day that cannot be built costs no other."""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import polars as pl

from seqplat_resources.batch.result import BucketResult
from seqplat_resources.errors import Retryable
from seqplat_resources.lakehouse.lease import LeaseHeld
from seqplat_resources.lakehouse.table import ConcurrentWrite

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

    Every day comes once, as a result or as a failure; failures after the results that came before them.

    Raises:
        Exception: whatever ``run`` raises when it has given all of its days.
    Cost: a range with one bad day is begun again once for each halving; what was built is not built again.
    """
    left = list(days)
    try:
        for result in run(days):
            yield result
            left.remove(result.day)
    except (Exception, pl.exceptions.PanicException) as error:
        if not left:
            raise
        failure = error
    else:
        return
    shared = isinstance(failure, Retryable) and not isinstance(failure, _OF_ONE_BUCKET)
    if len(left) == 1 or shared:
        yield from (DayFailed(day, failure) for day in left)
        return
    middle = len(left) // 2
    yield from outcomes(run, left[:middle])
    yield from outcomes(run, left[middle:])
