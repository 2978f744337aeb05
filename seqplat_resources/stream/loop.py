"""The stream loop of one source: poll, decode, engine, visible, kept, hinted.

Steps, numbered the same in ARCHITECTURE.md and in the crash tests:
1 polled, 2 decoded, 3 events made, 4 visible in the now view (with the positions, in one transaction),
5 kept in the lake (raw rows, served events and rejects, each with its positions in its commit), 6 hinted to the log.
Steps 1 to 4 repeat every fraction of a second; 5 and 6 follow every few seconds. A crash anywhere loses nothing and
doubles nothing: now view and tables each know their own positions, reading goes on at the lowest of them, and each
takes only what it does not have.
"""

import datetime as dt
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import polars as pl

from seqplat_resources.batch.partitions import is_built
from seqplat_resources.batch.publish import block_schema
from seqplat_resources.clock import Clock, SystemClock
from seqplat_resources.engine.contract import Lookup
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.engine.run import run
from seqplat_resources.errors import Final
from seqplat_resources.logs import LogBatch, LogSource, Partition
from seqplat_resources.online_store import Advance, OnlineStore
from seqplat_resources.runtime import Runtime
from seqplat_resources.stream.kept import Kept
from seqplat_resources.stream.messages import decode_messages
from seqplat_resources.stream.ownership import Ownership
from seqplat_resources.stream.report import Tally
from seqplat_resources.stream.visible import now_write, stamped

_log = logging.getLogger(__name__)


class NotStreamed(Final):
    """A source that has no topic, or whose messages do not say all of their events."""


@dataclass(frozen=True)
class Pace:
    """How much is taken at once, and how long things wait.

    A micro-batch ends at ``rows``, ``bytes`` or ``poll_s``, whichever comes first: it is what a message waits to be
    visible. ``rows`` matters to a stream that is behind: many at once are cheaper, because what a user did among them
    becomes one block; 100,000 take about 300 MB and half a second. The lake gets files worth a commit: ``keep_rows``
    messages, or what came in ``keep_s``.
    """

    rows: int = 100_000
    bytes: int = 32 << 20
    poll_s: float = 0.2
    keep_rows: int = 200_000
    keep_s: float = 5.0
    heartbeat_s: float = 5.0


@dataclass
class StreamLoop:
    """Reads the partitions of one source that this process owns. One thread, from ``once`` to ``close``.

    ``step`` is told the number of every step that is done. After an error the loop is thrown away and a new one made:
    all state is in the stores.
    """

    runtime: Runtime
    source_name: str
    log: LogSource
    store: OnlineStore
    lookup: Lookup
    ownership: Ownership
    pace: Pace = Pace()
    clock: Clock = field(default_factory=SystemClock)
    step: Callable[[int], None] = lambda _: None
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        release = self.runtime.release
        self.source = release.sources[self.source_name]
        if not self.source.topic:
            raise NotStreamed(f"source {self.source_name!r} has no topic; name one in its definition to stream it")
        fed = [n for n, e in release.event_types.items() if e.source == self.source_name and is_built(e)]
        if self.source.joins:
            raise NotStreamed(
                f"source {self.source_name!r} joins {self.source.joins[0].location}, which a stream cannot: send the "
                "joined fields in the message, or attach them as an enrichment"
            )
        self._plans = {name: EventPlan.of(self.runtime.loaded, name) for name in fed}
        for plan in self._plans.values():
            self.store.register_schema(block_schema(plan))
        self._kept = Kept(self.runtime, self.source, self._plans)
        self._visible: dict[Partition, int] = {}
        self._told: dict[Partition, dt.datetime] = {}  # when the now view last heard of a partition
        self._kept_at = self.clock.now()

    @property
    def partitions(self) -> list[Partition]:
        """What this process reads now."""
        return sorted(self._visible)

    @property
    def event_types(self) -> list[str]:
        """What is made of the source's messages."""
        return list(self._plans)

    def once(self) -> int:
        """One micro-batch, and what is due besides; returns how many messages it had.

        Raises:
            Retryable, Final: close this loop. After a Retryable one, a new loop goes on where this one was.
        """
        if self.ownership.is_due:
            self._settle()
        batches = self._polled()
        if batches:
            self._process(batches)
        if silent := [p for p in self._visible if self._seconds_since(self._told[p]) >= self.pace.heartbeat_s]:
            self._beat(silent)
        if self._kept.rows >= self.pace.keep_rows or self._seconds_since(self._kept_at) >= self.pace.keep_s:
            self._keep()
        return sum(map(len, batches))

    def close(self) -> None:
        """Keep what is waiting and give the partitions back."""
        try:
            self._keep()
        finally:
            self.ownership.release()

    def lag(self) -> dict[Partition, int]:
        """Messages of each owned partition that are not visible yet."""
        ends = self.log.end_offsets(self._visible)
        return {partition: max(0, ends[partition] - at) for partition, at in self._visible.items()}

    def _settle(self) -> None:
        """Renew leases; if partitions came or went, go on from the positions that the stores remember."""
        self._keep()  # what is given back must not be waiting here
        if not self.ownership.renew(self.log.partitions(self.source.topic)):
            return
        stored = self.store.stream_positions()
        starts = self.log.start_offsets(self.ownership.tokens)
        self._visible, needed = {}, {}
        for partition, start in starts.items():
            online, lake = stored.get(str(partition)), self._kept.position(str(partition))
            self._visible[partition] = online.next_offset if online else start
            needed[partition] = min(self._visible[partition], start if lake is None else lake)
        self._told = dict.fromkeys(needed, dt.datetime.min.replace(tzinfo=dt.UTC))
        self.log.assign(needed)
        _log.info("reading %s", ", ".join(f"{p} from {at}" for p, at in needed.items()) or "nothing: others hold all")

    def _polled(self) -> list[LogBatch]:
        pace = self.pace
        batches = self.log.poll(max_rows=pace.rows, max_bytes=pace.bytes, timeout_s=pace.poll_s)
        self.step(1)
        return batches

    def _process(self, batches: Sequence[LogBatch]) -> None:
        decoded = decode_messages(self.source, batches)
        self.step(2)
        outcomes = {name: run(plan, decoded.rows, self.lookup, complete=False) for name, plan in self._plans.items()}
        self.step(3)
        now = self.clock.now()
        events = {name: stamped(outcome.events, now) for name, outcome in outcomes.items()}
        self._advance(batches, events, now)
        self.step(4)
        ends = {str(batch.partition): batch.next_offset for batch in batches}
        self._kept.add(decoded.rows, decoded.rejects, events, ends)
        self.tally.add(
            messages=sum(map(len, batches)),
            size_bytes=sum(batch.size_bytes for batch in batches),
            raw=decoded.rows,
            rejected=decoded.rejects.height + sum(outcome.rejects.height for outcome in outcomes.values()),
            events={name: frame.height for name, frame in events.items()},
        )

    def _advance(self, batches: Sequence[LogBatch], events: dict[str, pl.DataFrame], now: dt.datetime) -> None:
        """Show what the now view does not have yet; after a crash the lake may need messages it has."""
        tokens, moves = self.ownership.tokens, {}
        for batch in batches:
            at = self._visible[batch.partition]
            if batch.next_offset > at:
                received = dt.datetime.fromtimestamp(batch.timestamps_ms[-1] / 1000, dt.UTC)
                lag_ms = max(0, round((now - received).total_seconds() * 1000))
                token, at_ms = tokens[batch.partition], round(now.timestamp() * 1000)
                moves[str(batch.partition)] = Advance(at, batch.next_offset, token, lag_ms, at_ms)
        fresh = {name: _from(frame, {p: move.start for p, move in moves.items()}) for name, frame in events.items()}
        writes = [now_write(self._plans[name], frame) for name, frame in fresh.items() if frame.height]
        if moves:
            self.store.advance(writes, moves)
            self._visible |= {Partition.parse(partition): move.end for partition, move in moves.items()}
            self._told |= {Partition.parse(partition): now for partition in moves}

    def _beat(self, silent: Sequence[Partition]) -> None:
        """Say of partitions without messages that all of them are visible: silence would read as lag."""
        now = self.clock.now()
        at_ms, tokens = round(now.timestamp() * 1000), self.ownership.tokens
        ends = self.log.end_offsets(silent)
        places = {
            partition: self._visible[partition] for partition in silent if ends[partition] <= self._visible[partition]
        }
        if places:
            self.store.advance([], {str(p): Advance(at, at, tokens[p], 0, at_ms) for p, at in places.items()})
        self._told |= dict.fromkeys(silent, now)

    def _keep(self) -> None:
        self._kept_at = self.clock.now()
        if self._kept.is_empty:
            return
        for _ in self._kept.flush():
            self.step(5)
        self.log.hint(self._visible)
        self.step(6)

    def _seconds_since(self, moment: dt.datetime) -> float:
        return (self.clock.now() - moment).total_seconds()


def _from(events: pl.DataFrame, starts: dict[str, int]) -> pl.DataFrame:
    """The events at or after the start of their partition; of a partition without one, none."""
    start = pl.col("source_partition").replace_strict(starts, default=None, return_dtype=pl.Int64())
    return events.filter(pl.col("offset") >= start) if starts else events.clear()
