"""What one loop does besides moving messages: it says how far behind it is, also where nothing comes."""

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from seqplat_resources.batch.inputs import tables
from seqplat_resources.lake.append import position
from seqplat_resources.read.freshness import freshness
from seqplat_resources.sources.log import LogBatch, LogSource, Partition
from seqplat_resources.sources.log.file.folder import FileLogSource
from seqplat_resources.stream.loop import Pace
from seqplat_resources.testing.memory.store import MemoryStore
from seqplat_resources.times import milliseconds
from tests.building import utc
from tests.stream.world import Shop


def test_a_partition_without_messages_is_not_behind(tmp_path: Path) -> None:
    """One partition is always busy; the other must not seem to fall behind for it."""
    there = Shop(tmp_path, MemoryStore())
    loop = there.loop(pace=Pace(rows=7, poll_s=0.0, heartbeat_s=5.0, keep_s=60.0))
    for second in range(30):
        at = there.clock.now()
        there.say(
            [{"member": "ann", "click": second, "at": utc(2024, 5, 1), "amount": 1, "received": at, "partition": 0}]
        )
        loop.once()
        there.clock.time += dt.timedelta(seconds=1)
    now_ms = there.clock.now().timestamp() * 1000
    positions = there.store.stream_positions()
    assert {partition: at.next_offset for partition, at in positions.items()} == {"clicks:0": 30, "clicks:1": 0}
    assert all(now_ms - at.at_ms <= 6_000 for at in positions.values())
    loop.close()
    loop.log.close()


def test_a_partition_that_waits_is_not_said_to_be_read(tmp_path: Path) -> None:
    """A heartbeat speaks of partitions whose messages are all visible, and of no others."""
    there = Shop(tmp_path, MemoryStore())
    say = {"member": "ann", "at": utc(2024, 5, 1), "amount": 1, "received": utc(2024, 5, 1)}
    there.say([say | {"click": n, "partition": 0} for n in range(20)])
    loop = there.loop(pace=Pace(rows=5, poll_s=0.0, heartbeat_s=0.0, keep_s=60.0))
    loop.once()
    reached = {partition: at.next_offset for partition, at in there.store.stream_positions().items()}
    assert 0 < reached["clicks:0"] < 20
    assert reached["clicks:1"] == 0
    loop.close()
    loop.log.close()


def test_a_store_that_was_emptied_is_short_until_all_is_streamed_again(tmp_path: Path) -> None:
    """Also where nobody reads one of the partitions."""
    there = Shop(tmp_path, MemoryStore())
    say = {"member": "ann", "at": utc(2024, 5, 1), "amount": 1, "received": utc(2024, 5, 1)}
    there.say([say | {"click": n, "partition": n % 2} for n in range(20)])

    def unread(times: int) -> int:
        loop = there.loop()
        for _ in range(times):
            loop.once()
        loop.close()
        loop.log.close()
        degraded = freshness(there.sequence, there.store, clock=there.clock).degraded
        return sum(int(said.split()[1]) for said in degraded if "not streamed yet" in said)

    assert unread(9) == 0
    there.store = MemoryStore()
    left = [unread(1)]
    while left[-1]:
        left.append(unread(1))  # by whoever comes next
        assert left[-1] < left[-2]
    assert 20 > left[0] > 0


@dataclass
class Stamped:
    """A log whose producers' clocks say what they like."""

    log: FileLogSource
    stamps_ms: Iterator[int]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.log, name)

    def poll(self, **limits: Any) -> list[LogBatch]:
        return [
            replace(batch, timestamps_ms=[next(self.stamps_ms) for _ in batch.offsets])
            for batch in self.log.poll(**limits)
        ]


def test_no_producers_clock_stops_a_stream_or_makes_it_late(tmp_path: Path) -> None:
    there = Shop(tmp_path, MemoryStore())
    now_ms = milliseconds(there.clock.now())
    wrong = [-1, 0, -(2**63), 2**63 - 1, 10**15, now_ms // 1_000, now_ms * 1_000, now_ms * 1_000_000, 4 * now_ms]
    say = {"member": "ann", "at": utc(2024, 5, 3), "amount": 1, "received": utc(2024, 5, 3), "partition": 0}
    there.say([say | {"click": n} for n in range(len(wrong) + 1)])
    loop = there.loop(pace=Pace(rows=1, poll_s=0.0, heartbeat_s=1e9, keep_s=0.0))
    loop.log = cast(LogSource, Stamped(cast(FileLogSource, loop.log), iter([*wrong, now_ms - 2_000])))
    for at in range(len(wrong)):
        assert loop.once() == 1
        position = there.store.stream_positions()["clicks:0"]
        assert (position.next_offset, position.lag_ms) == (at + 1, 0)
    assert loop.once() == 1
    assert there.store.stream_positions()["clicks:0"].lag_ms == 2_000
    loop.close()
    loop.log.close()
    assert len(there.answer("ann")) == len(wrong) + 1


def test_what_a_log_holds_behind_its_last_message_is_no_lag(tmp_path: Path) -> None:
    """Aborted transactions and markers of committed ones take offsets: of a quiet partition they are the end."""
    holes = 11

    class Transactional(FileLogSource):
        def end_offsets(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
            return {p: end + holes for p, end in super().end_offsets(partitions).items()}

        def positions(self) -> dict[Partition, int]:
            ends = super().end_offsets(super().positions())
            return {p: at + holes * (at == ends[p]) for p, at in super().positions().items()}

    there = Shop(tmp_path, MemoryStore())
    say = {"member": "ann", "at": utc(2024, 5, 1), "amount": 1, "received": utc(2024, 5, 1)}
    there.say([say | {"click": n, "partition": 0} for n in range(4)])
    loop = there.loop(pace=Pace(rows=3, poll_s=0.0, heartbeat_s=0.0, keep_s=0.0))
    loop.log.close()
    loop.log = Transactional(str(there.folder / "log"))
    for _ in range(4):
        loop.once()
    assert sum(loop.lag().values()) == 0
    assert there.streamed() == {str(p): at for p, at in loop.log.end_offsets(loop.partitions).items()}
    archive = tables.archive(there.runtime, there.runtime.release.sources["clicks"])
    assert {partition: position(archive, partition) for partition in there.streamed()} == there.streamed()
    there.clock.time += dt.timedelta(hours=1)
    loop.once()
    assert all(at.at_ms == milliseconds(there.clock.now()) for at in there.store.stream_positions().values())
    loop.close()
    loop.log.close()
