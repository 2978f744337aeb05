"""Refusals of callers that nobody knows go out at a bounded rate: what is guessed, or floods, costs its sender time.

A refusal costs the server a tenth of a millisecond, most of it for the connection, so a client that begins again at
once takes as much of a processor as it likes. One that has to wait for its refusal begins again later. Who waits holds
a connection and some kilobytes; callers with a key never wait here.
"""

from collections.abc import Callable
from time import monotonic

# A deployment whose keys are wrong is told at once; a thousand connections that guess are 200 refusals a second.
PER_S, AT_ONCE = 200.0, 200
# No refusal waits longer, however many there are.
LONGEST_S = 5.0


class Strangers:
    """When the next refusal may go out: evenly at ``per_s``, or ahead of that by ``at_once`` of them.

    Used by one event loop. Nothing is remembered of anybody: there is one number for all of them.
    """

    def __init__(self, *, per_s: float = PER_S, at_once: int = AT_ONCE, clock: Callable[[], float] = monotonic) -> None:
        self._interval_s, self._ahead_s, self._clock = 1 / per_s, at_once / per_s, clock
        self._due_s = 0.0

    def wait_s(self) -> float:
        """Count a refusal; how long it has to wait."""
        now_s = self._clock()
        wait_s = max(self._due_s, now_s) - now_s - self._ahead_s
        if wait_s >= LONGEST_S:  # those that are counted no more are what keeps the wait at its longest
            return LONGEST_S
        self._due_s = max(self._due_s, now_s) + self._interval_s
        return max(0.0, wait_s)
