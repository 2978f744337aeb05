"""What is kept no longer goes, from answers first; what is younger stays as it was; and nobody misses it."""

import datetime as dt
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from click.testing import CliRunner

from seqplat_assets.repair.expire import expire_schedule
from seqplat_resources.batch.builds import events, sequences
from seqplat_resources.batch.days.ledger import dirty_buckets
from seqplat_resources.batch.days.retention import expired_before
from seqplat_resources.batch.days.troubles import DayTroubles
from seqplat_resources.batch.upkeep.expiry import ExpiryReport, expiries
from seqplat_resources.batch.upkeep.layouts import layouts
from seqplat_resources.explain import explain
from seqplat_resources.home import Home
from seqplat_resources.lake.expire import ExpiredDays, expire
from seqplat_resources.lake.layout import UNDATED
from seqplat_resources.online_store import OnlineStore
from seqplat_resources.online_store.lmdb import LmdbStore
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.quality.days_built import days_built
from seqplat_resources.read.answer import answer
from seqplat_resources.records.lease import LeaseHeld, hold
from seqplat_resources.sources.log.contract import Partition
from seqplat_resources.sources.log.file.folder import FileLogSource, FileLogWriter
from serving.cli.storage.expire import expire as expire_command
from tests.building import ManualClock, days, utc
from tests.merge_oracle import Row
from tests.online_stores import redis_url
from tests.stream.world import TOPIC, Crash, Shop, event_type, recent, shop, source

FIRST = dt.date(2024, 5, 1)
DAYS = days(FIRST, 7)
# On May 8 the source keeps May 2 and later, the event type May 5 and later.
KEPT_SOURCE, KEPT_EVENTS = dt.date(2024, 5, 2), dt.date(2024, 5, 5)
DEFINITIONS = (
    shop,
    source.model_copy(update={"retention_days": 6}),
    event_type.model_copy(update={"retention_days": 3}),
    recent,
)


@dataclass
class Old(Shop):
    """A file of its log for each message, stamped by the shop's clock."""

    definitions: tuple = DEFINITIONS  # type: ignore[type-arg]

    def writer(self) -> FileLogWriter:
        return FileLogWriter(str(self.folder / "log"), segment_bytes=1, clock=self.clock)

    def stream(self) -> None:
        loop = self.loop()
        while loop.once():
            pass
        loop.close()

    def click(self, day: dt.date, number: int, *, received: dt.datetime | None = None) -> dict[str, object]:
        at = dt.datetime.combine(day, dt.time(9), dt.UTC)
        return {
            "partition": number % 2,
            "member": ("ann", "bob")[number % 2],
            "click": number,
            "amount": number,
            "at": at,
            "received": received or at,
        }

    def week(self) -> None:
        """Two clicks each day, streamed on that day, and something that is no click; then all of it built."""
        for n, day in enumerate(DAYS):
            self.clock.time = dt.datetime.combine(day, dt.time(10), dt.UTC)
            self.say([self.click(day, 10 * n), self.click(day, 10 * n + 1)])
            with closing(self.writer()) as writer:
                writer.append(TOPIC, [(None, b'{"member": "ann", "at": "%s"}' % day.isoformat().encode())], partition=0)
            self.stream()
        self.clock.time = utc(2024, 5, 8)
        list(events.build(self.runtime, "click", DAYS))
        list(sequences.build(self.runtime, "recent", DAYS))
        self.publish(DAYS)

    def lake(self) -> dict[str, pl.DataFrame]:
        found = {name: layout.table.scan().collect() for name, layout in layouts(self.runtime).items()}
        return {name: rows.sort(rows.columns[0], "day", maintain_order=True) for name, rows in found.items()}

    def answers(self) -> dict[str, list[Row]]:
        return {user: self.answer(user) for user in ("ann", "bob")}


@pytest.fixture(params=["lmdb", "redis"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Old]:
    online = str(tmp_path / "home" / "online") if request.param == "lmdb" else redis_url(request.param)
    home = Home(str(tmp_path / "home"), {"SEQPLAT_ONLINE": online, "SEQPLAT_LOG_DIR": str(tmp_path / "log")})
    found = opened(tmp_path, home, open_online_store(home), ManualClock())
    yield found
    found.store.close()


def opened(folder: Path, home: Home, store: OnlineStore, clock: ManualClock) -> Old:
    found = Old(folder, store, clock)
    found.runtime = replace(found.runtime, home=home)
    return found


@contextmanager
def alone(old: Old) -> Iterator[None]:
    """A process of its own opens the store for itself."""
    old.store.close()
    try:
        yield
    finally:
        old.store = open_online_store(old.runtime.home)


def expired(old: Old, *, dry_run: bool = False) -> dict[str, ExpiryReport]:
    with alone(old):
        return {each.name: each for each in expiries(old.runtime, dry_run=dry_run)}


def since(rows: pl.DataFrame, day: dt.date) -> pl.DataFrame:
    return rows.filter(pl.col("day") >= day)


def test_what_expires_goes_and_what_is_younger_stays_as_it_was(old: Old) -> None:
    old.week()
    lake, answers = old.lake(), old.answers()
    assert [len(found) for found in answers.values()] == [7, 7]

    told = expired(old, dry_run=True)
    assert (old.answers(), {name: rows.height for name, rows in old.lake().items()}) == (
        answers,
        {name: rows.height for name, rows in lake.items()},
    ), "a dry run changes nothing"
    done = expired(old)
    assert {name: each.gone for name, each in told.items()} == {name: each.gone for name, each in done.items()}
    assert not [why for each in done.values() for why in each.left]
    gone = done["events/click"].gone
    assert (gone.days, gone.first, gone.last, gone.rows) == (4, FIRST, dt.date(2024, 5, 4), 8)
    assert (done["online/click"].gone.days, done["online/click"].gone.rows) == (4, 8)

    start = dt.datetime.combine(KEPT_EVENTS, dt.time(), dt.UTC)
    assert old.answers() == {
        user: [row for row in rows if row["event_time"] >= start] for user, rows in answers.items()
    }
    for name, rows in old.lake().items():
        first = {"archive/clicks": KEPT_SOURCE, "rejects/clicks": UNDATED}.get(name, KEPT_EVENTS)
        assert rows.equals(since(lake[name], first)), name
    log = FileLogSource(str(old.folder / "log"))
    starts = log.start_offsets([Partition(TOPIC, 0), Partition(TOPIC, 1)])
    assert list(starts.values()) == [2, 1], "what was received on May 1 is gone from the log"
    assert {name: each.gone.rows for name, each in expired(old).items() if each.gone.rows} == {}
    # Rows without a day are as old as their file.
    [undated] = expire(layouts(old.runtime)["rejects/clicks"].table, dt.date.today() + dt.timedelta(days=2))
    assert isinstance(undated, ExpiredDays)
    assert (undated.days, undated.first, undated.rows) == (1, None, 7)


def test_nobody_misses_expired_days_and_what_comes_late_of_them_is_not_shown(old: Old) -> None:
    old.week()
    DayTroubles(old.runtime.home, old.clock).note("events/click", {FIRST: "it raised"}, "failed")
    expired(old)
    before = old.answers()
    old.clock.time += dt.timedelta(minutes=1)
    old.say([old.click(dt.date(2024, 5, 3), 90, received=old.clock.time), old.click(DAYS[-1], 91)])
    old.stream()
    assert [row["event_id"] for row in old.answers()["bob"]] == ["91", *(row["event_id"] for row in before["bob"])]
    assert old.answers()["ann"] == before["ann"], "of a day that is kept no longer"
    told = explain(old.runtime, old.store, old.sequence, "ann", "90").verdict
    assert (told.code, told.text) == ("expired", "Not in the answer: 2024-05-03 has expired, click keeps 3 days.")
    assert [bucket.day for bucket in dirty_buckets(old.runtime, "click")] == [DAYS[-1]]
    with alone(old):
        assert {expired_before(old.runtime, f"{layer}/click") for layer in ("events", "online")} == {KEPT_EVENTS}
    assert not days_built(old.runtime, "events/click").days
    found = answer(old.sequence, old.store, "ann", clock=old.clock).freshness
    assert (found.completeness, found.degraded) == (1.0, ())
    # The row that came late keeps no other from leaving once its day is built.
    old.build(DAYS[-1:])
    for _ in range(4):
        old.publish(DAYS[-1:])
    assert old.store.now_stats("click").batches == 0
    old.store.rollback("click", to_epoch=old.store.kept_epochs("click")[0], expected_epoch=_epoch(old))
    assert {row["event_time"].date() for row in old.answers()["ann"]} == set(DAYS[4:])


def test_days_are_due_again_where_they_are_kept_for_longer_than_they_were(old: Old) -> None:
    old.week()
    expired(old)
    longer = Old(old.folder, old.store, old.clock, definitions=(*DEFINITIONS[:2], event_type, recent))
    longer.runtime = replace(longer.runtime, home=old.runtime.home)
    assert expired_before(longer.runtime, "events/click") == dt.date.min
    told = expired(longer, dry_run=True)["events/click"]
    assert (told.kept_days, told.since, told.gone.rows) == (event_type.retention_days, None, 0)


@pytest.mark.parametrize("old", ["lmdb"], indirect=True)
def test_the_command_shows_what_goes_and_what_was_left(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the clock of today all of it has expired."""
    old.week()
    for name, value in {**old.runtime.home.environment, "SEQPLAT_HOME": old.runtime.home.root}.items():
        monkeypatch.setenv(name, value)

    def said(*options: str) -> tuple[int, str]:
        with alone(old):
            done = CliRunner().invoke(expire_command, options)
        return done.exit_code, " ".join(done.output.split())

    code, text = said("--dry-run")
    assert (code, "events/click 3 7 2024-05-01 2024-05-07 14 7" in text) == (0, True), text
    assert "online/click 3 7 2024-05-01 2024-05-07 14 - -" in text
    assert "next: seqplat expire" in text
    code, text = said()
    assert (code, text.count("all of its days would go, by the clock of 2")) == (1, 6)
    assert all(f"{name}/clicks: all" in text for name in ("archive", "log"))
    with hold(old.runtime.home, f"lake/served/click/{DAYS[1]}"):
        code, text = said("--everything")
    assert (code, "left for the next time: served/click: lake/served/click/2024-05-02 is being" in text) == (1, True)
    code, text = said("--everything")
    assert (code, text.count("gone: days before"), "served/click 3 1 2024-05-02 2024-05-02 2" in text) == (0, 1, True)
    assert said() == (0, "nothing has expired")


@pytest.mark.parametrize("old", ["lmdb"], indirect=True)
def test_the_nightly_job_says_what_a_clock_that_is_wrong_would_have_deleted(old: Old) -> None:
    """Nothing goes then: also of messages and rejects, of which there may well be old ones only."""
    old.week()
    schedule = expire_schedule(old.runtime)
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    job = dg.Definitions(schedules=[schedule]).get_repository_def().get_job("expire")

    def run() -> str:
        with alone(old):
            done = job.execute_in_process(raise_on_error=False)
        failed = [event.step_failure_data for event in done.all_node_events if event.is_step_failure]
        return "".join(str(each.user_failure_data and each.user_failure_data.description) for each in failed)

    old.clock.time += dt.timedelta(days=4000)
    there = {name: layout.table.files().height for name, layout in layouts(old.runtime).items()}
    assert run().count("all of its days would go") == 7
    assert {name: layout.table.files().height for name, layout in layouts(old.runtime).items()} == there
    old.clock.time -= dt.timedelta(days=4000)
    assert run() == ""
    assert layouts(old.runtime)["events/click"].table.files().height < there["events/click"]


def test_what_is_being_written_stays_until_the_next_time(old: Old) -> None:
    old.week()
    with hold(old.runtime.home, f"lake/events/click/{DAYS[1]}", clock=old.clock):
        done = expired(old)
        assert (done["events/click"].gone.days, len(done["events/click"].left)) == (3, 1)
        assert "is being written by process" in done["events/click"].left[0]
    with hold(old.runtime.home, "expire", clock=old.clock), pytest.raises(LeaseHeld, match="expire is being written"):
        expired(old)
    assert expired(old)["events/click"].gone.days == 1


CHILD = """
import os, signal, sys
from pathlib import Path
from seqplat_resources.lake.table import LakeTable
from tests.batch.test_expiry import *
def dying(*args, **kwargs):
    commit(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)
commit, LakeTable.commit = LakeTable.commit, dying
folder = Path(sys.argv[1])
home = Home(str(folder / "home"), {"SEQPLAT_LOG_DIR": str(folder / "log")})
expired(opened(folder, home, open_online_store(home), ManualClock(utc(2024, 5, 8))))
"""


@pytest.mark.parametrize("old", ["lmdb"], indirect=True)
def test_a_run_that_is_broken_off_anywhere_is_finished_by_the_next(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    old.week()
    kept = {user: rows[:3] for user, rows in old.answers().items()}
    for owner, name in ((LmdbStore, "publish_many"), (LmdbStore, "prune"), (FileLogWriter, "trim")):
        if owner is FileLogWriter:
            with alone(old):
                child = subprocess.run([sys.executable, "-c", CHILD, str(old.folder)], check=False, timeout=120)
            assert child.returncode == -signal.SIGKILL
            assert old.answers() == kept
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, crashing(getattr(owner, name)))
            with pytest.raises(Crash):
                expired(old)
        assert old.answers() == kept, name
    assert expired(old)["events/click"].left == ()
    assert old.answers() == kept
    for name, rows in old.lake().items():
        first = {"archive/clicks": KEPT_SOURCE, "rejects/clicks": UNDATED}.get(name, KEPT_EVENTS)
        assert rows.height == since(rows, first).height, name
    assert not [each for each in expired(old).values() if each.gone.rows or each.left]


def crashing(step: Callable[..., object]) -> Callable[..., None]:
    """Does its work, and the process ends there."""

    def done(*args: object, **kwargs: object) -> None:
        step(*args, **kwargs)
        raise Crash

    return done


def _epoch(old: Old) -> int:
    epoch = old.store.epoch("click")
    assert epoch is not None
    return epoch.epoch
