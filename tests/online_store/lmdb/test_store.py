"""What is particular to LMDB: the map that grows, processes, and files that are not as hoped."""

import multiprocessing
import os
import pickle
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import polars as pl
import pytest

from seqplat_resources.online_store import (
    ANY_EPOCH,
    Advance,
    BlockSchema,
    BucketVersion,
    HistoryBlock,
    NowWrite,
    ReadAhead,
    StoreSnapshot,
    encode_bucket,
    keys,
)
from seqplat_resources.online_store.errors import (
    BucketTakenOverError,
    StoreBusyError,
    StoreDamagedError,
    StoreNotFoundError,
    StoreUnusableError,
)
from seqplat_resources.online_store.folding import fold_crowded
from seqplat_resources.online_store.lmdb import LmdbStore, gate, publication
from seqplat_resources.online_store.lmdb.environment import Environment
from tests.forking import FORKING
from tests.online_stores import history, publish_one

VIEW, DAY = "item_view", "2024-03-01"
SCHEMA = BlockSchema.of({"v": "binary"})
SMALL_MAP = 1 << 17


def bucket(users: int, size: int = 1000) -> list[tuple[str, bytes]]:
    values = [os.urandom(size) for _ in range(users)]
    return list(encode_bucket(pl.DataFrame({"user_id": [f"{n:06}" for n in range(users)], "v": values}), SCHEMA))


def publish(store: LmdbStore, blocks: Iterable[tuple[str, bytes]], day: str = DAY) -> None:
    store.register_schema(SCHEMA)
    publish_one(store, VIEW, day, blocks, bucket=BucketVersion(1, 1, 1), release="r", expected_epoch=ANY_EPOCH)


def newest(store: LmdbStore, user: str) -> bytes:
    return history(store, user, VIEW)[0].payload


def test_content_survives_closing(tmp_path: Path) -> None:
    blocks = bucket(3)
    first = LmdbStore(tmp_path / "a" / "b")
    publish(first, blocks)
    first.close()
    again = LmdbStore(tmp_path / "a" / "b", readonly=True)
    assert newest(again, "000001") == blocks[1][1]
    assert again.schema(SCHEMA.schema_id) == SCHEMA
    again.close()


def test_map_grows_while_publishing(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path, first_map_bytes=SMALL_MAP, sync=False)
    blocks = bucket(2000)
    publish(store, blocks)
    assert store.stats().size_bytes > 10 * SMALL_MAP
    assert {user: newest(store, user) for user, _ in blocks} == dict(blocks)
    store.close()


def _publish_elsewhere(folder: Path, blocks: list[tuple[str, bytes]]) -> None:
    publish(LmdbStore(folder, first_map_bytes=SMALL_MAP), blocks)


def test_reader_and_writer_follow_a_map_grown_by_another_process(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path, first_map_bytes=SMALL_MAP)
    publish(store, bucket(1))
    blocks = bucket(1000)
    other = multiprocessing.get_context("spawn").Process(target=_publish_elsewhere, args=(tmp_path, blocks))
    other.start()
    other.join()
    assert newest(store, "000999") == blocks[-1][1]
    publish(store, bucket(2000), "2024-03-02")
    assert history(store, "000999", VIEW)[1] == HistoryBlock(DAY, blocks[-1][1])
    store.close()


class _Overtaken(LmdbStore):
    """Another process enlarges the file whenever a snapshot was opened, before anything is read from it."""

    @contextmanager
    def snapshot(
        self, *, epochs: Mapping[str, int] | None = None, ahead: ReadAhead | None = None
    ) -> Iterator[StoreSnapshot]:
        with super().snapshot(epochs=epochs, ahead=ahead) as view:
            other = FORKING.Process(target=_publish_elsewhere, args=(self._environment.path, bucket(1000)))
            other.start()
            other.join()
            yield view


def test_folding_goes_on_where_another_process_enlarges_the_file_meanwhile(tmp_path: Path) -> None:
    with closing(LmdbStore(tmp_path, first_map_bytes=SMALL_MAP)) as store:
        store.register_schema(SCHEMA)
        for offset in range(3):
            write = NowWrite(VIEW, bucket(1), {DAY: {"views:0": offset + 1}})
            store.advance([write], {"views:0": Advance(offset, offset + 1, 1, 0, 0)})
    with closing(_Overtaken(tmp_path, first_map_bytes=SMALL_MAP)) as store:
        assert fold_crowded(store, VIEW, more_than=2) == 1
        assert store.now_stats(VIEW).blocks == 1


def test_publishing_inside_an_own_snapshot_says_so_when_the_map_must_grow(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path, first_map_bytes=SMALL_MAP, sync=False)
    with store.snapshot(), pytest.raises(StoreBusyError, match=r"leave the `with store.snapshot\(\)` block"):
        publish(store, bucket(1000))
    publish(store, bucket(1000))
    store.close()


def test_growing_waits_for_snapshots_of_other_threads(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path, first_map_bytes=SMALL_MAP, sync=False)
    blocks = bucket(1)
    publish(store, blocks)
    reading, enough = threading.Event(), threading.Event()
    seen = []

    def read() -> None:
        with store.snapshot() as view:
            reading.set()
            enough.wait(10)
            seen.extend(block.kept() for block in view.blocks(VIEW, "000000"))

    reader = threading.Thread(target=read)
    reader.start()
    reading.wait(10)
    writer = threading.Thread(target=publish, args=(store, bucket(1000)))
    writer.start()
    writer.join(0.2)
    assert writer.is_alive()
    enough.set()
    reader.join(10)
    writer.join(30)
    assert seen == [HistoryBlock(DAY, blocks[0][1])]
    assert store.epoch(VIEW).epoch == 2  # type: ignore[union-attr]
    store.close()


def test_block_cannot_be_read_after_its_snapshot(tmp_path: Path) -> None:
    """It is a view into the file; reading what lies there later could take the process down."""
    store = LmdbStore(tmp_path, sync=False)
    blocks = bucket(1)
    publish(store, blocks)
    with store.snapshot() as view:
        [found] = view.blocks(VIEW, "000000")
        kept = found.kept()
        assert isinstance(found.payload, memoryview)
        assert found.payload == blocks[0][1]
    assert kept.payload == blocks[0][1]
    with pytest.raises(ValueError, match="released"):
        bytes(found.payload)
    store.close()


def test_gate_gives_up_on_snapshots_that_do_not_end() -> None:
    door, inside, leave = gate.Gate("somewhere", patience_s=0.05), threading.Event(), threading.Event()

    def stay() -> None:
        with door.shared():
            inside.set()
            leave.wait(10)

    guest = threading.Thread(target=stay)
    guest.start()
    inside.wait(10)
    with (
        pytest.raises(StoreBusyError, match=r"after 0.05 s because snapshots are open, at somewhere; leave"),
        door.alone(),
    ):
        pass
    leave.set()
    guest.join(10)
    with door.alone(), pytest.raises(StoreBusyError), gate.Gate("x").shared(), door.alone():
        pass


def test_reader_without_a_store_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError, match=f"no online store at {tmp_path}; `seqplat apply`"):
        LmdbStore(tmp_path, readonly=True)


def test_opening_twice_in_one_process_is_refused(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path)
    with pytest.raises(
        StoreUnusableError, match=r"already open in this process.*open one LmdbStore per process and share"
    ):
        LmdbStore(tmp_path)
    store.close()


def test_publishing_to_a_reader_is_refused(tmp_path: Path) -> None:
    LmdbStore(tmp_path).close()
    store = LmdbStore(tmp_path, readonly=True)
    with pytest.raises(StoreUnusableError, match=r"open for reading only, at .*; open it without readonly=True"):
        publish(store, bucket(1))
    store.close()


def test_something_else_in_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreDamagedError, match="not an LMDB file"):
        LmdbStore(tmp_path)


def test_reader_needs_no_write_permission_on_the_data(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path)
    publish(store, bucket(1))
    store.close()
    (tmp_path / "data.mdb").chmod(0o444)
    reader = LmdbStore(tmp_path, readonly=True)
    assert newest(reader, "000000")
    reader.close()


def test_one_epoch_is_too_few_to_keep(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"keep_epochs=1 breaks requests in flight, at {tmp_path}; keep 2 or more"):
        LmdbStore(tmp_path, keep_epochs=1)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_child_opens_its_own_files_and_leaves_the_parents_snapshot_alone(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path)
    blocks = bucket(1)
    publish(store, blocks)
    child = os.fork()
    if child == 0:  # no pytest, no polars in here: only what the store does
        found = newest(store, "000000") == blocks[0][1]
        store.close()
        os._exit(0 if found else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    publish(store, bucket(1))
    assert newest(store, "000000") != blocks[0][1]
    store.close()


def _read_pickled(store: LmdbStore, user: str, sent: Connection) -> None:
    sent.send(newest(store, user))


def test_store_travels_to_a_spawned_worker(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path)
    blocks = bucket(2)
    publish(store, blocks)
    context = multiprocessing.get_context("spawn")
    received, sent = context.Pipe(duplex=False)
    worker = context.Process(target=_read_pickled, args=(store, "000001", sent))
    worker.start()
    assert received.recv() == blocks[1][1]
    worker.join()
    store.close()
    pickle.loads(pickle.dumps(store)).close()


def test_bucket_taken_over_is_explained(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path)
    blocks = bucket(2)
    publish(store, blocks)

    def overtaken() -> Iterator[tuple[str, bytes]]:
        yield blocks[0]
        publish(store, bucket(2))

    message = (
        "write version 2 of item_view 2024-03-01 was taken over by version 3 of another publisher; "
        "let only one publisher work on a bucket at a time"
    )
    with pytest.raises(BucketTakenOverError, match=message):
        publish(store, overtaken())
    store.close()


def test_publisher_that_lost_a_bucket_takes_no_other(tmp_path: Path) -> None:
    """Else two publishers of the same days could take one each from the other, and both fail."""
    environment = Environment(tmp_path, readonly=False)

    def take(day: str, *holding: publication.BucketLease) -> publication.BucketLease:
        return environment.write(
            lambda txn: publication.lease(txn, VIEW, day, holding=holding, expected_epoch=ANY_EPOCH)
        )

    mine, theirs = take(DAY), take(DAY)
    also_theirs = take("2024-03-02", theirs)
    with pytest.raises(BucketTakenOverError, match="version 1 of item_view 2024-03-01 was taken over by version 2"):
        take("2024-03-02", mine)
    with environment.read() as transaction:
        theirs.check(transaction)
        also_theirs.check(transaction)
    environment.close()


def test_old_versions_do_not_pile_up(tmp_path: Path) -> None:
    """Without any pruning, a user's block that changes for ever takes only as many entries as epochs are kept."""
    store = LmdbStore(tmp_path, keep_epochs=3, sync=False)
    sizes = []
    for _ in range(60):
        publish(store, bucket(50))
        sizes.append(store.stats().size_bytes)
    assert sizes[-1] == sizes[20]
    store.close()


def test_two_event_types_whose_names_begin_alike_are_pruned_apart(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path, sync=False)
    store.register_schema(SCHEMA)
    for event_type in ("view", "views"):
        for _ in range(3):
            publish_one(
                store, event_type, DAY, bucket(2), bucket=BucketVersion(1, 2, 2), release="r", expected_epoch=ANY_EPOCH
            )
    assert store.prune("view", keep_epochs=1) == 4
    assert store.kept_epochs("views") == (1, 2, 3)
    assert len(history(store, "000000", "views", epoch=1)) == 1
    store.close()


def test_files_of_another_layout_are_refused(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path)
    publish(store, bucket(1))
    store._environment.write(lambda transaction: transaction.delete(keys.LAYOUT))
    store.close()
    for readonly in (False, True):
        with pytest.raises(
            StoreUnusableError, match=r"another version of this code, at .*; delete the folder, publish"
        ):
            LmdbStore(tmp_path, readonly=readonly)
