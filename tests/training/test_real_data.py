"""Training sets over real histories, each row against a loop in plain Python over the published files."""

import datetime as dt
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from seqplat_resources.batch.builds import events, raw
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.training.build import build
from seqplat_resources.training.question import TrainingQuestion
from sequence_defs.schema import Column, EventType, Source, Time
from sequence_defs.schema import Sequence as SequenceDefinition
from tests.building import ManualClock, days, runtime_for, utc
from tests.stream import git_history as git

DATA = git.FOLDER.parent
MICROSECOND = dt.timedelta(microseconds=1)


@dataclass(frozen=True)
class Happened:
    """An event as its file has it: what it is known by, when it happened, and when it could be known."""

    user: Any
    key: tuple[Any, ...]
    at: dt.datetime
    known: dt.datetime


def check(
    runtime: Runtime,
    sequence: str,
    key: Sequence[str],
    happened: list[Happened],
    folder: Path,
    *,
    window_days: int | None,
) -> int:
    """A set with labels just before, at and behind moments at which something became known; how many events it has."""
    by_user = defaultdict(list)
    for each in happened:
        by_user[each.user].append(each)
    draws = random.Random(7)
    asked = []
    for user, theirs in sorted(by_user.items()):
        for each in draws.sample(theirs, min(3, len(theirs))):
            asked += [(user, each.known + draws.choice([-1, 0, 1]) * MICROSECOND), (user, each.at)]
    labels = pl.DataFrame(
        asked, schema={"user": pl.Series([asked[0][0]]).dtype, "time": pl.Datetime("us", "UTC")}, orient="row"
    )
    made = build(runtime, TrainingQuestion(sequence), labels, folder / "set")
    newest = max(each.at.date() for each in happened)
    for row in pl.read_parquet(made.out / "*.parquet").iter_rows(named=True):
        time = row["time"].astimezone(dt.UTC)
        first: dict[tuple[Any, ...], Happened] = {}  # of copies, the one that arrived first
        for each in by_user[row["user"]]:
            copy = first.get((each.at, *each.key))
            if each.at < time and each.known <= time and (copy is None or each.known < copy.known):
                first[(each.at, *each.key)] = each
        wanted = list(first.values())
        if window_days is not None:
            since = min(newest, time.date()) - dt.timedelta(days=window_days - 1)
            wanted = [each for each in wanted if each.at.date() >= since]
        assert sorted(zip(*(row[name] for name in key), strict=True), key=repr) == sorted(
            (each.key for each in wanted), key=repr
        ), (row["user"], time)
        times = [at.astimezone(dt.UTC) for at in row["event_time"]]
        assert times == sorted((each.at for each in wanted), reverse=True)
    return sum(shard.values for shard in made.manifest.shards)


def built(folder: Path, first: dt.date, count: int, *definitions: Any) -> Runtime:
    """All of it received, and built years later."""
    runtime = runtime_for(folder / "home", definitions, folder, clock=ManualClock(utc(2026, 10, 1)))
    (source,) = (each.name for each in definitions if isinstance(each, Source))
    list(raw.ingest(runtime, source, days(first, count)))
    (name,) = (each.name for each in definitions if isinstance(each, EventType))
    list(events.build(runtime, name, days(first, count)))
    return runtime


@pytest.mark.skipif(not git.FOLDER.is_dir(), reason="the data set oss_git_history is not here")
def test_commits_that_arrived_hours_to_months_after_they_were_written(tmp_path: Path) -> None:
    first, count = dt.date(2024, 3, 1), 14
    commits = pl.scan_parquet(DATA / "oss_git_history/commits.parquet")
    written = commits.filter(pl.col("author_ts").dt.date().is_between(first, first + dt.timedelta(days=count - 1)))
    changes = pl.scan_parquet(DATA / "oss_git_history/file_changes.parquet").with_columns(pl.col("blob").fill_null(""))
    times = pl.col("author_ts", "commit_ts").dt.replace_time_zone("UTC")
    rows = written.join(changes, on=["repo", "commit_id"]).with_columns(times, day=pl.col("author_ts").dt.date())
    found = rows.sort("author_id", "commit_ts", "repo", "path", "change", "commit_id").collect()
    for (day,), part in found.partition_by("day", as_dict=True).items():
        part.drop("day").write_parquet(tmp_path / f"changes-{day}.parquet")
    key = ("repo", "change", "path", "blob")
    named = {"repo": "string", "change": "string", "path": "string", "blob": "string"}
    columns = tuple(Column(name=name, dtype=dtype) for name, dtype in named.items())
    source = Source(
        name="changes",
        tenant="oss",
        location="changes-{day}.parquet",
        columns=(
            *columns,
            *(Column(name=name, dtype="timestamp", nullable=False) for name in ("author_ts", "commit_ts")),
            Column(name="author_id", dtype="string", nullable=False),
        ),
        event_time=Time(sql="author_ts"),
        ingest_time=Time(sql="commit_ts"),
        user_id="author_id",
        start=first,
    )
    change = EventType(
        name="change",
        tenant="oss",
        source="changes",
        natural_key=(*key, "author_ts"),
        columns=(*columns, Column(name="author_ts", dtype="timestamp", nullable=False)),
        serving_delay_s=0,
    )
    recent = SequenceDefinition(name="recent", tenant="oss", event_types=("change",), columns=key, window_days=5)
    runtime = built(tmp_path, first, count, git.oss, source, change, recent)
    happened = [
        Happened(
            row["author_id"],
            tuple(row[name] for name in key),
            *(row[n].astimezone(dt.UTC) for n in ("author_ts", "commit_ts")),
        )
        for row in found.to_dicts()
    ]
    assert check(runtime, "recent", key, happened, tmp_path, window_days=5) > 3_000


@pytest.mark.skipif(not (DATA / "completejourney").is_dir(), reason="the data set completejourney is not here")
def test_purchases_that_are_known_an_hour_later(tmp_path: Path) -> None:
    first, count, late = dt.date(2017, 6, 1), 14, dt.timedelta(hours=1)
    rows = pl.scan_parquet(DATA / "completejourney/transactions.parquet").with_columns(
        pl.col("transaction_timestamp").dt.cast_time_unit("us").dt.replace_time_zone("UTC").alias("at")
    )
    found = rows.filter(
        pl.col("at").dt.date().is_between(first, first + dt.timedelta(days=count - 1)), pl.col("household_id") % 8 == 0
    ).collect()
    for (day,), part in found.with_columns(day=pl.col("at").dt.date()).partition_by("day", as_dict=True).items():
        part.drop("day").write_parquet(tmp_path / f"lines-{day}.parquet")
    key = ("basket_id", "product_id", "quantity")
    columns = tuple(Column(name=name, dtype="int64") for name in key)
    source = Source(
        name="lines",
        tenant="oss",
        location="lines-{day}.parquet",
        columns=(
            *columns,
            Column(name="household_id", dtype="int64", nullable=False),
            Column(name="at", dtype="timestamp", nullable=False),
        ),
        event_time=Time(sql="at"),
        ingest_time=Time(sql="at"),
        user_id="household_id",
        start=first,
    )
    line = EventType(
        name="line",
        tenant="oss",
        source="lines",
        natural_key=("basket_id", "product_id"),
        columns=columns,
        serving_delay_s=late.total_seconds(),
    )
    lately = SequenceDefinition(name="lately", tenant="oss", event_types=("line",), columns=key)
    runtime = built(tmp_path, first, count, git.oss, source, line, lately)
    happened = [
        Happened(row["household_id"], tuple(row[name] for name in key), at, at + late)
        for row in found.to_dicts()
        for at in [row["at"].astimezone(dt.UTC)]
    ]
    assert check(runtime, "lately", key, happened, tmp_path, window_days=None) > 9_000
