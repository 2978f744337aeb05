"""How much of an event type has a column as it is defined now.

A new version of a column (``amount@2``) is built beside the one that is served; the name that readers know turns to it
once nearly all rows have it.

>>> coverage(shop, "purchase", "amount").share
1.0
>>> ColumnCoverage(rows=10_000, covered=9_985, lacking=(dt.date(2024, 5, 1),)).is_enough
False
"""

import datetime as dt
from dataclasses import dataclass

from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.redefined import redefined
from seqplat_resources.batch.inputs.spans import rows_by_day
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.release.runtime import Runtime

# Readers that are turned to a column of which more is lacking see holes in their users' sequences.
ENOUGH = 0.999


@dataclass(frozen=True)
class ColumnCoverage:
    """Of the ``rows`` of all built days, those of days that have the column as it is defined now; ``lacking`` days do
    not, oldest first.
    """

    rows: int
    covered: int
    lacking: tuple[dt.date, ...] = ()

    @property
    def share(self) -> float:
        """0 to 1; all of nothing is covered."""
        return self.covered / self.rows if self.rows else 1.0

    @property
    def is_enough(self) -> bool:
        return self.share >= ENOUGH


def coverage(runtime: Runtime, event_type: str, column: str) -> ColumnCoverage:
    """Of one column of an event type. Days that note no meaning, of earlier releases, count as covered.

    Raises:
        KeyError: the release has no such event type, or that has no such column.
    Cost:
        The footer of one file per built day, once per process.
    """
    if column not in runtime.release.event_columns(event_type):
        raise KeyError(f"{event_type} has no column {column!r}")
    rows = rows_by_day(tables.events(runtime, EventPlan.of(runtime.loaded, event_type)))
    other = redefined(runtime, f"events/{event_type}")
    lacking = {day for day, found in other.items() if found.rows or column in (*found.columns, *found.missing)}
    covered = sum(count for day, count in rows.items() if day not in lacking)
    return ColumnCoverage(sum(rows.values()), covered, tuple(sorted(lacking & rows.keys())))
