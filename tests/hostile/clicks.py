"""Play a story on real parts, log, stream loops that crash, lake and online store, and look at every moment."""

import datetime as dt
import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from seqplat_resources.assemble import answer
from seqplat_resources.batch import events, tables
from seqplat_resources.batch.inputs import high_water_of
from seqplat_resources.batch.publish import publish
from seqplat_resources.engine.contract import NoLookup
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.online_store import OnlineStore
from seqplat_resources.quality.completeness import completeness
from seqplat_resources.quality.consistency import consistency
from seqplat_resources.quality.identity import identity
from seqplat_resources.query import Query
from seqplat_resources.sequence_plan import SequencePlan
from seqplat_resources.stream.loop import Pace, StreamLoop
from seqplat_resources.stream.ownership import Ownership
from sequence_defs.schema import Column, Definition, EventType, Source, Tenant, Time
from sequence_defs.schema import Sequence as SequenceDefinition
from tests.building import ManualClock, runtime_for
from tests.hostile import clocks
from tests.hostile.memory_log import MemoryLog, MemoryTopic
from tests.hostile.oracle import Row, World, settled
from tests.hostile.stories import USERS, Said, Step
from tests.hostile.wide import in_utc

TOPIC = "clicks"
WINDOW = 3
SHOWN = ("event_id", "event_time", "value")
PACE = Pace(rows=3, poll_s=0.0, keep_rows=5, keep_s=1e9, heartbeat_s=1e9)


class Crash(BaseException):
    """The process ends here."""


def definitions(*, order: str | None = None) -> tuple[Definition, ...]:
    """Clicks whose filter keeps amounts of 0 and more; ``order`` names the column that orders equal times."""
    types = {"member": "string", "id": "string", "at": "timestamp"}
    columns = (
        *(Column(name=name, dtype=dtype, nullable=False) for name, dtype in types.items()),
        *(Column(name=name, dtype="int64") for name in ("amount", "rev", "seq")),
        Column(name="op", dtype="string"),
    )
    source = Source(
        name="clicks",
        tenant="shop",
        topic=TOPIC,
        columns=columns,
        event_time=Time(sql="at"),
        user_id="member",
        rev="rev",
        op="op",
        order=order,
    )
    click = EventType(
        name="click",
        tenant="shop",
        source="clicks",
        id_field="id",
        filter="amount >= 0",
        columns=(Column(name="id", dtype="string", nullable=False), Column(name="value", dtype="int64", sql="amount")),
    )
    every = SequenceDefinition(name="every", tenant="shop", event_types=("click",), columns=("value",))
    recent = every.model_copy(update={"name": "recent", "window_days": WINDOW})
    return (Tenant(name="shop", tenant="shop"), source, click, every, recent)


@dataclass
class Clicks:
    """One installation, and the world it should look like."""

    folder: Path
    store: OnlineStore
    order: str | None = None
    clock: ManualClock = field(default_factory=lambda: ManualClock(clocks.NOW))

    def __post_init__(self) -> None:
        self.runtime = runtime_for(self.folder / "home", definitions(order=self.order), self.folder, clock=self.clock)
        self.plan = EventPlan.of(self.runtime.loaded, "click")
        self.topic = MemoryTopic(TOPIC, 2)
        self.rows: list[Row] = []
        self.world = World(self.rows, by_seq=self.order is not None)
        self._built: dict[dt.date, dict[str, int]] = {}

    def act(self, step: Step) -> None:
        """One step, and a look at what is answered after it."""
        if step.what == "say":
            self.say(step.said)
            return  # nobody sees it yet
        if step.what == "stream":
            self.stream(step.how)
        elif step.what == "crash":
            with suppress(Crash):
                self.stream(5, die_at=step.how)
        elif step.what == "tick":
            self.drain()
            self.clock.time += dt.timedelta(minutes=7 * step.how)
        elif step.what == "seal all":
            self.drain()
            self.seal(self.days)
        elif step.days:
            list(events.build(self.runtime, "click", step.days))
            if step.what == "seal":
                self.seal(step.days, build=False)
        self.check()

    def say(self, said: Iterable[Said]) -> None:
        for message in said:
            offset = len(self.topic.records[message.partition])
            fields = {name: getattr(message, name) for name in ("member", "id", "amount", "rev", "op", "seq")}
            value = json.dumps(fields | {"at": message.at.isoformat()}).encode()
            self.topic.append(message.partition, [(message.stamp_ms, value)])
            if not clocks.is_ahead(message.at, message.stamp_ms, self.clock.time):
                self.rows.append(_row(message, offset, self.clock.time))

    def stream(self, batches: int, *, die_at: int | None = None) -> None:
        """A new process reads some micro-batches and ends, well or not."""

        def step(number: int) -> None:
            if number == die_at:
                raise Crash

        loop = self._loop(step)
        try:
            for _ in range(batches):
                loop.once()
            loop.close()
        finally:
            loop.abandon()

    def drain(self) -> None:
        """Everything said is shown and kept."""
        self.stream(len(self.topic) + 2)
        assert sum(self.streamed.values()) == len(self.topic), ("not all is streamed", self.streamed)

    def _loop(self, step: Callable[[int], None]) -> StreamLoop:
        ownership = Ownership(self.runtime.home, "clicks", self.clock)
        log = MemoryLog(self.topic)
        return StreamLoop(self.runtime, "clicks", log, self.store, NoLookup(), ownership, PACE, self.clock, step)

    @property
    def streamed(self) -> dict[str, int]:
        return {partition: at.next_offset for partition, at in self.store.stream_positions().items()}

    @property
    def days(self) -> list[dt.date]:
        return sorted({row["event_time"].date() for row in self.rows})

    def seal(self, days: Sequence[dt.date], *, build: bool = True) -> None:
        if build:
            list(events.build(self.runtime, "click", days))
        list(publish(self.runtime, self.store, "click", days))
        table = tables.events(self.runtime, self.plan)
        self.world.publish({day: high_water_of(table.notes({"day": day})) for day in days})

    def answer(self, user: str, length: int | None = None, *, sequence: str = "every") -> list[Row]:
        plan = SequencePlan.of(self.runtime.loaded, sequence)
        found = answer(plan, self.store, user, Query(limit=length), clock=self.clock).events
        return in_utc(found.select(SHOWN))

    def check(self) -> None:
        """Each event once, and all as the oracle says."""
        self.world.streamed = self.streamed
        today = self.clock.time.date()
        for user in USERS:
            for length, sequence in ((None, "every"), (1, "every"), (3, "every"), (None, "recent")):
                found = self.answer(user, length, sequence=sequence)
                ids = [row["event_id"] for row in found]
                assert len(ids) == len(set(ids)), ("an event twice", user, ids)
                window = WINDOW if sequence == "recent" else None
                expected = shown(self.world.answer(user, today, length=length, window=window))
                assert found == expected, (_how(found, expected, sequence), user, length, found, expected)

    def settle(self) -> None:
        """Everything streamed and sealed: stream, batch and oracle agree, and the checks of quality pass."""
        self.drain()
        self.check()
        days = self.days
        for _ in range(2):
            self.seal(days)
            self.check()
        for user in USERS:
            found, expected = self.answer(user), shown(settled(self.rows, user, by_seq=self.order is not None))
            assert found == expected, ("settled " + _how(found, expected, "every"), user, found, expected)
        for check in (identity, completeness, consistency):
            judged = check(self.runtime, "click", days) if days else None
            if judged is not None:
                failed = judged.filter(~judged["passed"])
                assert not failed.height, (f"check {check.__name__} fails", failed.select("day", "detail").rows())


def _how(found: list[Row], expected: list[Row], sequence: str) -> str:
    """In which way an answer is wrong."""
    by_id = [{row["event_id"]: row for row in rows} for rows in (found, expected)]
    if missing := by_id[1].keys() - by_id[0].keys():
        return f"answer of {sequence}, without {len(missing)} event(s)"
    if more := by_id[0].keys() - by_id[1].keys():
        return f"answer of {sequence}, with {len(more)} event(s) too many"
    return f"answer of {sequence}, in " + ("another order" if by_id[0] == by_id[1] else "another copy")


def shown(rows: Iterable[Row]) -> list[Row]:
    return [{name: row[name] for name in SHOWN} for row in rows]


def _row(said: Said, offset: int, now: dt.datetime) -> Row:
    return {
        "user": said.member,
        "event_id": said.id,
        "event_time": said.at,
        "ingest_time": clocks.receipt(said.stamp_ms, now),
        "rev": said.rev or 0,
        "op": (said.op or "upsert").lower(),
        "passes": said.passes,
        "source_partition": f"{TOPIC}:{said.partition}",
        "offset": offset,
        "value": said.amount,
        "seq": said.seq,
    }


def tell(steps: Sequence[Step], folder: Path, store: OnlineStore, *, order: str | None = None) -> Clicks:
    """Play a story to its end.

    Raises:
        AssertionError: an answer is not the oracle's; any other error: something stopped the platform.
    """
    clicks = Clicks(folder, store, order)
    for step in steps:
        clicks.act(step)
    clicks.settle()
    return clicks
