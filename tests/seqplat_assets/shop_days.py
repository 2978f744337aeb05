"""A shop whose clicks come in one file per day, to lose, break and mend."""

import datetime as dt
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import dagster as dg

from seqplat_assets.describe.keys import key_of
from seqplat_resources.batch.days.existing import built_days
from seqplat_resources.clock import Clock, SystemClock
from seqplat_resources.home import Home
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.release.runtime import DEFAULT_CHANNEL, Runtime
from seqplat_resources.release.store import ReleaseStore
from sequence_defs.schema import Column, Definition, EventType, Source, Tenant, Time
from sequence_defs.schema import Sequence as SequenceDefinition
from tests.building import days, runtime_for

DAYS = days(dt.date(2024, 5, 1), 5)
RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
SHOP = Tenant(name="shop", tenant="shop", owner="team:shop", description="sells")
_IDS = (Column(name="user", dtype="string", nullable=False), Column(name="id", dtype="string", nullable=False))
CLICKS = Source(
    name="clicks",
    tenant="shop",
    owner="team:shop",
    location="{day}.csv",
    format="csv",
    columns=(*_IDS, Column(name="at", dtype="timestamp", nullable=False)),
    event_time=Time(sql="at"),
    ingest_time=Time(sql="at"),
    user_id="user",
    start=DAYS[0],
)
CLICK = EventType(name="click", tenant="shop", owner="team:shop", source="clicks", id_field="id", columns=_IDS[1:])
RECENT = SequenceDefinition(
    name="recent", tenant="shop", owner="team:shop", event_types=("click",), columns=("id",), length=9
)
LAYERS = ("raw/clicks", "events/click", "sequences/recent", "online/click")


def write(folder: Path, day: dt.date, rows: int = 4) -> None:
    """The day's file, one click a second."""
    said = [f"u,{day}-{n},{day}T10:00:0{n}Z" for n in range(rows)]
    (folder / f"{day}.csv").write_text("\n".join(["user,id,at", *said]))


def spoil(folder: Path, day: dt.date) -> None:
    """A file of nothing that is a row: a check holds its day."""
    (folder / f"{day}.csv").write_text("user,id,at\nu,1,yesterday\nu,2,noon")


def lock(folder: Path, day: dt.date) -> None:
    """Something of the file's name that cannot be read: its day fails."""
    (folder / f"{day}.csv").unlink(missing_ok=True)
    (folder / f"{day}.csv").mkdir()


def shop(
    folder: Path,
    *more: Definition,
    source: Source = CLICKS,
    event_type: EventType = CLICK,
    clock: Clock = SystemClock(),
) -> Runtime:
    """With whole files of all days."""
    for day in DAYS:
        write(folder, day)
    return runtime_for(folder / "home", [SHOP, source, event_type, RECENT, *more], folder, clock=clock)


def loaded(folder: Path) -> Runtime:
    """What another process has made of that folder."""
    home = Home(str(folder / "home"), {})
    return Runtime(home, ReleaseStore(home).load(DEFAULT_CHANNEL), str(folder))


def built(runtime: Runtime) -> dict[str, list[int]]:
    """By layer, which of ``DAYS`` (by number) are there; online, those that are published."""
    return {name: [n for n, day in enumerate(DAYS) if day in built_days(runtime, name)] for name in LAYERS}


def materialized(instance: dg.DagsterInstance, asset: str) -> list[int]:
    """Which of ``DAYS`` Dagster shows as materialized."""
    found = instance.get_materialized_partitions(key_of(asset))
    return [n for n, day in enumerate(DAYS) if str(day) in found]


def served(runtime: Runtime, of: Sequence[dt.date] = DAYS) -> dict[int, int]:
    """Events published of each day."""
    with closing(open_online_store(runtime.home)) as store:
        epoch = store.epoch("click")
    assert epoch is not None
    return {n: epoch.buckets[str(day)].rows for n, day in enumerate(of) if str(day) in epoch.buckets}
