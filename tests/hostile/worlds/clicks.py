"""Play a story on real parts, log, stream loops that crash, lake and online store, and look at every moment."""

import datetime as dt
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from seqplat_resources.batch.builds import events, raw
from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.rows import high_water_of
from seqplat_resources.batch.publish.events import publish
from seqplat_resources.engine.contract import NoLookup
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.online_store import OnlineStore
from seqplat_resources.quality.completeness import completeness
from seqplat_resources.quality.consistency import consistency
from seqplat_resources.quality.identity import identity
from seqplat_resources.read.answer import answer
from seqplat_resources.release.query import Query
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.stream.loop import Pace, StreamLoop
from seqplat_resources.stream.ownership import Ownership
from tests.building import ManualClock, runtime_for
from tests.hostile.material import clocks
from tests.hostile.memory_log import MemoryLog, MemoryTopic
from tests.hostile.oracle import Row, World, scattered, settled
from tests.hostile.worlds.click_definitions import TOPIC, WINDOW, definitions, line, row
from tests.hostile.worlds.stories import USERS, Said, Step
from tests.hostile.worlds.wide import in_utc

SHOWN = ("event_id", "event_time", "value")
PACE = Pace(rows=3, poll_s=0.0, keep_rows=5, keep_s=1e9, heartbeat_s=1e9)


class Crash(BaseException):
    """The process ends here."""


@dataclass
class Clicks:
    """One installation, and the world it should look like."""

    folder: Path
    store: OnlineStore
    order: str | None = None
    with_files: bool = False
    clock: ManualClock = field(default_factory=lambda: ManualClock(clocks.NOW))

    def __post_init__(self) -> None:
        made = definitions(order=self.order, location="late-*.ndjson" if self.with_files else "")
        self.runtime = runtime_for(self.folder / "home", made, self.folder, clock=self.clock)
        self.plan = EventPlan.of(self.runtime.loaded, "click")
        self.topic = MemoryTopic(TOPIC, 2)
        self.rows: list[Row] = []
        self.world = World(self.rows, by_seq=self.order is not None)
        self.files: list[str] = []
        if self.with_files:  # one of somebody else, so that there is one
            self.file([Said("zoe", "z", clocks.NOW - dt.timedelta(days=1), 1, 0, None, 0, 0, clocks.NOW_MS)])

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
        elif step.what == "file":
            self.file(step.said)
        elif step.what == "seal" and step.days:
            self.seal(step.days)
        elif step.days:
            self.build(step.days)
        self.check()

    def say(self, said: Iterable[Said]) -> None:
        for message in said:
            offset = len(self.topic.records[message.partition])
            self.topic.append(message.partition, [(message.stamp_ms, line(message))])
            if not clocks.is_ahead(message.at, message.stamp_ms, self.clock.time):
                receipt = clocks.receipt(message.stamp_ms, self.clock.time)
                self.rows.append(row(message, f"{TOPIC}:{message.partition}", offset, receipt))

    def file(self, said: Sequence[Said]) -> None:
        """A file that comes late; what all files hold is in the lake at once."""
        name, stamp_ms = f"late-{len(self.files)}.ndjson", said[0].stamp_ms
        self.files.append(name)
        path = self.folder / name
        path.write_bytes(b"".join(line(message) + b"\n" for message in said))
        stamp_ms = stamp_ms if 0 <= stamp_ms < 4_000_000_000_000 else 0  # what a file system can keep
        os.utime(path, ns=(stamp_ms * 1_000_000,) * 2)
        for number, message in enumerate(said):
            if not clocks.is_ahead(message.at, stamp_ms, self.clock.time):
                self.rows.append(row(message, name, number, clocks.receipt(stamp_ms, self.clock.time)))
        list(raw.ingest(self.runtime, "clicks", self.days))

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

    def build(self, days: Sequence[dt.date]) -> None:
        if self.with_files:
            list(raw.ingest(self.runtime, "clicks", days))
        list(events.build(self.runtime, "click", days))

    def seal(self, days: Sequence[dt.date]) -> None:
        self.build(days)
        list(publish(self.runtime, self.store, "click", days))
        table, files = tables.events(self.runtime, self.plan), dict.fromkeys(self.files, 1 << 40)
        self.world.publish({day: files | high_water_of(table.notes({"day": day})) for day in days})

    def answer(self, user: str, length: int | None = None, *, sequence: str = "every") -> list[Row]:
        plan = SequencePlan.of(self.runtime.loaded, sequence)
        found = answer(plan, self.store, user, Query(limit=length), clock=self.clock).events
        return in_utc(found.select(SHOWN))

    def check(self, *, settled: bool = False) -> None:
        """Each event once, and all as the oracle says; of scattered copies only when all of them met."""
        self.world.streamed = self.streamed
        unsure = set() if settled else scattered(self.rows)
        for user in USERS:
            odd = {event_id for name, event_id in unsure if name == user}
            for length, sequence in ((None, "every"), (1, "every"), (3, "every"), (None, "recent")):
                if odd and length:
                    continue  # whether they count decides which others are within the length
                found = [row for row in self.answer(user, length, sequence=sequence) if row["event_id"] not in odd]
                self._compare(user, length, sequence, found, odd)

    def _compare(self, user: str, length: int | None, sequence: str, found: list[Row], odd: Collection[str]) -> None:
        window = WINDOW if sequence == "recent" else None
        answered = self.world.answer(user, self.clock.time.date(), length=length, window=window)
        expected = shown(row for row in answered if row["event_id"] not in odd)
        ids = [row["event_id"] for row in found]
        assert len(ids) <= max(len(expected), len(set(ids))), ("an event twice", user, ids)
        assert found == expected, (_how(found, expected, sequence), user, length, found, expected)

    def settle(self) -> None:
        """Everything streamed and sealed: stream, batch and oracle agree, and the checks of quality pass."""
        self.drain()
        self.check()
        days = self.days
        for _ in range(2):
            self.seal(days)
            self.check(settled=True)
        for user in USERS:
            found, expected = self.answer(user), shown(settled(self.rows, user, by_seq=self.order is not None))
            assert found == expected, ("settled " + _how(found, expected, "every"), user, found, expected)
        # A file may bring an earlier copy than the log did, and then what was served rightly differs from batch.
        for check in (identity, completeness, *(() if self.with_files else (consistency,))):
            judged = check(self.runtime, "click", days) if days else None
            if judged is not None:
                failed = judged.filter(~judged["passed"])
                assert not failed.height, (f"check {check.__name__} fails", failed.select("day", "detail").rows())


def _how(found: list[Row], expected: list[Row], sequence: str) -> str:
    """In which way an answer is wrong."""
    by_id = [{row["event_id"]: row for row in rows} for rows in (found, expected)]
    if by_id[1].keys() - by_id[0].keys():
        return f"answer of {sequence}, without an event"
    if by_id[0].keys() - by_id[1].keys():
        return f"answer of {sequence}, with an event too many"
    return f"answer of {sequence}, in " + ("another order" if by_id[0] == by_id[1] else "another copy")


def shown(rows: Iterable[Row]) -> list[Row]:
    return [{name: row[name] for name in SHOWN} for row in rows]


def tell(steps: Sequence[Step], folder: Path, store: OnlineStore, *, order: str | None = None) -> Clicks:
    """Play a story to its end.

    Raises:
        AssertionError: an answer is not the oracle's; any other error: something stopped the platform.
    """
    clicks = Clicks(folder, store, order, with_files=any(step.what == "file" for step in steps))
    for step in steps:
        clicks.act(step)
    clicks.settle()
    return clicks
