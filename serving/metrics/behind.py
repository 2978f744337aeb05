"""Rows that requests leave for the lake, copied from what writes them in this process to where all are added up."""

from typing import Any, Literal

from serving.follow.behind import WriteBehind
from serving.metrics.cells import Cells

What = Literal["exposures", "recorded_answers"]
LABELS = ("outcome",)


def waiting(what: What) -> str:
    """What the cell of those is called that the lake does not have yet."""
    return f"{what}_waiting"


class BehindCounts:
    """Looks at what is written behind requests now and again."""

    def __init__(self, cells: Cells, what: What, behind: WriteBehind[Any]) -> None:
        self._cells, self._behind = cells, behind
        self._written, self._dropped = (cells.allot(what, (each,)) for each in ("written", "dropped"))
        self._waiting = cells.allot(waiting(what))

    def look(self) -> None:
        """Called by one thread at a time."""
        values, behind = self._cells.values, self._behind
        values[self._written], values[self._dropped] = behind.written, behind.dropped
        values[self._waiting] = behind.waiting
