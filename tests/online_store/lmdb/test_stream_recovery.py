"""Streams that die: whatever was under way, the now view has each message before its position once, and no other."""

from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from seqplat_resources.online_store.lmdb import LmdbStore
from tests.forking import FORKING
from tests.online_store.lmdb import streamer
from tests.online_stores import now_payloads


def start(folder: Path, point: str) -> tuple[BaseProcess, Connection]:
    """The process, and where it tells its position after each advance from the fourth on."""
    here, there = FORKING.Pipe(duplex=False)
    process = FORKING.Process(target=streamer.main, args=(folder, point, there), daemon=True)
    process.start()
    there.close()
    return process, here


def end_of(process: BaseProcess) -> int | None:
    process.join(60)
    return process.exitcode


@pytest.mark.parametrize("point", [point for point in streamer.CRASH_POINTS if point != "mid eviction"])
def test_stream_killed_at_any_point_of_an_advance_has_each_message_once(tmp_path: Path, point: str) -> None:
    assert end_of(start(tmp_path, point)[0]) == -9
    store = LmdbStore(tmp_path)
    batches = 3 if point == "after commit" else 2
    assert streamer.position(store) == batches * streamer.BATCH
    assert streamer.offsets(store) == list(range(batches * streamer.BATCH))
    assert store.now_stats(streamer.VIEW).batches == batches
    # The next stream goes on where this one stopped.
    streamer.advance(store)
    assert streamer.offsets(store) == list(range((batches + 1) * streamer.BATCH))
    store.close()


def test_stream_killed_at_any_moment_has_each_message_once(tmp_path: Path) -> None:
    for turn in range(4):
        process, told = start(tmp_path, "none")
        for _ in range(3 + 4 * turn):
            told.recv()
        process.kill()
        process.join()
        store = LmdbStore(tmp_path)
        assert streamer.position(store) >= (5 + 4 * turn) * streamer.BATCH
        assert streamer.offsets(store) == list(range(streamer.position(store)))
        store.close()


def test_eviction_killed_half_way_goes_on(tmp_path: Path) -> None:
    assert end_of(start(tmp_path, "mid eviction")[0]) == -9
    store = LmdbStore(tmp_path)
    stats = store.now_stats(streamer.VIEW)
    assert (stats.batches, stats.blocks) == (2, 2 * streamer.USERS - 7)
    streamer.advance(store)
    kept = store.evict(streamer.VIEW)
    assert (kept.blocks, kept.batches_left) == (2 * streamer.USERS - 7, 1)
    assert kept.held_by == (streamer.DAY, streamer.PARTITION)
    assert streamer.offsets(store) == list(range(2 * streamer.BATCH, 3 * streamer.BATCH))
    store.close()


def test_reader_beside_a_stream_sees_whole_batches(tmp_path: Path) -> None:
    """Position and blocks of one snapshot agree at every moment, while the map grows under the reader."""
    process, told = start(tmp_path, "none")
    told.recv()
    store = LmdbStore(tmp_path, readonly=True)
    seen = set()
    while len(seen) < 10:
        with store.snapshot() as view:
            blocks = [len(now_payloads(view, streamer.VIEW, f"user-{n}")) for n in range(streamer.USERS)]
            consumed = view.stream_positions()[streamer.PARTITION].next_offset
        assert set(blocks) == {consumed // streamer.BATCH}
        seen.add(consumed)
    process.kill()
    process.join()
    store.close()
