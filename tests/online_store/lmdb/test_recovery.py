"""Publishers that die, race and are watched: real processes, real files."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from seqplat_resources.online_store.lmdb import LmdbStore
from tests.online_stores import history

SCRIPT = Path(__file__).with_name("publisher.py")


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("publisher", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


publisher = load()


def start(folder: Path, mode: str, generation: int, *rest: str) -> "subprocess.Popen[str]":
    command = [sys.executable, str(SCRIPT), str(folder), mode, str(generation), *rest]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: "subprocess.Popen[str]") -> tuple[int, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out + err


@pytest.mark.parametrize("point", publisher.CRASH_POINTS)
def test_publisher_killed_at_any_point_leaves_a_whole_epoch(tmp_path: Path, point: str) -> None:
    assert finish(start(tmp_path, "publish", 1)) == (0, "")
    assert finish(start(tmp_path, "publish", 2, point))[0] == -9
    store = LmdbStore(tmp_path)
    assert publisher.generations(store) == ({2} if point == "after commit" else {1})
    # Whatever the dead one left behind, the next publication shows exactly itself.
    publisher.publish(store, 3)
    assert publisher.generations(store) == {3}
    publisher.publish(store, 2)
    assert publisher.generations(store) == {2}
    store.close()


def test_first_publisher_killed_leaves_nothing_to_read(tmp_path: Path) -> None:
    assert finish(start(tmp_path, "publish", 1, "before commit"))[0] == -9
    store = LmdbStore(tmp_path, readonly=True)
    assert store.epoch(publisher.VIEW) is None
    assert history(store, "user-01", publisher.VIEW) == []
    store.close()


def test_of_racing_publishers_exactly_one_wins(tmp_path: Path) -> None:
    for turn in range(3):
        folder = tmp_path / str(turn)
        LmdbStore(folder).close()
        racers = {generation: start(folder, "race", generation) for generation in (1, 2, 3)}
        results = {generation: finish(racer) for generation, racer in racers.items()}
        assert sorted(code for code, _ in results.values()) == [0, 3, 3], results
        [winner] = [generation for generation, (code, _) in results.items() if code == 0]
        store = LmdbStore(folder)
        assert publisher.generations(store) == {winner}
        store.close()


def test_reader_beside_a_publisher_sees_only_whole_epochs(tmp_path: Path) -> None:
    """The publisher's map grows from 64 KiB meanwhile, so the reader must follow its size as well."""
    store = LmdbStore(tmp_path, first_map_bytes=1 << 16, sync=False)
    publisher.publish(store, 1)
    watcher = start(tmp_path, "watch", 40)
    for generation in range(2, 41):
        publisher.publish(store, generation)
    code, output = finish(watcher)
    assert code == 0, output
    store.close()
