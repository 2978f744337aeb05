"""Expressions on hostile values: a row on which one raises, panics or leaves the calendar is refused, and no other."""

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from seqplat_resources.batch.builds import events
from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.publish.events import publish
from seqplat_resources.engine.contract import NoLookup
from seqplat_resources.online_store import OnlineStore
from seqplat_resources.read.answer import answer
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.stream.loop import Pace, StreamLoop
from seqplat_resources.stream.ownership import Ownership
from sequence_defs.schema import Column, Definition, EventType, Source, Tenant, Time
from sequence_defs.schema import Sequence as SequenceDefinition
from tests.building import ManualClock, runtime_for, utc
from tests.hostile.material import clocks
from tests.hostile.material.draws import Draw
from tests.hostile.memory_log import MemoryLog, MemoryTopic
from tests.hostile.worlds.wide import Row, in_utc

AT: Final = utc(2024, 5, 5, 12)
PACE: Final = Pace(rows=5, poll_s=0.0, keep_rows=1 << 40, keep_s=1e9, heartbeat_s=1e9)
_EDGE: Final = dt.datetime(9999, 12, 31, 12, tzinfo=dt.UTC)
_TIMES: Final = (None, AT, utc(1, 1, 1), utc(1970, 1, 1), _EDGE, dt.datetime(9999, 12, 30, tzinfo=dt.UTC))
_TEXTS: Final = (None, "2024-05-01", "2024-02-30", "never", "", "😀", "a" * 300, "9999-12-31")
_NUMBERS: Final = (None, 0, 1, -1, 2**53 + 1, 2**63 - 1, -(2**63))
_RECEIVED: Final = (clocks.NOW, clocks.NOW - dt.timedelta(days=3), utc(2030, 1, 1), utc(1970, 1, 1), None, _EDGE)
_COLUMNS: Final = {
    "later": ("timestamp", "t + INTERVAL '1 day'"),
    "day_of": ("date", "CAST(STRPTIME(s, '%Y-%m-%d') AS DATE)"),
    "half": ("float64", "i / 2.0"),
    "twice": ("int64", "i * 2 - 1"),
    "letters": ("int64", "LENGTH(s)"),
}


@dataclass(frozen=True)
class Said:
    """One message; ``received`` is the receipt it claims."""

    number: int
    t: dt.datetime | None
    s: str | None
    i: int | None
    received: dt.datetime | None

    @property
    def is_raw(self) -> bool:
        """Whether it becomes a raw row: its receipt is one, and neither that nor the event is ahead of a clock."""
        received = self.received
        return received is not None and received <= clocks.NOW + clocks.LEAD and AT - received <= clocks.LEAD

    @property
    def event(self) -> Row | None:
        """What the expressions make of it; None where one of them has no value that can be kept."""
        try:
            later = None if self.t is None else self.t + dt.timedelta(days=1)
            day = None if self.s is None else dt.datetime.strptime(self.s, "%Y-%m-%d").date()
        except (ValueError, OverflowError):
            return None
        letters = None if self.s is None else len(self.s)
        if self.i is None:
            return {"later": later, "day_of": day, "half": None, "twice": None, "letters": letters}
        if not all(-(2**63) <= each < 2**63 for each in (self.i * 2, self.i * 2 - 1)):
            return None
        return {"later": later, "day_of": day, "half": self.i / 2.0, "twice": self.i * 2 - 1, "letters": letters}


def definitions() -> tuple[Definition, ...]:
    types = {"member": "string", "id": "string", "at": "timestamp", "received": "timestamp"}
    keys = tuple(Column(name=name, dtype=dtype, nullable=name == "received") for name, dtype in types.items())
    values = tuple(Column(name=n, dtype=t) for n, t in {"t": "timestamp", "s": "string", "i": "int64"}.items())
    source = Source(
        name="said",
        tenant="shop",
        topic="said",
        columns=(*keys, *values),
        event_time=Time(sql="at"),
        ingest_time=Time(sql="received"),
        user_id="member",
    )
    made = tuple(Column(name=name, dtype=dtype, sql=sql) for name, (dtype, sql) in _COLUMNS.items())
    event = EventType(name="made", tenant="shop", source="said", id_field="id", columns=(keys[1], *made))
    every = SequenceDefinition(name="every", tenant="shop", event_types=("made",), columns=tuple(_COLUMNS))
    return (Tenant(name="shop", tenant="shop"), source, event, every)


def sayings(draw: Draw) -> list[Said]:
    """Each with one or no hostile value."""
    said = []
    for number in range(draw.number(1, 15)):
        values: dict[str, Any] = {"t": AT, "s": "2024-05-01", "i": 1, "received": clocks.NOW}
        wrong = draw.of(("t", "s", "i", "received", ""))
        hostile = {"t": _TIMES, "s": _TEXTS, "i": _NUMBERS, "received": _RECEIVED}
        said.append(Said(number, **(values | ({wrong: draw.of(hostile[wrong])} if wrong else {}))))
    return said


def play(said: Sequence[Said], folder: Path, store: OnlineStore) -> None:
    """Stream, build and publish; streamed and published answers have the events that can be made, and no other.

    Raises:
        AssertionError: an event is missing, another one, or too many; any other error: a value stopped the platform.
    """
    clock, topic = ManualClock(clocks.NOW), MemoryTopic("said", 1)
    runtime = runtime_for(folder / "home", definitions(), folder, clock=clock)
    topic.append(0, [(clocks.NOW_MS, _line(each)) for each in said])
    ownership = Ownership(runtime.home, "said", clock)
    loop = StreamLoop(runtime, "said", MemoryLog(topic), store, NoLookup(), ownership, PACE, clock)
    for _ in range(len(said) + 3):
        loop.once()
    loop.close()
    plan = SequencePlan.of(runtime.loaded, "every")
    raw = tables.archive(runtime, runtime.release.sources["said"])
    kept = raw.scan().select("_offset").collect().to_series().to_list() if raw.exists() else []
    assert sorted(kept) == [n for n, each in enumerate(said) if each.is_raw], ("raw rows", kept, said)
    expected = {f"e{each.number}": each.event for each in said if each.is_raw and each.event is not None}
    for when in ("streamed", "published"):
        found = {row["event_id"]: row for row in in_utc(answer(plan, store, "ann", clock=clock).events)}
        assert found.keys() == expected.keys(), (f"events {when}", found.keys() ^ expected.keys(), said)
        for event_id, row in found.items():
            assert {name: row[name] for name in _COLUMNS} == expected[event_id], (
                f"cells {when}",
                row,
                expected[event_id],
            )
        list(events.build(runtime, "made", [AT.date()]))
        list(publish(runtime, store, "made", [AT.date()]))
    refused = tables.rejects(runtime, "said").scan().filter(stage="made").collect()["offset"].to_list()
    wanted = [n for n, each in enumerate(said) if each.is_raw and each.event is None]
    assert sorted(refused) == wanted, ("rejects", refused, said)


def _line(said: Said) -> bytes:
    fields = {"member": "ann", "id": f"e{said.number}", "at": AT.isoformat(), "s": said.s, "i": said.i}
    times = {"t": said.t, "received": said.received}
    return json.dumps(fields | {name: time and time.isoformat() for name, time in times.items()}).encode()
