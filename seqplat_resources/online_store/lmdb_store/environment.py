"""The LMDB files of a store: opening them, transactions, growing the map, surviving a fork. Knows no keys."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeAlias, TypeVar, cast

import lmdb

from seqplat_resources.foreign_errors import in_our_words, is_disk_full
from seqplat_resources.online_store.errors import StoreNotFoundError, StoreUnusableError
from seqplat_resources.online_store.lmdb_store.gate import Gate
from seqplat_resources.private_files import FILE_MODE, FOLDER_MODE, make_private

Transaction: TypeAlias = "lmdb.Transaction[bytes]"
# For reading alone: either of these.
Readable: TypeAlias = "lmdb.Transaction[bytes] | lmdb.Transaction[memoryview]"
Result = TypeVar("Result")

# Address space, not disk: the file grows with its content. Doubled when full, by at most the step.
FIRST_MAP_BYTES = 1 << 30
LARGEST_STEP_BYTES = 16 << 30
# Concurrent read transactions of all processes; a slot takes 64 bytes in the lock file.
MAX_READERS = 1024


class Environment:
    """One open LMDB environment per process and path; safe to share between threads.

    LMDB may not be carried over a fork: the child notices and opens its own on first use. (Opened snapshots of the
    parent are of no use to the child.)
    """

    def __init__(
        self, path: Path, *, readonly: bool, first_map_bytes: int = FIRST_MAP_BYTES, sync: bool = True
    ) -> None:
        self.path, self._readonly, self._first_map_bytes, self._sync = path, readonly, first_map_bytes, sync
        self._open()

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """A transaction that sees the store as it is now."""
        with self._begin(write=False) as transaction:
            yield transaction

    @contextmanager
    def read_views(self) -> "Iterator[lmdb.Transaction[memoryview]]":
        """As ``read``, but keys and values are views into the file, of no use after the transaction."""
        with self._begin(write=False, buffers=True) as transaction:
            # NOTE: what a transaction was begun with decides what it gives; its type cannot say so here.
            yield cast("lmdb.Transaction[memoryview]", transaction)

    def write(self, work: Callable[[Transaction], Result]) -> Result:
        """Run ``work`` in a write transaction and commit; one writer at a time, over all processes.

        ``work`` runs again from the start when the map was full, so it must not change anything but the store.
        """
        while True:
            size = self._current().info()["map_size"]
            try:
                with self._begin(write=True) as transaction:
                    return work(transaction)
            except lmdb.MapFullError:
                self._resize(more_than=size)
            except lmdb.Error as error:
                if is_disk_full(error) and (told := in_our_words(error)) is not None:
                    raise told from error
                raise

    def size_bytes(self) -> int:
        """Bytes the data file takes on disk."""
        return (self.path / "data.mdb").stat().st_size

    def close(self) -> None:
        """Close the files, unless they are a parent process's."""
        if self._pid == os.getpid():
            self._env.close()

    @contextmanager
    def _begin(self, *, write: bool, buffers: bool = False) -> Iterator[Transaction]:
        while True:
            environment = self._current()
            with self._gate.shared():
                if transaction := self._transaction(environment, write=write, buffers=buffers):
                    with transaction:
                        yield transaction
                    return
            self._resize()

    def _transaction(self, environment: lmdb.Environment, *, write: bool, buffers: bool) -> "Transaction | None":
        """A new transaction; None where another process has grown the file beyond this process's map."""
        begin = partial(environment.begin, write=write, buffers=buffers)
        try:
            return begin()
        except lmdb.MapResizedError:
            return None
        except lmdb.ReadersFullError:
            environment.reader_check()  # frees the slots of readers that died
            return begin()
        except lmdb.ReadonlyError as error:
            raise self._unusable("the store is open for reading only", "open it without readonly=True") from error

    def _resize(self, *, more_than: int | None = None) -> None:
        """Take over the map size that another process set; enlarge it if that is still not ``more_than``."""
        with self._gate.alone():
            environment = self._current()
            environment.set_mapsize(0)
            # NOTE: a size that was set but not yet committed with is forgotten by set_mapsize(0), so growth starts
            # from the size that was too small, not from the one just taken over.
            if more_than is not None and environment.info()["map_size"] <= more_than:
                environment.set_mapsize(more_than + min(more_than, LARGEST_STEP_BYTES))

    def _current(self) -> lmdb.Environment:
        if self._pid != os.getpid():
            # Dropped, never closed: closing would wipe the parent's entries from the shared reader table.
            del self._env
            self._open()
        return self._env

    def _open(self) -> None:
        self._pid = os.getpid()
        self._gate = Gate(str(self.path))
        if self._readonly and not (self.path / "data.mdb").exists():
            raise StoreNotFoundError(str(self.path))
        if not self._readonly:
            self.path.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        try:
            self._env = lmdb.open(
                str(self.path),
                map_size=self._first_map_bytes,
                readonly=self._readonly,
                create=not self._readonly,
                sync=self._sync,
                # Reads hit single pages all over the file; fetching their neighbours evicts pages that are in use.
                readahead=False,
                max_readers=MAX_READERS,
                mode=FILE_MODE,
            )
        except lmdb.Error as error:
            raise self._unusable(
                f"LMDB cannot open the files ({error})",
                "open one LmdbStore per process and share it between threads, and check the folder's permissions",
            ) from error
        if not self._readonly:
            for name in ("data.mdb", "lock.mdb"):  # also where an umask, or an earlier build, made them otherwise
                make_private(self.path / name)
        self._env.set_mapsize(0)
        self._env.reader_check()

    def _unusable(self, what: str, fix: str) -> StoreUnusableError:
        return StoreUnusableError(what, where=str(self.path), fix=fix)
