"""When to try again: one deadline for all attempts of a request, waits that grow and differ between callers. Pure."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from serving.client.errors import ClientError, DeadlineExceeded, QuotaExceeded, Unavailable, Unreachable

FIRST_WAIT_S = 0.02
# Callers refused at the same moment are told the same Retry-After; they come back within this share of it.
_SPREAD = 0.25
# What passes by itself; anything else would only be asked for, and refused, again.
_MAY_PASS = (Unavailable, Unreachable, QuotaExceeded)
# As long as any server may take; its own bound is just above.
_MOST_MS = 60_000


@dataclass
class Attempts:
    """Of one request. All routes only read, so each may be tried again, those that POST as well.

    ``margin_s`` of the time left are kept back from the server: for what it does after its deadline, which is encoding,
    and for the way there and back. Neither grows with the deadline, so a share of it would be too little of a short one
    and wasted of a long one.
    """

    deadline_s: float
    most: int
    margin_s: float
    clock: Callable[[], float] = monotonic
    jitter: Callable[[], float] = random.random
    _made: int = 0
    _began: float = field(init=False)
    _last: ClientError | None = None

    def __post_init__(self) -> None:
        self._began = self.clock()

    def left_s(self) -> float:
        """Time that the next attempt has.

        Raises:
            DeadlineExceeded: none.
        """
        left = self._left_s()
        if left <= 0:
            raise self.exceeded() from self._last
        return left

    def server_ms(self) -> int:
        """What the server is told it has: what is left less the margin, 1 to 60,000 ms."""
        return max(1, min(_MOST_MS, int((self._left_s() - self.margin_s) * 1000)))

    def exceeded(self) -> DeadlineExceeded:
        """The error of a request whose time is over."""
        return DeadlineExceeded(
            f"no answer within {self.deadline_s:g} s; ask for less, or give it more as deadline_s", self._last
        )

    def wait_s(self, error: ClientError) -> float:
        """How long to wait before the next attempt: never less than the server's Retry-After.

        Raises:
            ``error`` itself, where another attempt would not help, was one too many, or would have no more than the
            margin left.
        """
        self._made += 1
        if not isinstance(error, _MAY_PASS) or self._made >= self.most:
            raise error
        self._last = error
        # Between half and the whole of it, so that callers refused together do not come back together.
        wait = FIRST_WAIT_S * 2.0 ** (self._made - 1) * (0.5 + self.jitter() / 2)
        told: float | None = getattr(error, "retry_after_s", None)
        wait = max(wait, (told or 0.0) * (1 + _SPREAD * self.jitter()))
        if wait + self.margin_s >= self._left_s():
            raise error
        return wait

    def _left_s(self) -> float:
        return self._began + self.deadline_s - self.clock()
