"""The files of a source: which there are, of which day, whether they changed, and their bytes.

>>> [file.partition for file in find("orders/{day}.csv", shop.sources_root, source="orders", day=days[0])]
['orders/2024-05-01.csv']
>>> find("visits.csv", shop.sources_root, source="visits")
Traceback (most recent call last):
    ...
seqplat_resources.sources.files.SourceUnreadable: source 'visits': no file matches 'visits.csv' ...
"""

import datetime as dt
import fnmatch
import glob
import hashlib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from seqplat_resources.errors import Final
from seqplat_resources.home import object_store
from seqplat_resources.sources.formats import delta
from seqplat_resources.times import FIRST_US, LAST_US, instant

_BLOCK_BYTES = 1 << 20
# Shown of a file that is refused whole.
_BEGINNING_BYTES = 1000
_DAY = re.compile(r"(?=([0-9]{4}-[0-9]{2}-[0-9]{2}))")


class SourceUnreadable(Final):
    """A source file that is missing, or that cannot be opened."""


class FileDamaged(SourceUnreadable):
    """A source file that is there, and truncated or not of its format."""


@dataclass(frozen=True)
class SourceFile:
    """One file: ``path`` to open, ``partition`` its stable name below the source root, ``modified_at`` UTC as told.

    ``mark`` differs where a file of that name is another one: its size and time, or what its store calls its version.
    ``table`` says which rows of which version, where ``path`` is that of a Delta table. ``size_bytes`` is as told by
    whoever listed it.
    """

    path: str
    partition: str
    modified_at: dt.datetime
    mark: str = ""
    table: delta.TableVersion | None = None
    size_bytes: int = 0


def find(location: str, root: str, *, source: str, day: dt.date | None = None) -> list[SourceFile]:
    """Files of a location, by name. ``{day}`` stands for the ISO date; where it is absent ``day`` plays no part.

    Raises:
        SourceUnreadable: a location without ``{day}`` matches nothing. (Of a day, what that means says the source.)
    """
    pattern = location.replace("{day}", day.isoformat() if day else "*")
    full = pattern if os.path.isabs(pattern) or "://" in pattern else f"{root}/{pattern}"
    found = _objects(full) if "://" in full else _local_files(pattern, root)
    if not found and "{day}" not in location:
        raise SourceUnreadable(
            f"source {source!r}: no file matches {location!r} below {root}; set SEQPLAT_SOURCES or mend `location`"
        )
    return [SourceFile(path, path.removeprefix(f"{root}/"), at, mark, None, size) for path, at, mark, size in found]


def find_days(location: str, root: str, *, source: str) -> dict[dt.date, list[SourceFile]]:
    """The files of every day that has any, of a location with ``{day}``; looked for once."""
    found: dict[dt.date, list[SourceFile]] = {}
    for file in find(location, root, source=source):
        for text in dict.fromkeys(_DAY.findall(file.partition)):
            with suppress(ValueError):
                if is_of_day(location, file.partition, day := dt.date.fromisoformat(text)):
                    found.setdefault(day, []).append(file)
    return dict(sorted(found.items()))


def fingerprint(files: Sequence[SourceFile]) -> str:
    """Another text where a file was added, taken away or replaced; empty for no files."""
    said = sorted(f"{file.partition} {file.mark}" for file in files)
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:32] if said else ""


def is_of_day(location: str, partition: str, day: dt.date) -> bool:
    """Whether a file of the location is the day's; of every day where ``{day}`` is not in it."""
    return "{day}" not in location or fnmatch.fnmatchcase(partition, location.replace("{day}", day.isoformat()))


def _local_files(pattern: str, root: str) -> list[tuple[str, dt.datetime, str, int]]:
    # Below a root, not joined to it: brackets in a folder's name are no pattern.
    paths = sorted(os.path.join(root, found) for found in glob.glob(pattern, root_dir=root, recursive=True))
    return [(path, *facts) for path in paths if (facts := _facts(path)) is not None]


def _facts(path: str) -> tuple[dt.datetime, str, int] | None:
    """When a file was changed, its mark, its size; of a link that leads nowhere those of the link. None: it is gone."""
    try:
        said = os.stat(path)
    except OSError:
        try:
            said = os.lstat(path)
        except OSError:
            return None
    # A file system may tell times that no calendar has; at its edge they are no more believed than there.
    modified_at = instant(min(max(said.st_mtime_ns // 1000, FIRST_US), LAST_US))
    return modified_at, f"{said.st_size} {said.st_mtime_ns}", said.st_size


def _objects(pattern: str) -> list[tuple[str, dt.datetime, str, int]]:
    """Objects of a URL pattern. Listed below the part before the first wildcard, as stores cannot match by pattern."""
    bucket, key = _bucket_and_key(pattern)
    fixed = re.split(r"[*?\[]", key, maxsplit=1)[0]
    listed = object_store(bucket, os.environ).list(fixed.rpartition("/")[0] or None).collect()
    found = [item for item in listed if fnmatch.fnmatchcase(item["path"], key)]
    # Copied with all its bytes an object is another one only by its time, so what its store says of its content counts.
    marks = [f"{item['size']} {item['e_tag'] or item['last_modified']}" for item in found]
    return sorted(
        (f"{bucket}/{o['path']}", o["last_modified"], mark, o["size"]) for o, mark in zip(found, marks, strict=True)
    )


def _bucket_and_key(url: str) -> tuple[str, str]:
    scheme, _, rest = url.partition("://")
    bucket, _, key = rest.partition("/")
    return f"{scheme}://{bucket}", key


def content(file: SourceFile) -> bytes:
    """The bytes of a file."""
    if "://" not in file.path:
        return Path(file.path).read_bytes()
    bucket, key = _bucket_and_key(file.path)
    return bytes(object_store(bucket, os.environ).get(key).bytes())


def require_file(file: SourceFile) -> None:
    """
    Raises:
        OSError: it is a folder, or of a kind whose end nobody knows: a pipe without a writer is waited for for ever.
    """
    if "://" not in file.path and file.table is None and not stat.S_ISREG(os.stat(file.path).st_mode):
        raise OSError("it is no file, but a folder, a pipe or a device")


def beginning(file: SourceFile) -> bytes:
    """The first bytes of a file, by which people know it; a table has none."""
    if file.table is not None:
        return b""
    return part(file, 0, _BEGINNING_BYTES)


def part(file: SourceFile, start: int, length: int) -> bytes:
    """Bytes of a file from one on; fewer where it ends."""
    if "://" in file.path:
        bucket, key = _bucket_and_key(file.path)
        return bytes(object_store(bucket, os.environ).get_range(key, start=start, length=length))
    with open(file.path, "rb", buffering=0) as stream:
        stream.seek(start)
        return stream.read(length)


def size_of(file: SourceFile) -> int:
    """Bytes of a file."""
    if "://" not in file.path:
        return os.stat(file.path).st_size
    bucket, key = _bucket_and_key(file.path)
    return int(object_store(bucket, os.environ).head(key)["size"])


def blocks(file: SourceFile) -> Iterator[bytes]:
    """The bytes of a file, some at a time."""
    if "://" in file.path:
        bucket, key = _bucket_and_key(file.path)
        yield from map(bytes, object_store(bucket, os.environ).get(key).stream(min_chunk_size=_BLOCK_BYTES))
        return
    with open(file.path, "rb", buffering=0) as stream:
        while block := stream.read(_BLOCK_BYTES):
            yield block
