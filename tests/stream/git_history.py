"""File changes of real git histories as messages in the order they arrived, and what readers should see of them.

The user is the author, the event time when the change was written, the arrival when it was committed: rebases and
pull-request heads bring copies under another commit, hours to months later.
"""

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from sequence_defs.schema import Column, EventType, Sequence, Source, Tenant, Time

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "oss_git_history"
PARTITIONS = 4
KEY = ("repo", "author_ts", "change", "path", "blob")
SHOWN = (*KEY, "commit_id", "size_bytes")

oss = Tenant(name="oss", tenant="oss")
recent = Sequence(name="recent", tenant="oss", event_types=("file_change",), columns=("event_time", *SHOWN))

_TYPES = {
    "author_id": "string",
    "author_ts": "int64",
    "commit_ts": "int64",
    "repo": "string",
    "commit_id": "string",
    "change": "string",
    "path": "string",
    "blob": "string",
    "size_bytes": "int64",
}


def file_changes(topic: str, start: dt.date) -> Source:
    """One message per change; its receipt is when it was committed, whenever the broker got it."""
    return Source(
        name="changes",
        tenant="oss",
        topic=topic,
        columns=tuple(Column(name=n, dtype=t, nullable=n == "size_bytes") for n, t in _TYPES.items()),
        event_time=Time(sql="author_ts"),
        ingest_time=Time(sql="commit_ts"),
        user_id="author_id",
        start=start,
        retention_days=3650,
    )


file_change = EventType(
    name="file_change",
    tenant="oss",
    source="changes",
    natural_key=KEY,
    columns=tuple(Column(name=n, dtype=_TYPES[n], nullable=n == "size_bytes") for n in SHOWN),
)


@dataclass(frozen=True)
class Change:
    """One message: its place in the log, when it happened and arrived, and its fields."""

    user: str
    happened: dt.datetime
    arrived: dt.datetime
    partition: int
    offset: int
    shown: tuple[Any, ...]

    @property
    def value(self) -> bytes:
        fields = dict(zip(SHOWN, self.shown, strict=True))
        fields |= {"author_id": self.user, "commit_ts": microseconds(self.arrived)}
        return json.dumps(fields).encode()

    @property
    def key(self) -> tuple[Any, ...]:
        return (self.user, *self.shown[: len(KEY)])

    @property
    def day(self) -> dt.date:
        return self.happened.date()


def microseconds(moment: dt.datetime) -> int:
    return (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)


def arrivals(first: dt.date, days: int) -> Iterator[Change]:
    """What arrived on ``days`` days from ``first``, in order; who committed it decides the partition, so that copies
    of one change come through different ones."""
    end = dt.datetime.combine(first, dt.time()) + dt.timedelta(days=days)
    commits = pl.scan_parquet(FOLDER / "commits.parquet").with_row_index("_at")
    within = commits.filter(pl.col("commit_ts").dt.date() >= first, pl.col("commit_ts") < end)
    changes = pl.scan_parquet(FOLDER / "file_changes.parquet").with_columns(pl.col("blob").fill_null(""))
    times = pl.col("author_ts", "commit_ts").dt.replace_time_zone("UTC")
    rows = within.join(changes, on=["repo", "commit_id"]).sort("_at", "path", "change").with_columns(times).collect()
    ends = [0] * PARTITIONS
    for row in rows.to_dicts():
        partition = int(row["committer_id"], 16) % PARTITIONS
        happened, arrived = (row[name].astimezone(dt.UTC) for name in ("author_ts", "commit_ts"))
        shown = tuple((row | {"author_ts": microseconds(happened)})[name] for name in SHOWN)
        yield Change(row["author_id"], happened, arrived, partition, ends[partition], shown)
        ends[partition] += 1


@dataclass
class Expected:
    """The answers, said the slow way: per user every change that arrived, and per day how far its bucket has read."""

    by_user: dict[str, list[Change]] = field(default_factory=lambda: defaultdict(list))
    marks: dict[dt.date, Mapping[int, int]] = field(default_factory=dict)

    def arrive(self, changes: Iterable[Change]) -> None:
        for change in changes:
            self.by_user[change.user].append(change)

    def publish(self, days: Iterable[dt.date], marks: Mapping[int, int]) -> None:
        self.marks |= dict.fromkeys(days, marks)

    def answer(self, user: str) -> list[tuple[Any, ...]]:
        """Newest first. Of copies the one batch has wins, then the first to arrive, then the lowest position."""
        best: dict[tuple[Any, ...], tuple[tuple[Any, ...], Change]] = {}
        for change in self.by_user[user]:
            read = change.offset < self.marks.get(change.day, {}).get(change.partition, 0)
            rank = (not read, change.arrived, change.partition, change.offset)
            if change.key not in best or rank < best[change.key][0]:
                best[change.key] = (rank, change)
        found = [change for _, change in best.values()]
        found.sort(key=lambda c: (c.happened, c.partition, c.offset), reverse=True)
        return [(change.happened, *change.shown) for change in found]
