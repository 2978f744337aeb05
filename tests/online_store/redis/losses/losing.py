"""A store that streams, batches and readers use, keys of which are lost at any moment: what is said of everybody is
right, or says that it is not whole, or is refused.

Two event types come from one topic of two partitions, a third from files, of which nobody promises a first day. There
is one reader, whose caches outlive every loss.
"""

import datetime as dt
import functools
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

import polars as pl
import redis

from seqplat_resources.batch.publish.events import block_schema, shows_something
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.errors import Retryable
from seqplat_resources.online_store import (
    ANY_EPOCH,
    Advance,
    BucketVersion,
    BucketWrite,
    Epoch,
    NowWrite,
    ReadAhead,
    StoreSnapshot,
    StreamPosition,
    decode_blocks,
    encode_bucket,
)
from seqplat_resources.online_store.errors import StoreDamagedError, StreamPositionError
from seqplat_resources.online_store.redis import RedisSettings, RedisStore, now
from seqplat_resources.online_store.rollup import roll_up
from seqplat_resources.read.freshness import freshness_of
from seqplat_resources.read.merge import PublishedDays
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.sources.log import LogSource, Partition
from seqplat_resources.stream.visible import known_positions
from sequence_defs.schema import Sequence as SequenceDefinition
from tests.building import ManualClock, utc
from tests.properties.clicks import click, clicks, loaded, shop

FIRST = dt.date(2024, 5, 1)
TODAY, RECEIVED = utc(2024, 5, 9), utc(2024, 5, 11)
STREAMED, FILED = ("click", "view"), "offer"
TYPES = (*STREAMED, FILED)
P, Q = "clicks:0", "clicks:1"
USERS = {"ann": P, "bob": P, "cy": Q, "dan": Q, "nobody": P}
_RELEASE = loaded(
    shop,
    clicks(topic="clicks"),
    clicks(name="offers", start=None),
    click(),
    click(name="view"),
    click(name=FILED, source="offers"),
    *(SequenceDefinition(name=name, tenant="shop", event_types=(name,), columns=("item",)) for name in TYPES),
)
PLANS = {name: EventPlan.of(_RELEASE, name) for name in TYPES}
SEQUENCES = {name: SequencePlan.of(_RELEASE, name) for name in TYPES}
_DECODED: dict[bytes, list[tuple[str, str, str, int]]] = {b"": []}


@dataclass(frozen=True)
class Row:
    """An event of a user, of a day by its number, at a place in the log or in a file."""

    user: str
    day: int
    number: int
    partition: str
    offset: int

    @property
    def id(self) -> str:
        return str(self.number)


class _Killed(BaseException):
    pass


def day(number: int) -> str:
    return (FIRST + dt.timedelta(days=number - 1)).isoformat()


@dataclass
class World:
    """``log`` has messages, each of which is one event of each streamed type; ``kept`` says how far the lake has them,
    ``positions`` what the stream knows of the now view, and ``seen`` how far readers were ever shown them."""

    url: str
    log: dict[str, list[Row]] = field(default_factory=lambda: {P: [], Q: []})
    kept: dict[str, int] = field(default_factory=lambda: {P: 0, Q: 0})
    seen: dict[str, int] = field(default_factory=lambda: {P: 0, Q: 0})
    positions: dict[str, StreamPosition] = field(default_factory=dict)
    filed: list[Row] = field(default_factory=list)
    filed_days: set[int] = field(default_factory=set)
    filtered: set[str] = field(default_factory=set)
    token: int = 1
    count: int = 0
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        settings = RedisSettings.parse(self.url)
        self.store, self.reader = RedisStore(settings, keep_epochs=2), RedisStore(settings, readonly=True)
        self.clock = ManualClock(TODAY)
        for plan in PLANS.values():
            self.store.register_schema(block_schema(plan))

    def close(self) -> None:
        self.store.close()
        self.reader.close()

    def say(self, *said: tuple[str, int]) -> None:
        """Messages of users, of days, into the log."""
        for user, number in said:
            partition = USERS[user]
            self.log[partition].append(Row(user, number, self._next(), partition, len(self.log[partition])))

    def file(self, number: int, users: Sequence[str]) -> None:
        self.filed += [Row(user, number, self._next(), "offers", n) for n, user in enumerate(users)]

    def stream(self, partitions: Collection[str] = (P, Q), most: int = 100) -> None:
        """As the stream loop does; after a loss in small steps, so that it is looked at while it reads again."""
        while True:
            if not set(partitions) <= self.positions.keys():
                self._settle()
            at = {p: self.positions[p].next_offset for p in partitions}
            ends = {p: min(len(self.log[p]), at[p] + most) for p in partitions}
            steps = {p: self._step(p, ends[p]) for p in partitions}
            try:
                self.store.advance(self._writes([row for p in at for row in self.log[p][at[p] : ends[p]]]), steps)
            except StreamPositionError:
                self.positions, most = {}, 7
                continue
            for p in partitions:
                self.positions[p], self.seen[p] = steps[p].position, max(self.seen[p], ends[p])
            self.look("streaming")
            if all(ends[p] == len(self.log[p]) for p in partitions):
                return

    def die_streaming(self, partition: str) -> None:
        """A stream that is killed before it commits."""
        commit = now._commit

        def killed(*_: object) -> None:
            raise _Killed

        try:
            self._settle()
            now._commit = killed
            rows = self.log[partition][self.positions[partition].next_offset :]
            self.store.advance(self._writes(rows), {partition: self._step(partition, len(self.log[partition]))})
        except (_Killed, Retryable):
            self.positions, self.token = {}, self.token + 1
        finally:
            now._commit = commit

    def keep(self) -> None:
        self.kept = dict(self.seen)

    def publish(self, name: str, days: Iterable[int]) -> None:
        """As batch does, with all that it does after that."""
        every = {*days, *(() if shows_something(self.store, name) else self._built(name))}
        writes = []
        for number in sorted(every):
            rows = tuple(row for row in self._of_batch(name) if row.day == number and row.id not in self.filtered)
            marks = {} if name == FILED else dict(self.kept)
            bucket = BucketVersion(0, len(rows), len({row.user for row in rows}), marks)
            writes.append(BucketWrite(day(number), _encoded(name, rows), bucket))
        self.store.register_schema(block_schema(PLANS[name]))
        self.store.publish_many(name, writes, release="r", expected_epoch=ANY_EPOCH)
        self.filed_days |= every if name == FILED else set()
        self.store.evict(name)
        roll_up(self.store, name)

    @property
    def client(self) -> "redis.Redis":
        [pool] = self.store._link._servers.pools()
        return redis.Redis(connection_pool=pool)

    @property
    def prefix(self) -> bytes:
        return self.store._catalog.names.prefix.encode()

    def keys(self) -> list[bytes]:
        """All there are, without the prefix."""
        return sorted(key[len(self.prefix) :] for key in self.client.scan_iter(match=self.prefix + b"*", count=1000))

    def lose(self, keys: Iterable[bytes]) -> int:
        return sum(self.client.delete(self.prefix + key) for key in keys)

    def look(self, when: str, *, whole: bool = False) -> None:
        """Ask for everybody of every type; what is said and wrong is a problem, and what is not ``whole`` if asked."""
        try:
            found = list(self._asked(TYPES, whole=whole))
        except (Retryable, StoreDamagedError):
            found = [problem for name in TYPES for problem in self._asked_alone(name, whole=whole)]
        self.problems += [f"{when}: {problem}" for problem in found]

    def _asked_alone(self, name: str, *, whole: bool) -> list[str]:
        try:
            return list(self._asked([name], whole=whole))
        except (Retryable, StoreDamagedError) as error:
            return [f"{name}: refused: {error}"] if whole else []

    def _asked(self, names: Sequence[str], *, whole: bool) -> Iterator[str]:
        with self.reader.snapshot(ahead=ReadAhead(names, list(USERS))) as view:
            read = [
                (name, user, published, self._read(view, name, user, published.epochs[name]))
                for name in names
                for published in [PublishedDays.of(SEQUENCES[name], view)]
                for user in USERS
            ]
            fresh = {name: freshness_of(published, view, self.clock) for name, _, published, _ in read}
        for name, user, _, (shown, is_damaged) in read:
            said = [*fresh[name].degraded, *(["a damaged block"] if is_damaged else [])]
            if fresh[name].completeness < 1:
                said.append(f"completeness {fresh[name].completeness}")
            if problem := self._problem(self._truth(name, user), shown, said, whole=whole):
                yield f"{name} of {user}: {problem}"

    def _read(self, view: StoreSnapshot, name: str, user: str, epoch: Epoch | None) -> tuple[list[str], bool]:
        """Events of a user as a reader merges them, and whether a block of them is known to be missing."""
        past, fresh, is_damaged = list[str](), set[str](), False
        for block in view.blocks(name, user):
            payload = bytes(block.payload)
            is_damaged |= not payload
            past += [event for event, of, *_ in _rows_of(payload, self.store) if of not in block.superseded]
        for now_block in view.now_blocks(name, user):
            is_damaged |= not now_block.payload
            for event, of, partition, offset in _rows_of(now_block.payload, self.store):
                bucket = epoch.buckets.get(of) if epoch else None
                if not (bucket and bucket.covers(partition, offset)):
                    fresh.add(event)
        return [*past, *fresh.difference(past)], is_damaged

    def _problem(self, truth: set[str], shown: list[str], said: list[str], *, whole: bool) -> str | None:
        # Of what batch filters one type has heard and the other may not have, until all is published.
        optional = set() if whole else self.filtered
        truth = truth - self.filtered
        if len(shown) != len(set(shown)) or not set(shown) - optional <= truth:
            return f"{sorted(set(shown) - truth)} should not be there, or something comes twice in {sorted(shown)}"
        if said:
            return f"still says {said}" if whole else None
        missing = sorted(truth - set(shown))
        return f"{missing} are missing, and nothing says so" if missing else None

    def _truth(self, name: str, user: str) -> set[str]:
        if name == FILED:
            return {row.id for row in self.filed if row.user == user and row.day in self.filed_days}
        partition = USERS[user]
        return {row.id for row in self.log[partition][: self.seen[partition]] if row.user == user}

    def _of_batch(self, name: str) -> list[Row]:
        return self.filed if name == FILED else [row for p, rows in self.log.items() for row in rows[: self.kept[p]]]

    def _built(self, name: str) -> Collection[int]:
        return self.filed_days if name == FILED else range(1, 11)

    def _next(self) -> int:
        self.count += 1
        return self.count

    def _step(self, partition: str, end: int) -> Advance:
        at, at_ms = self.positions[partition], round(TODAY.timestamp() * 1000)
        return Advance(at.next_offset, end, self.token, 0, at_ms, resumes=True, until=at.until)

    def _settle(self) -> None:
        names = [Partition.parse(name) for name in self.log]
        tokens = dict.fromkeys(names, self.token)
        self.positions = known_positions(self.store, cast(LogSource, self), names, tokens, TODAY)
        self.look("settled")

    def start_offsets(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """As of a log."""
        return dict.fromkeys(partitions, 0)

    def end_offsets(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        return {partition: len(self.log[str(partition)]) for partition in partitions}

    def _writes(self, rows: Sequence[Row]) -> list[NowWrite]:
        reach: dict[str, dict[str, int]] = defaultdict(dict)
        for row in rows:
            reach[day(row.day)][row.partition] = max(row.offset + 1, reach[day(row.day)].get(row.partition, 0))
        return [NowWrite(name, _encoded(name, tuple(rows)), dict(reach)) for name in STREAMED] if rows else []


@functools.cache
def _encoded(name: str, rows: tuple[Row, ...]) -> tuple[tuple[str, bytes], ...]:
    given = [
        {
            "user_id": row.user,
            "event_id": row.id,
            "event_time": dt.datetime.combine(FIRST, dt.time(1), dt.UTC)
            + dt.timedelta(days=row.day - 1, seconds=row.number),
            "ingest_time": RECEIVED,
            "available_time": RECEIVED,
            "op": "upsert",
            "rev": 0,
            "source_partition": row.partition,
            "offset": row.offset,
            "item": row.number,
        }
        for row in rows
    ]
    schema = {**PLANS[name].schema, "user_id": pl.String()}
    frame = pl.DataFrame([{column: row.get(column) for column in schema} for row in given], schema=schema)
    return tuple(
        encode_bucket(frame.sort("user_id", "event_time", descending=[False, True]), block_schema(PLANS[name]))
    )


def _rows_of(payload: bytes, store: RedisStore) -> list[tuple[str, str, str, int]]:
    """Event, day, partition and offset of a block's rows."""
    if payload not in _DECODED:
        columns = {"event_id": "string", "event_time": "timestamp", "source_partition": "string", "offset": "int64"}
        rows = decode_blocks([payload], store.schema, columns).select(list(columns)).rows()
        _DECODED[payload] = [(event, str(time.date()), partition, at) for event, time, partition, at in rows]
    return _DECODED[payload]
