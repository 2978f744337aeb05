"""Real lateness through a real Kafka: at every midnight, before and after the batch, answers are the oracle's."""

import datetime as dt
import random
import uuid
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import closing
from itertools import groupby
from pathlib import Path

import pytest

from seqplat_resources.batch.builds import events
from seqplat_resources.batch.days.ledger import dirty_buckets
from seqplat_resources.batch.publish.events import publish
from seqplat_resources.engine.contract import NoLookup
from seqplat_resources.online_store.lmdb import LmdbStore
from seqplat_resources.read.answer import answer
from seqplat_resources.release.query import Query
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.sources.log.kafka.confluent import ConfluentSource, ConfluentWriter
from seqplat_resources.sources.log.kafka.settings import KafkaSettings
from seqplat_resources.stream.loop import Pace, StreamLoop
from seqplat_resources.stream.ownership import Ownership
from tests.building import ManualClock, days, runtime_for
from tests.sources.log.conftest import kafka_bootstrap  # noqa: F401
from tests.stream import git_history as git

NEWEST = 50
PACE = Pace(rows=2000, poll_s=0.2, keep_rows=1, heartbeat_s=1e9)


class Forge:
    """An installation whose nights are simulated: streams by day, batch at midnight."""

    def __init__(self, folder: Path, bootstrap: str, changes: list[git.Change]) -> None:
        topic = f"changes-{uuid.uuid4().hex[:8]}"
        self.first = min(change.day for change in changes)
        definitions = (git.oss, git.file_changes(topic, self.first), git.file_change, git.recent)
        self.clock = ManualClock(changes[0].arrived)
        self.runtime = runtime_for(folder / "home", definitions, folder, clock=self.clock)
        self.plan = SequencePlan.of(self.runtime.loaded, "recent")
        self.store = LmdbStore(folder / "online", sync=False)
        self.writer, self.topic = ConfluentWriter(KafkaSettings(bootstrap)), topic
        self.writer.create_topic(topic, git.PARTITIONS)
        log, ownership = ConfluentSource(KafkaSettings(bootstrap)), Ownership(self.runtime.home, "changes", self.clock)
        self.loop = StreamLoop(self.runtime, "changes", log, self.store, NoLookup(), ownership, PACE, self.clock)
        self.expected, self.produced, self.built = git.Expected(), Counter[int](), self.first

    def close(self) -> None:
        self.loop.close()
        self.loop.log.close()
        self.writer.close()
        self.store.close()

    def stream(self, changes: list[git.Change]) -> None:
        """Produce, and read until all of it is visible and kept."""
        for partition in range(git.PARTITIONS):
            records = [(change.user.encode(), change.value) for change in changes if change.partition == partition]
            self.writer.append(self.topic, records, partition=partition)
            self.produced[partition] += len(records)
        self.writer.flush()
        wanted = {f"{self.topic}:{number}": end for number, end in self.produced.items() if end}
        for _ in range(200):
            self.loop.once()
            stored = self.store.stream_positions()
            if all(name in stored and stored[name].next_offset == end for name, end in wanted.items()):
                break
        else:
            raise TimeoutError(f"streamed up to {stored}, produced {wanted}")
        self.expected.arrive(changes)

    def nightly(self, yesterday: dt.date) -> int:
        """Build and publish what was never built, and every dirty bucket; how many of those there were."""
        dirty = [bucket.day for bucket in dirty_buckets(self.runtime, "file_change")]
        fresh = days(self.built, (yesterday - self.built).days + 1)
        self.built = yesterday + dt.timedelta(days=1)
        self.batch(sorted({*dirty, *fresh}))
        assert dirty_buckets(self.runtime, "file_change") == []
        return len(dirty)

    def batch(self, chosen: list[dt.date]) -> None:
        list(events.build(self.runtime, "file_change", chosen))
        list(publish(self.runtime, self.store, "file_change", chosen))
        self.expected.publish(chosen, dict(self.produced))

    def check(self, users: Collection[str]) -> None:
        for user in users:
            expected = self.expected.answer(user)
            assert self.shown(user, None) == expected, user
            assert self.shown(user, NEWEST) == expected[:NEWEST], user

    def shown(self, user: str, limit: int | None) -> list[tuple[object, ...]]:
        found = answer(self.plan, self.store, user, Query(limit=limit), clock=self.clock).events
        return [(at.astimezone(dt.UTC), *rest) for at, *rest in found.select("event_time", *git.SHOWN).iter_rows()]


@pytest.fixture
def bootstrap(request: pytest.FixtureRequest) -> str:
    if not git.FOLDER.is_dir():
        pytest.skip("git histories: not beside this repository, in ../shared/data/oss_git_history")
    return str(request.getfixturevalue("kafka_bootstrap"))


def sampled(changes: list[git.Change]) -> list[str]:
    """The twenty most active users, and two hundred others if there are so many."""
    active = [user for user, _ in Counter(change.user for change in changes).most_common()]
    return active[:20] + random.Random(5).sample(active[20:], min(200, len(active[20:])))


def by_night(changes: list[git.Change]) -> Iterator[tuple[dt.date, list[git.Change]]]:
    for day, arrived in groupby(changes, key=lambda change: change.arrived.date()):
        yield day, list(arrived)


# 9,208 changes of which 26 % come more than an hour late, up to 161 days, and 938 are copies;
# 24,415 changes of which 3 % come late, up to 88 days, and 252 are copies.
@pytest.mark.slow
@pytest.mark.parametrize(("first", "nights"), [(dt.date(2025, 10, 19), 18), (dt.date(2024, 5, 21), 12)])
def test_every_midnight_shows_what_had_arrived(tmp_path: Path, bootstrap: str, first: dt.date, nights: int) -> None:
    changes = list(git.arrivals(first, nights))
    late = sum(change.arrived - change.happened > dt.timedelta(hours=1) for change in changes)
    assert len(changes) > 9_000
    assert late > 600
    assert len({change.key for change in changes}) < len(changes) - 250
    users = sampled(changes)
    with closing(Forge(tmp_path, bootstrap, changes)) as forge:
        resealed = 0
        for day, arrived in by_night(changes):
            forge.clock.time = dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), dt.UTC)
            forge.stream(arrived)
            forge.check(users)
            resealed += forge.nightly(day)
            forge.check(users)
        everyone = {change.user for change in changes}
        forge.check(everyone)
        assert resealed > 20
        # Once every epoch that is kept has read everything, the now view is empty and nothing has changed.
        kept = len(forge.store.kept_epochs("file_change"))
        for _ in range(kept):
            list(publish(forge.runtime, forge.store, "file_change", days(forge.first, 1)))
        assert forge.store.now_stats("file_change").batches == 0
        forge.check(everyone)
