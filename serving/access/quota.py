"""Requests per second and events per day of one key: two numbers of its row, looked at before anything is read.

Requests are let through by the generic cell rate algorithm, a token bucket that needs one number: when the next
request would be due if all came evenly. A request may come ahead of that by as much as the burst allows. Events are
counted after the answer, so the answer that crosses the line is still given, and the next one refused until midnight
UTC.
"""

from collections.abc import Mapping
from math import ceil

from seqplat_resources.times import DAY_S
from serving.access.keys.ring import Limits
from serving.access.usage import Row
from serving.api.refusals import Refusal


class QuotaUsed(Refusal):
    """Too many requests, or events; ``after_s`` says when there is something again."""

    def __init__(self, detail: str, *, after_s: float, fix: str, headers: Mapping[str, str]) -> None:
        wait = str(max(1, ceil(after_s)))
        super().__init__("quota-used", 429, detail, field=None, fix=fix, headers={"Retry-After": wait, **headers})


class Quota:
    """The quotas of one key on this host, which is one of ``hosts`` that share them evenly.

    Called by one thread per process; the row is shared by all processes of the host.
    """

    __slots__ = ("_ahead_s", "_burst", "_events", "_interval_s", "_limits", "_policy", "_row", "is_limited")

    def __init__(self, limits: Limits, row: Row, hosts: int = 1) -> None:
        self._limits, self._row = limits, row
        rate, events = limits.requests_per_s, limits.events_per_day
        self.is_limited = rate is not None or events is not None
        # Seconds between two requests if all come evenly; None without a limit.
        self._interval_s = None if rate is None else hosts / rate
        self._burst = max(1, (limits.burst or ceil(rate or 1)) // hosts)
        self._ahead_s = (self._burst - 1) * (self._interval_s or 0.0)
        self._events = None if events is None else events // hosts
        policies = [f'"requests";q={self._burst};w={ceil(self._burst * self._interval_s)}'] if self._interval_s else []
        self._policy = ", ".join(policies if events is None else [*policies, f'"events";q={self._events};w={DAY_S}'])

    def admit(self, now_s: float) -> None:
        """Count a request, or refuse it, which costs the caller nothing.

        Raises:
            QuotaUsed
        """
        row = self._row
        if self._events is not None and row.events(int(now_s) // DAY_S) >= self._events:
            raise self._events_used(now_s)
        if self._interval_s is not None:
            due_s, latest_s = max(row.due_s, now_s), now_s + self._ahead_s + self._interval_s
            if due_s > latest_s:  # only if a clock was set back, or the quota raised
                due_s = row.due_s = latest_s
            if due_s - now_s > self._ahead_s + _EPSILON_S:
                raise self._requests_used(now_s, due_s - now_s - self._ahead_s)
            row.due_s = due_s + self._interval_s
        row.used(now_s)

    def charge(self, events: int, now_s: float) -> None:
        """Count events of an answer."""
        self._row.add_events(int(now_s) // DAY_S, events)

    def headers(self, now_s: float, *, events: int = 0) -> dict[str, str]:
        """What is left, as of draft-ietf-httpapi-ratelimit-headers: ``r`` of ``q``, whole again in ``t`` seconds.

        ``events`` are those of the answer that tells it, which are charged once it is sent.
        """
        if not self.is_limited:
            return {}
        left = ""
        if self._interval_s is not None:
            used_s = min(max(0.0, self._row.due_s - now_s), self._ahead_s + self._interval_s)
            left = f'"requests";r={self._burst - ceil(used_s / self._interval_s - _EPSILON_S)};t={ceil(used_s)}'
        if self._events is not None:
            unused = max(0, self._events - self._row.events(int(now_s) // DAY_S) - events)
            left += f'{", " if left else ""}"events";r={unused};t={ceil(DAY_S - now_s % DAY_S)}'
        return {"RateLimit-Policy": self._policy, "RateLimit": left}

    def _requests_used(self, now_s: float, after_s: float) -> QuotaUsed:
        self._row.refused()
        detail = f"more than {self._limits.requests_per_s:g} requests per second"
        fix = "send them more evenly, ask for several users at once, or have the key's quota raised"
        return QuotaUsed(detail, after_s=after_s, fix=fix, headers=self.headers(now_s))

    def _events_used(self, now_s: float) -> QuotaUsed:
        self._row.refused()
        detail = f"the {self._limits.events_per_day:,} events of this day are used up"
        fix = "wait until midnight UTC, ask for fewer events (limit, since), or have the key's quota raised"
        return QuotaUsed(detail, after_s=DAY_S - now_s % DAY_S, fix=fix, headers=self.headers(now_s))


# Of rounding in sums of intervals, which must not cost a caller a request.
_EPSILON_S = 1e-6
