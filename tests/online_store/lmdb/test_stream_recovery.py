"""Streams that die: whatever was under way, the now view has each message before its position once, and no other."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from seqplat_resources.online_store.lmdb import LmdbStore
from tests.online_stores import now_payloads

SCRIPT = Path(__file__).with_name("streamer.py")


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("streamer", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


streamer = load()


def start(folder: Path, point: str) -> "subprocess.Popen[str]":
    command = [sys.executable, str(SCRIPT), str(folder), point]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("point", [point for point in streamer.CRASH_POINTS if point != "mid eviction"])
def test_stream_killed_at_any_point_of_an_advance_has_each_message_once(tmp_path: Path, point: str) -> None:
    process = start(tmp_path, point)
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == -9
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
        process = start(tmp_path, "none")
        assert process.stdout
        assert len(process.stdout.read(3 + 4 * turn)) == 3 + 4 * turn
        process.kill()
        process.communicate()
        store = LmdbStore(tmp_path)
        assert streamer.position(store) >= (5 + 4 * turn) * streamer.BATCH
        assert streamer.offsets(store) == list(range(streamer.position(store)))
        store.close()


def test_eviction_killed_half_way_goes_on(tmp_path: Path) -> None:
    process = start(tmp_path, "mid eviction")
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == -9
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
    process = start(tmp_path, "none")
    assert process.stdout
    process.stdout.read(1)
    store = LmdbStore(tmp_path, readonly=True)
    seen = set()
    while len(seen) < 10:
        with store.snapshot() as view:
            blocks = [len(now_payloads(view, streamer.VIEW, f"user-{n}")) for n in range(streamer.USERS)]
            consumed = view.stream_positions()[streamer.PARTITION].next_offset
        assert set(blocks) == {consumed // streamer.BATCH}
        seen.add(consumed)
    process.kill()
    process.communicate()
    store.close()
