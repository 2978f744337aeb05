"""Exposures as servers note them: once a day, of whom is drawn, bounded, and nothing is lost without a word."""

import asyncio
import dataclasses
import datetime as dt
import gc
import logging
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest

from seqplat_resources.batch.inputs import tables
from seqplat_resources.home import Home
from seqplat_resources.release.query import Query
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.shadow.exposures.write import Exposure
from seqplat_resources.shadow.routing import is_ours
from serving.follow.exposures import Division, ExposureLog
from tests.building import ManualClock, runtime_for, utc
from tests.disk import fill, small_disk
from tests.shadow.world import history, old_visits, shop, visit, visits
from tests.sources.log.logs import until

DIVIDED = {"visit": Division(4, "ab_50", 5_000, 10_000)}
USERS = [f"u{n}" for n in range(300)]
NOON = utc(2024, 5, 2, 12)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> SequencePlan:
    definitions = [shop, visits, old_visits, visit(serve=True), history.model_copy(update={"legacy": None})]
    return SequencePlan.of(runtime_for(tmp_path_factory.mktemp("plan") / "home", definitions).loaded, "history")


@dataclasses.dataclass
class Written:
    """What was appended; fails while it is ``broken``."""

    rows: list[Exposure] = dataclasses.field(default_factory=list)
    lost: int = 0
    broken: bool = False

    def append(self, event_type: str, exposures: Sequence[Exposure], dropped: int) -> None:
        if self.broken:
            raise OSError(28, "No space left on device")
        self.rows.extend(exposures)
        self.lost += dropped


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


def note(log: ExposureLog, plan: SequencePlan, *users: str, query: Query = Query(), share: int = 5_000) -> None:
    for user in users:
        legacy = frozenset() if is_ours("visit", user, share=share) else frozenset({"visit"})
        log.note({"visit": DIVIDED["visit"]._replace(share=5_000)}, plan.in_arms(legacy), user, query)


def test_a_user_is_written_once_a_day_in_the_arm_that_answered(plan: SequencePlan, clock: ManualClock) -> None:
    written = Written()
    log = ExposureLog(written.append, clock)
    for hour in range(3):
        clock.time = NOON + dt.timedelta(hours=hour)
        note(log, plan, *USERS, *USERS[:5])
    log.behind.write()
    assert [(each.user, each.is_ours) for each in written.rows] == [
        (u, is_ours("visit", u, share=5_000)) for u in USERS
    ]
    assert {each[3:6] for each in written.rows} == {(4, "ab_50", "history")}
    clock.time = NOON + dt.timedelta(hours=12)
    note(log, plan, *USERS)
    log.behind.write()
    assert log.behind.written == len(written.rows) == 2 * len(USERS)
    log.note({"visit": DIVIDED["visit"]._replace(move=5)}, plan, _ours(), Query())
    assert log.behind.waiting == 1


def _ours() -> str:
    return next(user for user in USERS if is_ours("visit", user, share=5_000))


@pytest.mark.parametrize(
    "query", [Query(as_of=NOON), Query(event_types=("glance",))], ids=["of the past", "of other events"]
)
def test_who_saw_nothing_of_it_is_not_exposed(plan: SequencePlan, clock: ManualClock, query: Query) -> None:
    log = ExposureLog(Written().append, clock)
    note(log, plan, *USERS, query=query)
    log.note({}, plan, _ours(), Query())
    assert log.behind.waiting == 0


def test_who_moved_between_answer_and_note_is_left_to_the_next_answer(plan: SequencePlan, clock: ManualClock) -> None:
    log = ExposureLog(Written().append, clock)
    note(log, plan, *USERS, share=100)
    assert log.behind.waiting == len([user for user in USERS if not is_ours("visit", user, share=5_000)]) + len(
        [user for user in USERS if is_ours("visit", user, share=100)]
    )


def test_the_sample_says_nothing_of_the_arm(plan: SequencePlan, clock: ManualClock) -> None:
    """Of 20,000 users a tenth is drawn, and of these half are ours, give or take five deviations."""
    written = Written()
    log = ExposureLog(written.append, clock)
    drawn = {"visit": DIVIDED["visit"]._replace(sample=1_000)}
    legacy = plan.in_arms(frozenset({"visit"}))
    for n in range(20_000):
        log.note(drawn, plan if is_ours("visit", str(n), share=5_000) else legacy, str(n), Query())
    log.behind.write()
    assert abs(len(written.rows) - 2_000) < 5 * 43
    ours = sum(each.is_ours for each in written.rows)
    assert abs(ours - len(written.rows) / 2) < 5 * 23
    assert log.behind.written == len(written.rows)


def test_a_panic_below_the_lake_loses_nothing(plan: SequencePlan, clock: ManualClock) -> None:
    def panic(event_type: str, exposures: Sequence[Exposure], dropped: int) -> None:
        raise pl.exceptions.PanicException("called `Option::unwrap()` on a `None` value")

    log = ExposureLog(panic, clock)
    note(log, plan, *USERS)
    log.behind.write()
    assert (log.behind.waiting, log.behind.written, log.behind.dropped) == (len(USERS), 0, 0)


def test_what_there_is_no_room_for_is_counted_told_and_noted_again(
    plan: SequencePlan, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    written = Written(broken=True)
    log = ExposureLog(written.append, clock, most_bytes=100 * 400)
    note(log, plan, *USERS)
    with caplog.at_level(logging.ERROR):
        log.behind.write()
        log.behind.write()
    assert len(caplog.records) == 1
    assert "exposures of visit wait, or are lost: no room is left to write" in caplog.text
    held = log.behind.waiting
    assert 100 <= held < 150
    assert (log.behind.dropped, log.behind.written) == (len(USERS) - held, 0)
    written.broken = False
    log.behind.write()
    assert (len(written.rows), written.lost) == (held, len(USERS) - held)
    note(log, plan, *USERS)
    log.behind.write()
    assert len({each.user for each in written.rows}) == len(written.rows)
    assert len(written.rows) >= 2 * held - 2  # names of users are of unequal length


def test_many_threads_note_each_user_at_least_once_and_the_end_writes_all(
    plan: SequencePlan, clock: ManualClock
) -> None:
    written = Written()
    log = ExposureLog(written.append, clock, every_s=0.001)

    async def served() -> None:
        async with log.behind.running():
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda part: note(log, plan, *USERS[part:], *USERS[:part]), range(0, 300, 20)))

    asyncio.run(served())
    assert {each.user for each in written.rows} == set(USERS)
    assert log.behind.waiting == 0
    assert log.behind.written == len(written.rows)


def test_a_server_ends_although_the_lake_does_not_answer(
    plan: SequencePlan, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("serving.follow.behind.END_WITHIN_S", 0.05)
    never = threading.Event()
    log = ExposureLog(lambda *_: never.wait(60) and None, clock)

    async def served() -> None:
        async with log.behind.running():
            note(log, plan, *USERS[:3])

    asyncio.run(served())
    assert "exposures: 3 are lost" in caplog.text
    never.set()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 4 << 20) as folder:
        yield folder
        gc.collect()


def test_several_servers_append_at_once_and_a_full_disk_loses_only_what_is_counted(
    plan: SequencePlan, clock: ManualClock, disk: Path
) -> None:
    home = Home(str(disk / "home"), {})
    logs = [ExposureLog.to_lake(lambda: home, clock) for _ in range(4)]
    for log in logs:
        note(log, plan, *USERS)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda log: log.behind.write(), logs))
    table = tables.exposures(home, "visit", clock)
    assert table.scan().collect().height == sum(log.behind.written for log in logs) == 4 * len(USERS)
    keys = [*(disk / "home" / "exposures" / "key").iterdir()]
    assert [each.stat().st_mode & 0o777 for each in keys] == [0o600], "of all who make a key one is first"
    taken = fill(disk)
    clock.time = NOON + dt.timedelta(days=1)
    note(logs[0], plan, *USERS)
    logs[0].behind.write()
    assert logs[0].behind.waiting == len(USERS)
    taken.unlink()
    until(lambda: logs[0].behind.write() is None and not logs[0].behind.waiting, "there is room again")
    rows = table.scan().filter(pl.col("at") >= clock.time).collect()
    assert rows["user"].n_unique() == len(USERS)
