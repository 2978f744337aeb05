"""Requests to one service: some at once, each within a deadline, behind a breaker. Knows nothing of what is asked.

>>> from seqplat_resources.clock import SystemClock
>>> requests = Requests("service 'score'", HttpClient("http://127.0.0.1:9/", {}, connections=1), SystemClock(), 50)
>>> [reply.said for reply in requests.made([lambda until: 0.5, lambda until: 0.7], patient=True)]
[0.5, 0.7]
>>> requests.counts["requests"], requests.counts["requests_failed"]
(2, 0)
>>> requests.close()
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Lock
from typing import Generic, TypeVar

from seqplat_resources.clock import Clock
from seqplat_resources.enrichment.breaker import FAILURES, Breaker
from seqplat_resources.enrichment.http import HttpClient, ServiceFailed
from seqplat_resources.errors import Final
from sequence_defs.schema import Http, Service

# Requests under way at once, per service and worker.
CONCURRENCY = 4

_log = logging.getLogger(__name__)
_Said = TypeVar("_Said")
# One request, given until when (``time.monotonic()``) it may take; raises ServiceFailed.
Request = Callable[[float], _Said]


class SecretUnset(Final):
    """The environment has no usable value for the secret a service is called with."""


@dataclass(frozen=True)
class Reply(Generic[_Said]):
    """What was said, or why nothing was: in words that are safe to show."""

    said: _Said | None
    why: str = ""


class Requests:
    """``title`` is how a service is called to people. Called from one thread; ``close`` it at the end.

    ``counts``: ``requests``, ``requests_failed`` (of those), ``requests_refused`` (not made: the breaker was open).
    """

    def __init__(self, title: str, client: HttpClient, clock: Clock, deadline_ms: int) -> None:
        self._title, self._client, self._deadline_s = title, client, deadline_ms / 1000
        self._breaker, self._counting = Breaker(clock), Lock()
        self._pool = ThreadPoolExecutor(CONCURRENCY, thread_name_prefix=title.replace(" ", "-"))
        self.counts, self.last_failure = Counter[str](), ""

    def made(self, requests: Sequence[Request[_Said]], *, patient: bool) -> list[Reply[_Said]]:
        """An answer for each, in order. If ``patient`` each has a deadline of its own, else all share one."""
        shared = None if patient else time.monotonic() + self._deadline_s
        futures = [self._pool.submit(self._one, request, shared) for request in requests]
        done, late = wait(futures, None if shared is None else max(0.0, shared - time.monotonic()))
        for future in late:
            future.cancel()
        return [future.result() if future in done else _too_late() for future in futures]

    def close(self) -> None:
        """Give up requests that are under way, and close connections."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def _one(self, request: Request[_Said], shared: float | None) -> Reply[_Said]:
        """One request, in a thread of the pool."""
        deadline = time.monotonic() + self._deadline_s if shared is None else shared
        if time.monotonic() >= deadline:
            return _too_late()  # it waited for a free thread until its time was over; the service is not to blame
        if not self._breaker.allows():
            self._count("requests_refused")
            return Reply(None, f"not asked: it failed {FAILURES} times in a row, lately with {self.last_failure}")
        try:
            said = request(deadline)
        except ServiceFailed as failed:
            self._breaker.failed()
            self._count("requests", "requests_failed")
            if failed.why != self.last_failure:
                self.last_failure = failed.why  # holds no header, key or value
                _log.warning("%s has no answer: %s", self._title, failed.why)
            return Reply(None, failed.why)
        self._breaker.succeeded()
        self._count("requests")
        return Reply(said)

    def _count(self, *what: str) -> None:
        with self._counting:
            self.counts.update(what)


def secret_header(title: str, asked: Service | Http, environment: Mapping[str, str]) -> dict[str, str]:
    """The one header that carries the secret, if there is one. The secret itself is in no message.

    Raises:
        SecretUnset
    """
    if asked.secret_env is None:
        return {}
    secret = environment.get(asked.secret_env, "")
    if not secret or not (secret.isascii() and secret.isprintable()):
        what = "is not set" if not secret else "holds characters that no header can carry"
        raise SecretUnset(
            f"{title} is called with the secret in {asked.secret_env}, which {what}; "
            f"set it to the whole value of the header {asked.secret_header!r} in the environment of this process"
        )
    return {asked.secret_header: secret}


def _too_late() -> Reply[_Said]:
    return Reply(None, "no time left")
