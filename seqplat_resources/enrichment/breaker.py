"""A circuit breaker: a service that keeps failing is left alone for a while, then asked once."""

import datetime as dt
import threading

from seqplat_resources.clock import Clock

# Consecutive failed requests that open it. One slow answer is no outage; five in a row cost five deadlines.
FAILURES = 5
# How long nobody asks. Longer than a restart takes, short enough that few cells wait for batch.
OPEN_S = 10.0


class Breaker:
    """Closed until ``failures`` requests in a row failed; then one request per ``open_s`` is let through as a probe.

    A success closes it. Called from any thread. A probe whose outcome nobody reports is taken to have failed.
    """

    def __init__(self, clock: Clock, *, failures: int = FAILURES, open_s: float = OPEN_S) -> None:
        self._clock, self._limit, self._open_for = clock, failures, dt.timedelta(seconds=open_s)
        self._lock = threading.Lock()
        self._failed = 0
        self._next_probe: dt.datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether requests are refused, probes aside."""
        return self._failed >= self._limit

    def allows(self) -> bool:
        """Ask before each request; a True must be followed by ``succeeded`` or ``failed``."""
        with self._lock:
            if not self.is_open:
                return True
            now = self._clock.now()
            if self._next_probe is not None and now < self._next_probe:
                return False
            self._next_probe = now + self._open_for  # others wait for this probe, or until it is overdue
            return True

    def succeeded(self) -> None:
        with self._lock:
            self._failed, self._next_probe = 0, None

    def failed(self) -> None:
        with self._lock:
            self._failed += 1
            if self.is_open:
                self._next_probe = self._clock.now() + self._open_for
