"""Answer a scrape: what all processes counted, and what this one reads of the store, however long that takes it.

>>> told = client.get("/metrics").text
>>> [line for line in told.splitlines() if line.startswith("seqplat_store_up")]
['seqplat_store_up 1.0']
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator
from time import perf_counter

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from serving.follow.checks import ChecksFollower
from serving.follow.errors import NotReady
from serving.follow.release import Follower
from serving.metrics.cells import Cells
from serving.metrics.checks import check_metrics
from serving.metrics.exposition import process_metrics, release_metrics, request_metrics
from serving.metrics.store import gauge, store_metrics

# A store that takes longer is left out: Prometheus gives up after 10 s by default, and would then have nothing.
PATIENCE_S = 2.0

_log = logging.getLogger(__name__)


class Scrapes:
    """Called by one event loop."""

    def __init__(
        self, cells: Cells, follower: Follower, board: ChecksFollower, *, version: str, patience_s: float = PATIENCE_S
    ) -> None:
        self._cells, self._follower, self._board, self._version = cells, follower, board, version
        self._patience_s = patience_s
        self._reading: asyncio.Task[list[Metric]] | None = None

    async def answer(self, accept: str) -> tuple[bytes, str]:
        """Body and media type: the text format, or OpenMetrics where ``accept`` asks for it."""
        began = perf_counter()
        of_store = await self._of_store()
        took = gauge("store_scrape_seconds", "What reading the store for this took.", {(): perf_counter() - began}, [])
        return await asyncio.to_thread(self._encoded, [*of_store, took], accept)

    async def _of_store(self) -> list[Metric]:
        # A reading that takes too long goes on; nobody starts a second beside it.
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(asyncio.to_thread(self._read_store))
        try:
            found = await asyncio.wait_for(asyncio.shield(self._reading), self._patience_s)
        except TimeoutError:
            _log.warning("metrics: the online store was not read within %g s", self._patience_s)
            found = []
        except Exception:  # whatever is wrong with the store, the other metrics are needed all the more
            _log.exception("metrics: the online store cannot be read")
            found = []
        up = gauge("store_up", "1 where the online store was read for this.", {(): 1 if found else 0}, [])
        return [up, *found]

    def _read_store(self) -> list[Metric]:
        try:
            store, plans = self._follower.store, self._follower.serving.plans.values()
        except NotReady:
            return []
        return list(store_metrics(store, plans, self._follower.clock))

    def _of_streams(self) -> Metric:
        now, troubles = self._follower.clock.now(), self._follower.stream_troubles
        failing: dict[tuple[str, ...], float] = {
            (name,): (now - found.since).total_seconds() for name, found in troubles.items()
        }
        what = "Since a source cannot be streamed; nothing of those that can."
        return gauge("stream_failing_seconds", what, failing, ["source"])

    def _of_checks(self) -> list[Metric]:
        try:
            return list(check_metrics(self._board.board.health, self._follower.clock.now()))
        except NotReady:
            return []

    def _encoded(self, of_store: Iterable[Metric], accept: str) -> tuple[bytes, str]:
        everybody = self._cells.everybody()
        encode, media_type = choose_encoder(accept)
        metrics = [
            *request_metrics(everybody),
            *release_metrics(everybody, version=self._version),
            *of_store,
            self._of_streams(),
            *self._of_checks(),
            *process_metrics(everybody),
        ]
        return encode(_Collection(metrics)), media_type


class _Collection(Collector):
    """Metrics that have been collected already, as encoders want them."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterator[Metric]:
        yield from self._metrics
