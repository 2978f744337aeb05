"""A stream whose disk is full waits and goes on by itself, with every message once."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from seqplat_resources.online_store.lmdb import LmdbStore
from seqplat_resources.stream import service
from tests.disk import fill, small_disk
from tests.sources.log.logs import until
from tests.stream.test_service import archived, clicked, made, running, seen
from tests.stream.world import Shop


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setattr(service, "FIRST_WAIT_S", 0.05)
    with small_disk(tmp_path / "home", 8 << 20) as disk:
        shop = Shop(tmp_path, LmdbStore(disk / "online"))
        with closing(shop.store):
            yield shop


def test_a_full_disk_is_waited_for(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    shop.say(clicked(range(30)))
    with running(made(shop)) as errors:
        until(seen(shop, 30), "the first messages")
        for number in range(30, 150, 30):  # several times, for each finds another step at work
            taken = fill(shop.folder / "home")
            caplog.clear()
            shop.say(clicked(range(number, number + 30)))
            until(lambda: "no room is left to write" in caplog.text, "the sentence")
            taken.unlink()
            until(seen(shop, number + 30), "the messages after it")
        until(lambda: archived(shop) == 150, "the archive")
    assert errors == []
    assert archived(shop) == 150
