"""Room that is kept for the records of days, for when a disk is full: what failed for that must be known afterwards.

One file of a local home, below its ledger, whose blocks are there already; it is written over in place. What it holds
moves to the ledger as soon as there is room. A home on object storage has none, and needs none.
"""

import errno
import fcntl
import json
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from seqplat_resources.home import Home
from seqplat_resources.lake.room import take_room

# Some hundred records. What does not fit is left out, oldest first.
SIZE_BYTES = 128 << 10
_NAME = "ledger/reserve"
_NOT_OURS = {errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS}

# The text of a record by its path.
Records = dict[str, str]


@dataclass(frozen=True)
class Reserve:
    """Records that the disk had no room for, by the path they should have. Any process may use it."""

    home: Home

    def prepare(self) -> None:
        """Take the room, if that was not done yet. Raises OSError where there is none."""
        take_room(self.home, _NAME, SIZE_BYTES)

    def records(self) -> Records:
        """What waits for room."""
        with self._locked(to_write=False) as file:
            return _read(file) if file is not None else {}

    def change(self, *, put: Mapping[str, str] = {}, drop: Collection[str] = ()) -> bool:
        """Add records, and drop those of some paths; False where there is no room that was kept."""
        with self._locked(to_write=True) as file:
            if file is None:
                return False
            before = _read(file)
            after = {path: text for path, text in before.items() if path not in drop} | dict(put)
            if after != before:
                os.pwrite(file, _written(after), 0)
                os.fsync(file)
        return True

    @contextmanager
    def _locked(self, *, to_write: bool) -> Iterator[int | None]:
        """The open file, and nobody writes it but us; None where there is none, or we have no right to it."""
        how = os.O_RDWR if to_write else os.O_RDONLY
        try:
            file = os.open(self.home.uri(_NAME), how | os.O_CLOEXEC) if self.home.is_local else None
        except OSError as error:
            if error.errno not in _NOT_OURS:
                raise
            file = None
        if file is None:
            yield None
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX if to_write else fcntl.LOCK_SH)
            yield file
        finally:
            os.close(file)


def _read(file: int) -> Records:
    """A file that is cut or damaged, by whatever was at it, holds nothing."""
    try:
        found: Any = json.loads(os.pread(file, SIZE_BYTES, 0).strip() or b"{}")
    except ValueError:
        return {}
    return {str(path): str(text) for path, text in found.items()} if isinstance(found, dict) else {}


def _written(records: Records) -> bytes:
    left = dict(records)
    while len(text := json.dumps(left).encode()) > SIZE_BYTES:
        del left[next(iter(left))]
    return text.ljust(SIZE_BYTES)
