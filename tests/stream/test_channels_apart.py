"""Two channels of one home with other definitions of one event type: neither ever shows, changes or deletes what the
other made, whatever it does.
"""

import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from seqplat_resources.batch.builds import events
from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.publish.events import publish
from seqplat_resources.batch.upkeep.expiry import expiries
from seqplat_resources.batch.upkeep.layouts import compact_table, layouts
from seqplat_resources.batch.upkeep.verify import verify
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.engine.registry import digests
from seqplat_resources.home import Home
from seqplat_resources.lake.vacuum import vacuum
from seqplat_resources.online_store import OnlineStore
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.read.answer import answer
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.store import ReleaseStore
from seqplat_resources.sources.log import LogWriter
from seqplat_resources.sources.log.file.folder import FileLogWriter
from seqplat_resources.sources.log.opening import open_log_writer
from seqplat_resources.stream.loop import Pace
from seqplat_resources.stream.service import StreamService, group_of
from sequence_defs.compiler.lower import lower
from sequence_defs.compiler.project import Project
from sequence_defs.schema import Column, Definition
from serving.follow.release import Follower
from serving.settings import Settings
from tests.building import ManualClock, eventually, utc
from tests.object_server import BUCKET
from tests.online_stores import redis_url
from tests.sources.log.conftest import kafka_bootstrap  # noqa: F401
from tests.stream.test_service import running
from tests.stream.world import DAYS, event_type, recent, shop, source

PACE = Pace(poll_s=0.05, keep_s=0.05)


def definitions(topic: str, value: Column, days: int | None = None) -> tuple[Definition, ...]:
    """``value`` is what each channel makes of an amount; ``days`` how long it keeps anything."""
    clicks = source.model_copy(update={"topic": topic, "retention_days": days})
    columns = (Column(name="click", dtype="int64", nullable=False), value)
    return shop, clicks, event_type.model_copy(update={"columns": columns, "retention_days": days}), recent


PLAIN = Column(name="value", dtype="int64", sql="amount")
TEXT = Column(name="value", dtype="string", sql="'no ' || cast(amount as text)")


@dataclass
class Channel:
    """What its processes see: all of it is found by the environment."""

    name: str
    environment: dict[str, str]
    store: OnlineStore

    @property
    def runtime(self) -> Runtime:
        return Runtime.from_environment(self.environment)

    def streams(self) -> StreamService:
        return StreamService(lambda: self.runtime, self.store, self.environment, pace=PACE)

    def seen(self, messages: int) -> Callable[[], bool]:
        return lambda: sum(at.next_offset for at in self.store.stream_positions().values()) == messages

    def stream(self, messages: int) -> None:
        """Until so many are visible, and kept."""
        with running(self.streams()) as errors:
            eventually(lambda: bool(errors) or self.seen(messages)())
        assert not errors

    def build(self) -> None:
        list(events.build(self.runtime, "click", DAYS))
        list(publish(self.runtime, self.store, "click", DAYS))

    def answer(self) -> list[object]:
        """As the API makes it, from what it follows by itself."""
        follower = Follower(Settings.from_environment(self.environment))
        follower._store = self.store  # a folder is opened once in a process
        follower.refresh()
        found = answer(follower.serving.plan("recent"), follower.store, "ann", clock=ManualClock(utc(2024, 5, 4)))
        assert set(found.freshness.degraded) <= {"click: nothing published"}
        assert (follower.failure, follower.store_failure) == (None, None)
        return found.events["value"].to_list()


class Twins:
    """An installation with a log, its channel ``prod`` with the first definitions and ``dev`` with others."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.environment = {"SEQPLAT_HOME": str(folder / "home"), "SEQPLAT_SOURCES": str(folder), **environment}
        self.topic = f"clicks-{uuid.uuid4().hex[:8]}"
        self.stack, self.said = ExitStack(), 0
        with closing(self.writer()) as writer:
            writer.create_topic(self.topic, 1)
        self.prod, self.dev = self.channel("prod", PLAIN), self.channel("dev", TEXT, 3)

    @property
    def both(self) -> tuple[Channel, Channel]:
        return self.prod, self.dev

    def channel(self, name: str, value: Column, days: int | None = None) -> Channel:
        environment = {**self.environment, "SEQPLAT_CHANNEL": name}
        self.publish(name, value, days)
        found = Channel(name, environment, open_online_store(Runtime.from_environment(environment).home))
        self.stack.push(lambda *_: found.store.close())  # another one by then
        return found

    def expired(self, channel: Channel) -> list[str]:
        """By a process of its own, which opens the stores for itself; what it left."""
        for each in self.both:
            each.store.close()
        done = list(expiries(channel.runtime, dry_run=False, everything=True))
        for each in self.both:
            each.store = open_online_store(each.runtime.home)
        return [why for each in done for why in each.left]

    def publish(self, channel: str, value: Column, days: int | None = None) -> None:
        releases = ReleaseStore(Home.from_environment(self.environment))
        made = lower(Project(definitions(self.topic, value, days), digests()))
        releases.move(channel, releases.put(made), by="tests")

    def writer(self) -> LogWriter:
        found = open_log_writer(self.environment, Home.from_environment(self.environment))
        if not isinstance(found, FileLogWriter):
            return found
        found.close()  # one whose messages are old, each in a file that can go
        folder = self.environment.get("SEQPLAT_LOG_DIR") or f"{self.environment['SEQPLAT_HOME']}/log"
        return FileLogWriter(folder, segment_bytes=1, clock=ManualClock(utc(2024, 5, 1)))

    def say(self, *amounts: int) -> None:
        with closing(self.writer()) as writer:
            for amount in amounts:
                at = utc(2024, 5, 1, 12, self.said).isoformat()
                row = {"member": "ann", "at": at, "received": at, "click": self.said, "amount": amount}
                writer.append(self.topic, [(b"ann", json.dumps(row).encode())], partition=0)
                self.said += 1
            writer.flush()


@pytest.fixture(params=["lmdb", "redis", "lmdb on s3", "lmdb from kafka"])
def twins(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Twins]:
    environment = dict[str, str]()
    if request.param == "redis":
        environment["SEQPLAT_ONLINE"] = redis_url("redis")
    if request.param.endswith("s3"):
        environment = dict(request.getfixturevalue("object_storage"))
        environment |= {"SEQPLAT_HOME": f"s3://{BUCKET}/{uuid.uuid4().hex}", "SEQPLAT_ONLINE": str(tmp_path / "online")}
        environment["SEQPLAT_LOG_DIR"] = str(tmp_path / "log")
    if request.param.endswith("kafka"):
        environment["SEQPLAT_KAFKA_BOOTSTRAP"] = request.getfixturevalue("kafka_bootstrap")
    found = Twins(tmp_path, environment)
    with found.stack:
        yield found


def test_each_channel_answers_what_its_own_definitions_make_of_the_same_messages(twins: Twins) -> None:
    prod, dev = twins.prod, twins.dev
    twins.say(1, 2, 3)
    with running(prod.streams()) as one, running(dev.streams()) as other:
        eventually(lambda: bool(one or other) or (prod.seen(3)() and dev.seen(3)()))
    assert (one, other) == ([], [])
    assert (prod.answer(), dev.answer()) == ([3, 2, 1], ["no 3", "no 2", "no 1"])

    prod.build()
    assert (prod.answer(), dev.answer()) == ([3, 2, 1], ["no 3", "no 2", "no 1"])
    assert dev.store.epoch("click") is None
    assert not tables.events(dev.runtime, EventPlan.of(dev.runtime.loaded, "click")).exists()
    dev.build()
    assert (prod.answer(), dev.answer()) == ([3, 2, 1], ["no 3", "no 2", "no 1"])

    twins.publish("dev", TEXT.model_copy(update={"sql": "'another'"}))
    ReleaseStore(prod.runtime.home).roll_back("dev", by="tests")
    twins.say(4)
    prod.stream(4)
    assert (prod.answer(), dev.answer()) == ([4, 3, 2, 1], ["no 3", "no 2", "no 1"])
    assert group_of(prod.runtime, "clicks") != group_of(dev.runtime, "clicks")


@pytest.mark.parametrize("twins", ["lmdb", "redis"], indirect=True)
def test_nothing_of_a_channel_changes_by_what_the_other_keeps_mends_or_deletes(twins: Twins) -> None:
    for mine, other in ((twins.prod, twins.dev), (twins.dev, twins.prod)):
        twins.say(*range(5))
        for channel in (mine, other):
            channel.stream(twins.said)
            channel.build()
        twins.say(7, 8, 9)  # which the other one has not read
        before = _everything(other)
        assert before

        mine.stream(twins.said)
        mine.build()
        for layout in layouts(mine.runtime).values():
            if layout.table.exists():
                list(compact_table(layout))
                vacuum(layout.table, retention_hours=0, dry_run=False)
        assert not twins.expired(mine)
        list(verify(mine.runtime))
        mine.build()
        assert _everything(other) == before

        other.stream(twins.said)
        values = ["no 9", "no 8", "no 7"] if other is twins.dev else [9, 8, 7]
        assert other.answer()[:3] == values, "what only one had read is in the log still"
    assert twins.dev.answer() == [], "it keeps three days"


@pytest.mark.parametrize("twins", ["lmdb"], indirect=True)
def test_what_is_damaged_in_one_channel_is_nothing_to_the_other(twins: Twins) -> None:
    twins.say(1, 2)
    for channel in twins.both:
        channel.stream(2)
        channel.build()
    [damaged, *_] = Path(twins.dev.runtime.home.root, "lake/events/click").rglob("*.parquet")
    damaged.write_bytes(b"x" * damaged.stat().st_size)
    found = {channel.name: [name for name, of in verify(channel.runtime) if of.damaged] for channel in twins.both}
    assert found == {"prod": [], "dev": ["events/click"]}
    twins.prod.build()
    assert twins.prod.answer() == [2, 1]


def _everything(channel: Channel) -> dict[object, object]:
    """All that a channel has, by file and by key; what only says who reads just now is left out."""
    home = channel.runtime.home
    found = dict[object, object]()
    for folder, names, files in os.walk(home.root):
        if not home.place and folder == home.root:
            names[:] = [name for name in names if name not in ("at", "channels", "log", "releases")]
        for name in files:
            path = Path(folder, name)
            if name not in ("lock.mdb", "clock"):
                found[str(path.relative_to(home.root))] = hashlib.sha256(path.read_bytes()).hexdigest()
    if where := channel.environment.get("SEQPLAT_ONLINE"):
        url, prefix = where.split("?prefix=")
        with closing(redis.Redis.from_url(url)) as client:
            keys = [key for key in client.scan_iter(f"{prefix}*") if bool(home.place) == (b"at/" in key)]
            found |= {key: client.dump(key) for key in keys}
    return found
