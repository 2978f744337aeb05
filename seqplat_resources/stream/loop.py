"""The stream loop of one source: poll, decode, engine, visible, kept, hinted.

Steps, numbered the same in ARCHITECTURE.md and in the crash tests:
1 polled, 2 decoded, 3 events made, 4 visible in the now view (with the positions, in one transaction),
5 kept in the lake (raw rows, served events and rejects, each with its positions in its commit), 6 hinted to the log.
Steps 1 to 4 repeat every fraction of a second; 5 and 6 follow every few seconds. A crash anywhere loses nothing and
doubles nothing: now view and tables each know their own positions, reading goes on at the lowest of them, and each
takes only what it does not have.

>>> from contextlib import closing
>>> from seqplat_resources.engine.contract import NoLookup
>>> from seqplat_resources.sources.log.file.folder import FileLogSource, FileLogWriter
>>> message = b'{"number": 1, "member": "ann", "at": "2024-05-03T07:00:00Z", "product": "tea", "amount": 1}'
>>> with closing(FileLogWriter(folder)) as writer:
...     writer.create_topic("clicks", 1)
...     writer.append("clicks", [(b"ann", message), (b"ann", b"no JSON")])
...
>>> with closing(FileLogSource(folder)) as log:
...     loop = StreamLoop(shop, "clicks", log, store, NoLookup(), Ownership(shop.home, "clicks", shop.clock))
...     while not loop.once():
...         pass
...     loop.close()
...
>>> store.stream_positions()["clicks:0"].next_offset
2
>>> loop.tally.messages, loop.tally.rejected, dict(loop.tally.events)
(2, 1, {'click': 1})
"""

import datetime as dt
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeAlias

import polars as pl

from seqplat_resources.batch.days.partitions import is_built
from seqplat_resources.batch.publish.events import now_schema
from seqplat_resources.clock import Clock, SystemClock
from seqplat_resources.engine.contract import Lookup
from seqplat_resources.engine.outcome import Outcome
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.engine.run import run
from seqplat_resources.errors import Final
from seqplat_resources.online_store import Advance, OnlineStore
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.sources.decode import DecodedRows
from seqplat_resources.sources.log import LogBatch, LogSource, Partition
from seqplat_resources.sources.schema_registry import Framing
from seqplat_resources.sources.timing import waited_ms
from seqplat_resources.stream.identity import require_same
from seqplat_resources.stream.lake import StreamLake
from seqplat_resources.stream.messages import decode_messages, refused
from seqplat_resources.stream.ownership import Ownership
from seqplat_resources.stream.poison import is_of_values, pieces
from seqplat_resources.stream.report import Tally
from seqplat_resources.stream.visible import known_positions, now_write, stamped, stamped_as_shown
from seqplat_resources.times import milliseconds
from seqplat_resources.values.isolation import one_line

_log = logging.getLogger(__name__)


class NotStreamed(Final):
    """A source that has no topic, or whose messages do not say all of their events."""


@dataclass(frozen=True)
class Pace:
    """How much is taken at once, and how long things wait.

    A micro-batch ends at ``rows``, ``bytes`` or ``poll_s``, whichever comes first: it is what a message waits to be
    visible. ``rows`` matters to a stream that is behind: many at once are cheaper, because what a user did among them
    becomes one block; 100,000 take about 300 MB and half a second. The lake gets files worth a commit: ``keep_rows``
    messages, or what came in ``keep_s``. With ``overlap`` a batch is read and made into events while the one before it
    is shown and kept, which uses a second core. One, not more: a later batch must not be shown when an earlier was not.
    """

    rows: int = 100_000
    bytes: int = 32 << 20
    poll_s: float = 0.2
    keep_rows: int = 200_000
    keep_s: float = 5.0
    heartbeat_s: float = 5.0
    overlap: bool = False


@dataclass(frozen=True)
class _MicroBatch:
    """A micro-batch between its two halves: read and made into events (1 to 3), shown and kept (4 and 5)."""

    batches: Sequence[LogBatch]
    decoded: DecodedRows
    events: Mapping[str, pl.DataFrame]


# With what the engine told of it.
_Tried: TypeAlias = tuple[_MicroBatch, Mapping[str, Outcome]]


class _NotEncoded(Exception):
    """Events of a batch cannot be written as blocks; nothing of it was shown. Its cause says why."""


@dataclass
class StreamLoop:
    """Reads the partitions of one source that this process owns. Called by one thread, from ``once`` to ``close``.

    ``step`` is told the number of every step that is done. After an error the loop is abandoned and a new one made: all
    state is in the stores. ``framing`` opens the messages of a source whose ``message_format`` is not JSON.
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
    framing: Framing | None = None

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
        if self.source.message_format != "json" and self.framing is None:
            raise NotStreamed(
                f"source {self.source_name!r} has message_format={self.source.message_format!r}, but nothing that "
                "opens such messages was given; pass framing=open_framing(environment)"
            )
        self._plans = {name: EventPlan.of(self.runtime.loaded, name) for name in fed}
        for plan in self._plans.values():
            self.store.register_schema(now_schema(plan))
        self._kept = StreamLake(self.runtime, self.source, self._plans)
        self._visible: dict[Partition, int] = {}
        self._until: dict[Partition, int] = {}  # where what the now view may have lost ends
        self._told: dict[Partition, dt.datetime] = {}  # when the now view last heard of a partition
        self._kept_at = self.clock.now()
        self._hints: dict[Partition, int] = {}  # kept, and not told the log yet
        self.times_kept = 0  # how often a batch went all its way
        self._second = ThreadPoolExecutor(1, f"store-{self.source_name}") if self.pace.overlap else None
        self._storing: tuple[_MicroBatch | None, Future[None]] | None = None

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
        for made in self._making(batches) if batches else (None,):
            self._hand_over(made)
        self._hint()
        if self._silent():
            self._wait()
            self._beat()
        return sum(map(len, batches))

    def close(self) -> None:
        """Keep what is waiting and give the partitions back."""
        try:
            self._wait()
            self._keep()
            self._hint()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Give the partitions back without keeping what is waiting: whoever is next reads it again."""
        if self._second is not None:
            self._second.shutdown()
        self.ownership.release()

    def lag(self) -> dict[Partition, int]:
        """Messages of each owned partition that are not visible yet."""
        ends = self.log.end_offsets(self._visible)
        return {partition: max(0, ends[partition] - at) for partition, at in self._visible.items()}

    def _settle(self) -> None:
        """Renew leases; if partitions came or went, go on from the positions that the stores remember."""
        self._wait()
        self._keep()  # what is given back must not be waiting here
        self._hint()
        partitions = self.log.partitions(self.source.topic)
        is_other = self.ownership.renew(partitions)
        require_same(self.runtime.home, self.log, self.source.topic)
        if not is_other:
            return
        stored = known_positions(self.store, self.log, partitions, self.ownership.tokens, self.clock.now())
        self._until = {partition: stored[str(partition)].until for partition in self.ownership.tokens}
        starts = self.log.start_offsets(self.ownership.tokens)
        self._visible, needed = {}, {}
        for partition, start in starts.items():
            lake = self._kept.position(str(partition))
            self._visible[partition] = stored[str(partition)].next_offset
            needed[partition] = min(self._visible[partition], start if lake is None else lake)
        self._told = dict.fromkeys(needed, dt.datetime.min.replace(tzinfo=dt.UTC))
        self.log.assign(needed)
        self._kept.starts = {str(partition): at for partition, at in self.log.positions().items()}
        _log.info("reading %s", ", ".join(f"{p} from {at}" for p, at in needed.items()) or "nothing: others hold all")

    def _polled(self) -> list[LogBatch]:
        pace = self.pace
        batches = self.log.poll(max_rows=pace.rows, max_bytes=pace.bytes, timeout_s=pace.poll_s)
        self.step(1)
        return batches

    def _making(self, batches: Sequence[LogBatch]) -> Iterable[_MicroBatch]:
        try:
            return [self._counted(*self._events_of(batches))]
        except BaseException as error:
            if not is_of_values(error):
                raise
            return (self._counted(*piece) for piece in self._apart(batches, error))

    def _apart(self, batches: Sequence[LogBatch], raised: BaseException) -> Iterator[_Tried]:
        """A batch that raised, in pieces that do not; a message that raises alone is a reject."""
        count = sum(map(len, batches))
        _log.warning("stream of %s: %d messages are tried apart, because %s", self.source_name, count, one_line(raised))
        for piece in pieces(batches, self._tried):
            if piece.made is not None:
                yield piece.made
                continue
            _log.warning("stream of %s: %s is refused: %s", self.source_name, piece.place, piece.reason)
            nothing, outcomes = self._events_of([])
            rejects = replace(nothing.decoded, rejects=refused(piece.batches, piece.reason))
            yield replace(nothing, batches=piece.batches, decoded=rejects), outcomes

    def _tried(self, batches: Sequence[LogBatch]) -> _Tried:
        """As ``_events_of``; raises also what encoding the events raises."""
        made, outcomes = self._events_of(batches)
        for name, frame in made.events.items():
            list(now_write(self._plans[name], stamped(frame, self.clock.now())).blocks)
        return made, outcomes

    def _events_of(self, batches: Sequence[LogBatch]) -> _Tried:
        decoded = decode_messages(self.source, batches, clock=self.clock, framing=self.framing)
        self.step(2)
        outcomes = {name: run(plan, decoded.rows, self.lookup, complete=False) for name, plan in self._plans.items()}
        self.step(3)
        return _MicroBatch(batches, decoded, {name: outcome.events for name, outcome in outcomes.items()}), outcomes

    def _counted(self, made: _MicroBatch, outcomes: Mapping[str, Outcome]) -> _MicroBatch:
        self.tally.add(
            messages=sum(map(len, made.batches)),
            size_bytes=sum(batch.size_bytes for batch in made.batches),
            raw=made.decoded.rows,
            rejected=made.decoded.rejects.height,
            outcomes=outcomes,
            filtered=sum(made.decoded.filtered.values()),
        )
        return made

    def _store(self, made: _MicroBatch | None) -> None:
        """The second half of a micro-batch, and what is due."""
        if made is not None:
            now = self.clock.now()
            visible = {str(partition): at for partition, at in self._visible.items()}
            events = {n: stamped_as_shown(self.store, n, frame, visible, now) for n, frame in made.events.items()}
            self._advance(made.batches, events, now)
            self.step(4)
            ends = {str(batch.partition): batch.next_offset for batch in made.batches}
            self._kept.add(made.decoded.rows, made.decoded.rejects, events, ends)
        if self._kept.rows >= self.pace.keep_rows or self._seconds_since(self._kept_at) >= self.pace.keep_s:
            self._keep()

    def _hand_over(self, made: _MicroBatch | None) -> None:
        if self._second is None:
            self._finish(made, partial(self._store, made))
        else:
            self._wait()
            self._storing = made, self._second.submit(self._store, made)

    def _wait(self) -> None:
        """Until the batch before is stored. Raises what storing it raised."""
        if self._storing is not None:
            (made, storing), self._storing = self._storing, None
            self._finish(made, storing.result)

    def _finish(self, made: _MicroBatch | None, store: Callable[[], None]) -> None:
        try:
            store()
        except _NotEncoded as error:
            if made is None or error.__cause__ is None or not is_of_values(error.__cause__):
                raise error.__cause__ or error from None
            for piece, _ in self._apart(made.batches, error.__cause__):
                self._store(piece)

    def _advance(self, batches: Sequence[LogBatch], events: Mapping[str, pl.DataFrame], now: dt.datetime) -> None:
        """Show what the now view does not have yet; after a crash the lake may need messages it has."""
        moves: dict[str, Advance] = {}
        for batch in batches:
            at = self._visible[batch.partition]
            if batch.next_offset > at:
                lag_ms = waited_ms(batch.timestamps_ms[-1], now) if batch.timestamps_ms else 0
                moves[str(batch.partition)] = self._step(batch.partition, at, batch.next_offset, lag_ms, now)
        fresh = {name: _from(frame, {p: move.start for p, move in moves.items()}) for name, frame in events.items()}
        try:
            writes = [now_write(self._plans[name], frame) for name, frame in fresh.items() if frame.height]
        except BaseException as error:
            raise _NotEncoded from error
        if moves:
            self.store.advance(writes, moves)
            self._visible = self._visible | {Partition.parse(p): move.end for p, move in moves.items()}
            self._told = self._told | {Partition.parse(p): now for p in moves}

    def _step(self, partition: Partition, start: int, end: int, lag_ms: int, now: dt.datetime) -> Advance:
        token, until = self.ownership.tokens[partition], self._until[partition]
        return Advance(start, end, token, lag_ms, milliseconds(now), resumes=True, until=until)

    def _silent(self) -> list[Partition]:
        return [p for p, told in self._told.items() if self._seconds_since(told) >= self.pace.heartbeat_s]

    def _beat(self) -> None:
        """Say of partitions without messages that all of them are visible: silence would read as lag.

        Behind the last message a log may hold what is none, such as aborted transactions: it is gone past.
        """
        now, silent = self.clock.now(), self._silent()
        reached = self.log.positions()
        if holes := [LogBatch(p, [], [], [], reached[p]) for p in silent if reached.get(p, 0) > self._visible[p]]:
            nothing, _ = self._events_of([])
            self._store(replace(nothing, batches=holes))
        ends = self.log.end_offsets(silent)
        places = {p: self._visible[p] for p in silent if ends[p] <= self._visible[p]}
        if places:
            self.store.advance([], {str(p): self._step(p, at, at, 0, now) for p, at in places.items()})
        self._told = self._told | dict.fromkeys(silent, now)

    def _keep(self) -> None:
        self._kept_at = self.clock.now()
        if self._kept.is_empty:
            return
        for _ in self._kept.flush():
            self.step(5)
        self.times_kept += 1
        self._hints = self._visible

    def _hint(self) -> None:
        if self._hints:
            hints, self._hints = self._hints, {}
            self.log.hint(hints)
            self.step(6)

    def _seconds_since(self, moment: dt.datetime) -> float:
        return (self.clock.now() - moment).total_seconds()


def _from(events: pl.DataFrame, starts: dict[str, int]) -> pl.DataFrame:
    """The events at or after the start of their partition; of a partition without one, none."""
    start = pl.col("source_partition").replace_strict(starts, default=None, return_dtype=pl.Int64())
    return events.filter(pl.col("offset") >= start) if starts else events.clear()
