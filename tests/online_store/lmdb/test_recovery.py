"""Publishers that die, race and are watched: real processes, real files."""

from multiprocessing.process import BaseProcess
from pathlib import Path

import lmdb
import pytest

from seqplat_resources.online_store.lmdb import LmdbStore
from tests.forking import FORKING
from tests.online_store.lmdb import publisher
from tests.online_stores import history


def start(folder: Path, mode: str, generation: int, crash_point: str = "", *, together: bool = False) -> BaseProcess:
    work = (folder, mode, generation, crash_point, together)
    process = FORKING.Process(target=publisher.main, args=work, daemon=True)
    process.start()
    return process


def finish(process: BaseProcess) -> int | None:
    process.join(120)
    return process.exitcode


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("point", publisher.CRASH_POINTS)
def test_publisher_killed_at_any_point_leaves_a_whole_epoch(tmp_path: Path, point: str, *, together: bool) -> None:
    """Buckets that are written one by one, and small ones that share their transactions."""
    assert finish(start(tmp_path, "publish", 1, together=together)) == 0
    assert finish(start(tmp_path, "publish", 2, point, together=together)) == -9
    store = LmdbStore(tmp_path)
    assert publisher.generations(store) == ({2} if point == "after commit" else {1})
    # Whatever the dead one left behind, the next publication shows exactly itself.
    publisher.publish(store, 3)
    assert publisher.generations(store) == {3}
    publisher.publish(store, 2)
    assert publisher.generations(store) == {2}
    store.close()


def test_first_publisher_killed_leaves_nothing_to_read(tmp_path: Path) -> None:
    assert finish(start(tmp_path, "publish", 1, "before commit")) == -9
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
        assert sorted(map(str, results.values())) == ["0", "3", "3"], results
        [winner] = [generation for generation, code in results.items() if code == 0]
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
    assert finish(watcher) == 0
    store.close()


def test_a_reader_opens_files_that_grow_while_it_opens_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A publisher grows the file after the reader took over its size, and before it begins to read."""
    assert finish(start(tmp_path, "publish", 1)) == 0
    newer, opened = [2, 3, 4], LmdbStore._opened

    def grown(store: LmdbStore, files: lmdb.Environment) -> None:
        while newer and (tmp_path / "data.mdb").stat().st_size <= files.info()["map_size"]:
            assert finish(start(tmp_path, "publish", newer.pop(0))) == 0
        opened(store, files)

    monkeypatch.setattr(LmdbStore, "_opened", grown)
    store = LmdbStore(tmp_path, readonly=True, first_map_bytes=1 << 16)
    assert (publisher.generations(store), newer) == ({4}, [])
    store.close()
