"""An archive that lost messages: days that were made of them are not built again with fewer events."""

import datetime as dt
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from seqplat_resources.batch.inputs.rows import ArchiveLost
from seqplat_resources.online_store.lmdb import LmdbStore
from tests.building import utc
from tests.stream.world import DAYS, Shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path, LmdbStore(tmp_path / "online", sync=False))
    with closing(made.store):
        yield made


def say(shop: Shop, numbers: range, day: int = 1) -> None:
    row = {"member": "ann", "at": utc(2024, 5, day, 12), "received": utc(2024, 5, 4), "amount": 1}
    shop.say([row | {"click": n, "partition": n % 2} for n in numbers])


def stream(shop: Shop) -> None:
    with closing(shop.loop()) as loop:
        while loop.once():
            pass


@pytest.mark.parametrize("lost", ["", "_delta_log"])
def test_a_day_is_not_built_of_fewer_messages_than_it_was_made_of(shop: Shop, lost: str) -> None:
    say(shop, range(20))
    say(shop, range(20, 24), day=2)
    stream(shop)
    shop.build(DAYS[:2])
    shop.publish(DAYS[:2])
    before = shop.answer("ann")
    archive = shop.folder / "home/lake/archive/clicks"
    shutil.rmtree(archive / lost)
    with pytest.raises(ArchiveLost, match="built again it would lose events") as raised:
        shop.build(DAYS[:1])
    assert "run `seqplat stream`" in str(raised.value)
    shop.build(DAYS[2:3])  # one that was made of nothing is built as ever
    shop.publish(DAYS[:3])
    assert shop.answer("ann") == before
    stream(shop)  # reads again what the topic has
    shop.build(DAYS[:3])
    shop.publish(DAYS[:3])
    assert len(shop.answer("ann")) == 24


def test_days_that_lost_nothing_are_built_beside_those_that_did(shop: Shop, tmp_path: Path) -> None:
    """A copy of the archive from before the newest messages, as a backup is."""
    say(shop, range(4))
    stream(shop)
    shop.build(DAYS[:1])
    archive = shop.folder / "home/lake/archive/clicks"
    shutil.copytree(archive, tmp_path / "copy")
    say(shop, range(4, 8), day=2)
    stream(shop)
    shop.build(DAYS[1:2])
    shutil.rmtree(archive)
    shutil.move(tmp_path / "copy", archive)
    shop.build(DAYS[:1])
    with pytest.raises(ArchiveLost) as raised:
        shop.build(DAYS[:2])
    assert raised.value.day == dt.date(2024, 5, 2)
