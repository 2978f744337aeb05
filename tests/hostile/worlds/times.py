"""Event times that a definition computes: epochs of every unit, local times of a zone, dates that are midnights."""

import datetime as dt
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from seqplat_resources.batch.builds import events, raw
from seqplat_resources.batch.inputs import tables
from seqplat_resources.lake.layout import UNDATED
from sequence_defs.schema import Column, Definition, EventType, Source, Tenant, Time
from tests.building import ManualClock, runtime_for, utc
from tests.hostile.material import clocks
from tests.hostile.material.draws import Draw
from tests.hostile.material.instants import CLOCK_CHANGES, EDGES, EPOCHS, TIME_EDGES, TIME_TEXTS
from tests.hostile.material.meaning import ANYTHING, NO, REJECT, Meaning, allows, meaning
from tests.hostile.worlds.wide import in_utc

RECEIVED: Final = clocks.NOW - dt.timedelta(hours=1)
_UNITS: Final = {"s": 10**6, "ms": 10**3, "us": 1}
_FORMAT: Final = "%Y-%m-%dT%H:%M:%S"
_ZONES: Final = ("America/New_York", "Europe/Berlin", "Africa/Cairo", "America/Havana", "Pacific/Apia", "UTC")
_LOCAL_TEXTS: Final = (
    *CLOCK_CHANGES,
    "2024-05-01T12:00:00",
    "2024-04-26T00:30:00",
    "2024-05-01T24:00:00",
    "0001-01-01T00:00:00",
    "9999-12-31T23:59:59",
    "never",
    "2024-05-01T12:00:00Z",
    "",
)
_DATES: Final = ("2024-05-01", "2024-04-26", "2024-03-10", "2011-12-30", "0001-01-01", "9999-12-31", "20240501")


@dataclass(frozen=True)
class Said:
    """A value in the column that a source of that name makes its event time of."""

    source: str
    value: Any

    @property
    def meaning(self) -> Meaning:
        kind, _, how = self.source.partition("_")
        times = _epoch(self.value, how) if kind == "epoch" else _local(self.value, ZONE_OF[self.source], kind)
        return tuple(REJECT if time is not REJECT and _is_late(time) else time for time in times)


ZONE_OF: Final = {f"{kind}_{n}": zone for kind in ("local", "date") for n, zone in enumerate(_ZONES)}
SOURCES: Final = (*(f"epoch_{unit}" for unit in (*_UNITS, "ns")), *ZONE_OF)


def _is_late(time: Any) -> bool:
    return isinstance(time, dt.datetime) and time - RECEIVED > clocks.LEAD


def _epoch(value: Any, unit: str) -> Meaning:
    """Units since 1970, exactly; only what no calendar has is refused, and nothing wraps around."""
    counts = meaning("int64", value)
    if counts[0] is REJECT or counts[0] is None:
        return NO
    us = counts[0] // 1000 if unit == "ns" else counts[0] * _UNITS[unit]
    try:
        return (utc(1970, 1, 1) + dt.timedelta(microseconds=us), *counts[1:])
    except OverflowError:
        return NO


def _local(value: Any, zone: str, kind: str) -> Meaning:
    """The earlier of two equal local times; none for a time that clocks passed over, but a date is never refused."""
    try:
        naive = dt.datetime.strptime(value, "%Y-%m-%d" if kind == "date" else _FORMAT)
    except ValueError:
        return NO
    if not 1905 < naive.year < 2037:
        return ANYTHING  # tables of zones differ about times without a rule
    tries = [naive] if kind == "local" else [naive, naive + dt.timedelta(hours=1)]
    found = next((time for each in tries if (time := _told(each, zone)) is not None), None)
    return ANYTHING if found is None and kind == "date" else NO if found is None else (found,)


def _told(naive: dt.datetime, zone: str) -> dt.datetime | None:
    time = naive.replace(tzinfo=ZoneInfo(zone)).astimezone(dt.UTC)
    return time if time.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == naive else None


def definitions() -> list[Definition]:
    """One source for each way to tell the time, and an event type of each."""
    made: list[Definition] = [Tenant(name="shop", tenant="shop")]
    for name in SOURCES:
        kind, _, how = name.partition("_")
        dtype = {"epoch": "int64", "local": "string", "date": "date"}[kind]
        sql = f"STRPTIME(v, '{_FORMAT}')" if kind == "local" else "v"
        time = Time(sql=sql, epoch_unit=how) if kind == "epoch" else Time(sql=sql, timezone=ZONE_OF[name])  # type: ignore[arg-type]
        columns = (
            Column(name="member", dtype="string", nullable=False),
            Column(name="id", dtype="string", nullable=False),
            Column(name="v", dtype=dtype),
        )
        source = {"name": name, "tenant": "shop", "location": f"{name}.ndjson", "format": "ndjson", "columns": columns}
        made.append(Source(**source, event_time=time, user_id="member"))
        made.append(EventType(name=f"{name}_event", tenant="shop", source=name, id_field="id", columns=columns[1:]))
    return made


def some_times(draw: Draw) -> list[Said]:
    said = []
    for _ in range(draw.number(1, 20)):
        source = draw.of(SOURCES)
        values = {"epoch": (*EPOCHS, *EDGES, None, "x", 1.5), "local": _LOCAL_TEXTS, "date": _DATES}
        said.append(Said(source, draw.of((*values[source.partition("_")[0]], *_MORE[source.partition("_")[0]]))))
    return said


_MORE: Final[Mapping[str, Sequence[Any]]] = {
    "epoch": (-62_135_596_800, -62_135_596_801, 253_402_300_799, 253_402_300_800, 9_223_372_036_854_775),
    "local": (*TIME_TEXTS[:12], *TIME_EDGES[:8]),
    "date": (*TIME_TEXTS[26:36], "2262-04-12"),
}


def play(said: Sequence[Said], folder: Path) -> None:
    """Ingest and build what the sources said.

    Raises:
        AssertionError: a row has no fate, two, or another time; any other error: a value stopped its source.
    """
    runtime = runtime_for(folder / "home", definitions(), folder, clock=ManualClock(clocks.NOW))
    for name in sorted({each.source for each in said}):
        mine = [each for each in said if each.source == name]
        rows = [{"member": "ann", "id": f"e{n}", "v": each.value} for n, each in enumerate(mine)]
        path = folder / f"{name}.ndjson"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        os.utime(path, (RECEIVED.timestamp(),) * 2)
        days = {time.date() for each in mine for time in each.meaning if isinstance(time, dt.datetime)}
        list(raw.ingest(runtime, name, sorted(days | {clocks.DAYS[0]})))
        _judge(runtime, name, mine)
        list(events.build(runtime, f"{name}_event", sorted(days - {UNDATED})))


def _judge(runtime: Any, name: str, mine: Sequence[Said]) -> None:
    kept = in_utc(tables.raw(runtime, runtime.release.sources[name]).scan().collect())
    refused = tables.rejects(runtime, name)
    fates: dict[int, list[Any]] = {}
    for row in kept:
        fates.setdefault(row["_offset"], []).append(row["_event_time"])
    for offset in refused.scan().select("offset").collect().to_series() if refused.exists() else ():
        fates.setdefault(offset, []).append(REJECT)
    for offset, each in enumerate(mine):
        found = fates.get(offset, [])
        if each.meaning != ANYTHING or len(found) > 1:  # an unknown time may be of a day that was not asked for
            assert len(found) == 1, (f"time of {name[:5]}: {len(found)} fates", each, each.meaning)
            assert allows(each.meaning, found[0]), (f"time of {name[:5]}: another", each, found[0], each.meaning)
