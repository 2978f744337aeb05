"""How much of a log was refused lately, messages without a day among them."""

import datetime as dt
from contextlib import closing
from pathlib import Path

from seqplat_resources.quality.rejects import rejects, stream_rejects
from seqplat_resources.testing.memory.store import MemoryStore
from tests.quality.test_consistency import at, said, stream
from tests.stream.world import DAYS, TOPIC, Shop


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)  # files say when they were written by the clock of the machine


def test_refused_messages_are_counted_with_their_reasons(tmp_path: Path) -> None:
    there = Shop(tmp_path, MemoryStore())
    there.say([said("ann", 1, at(9)), said("ann", 2, at(10))])
    with closing(there.writer()) as writer:
        for bad in (b"{broken", b'{"member": null, "click": 3}', b"[1]"):
            writer.append(TOPIC, [(None, bad)], partition=0)
        writer.flush()
    before = now() - dt.timedelta(hours=1)
    stream(there)
    found = stream_rejects(there.runtime, "clicks", since=before)
    assert (found["passed"], found["rows"], found["rejected"], found["rejected_share"]) == (False, 2, 3, 0.6)
    assert "member" in found["detail"] or "column" in found["detail"]
    later = stream_rejects(there.runtime, "clicks", since=now() + dt.timedelta(hours=1))
    assert (later["passed"], later["rows"], later["rejected"], later["detail"]) == (True, 0, 0, "")
    assert rejects(there.runtime, "clicks", DAYS)["passed"].all(), "no file was ingested"
    there.store.close()


def test_a_stream_that_never_ran_has_refused_nothing(tmp_path: Path) -> None:
    there = Shop(tmp_path, MemoryStore())
    found = stream_rejects(there.runtime, "clicks", since=now())
    assert (found["passed"], found["rows"], found["rejected"]) == (True, 0, 0)
    there.store.close()
