"""A home whose source has a column of every type: what becomes of each message that is sent to it."""

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from seqplat_resources.batch.builds import events
from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.publish.events import publish
from seqplat_resources.engine.contract import NoLookup
from seqplat_resources.lake.layout import DAY
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.online_store import OnlineStore
from seqplat_resources.read.answer import answer
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.stream.loop import Pace, StreamLoop
from seqplat_resources.stream.ownership import Ownership
from sequence_defs.schema import Column, Definition, EventType, Source, Tenant, Time
from sequence_defs.schema import Sequence as SequenceDefinition
from tests.building import ManualClock, runtime_for
from tests.hostile.material import clocks
from tests.hostile.material.meaning import allows
from tests.hostile.material.records import COLUMNS, Record
from tests.hostile.memory_log import MemoryLog, MemoryTopic

TOPIC = "wide"
TENANT = "shop"
Row = dict[str, Any]


def definitions(**source: Any) -> tuple[Definition, ...]:
    """The source, the event type that takes all of its columns, and the sequence of all of them."""
    columns = tuple(Column(name=name, dtype=dtype) for name, dtype in COLUMNS.items())
    keys = (
        Column(name="member", dtype="string", nullable=False),
        Column(name="id", dtype="string", nullable=False),
        Column(name="at", dtype="timestamp", nullable=False),
    )
    wide = Source(
        **{
            "name": "wide",
            "tenant": TENANT,
            "columns": (*keys, *columns),
            "event_time": Time(sql="at"),
            "user_id": "member",
            "topic": TOPIC,
        }
        | source
    )
    made = EventType(name="wide_event", tenant=TENANT, source="wide", id_field="id", columns=(keys[1], *columns))
    every = SequenceDefinition(name="every", tenant=TENANT, event_types=("wide_event",), columns=tuple(COLUMNS))
    return (Tenant(name=TENANT, tenant=TENANT), wide, made, every)


@dataclass
class Wide:
    """One installation and its topic of two partitions."""

    folder: Path
    store: OnlineStore

    def __post_init__(self) -> None:
        self.clock = ManualClock(clocks.NOW)
        self.runtime: Runtime = runtime_for(self.folder / "home", definitions(), self.folder, clock=self.clock)
        self.source = self.runtime.release.sources["wide"]
        self.topic = MemoryTopic(TOPIC, 2)
        self.sent: dict[tuple[str, int], Record] = {}

    def send(self, records: Sequence[Record]) -> None:
        for record in records:
            self.sent[f"{TOPIC}:{record.partition}", len(self.topic.records[record.partition])] = record
            self.topic.append(record.partition, [(record.stamp_ms, record.value)])

    def stream(self, rows: int) -> None:
        """Everything that was sent, in micro-batches of so many messages, shown and kept.

        Raises:
            AssertionError: the loop does not get to the end.
        """
        pace = Pace(rows=rows, poll_s=0.0, keep_rows=1 << 40, keep_s=1e9, heartbeat_s=1e9)
        ownership = Ownership(self.runtime.home, "wide", self.clock)
        log = MemoryLog(self.topic)
        loop = StreamLoop(self.runtime, "wide", log, self.store, NoLookup(), ownership, pace, self.clock)
        try:
            for _ in range(2 * len(self.topic) // rows + 10):
                loop.once()
                if loop.partitions and not any(loop.lag().values()):
                    loop.close()
                    return
            raise AssertionError(f"the loop stands at {self.store.stream_positions()} of {len(self.topic)} messages")
        finally:
            loop.abandon()

    @property
    def raw(self) -> list[Row]:
        return _rows(tables.archive(self.runtime, self.source))

    @property
    def refused(self) -> list[Row]:
        return [row for row in _rows(tables.rejects(self.runtime, "wide")) if row["stage"] == "stream"]

    def build(self, days: Sequence[dt.date]) -> None:
        list(events.build(self.runtime, "wide_event", days))
        list(publish(self.runtime, self.store, "wide_event", days))

    def answer(self, user: str) -> list[Row]:
        plan = SequencePlan.of(self.runtime.loaded, "every")
        return in_utc(answer(plan, self.store, user, clock=self.clock).events)


def _rows(table: LakeTable) -> list[Row]:
    return in_utc(table.scan().collect()) if table.exists() else []


def in_utc(frame: pl.DataFrame) -> list[Row]:
    """Rows with times of the standard library.

    Raises:
        AssertionError: a cell that Python has no value for, and so no encoder either.
    """
    rows: list[Row] = [{} for _ in range(frame.height)]
    for name in frame.columns:
        for row, value in zip(rows, _values(name, frame[name]), strict=True):
            row[name] = value
    return rows


def _values(name: str, series: pl.Series) -> Iterator[Any]:
    try:
        values = series.to_list()
    except (ValueError, OverflowError) as error:
        raise AssertionError(f"column {name} holds what no calendar has: {error}") from error
    for value in values:
        yield [_utc(item) for item in value] if isinstance(value, list) else _utc(value)


def _utc(value: Any) -> Any:
    return value.astimezone(dt.UTC) if isinstance(value, dt.datetime) else value


# ---- Judging ------------------------------------------------------------------------------------------------------


def judge(wide: Wide) -> dict[str, list[Row]]:
    """Every message one fate, the right one; returns the raw rows by user.

    Raises:
        AssertionError: a message has no fate, two, or a wrong one.
    """
    kept = {(row["_partition"], row["_offset"]): row for row in wide.raw}
    refused = {(row["source_partition"], row["offset"]): row for row in wide.refused}
    fates = Counter([(row["_partition"], row["_offset"]) for row in wide.raw] + list(refused))
    assert fates.keys() == wide.sent.keys(), ("no fate", sorted(wide.sent.keys() - fates.keys())[:3])
    assert not [place for place, count in fates.items() if count > 1], "two fates"
    for place, row in kept.items():
        judge_kept(wide.sent[place], row)
        receipt = clocks.receipt(wide.sent[place].stamp_ms)
        assert row["_ingest_time"] == receipt, ("receipt", wide.sent[place], row["_ingest_time"])
    for place, row in refused.items():
        judge_refused(wide.sent[place], row)
    by_user: dict[str, list[Row]] = {}
    for row in kept.values():
        by_user.setdefault(row["member"], []).append(row)
    return by_user


def judge_kept(record: Record, row: Row) -> None:
    assert record.cells is not None, ("kept what is no row", record)
    for name, cells in record.cells.items():
        if name in row:
            assert allows(cells, row[name]), (f"column {name} is {row[name]!r:.80}, allowed {cells!r:.80}", record)


def judge_refused(record: Record, row: Row) -> None:
    assert record.may_be_refused, (f"refused: {row['reason']}", record)
    assert row["reason"], record
    assert row["payload"] == (record.value or b""), ("payload", row["payload"][:200], record)


def judge_answers(wide: Wide, by_user: Mapping[str, list[Row]]) -> None:
    """Every user's answer is what their raw rows say, newest first."""
    for user, rows in by_user.items():
        expected = {row["id"]: row for row in rows}
        found = wide.answer(user)
        assert {row["event_id"] for row in found} == expected.keys(), ("events", user)
        assert len(found) == len(expected), ("an event twice", user)
        times = [row["event_time"] for row in found]
        assert times == sorted(times, reverse=True), ("order", user)
        for row in found:
            said = expected[row["event_id"]]
            assert row["event_time"] == said["at"], ("time", said)
            for name in COLUMNS:
                assert allows((said[name],), row[name]), (f"column {name} is {row[name]!r:.80}", said)


def days_of(by_user: Mapping[str, list[Row]]) -> list[dt.date]:
    return sorted({row["at"].date() for rows in by_user.values() for row in rows})


def play(records: Sequence[Record], folder: Path, store: OnlineStore, *, rows: int = 7) -> Wide:
    """Send, stream, build and publish the records, and judge each step.

    Raises:
        AssertionError: something is not as it must be; any other error: something hostile stopped the platform.
    """
    wide = Wide(folder, store)
    with closing(MemoryLog(wide.topic)):
        wide.send(records)
        wide.stream(rows)
    by_user = judge(wide)
    judge_answers(wide, by_user)
    wide.build(days_of(by_user))
    judge_answers(wide, by_user)
    return wide


__all__ = ["DAY", "Wide", "definitions", "in_utc", "judge", "judge_answers", "play"]
