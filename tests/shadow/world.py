"""A small shop with an old pipeline beside it, into whose files flaws are planted."""

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl

from seqplat_resources.batch.builds import events, raw
from seqplat_resources.release.runtime import Runtime
from sequence_defs.schema import (
    Blobs,
    Column,
    Compared,
    EventType,
    Legacy,
    LegacySequence,
    Sequence,
    Source,
    Tenant,
    Time,
)
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


LENGTH, WINDOW = 10, 4
history = Sequence(
    name="history",
    event_types=("visit",),
    columns=("page",),
    length=LENGTH + 2,
    window_days=WINDOW,
    legacy=LegacySequence(
        at=Blobs(location="blobs/{day}.parquet", user_id="who", events="events", encoding="list"),
        fields=(Column(name="nr", dtype="int64"), Column(name="at", dtype="timestamp")),
        event_id="nr",
        event_time=Time(sql="at"),
        length=LENGTH,
    ),
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

    def __init__(self, folder: Path, definition: EventType, *sequences: Sequence) -> None:
        self.folder, self.definition, self.sequences = folder, definition, sequences
        self.ours = _ours()
        self.old = self.ours.select(who="member", at="at", nr="visit", page="page", points="score")

    def write(self) -> Runtime:
        """Write the files; nothing is built."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / "old").mkdir(exist_ok=True)
        self.ours.write_parquet(self.folder / "visits.parquet")
        for day in DAYS:
            self.old.filter(pl.col("at").dt.date() == day).write_parquet(self.folder / "old" / f"{day}.parquet")
        definitions = [shop, visits, old_visits, self.definition, *self.sequences]
        return runtime_for(self.folder / "home", definitions, self.folder)

    def blobs(self, day: dt.date) -> pl.DataFrame:
        """The old pipeline's sequences at the end of a day: a row per user, newest first."""
        first = dt.datetime.combine(day - dt.timedelta(days=WINDOW - 1), dt.time(), dt.UTC)
        recent = self.old.filter(pl.col("at").is_between(first, first + dt.timedelta(days=WINDOW), closed="left"))
        lists = recent.sort("at", descending=True).group_by("who", maintain_order=True)
        return lists.agg(events=pl.struct("nr", "at").head(LENGTH)).sort("who")

    def lay(self, day: dt.date, blobs: pl.DataFrame) -> None:
        """Write the blobs of a day."""
        (self.folder / "blobs").mkdir(parents=True, exist_ok=True)
        blobs.write_parquet(self.folder / "blobs" / f"{day}.parquet")

    def build(self) -> Runtime:
        """Both sides in the lake."""
        runtime = self.write()
        for source in ("visits", "old_visits"):
            list(raw.ingest(runtime, source, DAYS))
        list(events.build(runtime, "visit", DAYS))
        return runtime
