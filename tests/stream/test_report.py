"""What a stream says it did: every message is accounted for."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from seqplat_resources.online_store.lmdb import LmdbStore
from seqplat_resources.stream.loop import Pace
from tests.building import utc
from tests.explain.world import DEFINITIONS, FILTERED, clicked
from tests.stream.world import Shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path, LmdbStore(tmp_path / "online", sync=False), definitions=DEFINITIONS)
    with closing(made.store):
        yield made


def test_every_message_gives_events_or_a_reject_or_is_filtered_or_a_duplicate(shop: Shop) -> None:
    shop.say(
        [
            clicked(1, 2),
            clicked(1, 2, received=utc(2024, 5, 5)),  # a duplicate
            clicked(1, 2, amount=7),  # a conflict
            clicked(2, 2, amount=500),  # a click, and big
            clicked(3, 2, amount=FILTERED),
            clicked(4, 2, amount=None),  # of no event type
            clicked(5, 2, operation="bogus"),  # a reject of the event type that keeps it
            clicked(6, 2, at=utc(2030, 1, 1)),  # a reject of the source
        ]
    )
    loop = shop.loop(pace=Pace(rows=100, poll_s=0.0, keep_rows=1_000, keep_s=1e9, heartbeat_s=1e9))
    with closing(loop.log):
        while loop.once():
            pass
        tally = loop.tally
        loop.close()
    assert dict(tally.events) == {"click": 2, "big": 1}
    assert (tally.messages, tally.filtered, tally.duplicates, tally.rejected) == (8, 2, 2, 2)
