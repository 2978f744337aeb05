"""What a single day that differs from legacy weighs.

While both sides only run beside each other, such a day is news; once users are answered with our events it is an error,
and the day is held until it is alike or accepted. Nothing is made of a comparison, so no other asset waits for it.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import polars as pl

from seqplat_resources.quality.frame import JUDGED
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.ladder.moves import Ladder, is_answered
from sequence_defs.compiler.release import Release

Measure: TypeAlias = Callable[[Runtime, str, Sequence[dt.date]], pl.DataFrame]
# Of a day that was judged, whether users are answered with our events now.
ANSWERED = "answered"


def with_answered(measure: Measure, event_types: Callable[[Release, str], Iterable[str]]) -> Measure:
    """The measure of days with ``ANSWERED``, as the ladders of ``event_types`` of what is measured stand by then."""

    def measured(runtime: Runtime, name: str, days: Sequence[dt.date]) -> pl.DataFrame:
        types = [runtime.release.event_types[each] for each in event_types(runtime.release, name)]
        answered = any(is_answered(Ladder(runtime.home, each, runtime.clock)) for each in types if each.legacy)
        return measure(runtime, name, days).with_columns(pl.col(JUDGED).and_(answered).alias(ANSWERED))

    return measured
