"""A small shop with an old pipeline beside it, into whose files flaws are planted."""

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl

from seqplat_resources.batch.builds import events, raw
from seqplat_resources.release.runtime import Runtime
from sequence_defs.schema import Column, Compared, EventType, Legacy, Source, Tenant, Time
from tests.building import days, runtime_for

DAYS = days(dt.date(2024, 5, 1), 8)
_OWNED: dict[str, Any] = {"tenant": "shop", "owner": "team:shop"}
_RANGE: dict[str, Any] = {"start": DAYS[0], "end": DAYS[-1] + dt.timedelta(days=1)}
shop = Tenant(name="shop", tenant="shop")
visits = Source(
    name="visits",
    location="visits.parquet",
    columns=(
        Column(name="member", dtype="string", nullable=False),
        Column(name="at", dtype="timestamp", nullable=False),
        Column(name="received", dtype="timestamp", nullable=False),
        Column(name="visit", dtype="int64", nullable=False),
        Column(name="page", dtype="string"),
        Column(name="score", dtype="float64"),
        Column(name="bot", dtype="bool"),
    ),
    event_time=Time(sql="at"),
    ingest_time=Time(sql="received"),
    user_id="member",
    shards=2,
    **_RANGE,
    **_OWNED,
)
old_visits = Source(
    name="old_visits",
    location="old/{day}.parquet",
    columns=(
        Column(name="who", dtype="string", nullable=False),
        Column(name="at", dtype="timestamp", nullable=False),
        Column(name="nr", dtype="int64", nullable=False),
        Column(name="page", dtype="string"),
        Column(name="points", dtype="float64"),
    ),
    event_time=Time(sql="at"),
    user_id="who",
    **_RANGE,
    **_OWNED,
)


def visit(**changes: Any) -> EventType:
    legacy = Legacy(
        source="old_visits",
        event_id="nr",
        waits_s=3600,
        columns={"page": Compared(), "score": Compared(field="points", relative=1e-9)},
        **changes,
    )
    return EventType(
        name="visit",
        source="visits",
        filter="NOT bot",
        columns=(
            Column(name="visit", dtype="int64", nullable=False),
            Column(name="page", dtype="string"),
            Column(name="score", dtype="float64"),
        ),
        id_field="visit",
        retention_days=1000,
        lifecycle="shadow",
        legacy=legacy,
        **_OWNED,
    )


USERS, PER_DAY = 400, 3


def _ours() -> pl.DataFrame:
    rows = []
    for at, day in enumerate(DAYS):
        for user in range(USERS):
            for n in range(PER_DAY):
                time = dt.datetime.combine(day, dt.time(2 + 6 * n, user % 60), dt.UTC)
                number = (at * USERS + user) * PER_DAY + n
                rows.append((f"u{user}", time, time, number, f"page {n}", number / 7, False))
    schema = ["member", "at", "received", "visit", "page", "score", "bot"]
    return pl.DataFrame(rows, schema=schema, orient="row")


class World:
    """Both sides as files; ``flaws`` of the old pipeline are planted by number of the event."""

    def __init__(self, folder: Path, definition: EventType) -> None:
        self.folder, self.definition = folder, definition
        self.ours = _ours()
        self.old = self.ours.select(who="member", at="at", nr="visit", page="page", points="score")

    def write(self) -> Runtime:
        """Write the files; nothing is built."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / "old").mkdir(exist_ok=True)
        self.ours.write_parquet(self.folder / "visits.parquet")
        for day in DAYS:
            self.old.filter(pl.col("at").dt.date() == day).write_parquet(self.folder / "old" / f"{day}.parquet")
        return runtime_for(self.folder / "home", [shop, visits, old_visits, self.definition], self.folder)

    def build(self) -> Runtime:
        """Both sides in the lake."""
        runtime = self.write()
        for source in ("visits", "old_visits"):
            list(raw.ingest(runtime, source, DAYS))
        list(events.build(runtime, "visit", DAYS))
        return runtime
