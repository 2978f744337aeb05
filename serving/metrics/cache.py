"""How often an answer could be given again, copied from the cache of this process to where all are added up."""

from seqplat_resources.read.cache import AnswerCache
from serving.metrics.cells import Cells

LOOKUPS, LOOKUPS_LABELS = "kept_answers", ("found",)
SIZE_BYTES = "kept_answers_bytes"


class CacheCounts:
    """Looks at the cache now and again; there may be none."""

    def __init__(self, cells: Cells, answers: AnswerCache | None) -> None:
        self._cells, self._answers = cells, answers
        self._hits, self._misses = cells.allot(LOOKUPS, ("yes",)), cells.allot(LOOKUPS, ("no",))
        self._size = cells.allot(SIZE_BYTES)

    def look(self) -> None:
        """Called by one thread at a time."""
        if self._answers is not None:
            values = self._cells.values
            values[self._hits], values[self._misses] = self._answers.hits, self._answers.misses
            values[self._size] = self._answers.size_bytes
