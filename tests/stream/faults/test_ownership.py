"""Who reads which partition: shared fairly, taken over from the dead, given back on stop, and fenced."""

import datetime as dt
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from seqplat_resources.home import Home
from seqplat_resources.online_store.errors import FencedStreamError
from seqplat_resources.online_store.lmdb import LmdbStore
from seqplat_resources.sources.log import Partition
from seqplat_resources.stream.ownership import TTL, Ownership
from tests.building import ManualClock, utc
from tests.stream.world import DAYS, Shop

FOUR = [Partition("clicks", number) for number in range(4)]
# A process of the same group that takes what it gets and then does nothing more.
HOLDER = """
import sys, time
from seqplat_resources.home import Home
from seqplat_resources.sources.log import Partition
from seqplat_resources.stream.ownership import Ownership
held = Ownership(Home(sys.argv[1], {}), "group")
held.renew([Partition("clicks", number) for number in range(4)])
print(len(held.tokens), flush=True)
time.sleep(600)
"""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(utc(2024, 5, 4))


@pytest.fixture
def members(tmp_path: Path, clock: ManualClock) -> list[Ownership]:
    return [Ownership(Home(str(tmp_path), {}), "group", clock) for _ in range(5)]


def settle(*members: Ownership) -> list[int]:
    """Each renews twice: gives back what is too much, takes what is free; how many each then has."""
    for _ in range(2):
        for member in members:
            member.renew(FOUR)
    held = [set(member.tokens) for member in members]
    assert set.union(*held) == set(FOUR)
    assert sum(map(len, held)) == len(FOUR)
    return [len(partitions) for partitions in held]


def test_one_holds_all_and_two_share(members: list[Ownership]) -> None:
    assert settle(members[0]) == [4]
    assert settle(*members[:2]) == [2, 2]
    assert settle(*members[:3]) in ([2, 2, 0], [2, 1, 1], [1, 2, 1], [1, 1, 2])


def test_there_may_be_more_members_than_partitions(members: list[Ownership]) -> None:
    assert sorted(settle(*members)) == [0, 1, 1, 1, 1]


def test_a_renewal_without_change_says_so_and_keeps_tokens(members: list[Ownership], clock: ManualClock) -> None:
    assert members[0].renew(FOUR)
    tokens = members[0].tokens
    clock.time += TTL / 2
    assert members[0].is_due
    assert not members[0].renew(FOUR)
    assert not members[0].is_due
    assert members[0].tokens == tokens


def test_what_is_released_is_taken_at_once_under_a_larger_token(members: list[Ownership]) -> None:
    settle(members[0])
    before = members[0].tokens
    members[0].release()
    assert members[0].tokens == {}
    members[1].renew(FOUR)
    assert members[1].tokens.keys() == before.keys()
    assert all(members[1].tokens[partition] > token for partition, token in before.items())


def test_a_silent_member_loses_its_partitions_after_a_while(members: list[Ownership], clock: ManualClock) -> None:
    settle(members[0])
    clock.time += TTL - dt.timedelta(seconds=1)
    members[1].renew(FOUR)
    assert members[1].tokens == {}
    clock.time += dt.timedelta(seconds=2)
    members[1].renew(FOUR)
    members[1].renew(FOUR)
    assert set(members[1].tokens) == set(FOUR)
    members[0].renew(FOUR)  # it comes back, finds that it has lost them, and gets its share at the next renewals
    assert members[0].tokens == {}
    assert settle(members[1], members[0]) == [2, 2]


def test_a_dead_member_on_this_host_is_replaced_without_waiting(tmp_path: Path, members: list[Ownership]) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "4\n"
        living = Ownership(Home(str(tmp_path), {}), "group")  # by the machine's clock, as the holder's leases are
        living.renew(FOUR)
        assert living.tokens == {}
        holder.kill()
        holder.wait()
        living.renew(FOUR)
        assert set(living.tokens) == set(FOUR)


def test_a_stream_that_lost_its_partitions_without_noticing_cannot_advance(tmp_path: Path) -> None:
    """It was paused for longer than its leases; its successor has read what it is about to show."""
    shop = Shop(tmp_path, LmdbStore(tmp_path / "online", sync=False))
    zombie = shop.loop()
    with closing(zombie.log), closing(shop.store):
        zombie.once()
        shop.clock = ManualClock(shop.clock.time + TTL * 2)
        heir = shop.loop()
        at = dt.datetime.combine(DAYS[0], dt.time(12), dt.UTC)
        row = {"member": "ann", "at": at, "received": at, "amount": 1}
        shop.say([row | {"click": n, "partition": n % 2} for n in range(4)])
        with closing(heir.log):
            assert sum(heir.once() for _ in range(4)) == 4
            shown = shop.answer("ann")
            assert len(shown) == 4
            with pytest.raises(FencedStreamError):
                zombie.once()
            assert shop.answer("ann") == shown
            heir.close()
        zombie.ownership.release()
