"""Ask enrichment services for the keys of a batch: cached, in chunks, within a deadline, behind a breaker.

    keys -> cache -> chunks of ``batch_size`` -> breaker -> POST -> typed values -> cache

A service that fails, or is not asked, gives PENDING, which batch heals; that is never remembered.
"""

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import polars as pl

from seqplat_resources.clock import Clock
from seqplat_resources.engine.status import CellStatus
from seqplat_resources.enrichment import wire
from seqplat_resources.enrichment.http import HttpClient
from seqplat_resources.enrichment.requests import CONCURRENCY, Requests, secret_header
from seqplat_resources.enrichment.working_set import MAX_BYTES, MAX_ROWS, WorkingSet
from seqplat_resources.release.runtime import Runtime
from sequence_defs.schema import Service

_EXPIRES = "_expires"


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
            counts, asked.requests.counts = asked.counts, Counter()
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
            title = f"enrichment {name!r}"
            headers = secret_header(title, service, self._environment)
            client = HttpClient(service.url, headers, connections=CONCURRENCY)
            requests = Requests(title, client, self._runtime.clock, service.deadline_ms)
            cache = WorkingSet(service.key, **self._limits)
            self._asked[name] = _Connection(service, client, requests, cache, self._runtime.clock, self._patient)
        return self._asked[name]


@dataclass
class _Connection:
    """One service, its connections and what is remembered of it."""

    service: Service
    client: HttpClient
    requests: Requests
    cache: WorkingSet
    clock: Clock
    patient: bool

    @property
    def counts(self) -> Counter[str]:
        """Of keys and of requests."""
        return self.requests.counts

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
        self.requests.close()

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
        answers = self.requests.made([partial(self._request, chunk) for chunk in chunks], patient=self.patient)
        said = [
            answer.said or wire.ServiceAnswer.pending(chunk.height, self.service.columns)
            for answer, chunk in zip(answers, chunks, strict=True)
        ]
        return pl.concat([keys, wire.values_of(said, self.service.columns)], how="horizontal")

    def _request(self, chunk: pl.DataFrame, deadline: float) -> wire.ServiceAnswer:
        body = self.client.post(wire.request(chunk), deadline=deadline)
        return wire.ServiceAnswer.parse(body, chunk.height, self.service.columns)
