"""What disks and libraries raise, in our words: one sentence that says what, where and what to do.

Asked where errors leave us: by the command line, by Dagster steps, by streams before they wait. Nothing in between has
to know that Delta, LMDB, Polars and SQLite each have another error for a full disk.
"""

import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

from seqplat_resources.errors import Final, Retryable, SeqplatError


class DiskFull(Retryable):
    """No room, or no quota, for what was to be written; nothing of it is visible."""


class LimitReached(Retryable):
    """The system gave this process no more open files, memory, or room in one file; nothing was damaged by that."""


class NotPermitted(Final):
    """The operating system does not let this process read or write a file."""


class Unreadable(Final):
    """A stored file is not what its format says."""


_FULL = re.compile(r"No space left on device|Disk quota exceeded|os error (28|122)\b|database or disk is full")
_NOT_PERMITTED = (errno.EACCES, errno.EPERM, errno.EROFS)
# What SQLite, LMDB and Polars say of a write that was cut short, which may have other causes.
_VAGUE = re.compile(
    r"disk I/O error|unable to open database file|mdb_\w+: Input/output error|Invalid thrift: transport error"
)
_LEAST_ROOM_BYTES = 1 << 20
# Of whoever asks the system: Python, Rust libraries, LMDB. A damaged file does not read so.
_LIMIT = re.compile(
    r"Too many open files(?: in system)?|File too large|Cannot allocate memory|os error (?:12|23|24|27)\b"
)
_FORBIDDEN = re.compile(r"Permission denied|Read-only file system|os error (13|30)\b|readonly database")
# What Polars and Delta say of files that are no Parquet, or no longer there; a panic is the worst of it.
_DAMAGED = re.compile(
    r"parquet|out of specification|corrupt|No such file|os error 2\b|PanicException|range.end|snappy|zstd|thrift",
    re.IGNORECASE,
)
# Of an object store in a folder: a file lies where a folder should, a folder where a file, or links lead in a circle.
_MISPLACED = re.compile(r"Not a directory|Is a directory|Too many levels of symbolic links|os error (20|21|40)\b")
# Rust's word for a file where a folder is to be made; as an OSError of Python it has no number.
_FILE_FOR_FOLDER = "File exists (os error 17)"
_IN_ITS_PLACE = (errno.ENOTDIR, errno.EISDIR, errno.ELOOP)
_FROM = re.compile(r"^(polars|deltalake|pyo3_runtime|_internal|obstore)\b")


def in_our_words(error: BaseException) -> SeqplatError | None:
    """The error as ours; None for one that is a mistake of the code, or somebody's wish to stop."""
    full = full_disk(error)
    if isinstance(error, DiskFull) or (isinstance(error, SeqplatError) and full is None):
        return error
    return full or _limit(error) or _of_files(error)


def _of_files(error: BaseException) -> SeqplatError | None:
    """What is wrong with files, or with this process's right to them."""
    if any(isinstance(each, OSError) and each.errno in _NOT_PERMITTED for each in _chain(error)):
        return NotPermitted(f"not permitted{_where(error)} ({_first_line(error)}); give this user the right to it")
    lost, said = isinstance(error, FileNotFoundError) and ".parquet" in str(error), str(error)
    foreign = lost or _FROM.match(type(error).__module__) or type(error).__name__ == "PanicException"
    if foreign and _FORBIDDEN.search(said):
        return NotPermitted(f"not permitted ({_first_line(error)}); give this user the right to it")
    in_the_way = isinstance(error, OSError) and (error.errno in _IN_ITS_PLACE or said == _FILE_FOR_FOLDER)
    if in_the_way or (foreign and _MISPLACED.search(said)):
        return Unreadable(
            f"something else lies where the home has a file or a folder ({_first_line(error)}); move it away, and put "
            "back what was there"
        )
    if foreign and _DAMAGED.search(f"{type(error).__name__} {error}"):
        return Unreadable(
            f"a file of the lake cannot be read ({_first_line(error)}); run `seqplat verify`, which names damaged "
            "files and the commands that make them again"
        )
    return None


def full_disk(error: BaseException, folder: Path | None = None) -> DiskFull | None:
    """That there was no room, or no quota, for something; None if that is not what the error is about.

    ``folder`` is where it was written, besides the homes of this process: for errors that do not say so themselves.
    """
    said = [str(each) for each in _chain(error)]
    if not any(map(_FULL.search, said)) and not (any(map(_VAGUE.search, said)) and _is_full(folder)):
        return None
    return DiskFull(
        f"no room is left to write{_where(error)} ({_reason(error)}); nothing of it is visible and nothing is "
        "lost: make room (`seqplat vacuum --delete` removes what no version needs), and run it again"
    )


def _limit(error: BaseException) -> LimitReached | None:
    for each in _chain(error):
        asked = isinstance(each, OSError) or _FROM.match(kind := type(each).__module__) or kind.startswith("lmdb")
        found = _LIMIT.search(str(each)) if asked else None
        if found or isinstance(each, MemoryError):
            reason = found[0] if found else "no memory"
            return LimitReached(
                f"a limit of this process or machine is reached{_where(error)} ({reason}); nothing is lost: raise it "
                "(`ulimit -n` open files, `ulimit -f` the size of a file, `ulimit -v` and the container's memory), or "
                "do less at a time, and run it again"
            )
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    at: BaseException | None = error
    seen = set[int]()
    while at is not None and id(at) not in seen:
        yield at
        seen.add(id(at))
        at = at.__cause__ or at.__context__


def _where(error: BaseException) -> str:
    named = next((e.filename for e in _chain(error) if isinstance(e, OSError) and e.filename), None)
    return f" {os.fsdecode(named)}" if isinstance(named, str | bytes) else ""


def _reason(error: BaseException) -> str:
    found = next(filter(None, (_FULL.search(str(each)) for each in _chain(error))), None)
    return found[0] if found else os.strerror(errno.ENOSPC)


def _is_full(folder: Path | None) -> bool:
    """Whether there is no room where the data of this process is. A quota cannot be seen so."""
    homes = [folder, *(os.environ.get(name) for name in ("SEQPLAT_HOME", "DAGSTER_HOME"))]
    here = [home for home in homes if home and os.path.isdir(home)]
    return any((room := os.statvfs(home)).f_bavail * room.f_frsize < _LEAST_ROOM_BYTES for home in here)


def _first_line(error: BaseException) -> str:
    """Without the stack that Rust adds, and the colours Delta's errors have."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
    return text.partition("\n")[0][:300] or type(error).__name__
