"""A shop whose clicks come through a file log: its release, its streams and batch, and what they should show."""

import datetime as dt
import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seqplat_resources.batch.builds import events
from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.rows import high_water_of
from seqplat_resources.batch.publish.events import publish
from seqplat_resources.engine.contract import Lookup, NoLookup
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.online_store import OnlineStore
from seqplat_resources.read.answer import answer
from seqplat_resources.release.query import Query
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.sources.log.file.folder import FileLogSource, FileLogWriter
from seqplat_resources.stream.loop import Pace, StreamLoop
from seqplat_resources.stream.ownership import Ownership
from sequence_defs.schema import Column, Definition, EventType, Source
from sequence_defs.schema import Sequence as SequenceDefinition
from tests.building import ManualClock, runtime_for, utc
from tests.merge_oracle import Row
from tests.properties.clicks import click, clicks, shop

TOPIC = "clicks"
DAYS = [dt.date(2024, 5, 1), dt.date(2024, 5, 2), dt.date(2024, 5, 3)]
USERS = ("ann", "bob")
QUICK = Pace(rows=7, poll_s=0.0, keep_rows=11, keep_s=1e9, heartbeat_s=1e9)

source: Source = clicks(location="", topic=TOPIC, start=DAYS[0])
event_type: EventType = click(
    columns=(Column(name="click", dtype="int64", nullable=False), Column(name="value", dtype="int64", sql="amount"))
)
recent = SequenceDefinition(name="recent", tenant="shop", event_types=("click",), columns=("value",), length=50)
DEFINITIONS = (shop, source, event_type, recent)


class Crash(BaseException):
    """The process ends here."""


@dataclass
class Shop:
    """One installation with a file log of two partitions."""

    folder: Path
    store: OnlineStore
    clock: ManualClock = field(default_factory=lambda: ManualClock(utc(2024, 5, 4)))
    messages: list[Row] = field(default_factory=list)
    definitions: tuple[Definition, ...] = DEFINITIONS
    lookup: Lookup = field(default_factory=NoLookup)

    def __post_init__(self) -> None:
        self.runtime: Runtime = runtime_for(self.folder / "home", self.definitions, self.folder, clock=self.clock)
        self.plan = EventPlan.of(self.runtime.loaded, "click")
        self.sequence = SequencePlan.of(self.runtime.loaded, "recent")
        with closing(self.writer()) as writer:
            writer.create_topic(TOPIC, 2)

    def writer(self) -> FileLogWriter:
        return FileLogWriter(str(self.folder / "log"))

    def say(self, rows: Iterable[dict[str, Any]]) -> None:
        """Append clicks to the log; each row names its ``partition``."""
        counts = [sum(m["source_partition"] == f"{TOPIC}:{p}" for m in self.messages) for p in (0, 1)]
        with closing(self.writer()) as writer:
            for row in rows:
                partition = row["partition"]
                fields = {k: row.get(k) for k in ("member", "click", "amount", "revision", "operation")}
                fields |= {"at": row["at"].isoformat(), "received": row["received"].isoformat()}
                writer.append(TOPIC, [(None, json.dumps(fields).encode())], partition=partition)
                self.messages.append(_meaning(row, counts[partition]))
                counts[partition] += 1
            writer.flush()

    def loop(self, *, step: Callable[[int], None] = lambda _: None, pace: Pace = QUICK) -> StreamLoop:
        """A new process's loop; whatever an earlier one left behind is where it left it."""
        log = FileLogSource(str(self.folder / "log"))
        ownership = Ownership(self.runtime.home, "clicks", self.clock)
        return StreamLoop(self.runtime, "clicks", log, self.store, self.lookup, ownership, pace, self.clock, step)

    def build(self, days: Sequence[dt.date]) -> None:
        list(events.build(self.runtime, "click", days))

    def publish(self, days: Sequence[dt.date]) -> None:
        list(publish(self.runtime, self.store, "click", days))

    def marks(self, day: dt.date) -> dict[str, int]:
        """What the day's bucket says it has read."""
        return high_water_of(tables.events(self.runtime, self.plan).notes({"day": day}))

    def streamed(self) -> dict[str, int]:
        return {partition: at.next_offset for partition, at in self.store.stream_positions().items()}

    def answer(self, user: str, length: int | None = None) -> list[Row]:
        found = answer(self.sequence, self.store, user, Query(limit=length), clock=self.clock).events
        rows = found.select("event_id", "event_time", "value").to_dicts()
        return [row | {"event_time": row["event_time"].astimezone(dt.UTC)} for row in rows]


def shown(rows: Iterable[Row]) -> list[Row]:
    return [{name: row[name] for name in ("event_id", "event_time", "value")} for row in rows]


def _meaning(row: dict[str, Any], offset: int) -> Row:
    return {
        "event_type": "click",
        "user": row["member"],
        "event_id": str(row["click"]),
        "event_time": row["at"],
        "ingest_time": row["received"],
        "rev": row.get("revision") or 0,
        "op": row.get("operation") or "upsert",
        "source_partition": f"{TOPIC}:{row['partition']}",
        "offset": offset,
        "value": row["amount"],
    }
