"""Ask enrichment services for the keys of a batch: cached, in chunks, within a deadline, behind a breaker.

    keys -> cache -> chunks of ``batch_size`` -> breaker -> POST -> typed values -> cache

A service that fails, or is not asked, gives PENDING, which batch heals; that is never remembered.
"""

import datetime as dt
import logging
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from threading import Lock

import polars as pl

from seqplat_resources.clock import Clock
from seqplat_resources.engine.status import CellStatus
from seqplat_resources.enrichment import wire
from seqplat_resources.enrichment.breaker import Breaker
from seqplat_resources.enrichment.http import HttpClient, ServiceFailed
from seqplat_resources.enrichment.working_set import MAX_BYTES, MAX_ROWS, WorkingSet
from seqplat_resources.errors import Final
from seqplat_resources.release.runtime import Runtime
from sequence_defs.schema import Service

# Requests under way at once, per service and worker.
CONCURRENCY = 4

_EXPIRES = "_expires"

_log = logging.getLogger(__name__)


class SecretUnset(Final):
    """The environment has no usable value for the secret a service is called with."""


class ServiceLookup:
    """The engine's ``Fetcher`` for the services of a release. Not thread-safe; ``close`` it at the end.

    ``patient`` says who waits. A stream does not: all requests for a batch of events share one deadline of the service.
    Batch does: each request has a deadline of its own, and all are made.
    """

    def __init__(
        self,
        runtime: Runtime,
        environment: Mapping[str, str],
        *,
        patient: bool = False,
        max_rows: int = MAX_ROWS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._runtime, self._environment, self._patient = runtime, environment, patient
        self._limits = {"max_rows": max_rows, "max_bytes": max_bytes}
        self._asked: dict[str, _Connection] = {}

    def fetch(self, service: str, keys: pl.DataFrame) -> pl.DataFrame:
        """See ``Fetcher``.

        Raises:
            SecretUnset: the service needs a secret that is not there.
        """
        return self._open(service).fetch(keys)

    def take_counts(self) -> Counter[str]:
        """What became of keys and requests since the last time, by ``<service>_<what>``.

        What: ``keys_cached``, ``keys_asked``, ``keys_pending`` (of those asked), ``requests``, ``requests_failed`` (of
        those), ``requests_refused`` (not made, while the breaker was open).
        """
        taken = Counter[str]()
        for name, asked in self._asked.items():
            counts, asked.counts = asked.counts, Counter()
            taken.update({f"{name}_{what}": count for what, count in counts.items()})
        return taken

    def close(self) -> None:
        """Give up requests that are under way, and close connections."""
        for asked in self._asked.values():
            asked.close()
        self._asked.clear()

    def _open(self, name: str) -> "_Connection":
        if name not in self._asked:
            service = self._runtime.release.enrichments[name]
            if not isinstance(service, Service):
                raise TypeError(f"enrichment {name!r} of kind {service.kind} is not asked over HTTP")
            client = HttpClient(service.url, _headers(service, self._environment), connections=CONCURRENCY)
            cache = WorkingSet(service.key, **self._limits)
            self._asked[name] = _Connection(service, client, cache, self._runtime.clock, self._patient)
        return self._asked[name]


@dataclass
class _Connection:
    """One service, its connections and what is remembered of it."""

    service: Service
    client: HttpClient
    cache: WorkingSet
    clock: Clock
    patient: bool
    counts: Counter[str] = field(default_factory=Counter)
    last_failure: str = ""

    def __post_init__(self) -> None:
        self._breaker = Breaker(self.clock)
        self._pool = ThreadPoolExecutor(CONCURRENCY, thread_name_prefix=f"service-{self.service.name}")
        self._counting = Lock()

    def fetch(self, keys: pl.DataFrame) -> pl.DataFrame:
        now = self.clock.now()
        self.cache.keep(pl.col(_EXPIRES) > now)
        known, missing = self.cache.split(keys)
        found = [] if known is None else [known.drop(_EXPIRES)]
        self.counts["keys_cached"] += 0 if known is None else known.height
        if missing.height or not found:
            found.append(self._ask(missing))
            self._remember(found[-1], now)
        return pl.concat(found)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        self.client.close()

    def _remember(self, fresh: pl.DataFrame, now: dt.datetime) -> None:
        answered = fresh.filter(pl.col(wire.STATUS) != CellStatus.PENDING)
        self.counts["keys_asked"] += fresh.height
        self.counts["keys_pending"] += fresh.height - answered.height
        if self.service.cache_ttl_s:
            expires = pl.lit(now + dt.timedelta(seconds=self.service.cache_ttl_s))
            self.cache.add(answered.with_columns(expires.alias(_EXPIRES)))

    def _ask(self, keys: pl.DataFrame) -> pl.DataFrame:
        """Distinct keys with what is said of them."""
        chunks = list(keys.iter_slices(self.service.batch_size)) if keys.height else []
        shared = None if self.patient else time.monotonic() + self.service.deadline_ms / 1000
        futures = [self._pool.submit(self._request, chunk, shared) for chunk in chunks]
        done, late = wait(futures, None if shared is None else max(0.0, shared - time.monotonic()))
        for future in late:
            future.cancel()
        said = [self._answer(future, future in done, chunk) for future, chunk in zip(futures, chunks, strict=True)]
        return pl.concat([keys, wire.values_of(said, self.service.columns)], how="horizontal")

    def _answer(
        self, future: "Future[wire.ServiceAnswer | None]", is_done: bool, chunk: pl.DataFrame
    ) -> wire.ServiceAnswer:
        answer = future.result() if is_done else None
        return answer or wire.ServiceAnswer.pending(chunk.height, self.service.columns)

    def _request(self, chunk: pl.DataFrame, shared: float | None) -> wire.ServiceAnswer | None:
        """One chunk, in a thread of the pool; None where there is no answer."""
        deadline = time.monotonic() + self.service.deadline_ms / 1000 if shared is None else shared
        if time.monotonic() >= deadline:
            return None  # it waited for a free thread until its time was over; the service is not to blame
        if not self._breaker.allows():
            self._count("requests_refused")
            return None
        try:
            body = self.client.post(wire.request(chunk), deadline=deadline)
            answer = wire.ServiceAnswer.parse(body, chunk.height, self.service.columns)
        except ServiceFailed as failed:
            self._breaker.failed()
            self._count("requests", "requests_failed")
            if failed.why != self.last_failure:
                self.last_failure = failed.why  # holds no header, key or value
                _log.warning("enrichment %s has no answer: %s", self.service.name, failed.why)
            return None
        self._breaker.succeeded()
        self._count("requests")
        return answer

    def _count(self, *what: str) -> None:
        with self._counting:
            self.counts.update(what)


def _headers(service: Service, environment: Mapping[str, str]) -> dict[str, str]:
    """The one header that carries the secret, if there is one. The secret itself is in no message.

    Raises:
        SecretUnset
    """
    if service.secret_env is None:
        return {}
    secret = environment.get(service.secret_env, "")
    if not secret or not (secret.isascii() and secret.isprintable()):
        what = "is not set" if not secret else "holds characters that no header can carry"
        raise SecretUnset(
            f"enrichment {service.name!r} is called with the secret in {service.secret_env}, which {what}; "
            f"set it to the whole value of the header {service.secret_header!r} in the environment of this process"
        )
    return {service.secret_header: secret}
