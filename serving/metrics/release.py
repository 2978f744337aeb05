"""Which release each process of the server serves: they follow the channel on their own, so they may differ."""

from serving.follow.errors import NotReady
from serving.follow.release import Failure, Follower
from serving.metrics.cells import Cells

SERVING, SERVING_LABELS = "release_workers", ("release", "channel")
FAILURES, FAILING_SINCE = "release_load_failures", "release_failing_since"


class ReleaseCounts:
    """Looks at the follower now and again."""

    def __init__(self, cells: Cells, follower: Follower) -> None:
        self._cells, self._follower = cells, follower
        self._failures, self._failing = cells.allot(FAILURES), cells.allot(FAILING_SINCE)
        self._served: int | None = None
        self._failure: Failure | None = None

    def look(self) -> None:
        """Called by one thread at a time."""
        follower, values = self._follower, self._cells.values
        try:
            release = follower.serving.loaded.id[:12]
            served = self._cells.allot(SERVING, (release, follower.channel))
        except NotReady:
            served = None
        if served != self._served:
            if self._served is not None:
                values[self._served] = 0
            if served is not None:
                values[served] = 1
            self._served = served
        failure = follower.failure
        if failure is not None and failure is not self._failure:
            values[self._failures] += 1
        values[self._failing] = failure.since.timestamp() if failure else 0
        self._failure = failure
