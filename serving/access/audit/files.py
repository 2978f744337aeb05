"""Where access logs go: standard error, nowhere, or a file that is rotated by size.

>>> log = destination(str(folder / "access.log"), max_bytes=1_000_000)
>>> log.write(b"ann read basket")
>>> log.close()
>>> (folder / "access.log").read_text()
'ann read basket'
"""

import fcntl
import os
import sys
from pathlib import Path

from seqplat_resources.errors import Final
from seqplat_resources.private_files import make_private, open_private
from serving.access.audit.log import Destination

KEPT_FILES = 9  # older ones, beside the one that is written


class LogUnwritable(Final):
    """The file cannot be opened."""


class Nowhere:
    """For installations that log at their proxy."""

    def write(self, lines: bytes) -> None:
        pass

    def close(self) -> None:
        pass


class StandardError:
    """The process' standard error, past Python's buffers."""

    def write(self, lines: bytes) -> None:
        _write_all(sys.stderr.fileno(), lines)

    def close(self) -> None:
        pass


class RotatedFile:
    """A file, and ``KEPT_FILES`` older ones beside it: ``access.log.1`` is the newest of them.

    Any number of processes may write: lines are appended whole, and whoever finds the file full takes a lock and moves
    it. The others see at their next lines that their file has another name, and open the new one.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        """
        Raises:
            LogUnwritable: it can be neither opened nor made.
        """
        self._path, self._max_bytes = path, max_bytes
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._opened()
        except OSError as error:
            raise LogUnwritable(
                f"the access log {path} cannot be written ({error.strerror}); name another file in SEQPLAT_ACCESS_LOG"
            ) from error

    def write(self, lines: bytes) -> None:
        if not self._is_current():
            self._reopen()
        _write_all(self._file, lines)
        if os.fstat(self._file).st_size >= self._max_bytes:
            self._rotate()

    def close(self) -> None:
        os.close(self._file)

    def _rotate(self) -> None:
        lock = open_private(f"{self._path}.lock", os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self._is_current():  # nobody else was faster
                for number in range(KEPT_FILES - 1, 0, -1):
                    if self._older(number).exists():
                        self._older(number).replace(self._older(number + 1))
                        make_private(self._older(number + 1))
                self._path.replace(self._older(1))
        finally:
            os.close(lock)
        self._reopen()

    def _is_current(self) -> bool:
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._file))
        except FileNotFoundError:
            return False

    def _reopen(self) -> None:
        old, self._file = self._file, self._opened()
        os.close(old)

    def _opened(self) -> int:
        return open_private(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def _older(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


def destination(named: str, max_bytes: int) -> Destination:
    """``stderr``, ``off``, or the path of a file.

    Raises:
        LogUnwritable: the file can be neither opened nor made.
    """
    if named == "stderr":
        return StandardError()
    return Nowhere() if named == "off" else RotatedFile(Path(named), max_bytes)


def _write_all(file: int, lines: bytes) -> None:
    while lines:
        lines = lines[os.write(file, lines) :]
