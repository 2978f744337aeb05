"""The LMDB files of a store: opening them, and those that took their place; transactions, growing the map, surviving a
fork. Knows no keys.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeAlias, TypeVar, cast

import lmdb

from seqplat_resources.foreign_errors import DiskFull, full_disk
from seqplat_resources.online_store.errors import (
    StoreAwayError,
    StoreDamagedError,
    StoreNotFoundError,
    StoreUnusableError,
)
from seqplat_resources.online_store.lmdb.extent import map_bytes, missing_bytes
from seqplat_resources.online_store.lmdb.gate import Gate
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
# How long readers may go on with files that others have taken the place of: a look costs as much as a short read.
LOOK_EVERY_S = 0.01
# What LMDB says of pages that are not what it wrote.
_DAMAGED = (
    *(lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.InvalidError, lmdb.PanicError, lmdb.VersionMismatchError),
)
# Address space of a process; a store that says it needs more is not what was written.
_ALL_BYTES = 1 << 47
# Two pages that say where the rest is.
_LEAST_BYTES = 8192
# No file: what is open where nothing could be opened.
_NONE = (-1, -1)
_COPY = (
    "move the folder away and put a copy of it in its place, or delete it, publish all days again, and restart the "
    "streams"
)


class Environment:
    """One open LMDB environment per process and path; safe to share between threads.

    LMDB may not be carried over a fork: the child notices and opens its own on first use. (Opened snapshots of the
    parent are of no use to the child.)

    Where the folder was replaced, the files that are there are opened; ``opened`` is told of them before anybody reads.
    A writer whose folder is gone does not make another: somebody may be about to put it back.
    NOTE: files that are cut or written over while a transaction reads them end the process, as any mapped file would.
    """

    def __init__(
        self,
        path: Path,
        *,
        readonly: bool,
        first_map_bytes: int = FIRST_MAP_BYTES,
        sync: bool = True,
        opened: Callable[[lmdb.Environment], None] = lambda _: None,
    ) -> None:
        self.path, self._readonly, self._first_map_bytes, self._sync = path, readonly, first_map_bytes, sync
        self._data, self._opened = path / "data.mdb", opened
        self._gate = Gate(str(path))
        self._env: lmdb.Environment
        # Which file is open, how long it was when it was last looked at, and when to look again.
        self._file, self._size, self._look_at = _NONE, 0, 0.0
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
            self._after_fork()
            size = self._map_bytes()
            try:
                with self._begin(write=True) as transaction:
                    return work(transaction)
            except lmdb.MapFullError:
                self._resize(more_than=size)
            except lmdb.Error as error:
                if (told := full_disk(error, self.path)) is not None:
                    raise told from error
                raise

    def size_bytes(self) -> int:
        """Bytes the data file takes on disk."""
        return self._stat().st_size

    def close(self) -> None:
        """Close the files, unless they are a parent process's."""
        if self._pid == os.getpid():
            self._env.close()

    @contextmanager
    def _begin(self, *, write: bool, buffers: bool = False) -> Iterator[Transaction]:
        while True:
            self._after_fork()
            self._look(at_once=write)
            with self._gate.shared():
                if transaction := self._transaction(self._env, write=write, buffers=buffers):
                    with self._told(), transaction:
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
        except lmdb.Error as error:
            raise self._lost(error) from error

    def _lost(self, error: lmdb.Error) -> StoreDamagedError | StoreAwayError | DiskFull:
        """What to raise where the open files are of no use any more; they are opened anew before the next look."""
        self._file = _NONE
        if isinstance(error, lmdb.MemoryError):
            return self._no_memory(error)
        return full_disk(error, self.path) or self._damaged(f"its first pages are not what was written ({error})")

    def _no_memory(self, error: lmdb.Error) -> StoreDamagedError | StoreAwayError:
        """Of a map that the system does not give: the store says it needs more than there can be, or this process may
        not have so much now.
        """
        wanted = map_bytes(self._data)
        if wanted is None or wanted > _ALL_BYTES:
            return self._damaged(f"its first pages are not what was written ({error}: a map of {wanted} bytes)")
        return StoreAwayError(
            f"the system gives no memory for a map of {max(wanted, self._first_map_bytes)} bytes ({error})",
            where=f"the online store at {self.path}",
            fix="it is address space, hardly memory: raise the limit (ulimit -v, vm.overcommit_memory) or free some; "
            "it is tried again",
        )

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What LMDB finds out of its files in a transaction, in this platform's words."""
        try:
            yield
        except lmdb.MemoryError as error:
            raise self._no_memory(error) from error
        except _DAMAGED as error:
            raise self._damaged(f"its pages are not what was written ({error})") from error

    def _look(self, *, at_once: bool) -> None:
        """See that the open files are those that are there, and whole.

        Raises:
            StoreNotFoundError: none are there. StoreDamagedError: they were cut.
        """
        now = time.monotonic()
        # Whoever has a transaction open goes on with the files that it reads.
        if (now < self._look_at and not at_once) or self._gate.is_inside:
            return
        found = self._stat()
        if self._is_open(found) and self._size <= found.st_size:
            self._size, self._look_at = found.st_size, now + LOOK_EVERY_S
            return
        with self._gate.alone():
            if not self._is_open(found) or found.st_size < self._size:
                if self._is_open(found) and (found.st_size < _LEAST_BYTES or missing_bytes(self._data)):
                    self._size, self._look_at = sys.maxsize, 0.0  # LMDB would take an empty one for one just made
                    raise self._damaged(f"data.mdb was cut to {found.st_size} bytes")
                self._env.close()
                self._open()

    def _is_open(self, found: os.stat_result) -> bool:
        return (found.st_dev, found.st_ino) == self._file

    def _stat(self) -> os.stat_result:
        try:
            return os.stat(self._data)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise StoreNotFoundError(str(self.path)) from error
        except OSError as error:
            raise self._no_file(error) from error

    def _resize(self, *, more_than: int | None = None) -> None:
        """Take over the map size that another process set; enlarge it if that is still not ``more_than``."""
        with self._gate.alone():
            try:
                self._env.set_mapsize(0)
                # NOTE: a size that was set but not yet committed with is forgotten by set_mapsize(0), so growth starts
                # from the size that was too small, not from the one just taken over.
                if more_than is not None and self._map_bytes() <= more_than:
                    self._env.set_mapsize(more_than + min(more_than, LARGEST_STEP_BYTES))
            except lmdb.Error as error:  # which closes them
                raise self._lost(error) from error

    def _map_bytes(self) -> int:
        return int(self._env.info()["map_size"])

    def _after_fork(self) -> None:
        if self._pid != os.getpid():
            # Dropped, never closed: closing would wipe the parent's entries from the shared reader table.
            del self._env
            self._gate = Gate(str(self.path))
            self._open()

    def _open(self) -> None:
        self._file, self._size, self._look_at = _NONE, 0, 0.0  # as long as this fails, it is tried again
        if self._readonly and not self._data.exists():
            raise StoreNotFoundError(str(self.path))
        if not self._readonly:
            self.path.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        if missing := self._missing_bytes():
            raise self._damaged(f"data.mdb was cut short: at least {missing} bytes are missing at its end")
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
        except lmdb.MemoryError as error:
            raise self._no_memory(error) from error
        except _DAMAGED as error:
            raise self._damaged(f"its first pages are not what was written ({error})") from error
        except lmdb.Error as error:
            raise self._unusable(
                f"LMDB cannot open the files ({error})",
                "open one LmdbStore per process and share it between threads, and check the folder's permissions",
            ) from error
        if not self._readonly:
            for name in ("data.mdb", "lock.mdb"):  # also where an umask, or an earlier build, made them otherwise
                make_private(self.path / name)
        try:
            found = self._stat()
            with self._told():
                self._env.reader_check()
                self._tell_opened()
        except BaseException:
            self._env.close()
            raise
        self._pid, self._file, self._size = os.getpid(), (found.st_dev, found.st_ino), found.st_size

    def _tell_opened(self) -> None:
        """With a map as large as the files are, also where others grow them meanwhile."""
        while True:
            self._env.set_mapsize(0)
            with suppress(lmdb.MapResizedError):
                self._opened(self._env)
                return

    def _missing_bytes(self) -> int:
        try:
            return missing_bytes(self._data)
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise self._no_file(error) from error

    def _no_file(self, error: OSError) -> StoreDamagedError | StoreUnusableError:
        """Of what has the name of the file and cannot be read as one."""
        if isinstance(error, PermissionError):
            return self._unusable(f"data.mdb cannot be read ({error.strerror})", "give this user the right to it")
        return self._damaged(f"data.mdb cannot be read ({error.strerror})")

    def _damaged(self, what: str) -> StoreDamagedError:
        return StoreDamagedError(what, where=f"the online store at {self.path}", fix=_COPY)

    def _unusable(self, what: str, fix: str) -> StoreUnusableError:
        return StoreUnusableError(what, where=str(self.path), fix=fix)
