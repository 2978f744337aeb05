"""The store's folder replaced, removed or cut while a process has it open: that is noticed, and said in a sentence."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import lmdb
import pytest

from seqplat_resources.foreign_errors import DiskFull
from seqplat_resources.online_store import ANY_EPOCH, Advance, BucketVersion
from seqplat_resources.online_store.errors import (
    EpochConflictError,
    StoreDamagedError,
    StoreNotFoundError,
    StreamPositionError,
)
from seqplat_resources.online_store.lmdb import LmdbStore, environment, extent
from seqplat_resources.online_store.lmdb.extent import missing_bytes
from tests.contracts.test_now_view import SCHEMA, VIEW, P, add, block, seen
from tests.online_stores import history, publish_one

DAY = "2024-03-01"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "LOOK_EVERY_S", 0.0)


@pytest.fixture
def stores() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def opened(stores: ExitStack, folder: Path, *, readonly: bool = False) -> LmdbStore:
    store = LmdbStore(folder, first_map_bytes=1 << 20, sync=False, readonly=readonly)
    stores.callback(store.close)
    if not readonly:
        store.register_schema(SCHEMA)
    return store


def publish(store: LmdbStore, n: int, users: int = 1) -> int:
    one = block(n)
    blocks = [("ann" if user == 0 else f"user-{user}", one) for user in range(users)]
    bucket = BucketVersion(1, users, users)
    return publish_one(store, VIEW, DAY, blocks, bucket=bucket, release="r", expected_epoch=ANY_EPOCH).epoch


def shown(store: LmdbStore) -> list[object]:
    return [found.payload for found in history(store, "ann", VIEW)]


def made_elsewhere(folder: Path, n: int, users: int = 1) -> Path:
    """A closed store, filled by this process."""
    with ExitStack() as stores:
        publish(opened(stores, folder), n, users)
    return folder


def replaced(folder: Path, by: Path) -> None:
    folder.rename(folder.with_name("gone"))
    by.rename(folder)


def test_a_reader_goes_on_with_the_files_that_took_their_place(stores: ExitStack, tmp_path: Path) -> None:
    """Larger than the map of the ones before, too."""
    made_elsewhere(tmp_path / "online", 1)
    reader = opened(stores, tmp_path / "online", readonly=True)
    assert shown(reader) == [block(1)]
    before = reader.epoch(VIEW)
    replaced(tmp_path / "online", made_elsewhere(tmp_path / "other", 2, users=5_000))
    assert shown(reader) == [block(2)]
    after = reader.epoch(VIEW)
    assert before
    assert after
    assert before.epoch == after.epoch  # the number, but
    assert before.identity != after.identity


def test_a_snapshot_that_is_open_stays_what_it_was(stores: ExitStack, tmp_path: Path) -> None:
    made_elsewhere(tmp_path / "online", 1)
    reader, seen_by_another = opened(stores, tmp_path / "online", readonly=True), list[object]()
    other = threading.Thread(target=lambda: seen_by_another.extend(shown(reader)))
    with reader.snapshot() as view:
        replaced(tmp_path / "online", made_elsewhere(tmp_path / "other", 2))
        other.start()
        assert [bytes(found.payload) for found in view.blocks(VIEW, "ann")] == [block(1)]  # type: ignore[arg-type]
        assert shown(reader) == [block(1)]  # this thread reads the files of its snapshot
    other.join(60)
    assert seen_by_another == [block(2)]
    assert shown(reader) == [block(2)]


def test_a_writer_writes_nothing_into_files_that_are_gone(stores: ExitStack, tmp_path: Path) -> None:
    store = opened(stores, tmp_path / "online")
    publish(store, 1)
    add(store, 5, ann=1)
    replaced(tmp_path / "online", made_elsewhere(tmp_path / "other", 2))
    with pytest.raises(StreamPositionError, match="the store was emptied or replaced"):
        store.advance([], {P: Advance(5, 6, 1, 0, 0, resumes=True)})
    add(store, 3, ann=4)
    assert (seen(store, "ann"), shown(store)) == ([block(4)], [block(2)])
    replaced_by = opened(stores, tmp_path / "gone")
    assert seen(replaced_by, "ann") == [block(1)]


def test_a_publication_that_was_under_way_fails_and_shows_nothing(stores: ExitStack, tmp_path: Path) -> None:
    store = opened(stores, tmp_path / "online")
    publish(store, 1)

    def blocks() -> Iterator[tuple[str, bytes]]:
        yield "ann", block(3)
        replaced(tmp_path / "online", made_elsewhere(tmp_path / "other", 2))

    with pytest.raises(EpochConflictError):
        publish_one(store, VIEW, DAY, blocks(), bucket=BucketVersion(1, 1, 1), release="r", expected_epoch=ANY_EPOCH
        )  # fmt: skip
    assert shown(store) == [block(2)]
    publish(store, 3)
    assert shown(store) == [block(3)]


@pytest.mark.parametrize("readonly", [True, False])
def test_a_folder_that_is_gone_is_missed_and_not_made_again(stores: ExitStack, tmp_path: Path, readonly: bool) -> None:
    made_elsewhere(tmp_path / "online", 1)
    store = opened(stores, tmp_path / "online", readonly=readonly)
    (tmp_path / "online").rename(tmp_path / "away")
    for _ in range(2):
        with pytest.raises(StoreNotFoundError, match="no online store at"):
            shown(store)
    if not readonly:
        with pytest.raises(StoreNotFoundError):
            publish(store, 2)
    assert not (tmp_path / "online").exists()
    (tmp_path / "away").rename(tmp_path / "online")
    assert shown(store) == [block(1)]


@pytest.mark.parametrize("left", [0, 100, 4096, 8192, 20_000, 200_000])
def test_files_that_were_cut_are_refused_in_a_sentence(stores: ExitStack, tmp_path: Path, left: int) -> None:
    """Reading behind their end would end the process. As soon as a copy is there, it goes on."""
    made_elsewhere(tmp_path / "online", 1, users=5_000)
    shutil.copytree(tmp_path / "online", tmp_path / "copy")
    reader, writer = opened(stores, tmp_path / "online", readonly=True), None
    assert shown(reader) == [block(1)]
    os.truncate(tmp_path / "online" / "data.mdb", left)
    for _ in range(2):
        with pytest.raises((StoreDamagedError, StoreNotFoundError), match="cut") as got:
            shown(reader)
        assert "put a copy of it in its place" in str(got.value)
    if left > 4096:  # less is no store's file to those who come now
        with pytest.raises(StoreDamagedError, match="bytes are missing at its end"):
            writer = opened(stores, tmp_path / "online")
    assert writer is None
    replaced(tmp_path / "online", tmp_path / "copy")
    assert shown(reader) == [block(1)]


def _scribbled(data: Path) -> None:
    with data.open("r+b") as file:
        file.write(b"\xa5" * 8192)


def _a_folder(data: Path) -> None:
    data.unlink()
    data.mkdir()


def _a_loop(data: Path) -> None:
    data.unlink()
    data.symlink_to(data)


@pytest.mark.parametrize("harm", [_scribbled, _a_folder, _a_loop])
def test_files_that_cannot_be_used_are_a_damage_until_a_copy_is_there(
    stores: ExitStack, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    made_elsewhere(tmp_path / "online", 1, users=50)
    shutil.copytree(tmp_path / "online", tmp_path / "copy")
    reader = opened(stores, tmp_path / "online", readonly=True)
    assert shown(reader) == [block(1)]
    harm(tmp_path / "online" / "data.mdb")
    for _ in range(3):
        with pytest.raises(StoreDamagedError, match="put a copy of it in its place"):
            shown(reader)
    for readonly in (True, False):
        with pytest.raises((StoreDamagedError, StoreNotFoundError), match=r"put a copy|there is no online store"):
            opened(stores, tmp_path / "online", readonly=readonly)
    replaced(tmp_path / "online", tmp_path / "copy")
    assert shown(reader) == [block(1)]


CHURN = """
import lmdb, os, random, sys
env = lmdb.open(sys.argv[1], map_size=1 << 28, sync=False)
draw = random.Random(int(sys.argv[2]))
for _ in range(25):
    with env.begin(write=True) as transaction:
        for _ in range(draw.randint(1, 300)):
            key = b"%d" % draw.randint(0, 400)
            if draw.random() < 0.5:
                transaction.delete(key)
            else:
                transaction.put(key, draw.randbytes(draw.choice([10, 100, 3000, 9000])))
"""
READ = """
import lmdb, sys
with lmdb.open(sys.argv[1], readonly=True, lock=False, map_size=1 << 28).begin() as transaction:
    for value in transaction.cursor():
        pass
"""


@pytest.mark.parametrize("seed", range(3))
def test_what_is_missing_is_told_apart_from_pages_that_nobody_uses(tmp_path: Path, seed: int) -> None:
    """By LMDB itself: a process that reads all of a file that was cut dies where pages are missing, and only there."""
    subprocess.run([sys.executable, "-c", CHURN, str(tmp_path), str(seed)], check=True)
    data = tmp_path / "data.mdb"
    assert missing_bytes(data) == 0
    for pages in (1, 2, 40):
        os.truncate(data, data.stat().st_size - 4096 * pages)
        read = subprocess.run([sys.executable, "-c", READ, str(tmp_path)], check=False)
        assert (read.returncode < 0) == (missing_bytes(data) > 0)
    assert missing_bytes(data) > 0


@pytest.mark.parametrize("often", [1, 3, 1000])
def test_a_file_that_others_commit_to_is_not_taken_for_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, often: int
) -> None:
    with lmdb.open(str(tmp_path), map_size=1 << 28) as writer:
        left, meta = iter(range(often)), extent._meta

        def commit() -> None:
            with writer.begin(write=True) as transaction:
                for number in range(40):
                    transaction.put(os.urandom(8), bytes(900 * (number % 7)))

        def after_a_commit(file: int) -> object:
            if next(left, None) is not None:
                commit()
            return meta(file)

        commit()
        monkeypatch.setattr(extent, "_meta", after_a_commit)
        assert [missing_bytes(tmp_path / "data.mdb") for _ in range(5)] == [0] * 5


@pytest.mark.parametrize(
    ("raised", "expected", "said"),
    [
        (lmdb.CorruptedError("MDB_CORRUPTED"), StoreDamagedError, "its pages are not what was written"),
        (lmdb.DiskError("mdb_txn_commit: No space left on device"), DiskFull, "no room is left"),
        (lmdb.Error("mdb_txn_commit: Disk quota exceeded"), DiskFull, "Disk quota exceeded"),
    ],
)
def test_what_lmdb_finds_out_is_said_in_a_sentence(
    stores: ExitStack, tmp_path: Path, raised: Exception, expected: type[Exception], said: str
) -> None:
    store = opened(stores, tmp_path / "online")

    def work(_: object) -> None:
        raise raised

    with pytest.raises(expected, match=said):
        store._environment.write(work)


_WITHOUT_MEMORY = """
import resource, sys
from pathlib import Path
from seqplat_resources.errors import Retryable
from seqplat_resources.online_store.lmdb import LmdbStore
folder, grows = Path(sys.argv[1]), sys.argv[2] == "grows"
pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + (256 << 20)
def limited(bytes_):
    resource.setrlimit(resource.RLIMIT_AS, (bytes_, resource.RLIM_INFINITY))
if not grows:
    limited(limit)
try:
    store = LmdbStore(folder, first_map_bytes=(1 << 20) if grows else (4 << 30), sync=False)
    limited(limit)
    store._environment.write(lambda t: [t.put(b"%d" % n, bytes(1 << 20)) for n in range(400)])
    sys.exit("was given")
except Retryable as error:
    print(error)
limited(resource.RLIM_INFINITY)
if not grows:
    store = LmdbStore(folder, first_map_bytes=4 << 30, sync=False)
store._environment.write(lambda t: [t.put(b"%d" % n, bytes(1 << 20)) for n in range(400)])
print("goes on")
"""


@pytest.mark.parametrize("when", ["opens", "grows"])
def test_a_process_that_is_given_no_memory_is_told_so_and_goes_on_when_it_is(tmp_path: Path, when: str) -> None:
    command = [sys.executable, "-c", _WITHOUT_MEMORY, str(tmp_path / "store"), when]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "gives no memory for a map of" in done.stdout
    assert "damaged" not in done.stdout
    assert done.stdout.endswith("goes on\n")
