"""When to try again: one deadline for all attempts of a request, waits that grow and differ between callers. Pure."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from serving.client.errors import ClientError, DeadlineExceeded, QuotaExceeded, Unavailable, Unreachable

FIRST_WAIT_S = 0.02
# A server that says it is draining or overloaded; more would only add to the load.
_MAY_PASS = (Unavailable, Unreachable, QuotaExceeded)


@dataclass
class Attempts:
    """Of one request. All routes only read, so each may be tried again."""

    deadline_s: float
    most: int
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
        left = self._began + self.deadline_s - self.clock()
        if left <= 0:
            raise DeadlineExceeded(f"no answer within {self.deadline_s:g} s", self._last) from self._last
        return left

    def wait_s(self, error: ClientError) -> float:
        """How long to wait before the next attempt.

        Raises:
            ``error`` itself, where another attempt would not help, was one too many, or would come too late.
        """
        self._made += 1
        self._last = error
        if not isinstance(error, _MAY_PASS) or self._made >= self.most:
            raise error
        # Between half and the whole of it, so that callers refused together do not come back together.
        wait = FIRST_WAIT_S * 2.0 ** (self._made - 1) * (0.5 + self.jitter() / 2)
        told: float | None = getattr(error, "retry_after_s", None)
        wait = max(wait, told or 0.0)
        if wait >= self._began + self.deadline_s - self.clock():
            raise error
        return wait
