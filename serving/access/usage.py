"""What keys have used, counted together by all API processes of one host, through one mapped file.

A row per key of five 8-byte numbers: when its next request is due, when it was last used, its day and the events of
that day, requests, refusals. Every number is read and written whole, without a lock, so that no request ever waits for
another process: of two that add at the same instant one may be lost. That takes a coincidence within half a
microsecond, and errs in favour of the caller. Counts survive a restart.

>>> usage = Usage(Path(folder) / "usage")
>>> usage.row("7yqz0h3qm5").add_events(19_844, 120)
>>> usage.close()
>>> Usage.read(usage.path)["7yqz0h3qm5"].events(19_844)
120
"""

import fcntl
import logging
import mmap
import os
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from seqplat_resources.errors import Final
from seqplat_resources.home import Home
from seqplat_resources.private_files import FOLDER_MODE, open_private

_log = logging.getLogger(__name__)

_MAGIC = b"seqplat usage 1\0"
_ROW = 64  # bytes: a cache line, so that processes that serve other keys do not disturb
_KEY = 16  # bytes of them for the id
_ROOM = 256  # rows that a file grows by, beyond those needed
# Where in a row, in 8-byte numbers.
_DUE, _LAST, _DAY, _REQUESTS, _REFUSALS = range(2, 7)
_EVENT_BITS = 44  # of the number that holds day and events: 17 trillion a day


class UsageUnwritable(Final):
    """The file cannot be made where it should be."""


class Row:
    """One key's numbers. ``reals`` and ``whole`` are views of the same memory, in which they begin ``at``."""

    __slots__ = ("_at", "_reals", "_whole")

    def __init__(self, reals: "memoryview[float]", whole: "memoryview[int]", at: int) -> None:
        self._reals, self._whole, self._at = reals, whole, at

    @property
    def due_s(self) -> float:
        """When the next request is due, in seconds since 1970."""
        return self._reals[self._at + _DUE]

    @due_s.setter
    def due_s(self, at_s: float) -> None:
        self._reals[self._at + _DUE] = at_s

    @property
    def last_used_s(self) -> float:
        """When the key was last used, in seconds since 1970; 0 for never."""
        return self._reals[self._at + _LAST]

    @property
    def requests(self) -> int:
        return self._whole[self._at + _REQUESTS]

    @property
    def refusals(self) -> int:
        return self._whole[self._at + _REFUSALS]

    def used(self, now_s: float) -> None:
        """Count a request."""
        self._reals[self._at + _LAST] = now_s
        self._whole[self._at + _REQUESTS] += 1

    def refused(self) -> None:
        """Count a request that was over a quota."""
        self._whole[self._at + _REFUSALS] += 1

    def events(self, day: int) -> int:
        """Events of ``day``, counted in days since 1970; 0 for a day that none was counted on."""
        found = self._whole[self._at + _DAY]
        return found & ((1 << _EVENT_BITS) - 1) if found >> _EVENT_BITS == day else 0

    def add_events(self, day: int, count: int) -> None:
        """Count events. Day and count are one number, so that nobody sees the one without the other."""
        self._whole[self._at + _DAY] = (day << _EVENT_BITS) + self.events(day) + count


class Usage:
    """The file of one host. ``row`` is called by one thread at a time; a row's numbers are touched by one thread."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            UsageUnwritable: it can be neither opened nor made.
        """
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
            self._file = open_private(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)
        except OSError as error:
            raise UsageUnwritable(
                f"usage of API keys cannot be kept in {path} ({error.strerror}); name another file in SEQPLAT_API_USAGE"
            ) from error
        self._rows: dict[str, Row] = {}
        self._spare: dict[str, Row] = {}
        self._taken = 0  # rows of the file that are in _rows
        if os.pread(self._file, len(_MAGIC), 0).strip(b"\0") not in (b"", _MAGIC.strip(b"\0")):
            raise UsageUnwritable(f"{path} is no usage file of this build; delete it, or name another one")

    def row(self, key_id: str) -> Row:
        """The row of a key, made where there is none yet."""
        return self.rows([key_id])[key_id]

    def rows(self, wanted: Collection[str] = ()) -> Mapping[str, Row]:
        """Rows by key, of all that were ever used on this host; those ``wanted`` are made where there are none yet."""
        if not wanted or not self._rows.keys() >= set(wanted):
            with self._locked():
                self._read_new()
                new = [key_id for key_id in wanted if key_id not in self._rows]
                try:
                    self._add(new)
                except OSError as error:  # a full disk refuses nobody: it is tried again at the key's next look
                    if not self._spare.keys() >= set(new):
                        _log.warning("usage of keys is counted in memory: %s (%s)", self.path, error.strerror)
                    return self._rows | {key_id: self._spared(key_id) for key_id in new}
        return self._rows

    def close(self) -> None:
        """Close the file; rows that were handed out stay usable."""
        os.close(self._file)

    @classmethod
    def read(cls, path: Path) -> Mapping[str, Row]:
        """Rows by key; none where there is no file, which is not made."""
        if not path.exists():
            return {}
        usage = cls(path)
        try:
            return usage.rows()
        finally:
            usage.close()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """No other process adds rows meanwhile. Counting takes no part in this."""
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _read_new(self) -> None:
        first = 1 + self._taken
        data = os.pread(self._file, self._size(), _ROW * first)
        keys = [data[at : at + _KEY].rstrip(b"\0").decode() for at in range(0, len(data), _ROW)]
        self._map([key_id for key_id in keys if key_id])

    def _add(self, new: Sequence[str]) -> None:
        missing = _ROW * (1 + self._taken + len(new)) - self._size()
        if missing > 0:
            # Really there: a mapped page that the disk has no room for would kill the process at its first write.
            os.posix_fallocate(self._file, self._size(), missing + _ROW * _ROOM)
        if not self._taken:  # of a file that a full disk or a kill left without it, too
            os.pwrite(self._file, _MAGIC, 0)
        for number, key_id in enumerate(new, start=1 + self._taken):
            os.pwrite(self._file, key_id.encode().ljust(_KEY, b"\0"), _ROW * number)
        self._map(new)

    def _spared(self, key_id: str) -> Row:
        """A row that this process alone counts in, until the file has room."""
        if key_id not in self._spare:
            memory = memoryview(bytearray(_ROW))
            self._spare[key_id] = Row(memory.cast("d"), memory.cast("q"), 0)
        return self._spare[key_id]

    def _map(self, new: Sequence[str]) -> None:
        """Hand out rows of a fresh mapping; those of earlier ones show the same pages and stay as they are."""
        if not new:
            return
        memory = memoryview(mmap.mmap(self._file, self._size()))
        reals, whole = memory.cast("d"), memory.cast("q")
        for key_id in new:
            self._taken += 1
            self._rows[key_id] = Row(reals, whole, _ROW // 8 * self._taken)

    def _size(self) -> int:
        return os.fstat(self._file).st_size


def default_file(home: Home, named: str = "") -> Path:
    """Where usage is kept: the file ``named``, else one in a local home, else in this user's temporary folder."""
    if named:
        return Path(named)
    whole = home.installation  # a quota is that of a key, whichever channel it asks
    if whole.is_local:
        return Path(whole.uri("usage/keys"))
    own = f"seqplat-{os.getuid()}"
    return Path(tempfile.gettempdir()) / own / sha256(whole.root.encode()).hexdigest()[:16] / "keys"
