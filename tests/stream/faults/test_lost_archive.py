"""An archive that lost messages: days that were made of them are not built again with fewer events."""

import datetime as dt
import shutil
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.rows import ArchiveLost
from seqplat_resources.lake.expire import expire
from seqplat_resources.online_store.lmdb import LmdbStore
from seqplat_resources.sources.log import Partition
from seqplat_resources.sources.log.contract import OnLost
from seqplat_resources.sources.log.errors import OffsetsLost
from seqplat_resources.sources.log.file.folder import FileLogSource, FileLogWriter
from tests.building import utc
from tests.stream.world import DAYS, TOPIC, Shop, source


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path, LmdbStore(tmp_path / "online", sync=False))
    made.writer = partial(small, made)  # type: ignore[method-assign]
    with closing(made.store):
        yield made


def small(shop: Shop) -> FileLogWriter:
    """A writer that begins a segment each time."""
    return FileLogWriter(str(shop.folder / "log"), segment_bytes=1)


def say(shop: Shop, numbers: range, day: int = 1) -> None:
    row = {"member": "ann", "at": utc(2024, 5, day, 12), "received": utc(2024, 5, 4), "amount": 1}
    shop.say([row | {"click": n, "partition": n % 2} for n in numbers])


def stream(shop: Shop, on_lost: OnLost = "error") -> None:
    loop = shop.loop()
    loop.log = FileLogSource(str(shop.folder / "log"), on_lost=on_lost)
    with closing(loop):
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
    with pytest.raises(ArchiveLost, match="2024-05-03 is of a stream that kept clicks:0 up to offset 12"):
        shop.build(DAYS[2:3])  # nobody knows whether it would be empty
    shop.publish(DAYS[:2])
    assert shop.answer("ann") == before
    stream(shop)  # reads again what the topic has
    shop.build(DAYS[:3])
    shop.publish(DAYS[:3])
    assert len(shop.answer("ann")) == 24


def trimmed(shop: Shop, before: int) -> None:
    """Messages before an offset leave the topic."""
    with closing(small(shop)) as writer:
        for number in (0, 1):
            assert writer.trim(Partition(TOPIC, number), before).rows == before


def test_an_archive_that_is_lost_with_what_the_topic_had_is_a_loss_and_no_empty_day(
    shop: Shop,
) -> None:
    """Neither are days that were never built."""
    for numbers in (range(16), range(16, 20)):
        say(shop, numbers)
    say(shop, range(20, 24), day=2)
    stream(shop)
    shop.build(DAYS[:1])
    shutil.rmtree(shop.folder / "home/lake/archive/clicks")
    trimmed(shop, 8)
    for days in (DAYS[:1], DAYS[1:2], DAYS[2:3]):
        with pytest.raises(ArchiveLost, match="has it up to 0 only"):
            shop.build(days)
    with pytest.raises(OffsetsLost, match=r"offsets 0 to 7 of clicks:[01] are gone"):
        stream(shop)
    stream(shop, "earliest")
    with pytest.raises(
        ArchiveLost, match=r"2024-05-01 was made of 20 messages of that day, and lake/archive/clicks has 4 of them"
    ):
        shop.build(DAYS[:1])
    shop.build(DAYS[1:])
    assert len(tables.events(shop.runtime, shop.plan).scan().collect()) == 20 + 4
    stream(shop)  # the loss was accepted once


def test_a_topic_that_was_read_from_its_middle_on_lost_nothing_before(shop: Shop) -> None:
    for numbers in (range(8), range(8, 20)):
        say(shop, numbers)
    trimmed(shop, 4)
    stream(shop)
    shop.build(DAYS[:1])
    shutil.rmtree(shop.folder / "home/lake/archive/clicks")
    stream(shop)
    shop.build(DAYS[:1])
    assert len(tables.events(shop.runtime, shop.plan).scan().collect()) == 12


def test_a_day_that_expired_in_the_archive_is_not_built_again_empty(shop: Shop) -> None:
    """Events may be kept for longer than the messages they were made of."""
    say(shop, range(4))
    stream(shop)
    shop.build(DAYS[:1])
    list(expire(tables.archive(shop.runtime, source), DAYS[1]))
    with pytest.raises(ArchiveLost, match="messages of days before 2024-05-02 are kept no longer"):
        shop.build(DAYS[:1])


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
