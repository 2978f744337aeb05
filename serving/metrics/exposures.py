"""Exposures of users to an arm, copied from their log in this process to where all are added up."""

from serving.follow.exposures import ExposureLog
from serving.metrics.cells import Cells

EXPOSURES, EXPOSURES_LABELS = "exposures", ("outcome",)
WAITING = "exposures_waiting"


class ExposureCounts:
    """Looks at the log now and again."""

    def __init__(self, cells: Cells, log: ExposureLog) -> None:
        self._cells, self._log = cells, log
        self._written, self._dropped = (cells.allot(EXPOSURES, (each,)) for each in ("written", "dropped"))
        self._waiting = cells.allot(WAITING)

    def look(self) -> None:
        """Called by one thread at a time."""
        values = self._cells.values
        values[self._written], values[self._dropped] = self._log.behind.written, self._log.behind.dropped
        values[self._waiting] = self._log.behind.waiting
