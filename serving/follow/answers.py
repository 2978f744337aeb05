"""Which events requests were answered with, of sequences that have answers recorded; written by a thread.

A request is drawn by its id, so a caller that names its requests knows which are kept, and a retry is kept as well.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from zlib import crc32

import polars as pl

from seqplat_resources.clock import Clock
from seqplat_resources.read.freshness import Freshness
from seqplat_resources.release.query import Query
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.times import microseconds
from seqplat_resources.training.answered.write import RecordedAnswer, asked_of, packed
from serving.follow.behind import EVERY_S, MOST_BYTES, WriteBehind

# Of memory: what an answer takes besides its texts and what its events are packed in.
_ROW_BYTES = 600
_WHOLE = 1 << 32

Append = Callable[[str, Sequence[RecordedAnswer], int], None]


@dataclass(frozen=True)
class Recording:
    """A request that was drawn, and the time, which was taken before the store was looked at."""

    log: "AnswerLog"
    request: str
    query: Query
    at_us: int

    def add(
        self,
        plans: Sequence[SequencePlan],
        users: Sequence[str],
        lengths: Sequence[int],
        revisions: pl.DataFrame | None,
        fresh: Freshness,
        partial: Sequence[bool],
    ) -> None:
        """Users were answered, each with the next ``lengths[i]`` of the revisions; one who comes twice counts once."""
        if revisions is None:  # the plan is of a release that does not record
            return
        start, seen = 0, set[str]()
        for plan, user, length, is_partial in zip(plans, users, lengths, partial, strict=True):
            if user not in seen:
                seen.add(user)
                definition, events = plan.definition, packed(revisions.slice(start, length))
                asked = asked_of(self.query, definition.length)
                row = RecordedAnswer(
                    self.request,
                    user,
                    self.at_us,
                    asked,
                    plan.release,
                    length,
                    events,
                    fresh.sealed_through,
                    is_partial,
                    fresh.degraded,
                )
                texts = 4 * (len(user) + len(self.request) + len(asked) + sum(map(len, fresh.degraded)))
                self.log.behind.put(definition.name, row, _ROW_BYTES + texts + len(events))
            start += length


class AnswerLog:
    """Draws requests, in any thread; ``behind`` writes what they were answered with.

    ``append`` puts answers of one sequence into the lake, and how many were dropped before.
    """

    def __init__(self, append: Append, clock: Clock, *, every_s: float = EVERY_S, most_bytes: int = MOST_BYTES) -> None:
        self._clock = clock
        self.behind = WriteBehind[RecordedAnswer]("recorded answers", append, every_s=every_s, most_bytes=most_bytes)

    def drawn(self, plan: SequencePlan, request: str, query: Query) -> Recording | None:
        """What records the answer, where the request is among those of whom it is kept. A question about the past
        answers nobody, and similar events are chosen by a vector that would have to be kept as well.
        """
        share = plan.definition.answers_recorded
        if not share or query.as_of is not None or query.top_k is not None:
            return None
        if crc32(request.encode()) >= share * _WHOLE:
            return None
        return Recording(self, request, query, microseconds(self._clock.now()))
