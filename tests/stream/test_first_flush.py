"""A crash between the very first commits of a stream, when some tables hold nothing yet that tells how far they are."""

from contextlib import closing
from pathlib import Path

import pytest

from seqplat_resources.batch.inputs import tables
from seqplat_resources.testing.memory.store import MemoryStore
from tests.building import utc
from tests.stream.world import TOPIC, Shop


class Crash(Exception):
    """What a kill looks like from inside."""


@pytest.mark.parametrize("committed", [1, 2])
def test_a_reject_of_the_first_messages_is_kept_whatever_table_was_written_last(tmp_path: Path, committed: int) -> None:
    there = Shop(tmp_path, MemoryStore())
    at = utc(2024, 5, 1)
    there.say([{"member": "ann", "click": 1, "at": at, "amount": 1, "received": at, "partition": 0}])
    with closing(there.writer()) as writer:
        writer.append(TOPIC, [(None, b"not JSON")], partition=0)
        writer.flush()
    flushes = 0

    def step(number: int) -> None:
        nonlocal flushes
        flushes += number == 5
        if flushes == committed:
            raise Crash

    loop = there.loop(step=step)
    loop.once()
    with pytest.raises(Crash):
        loop.close()
    loop = there.loop()
    loop.once()
    loop.close()
    refused = tables.rejects(there.runtime, "clicks").scan().collect()
    assert refused.select("source_partition", "offset", "payload").rows() == [(f"{TOPIC}:0", 1, b"not JSON")]
    archived = tables.archive(there.runtime, there.runtime.release.sources["clicks"]).scan().collect()
    assert archived.select("_partition", "_offset").rows() == [(f"{TOPIC}:0", 0)]
