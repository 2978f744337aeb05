"""Delete files that no version of a table needs, and none that somebody may be about to commit or to read.

>>> import polars as pl
>>> from seqplat_resources.lake.files import FilePart
>>> from sequence_defs.schema import Column
>>> visits = LakeTable(home, "lake/visits", (Column(name="page", dtype="string"),))
>>> for page in ("home", "cart"):
...     commit = visits.replace({"day": days[0]}, [FilePart(pl.DataFrame({"page": [page]}))])
...
>>> vacuum(visits), len(vacuum(visits, retention_hours=0))
([], 0)
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

import obstore
from deltalake import DeltaTable

from seqplat_resources.foreign_errors import full_disk
from seqplat_resources.home import Home
from seqplat_resources.lake.fence import fence, fenced_before_ms
from seqplat_resources.lake.room import give_up_room, keep_room
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.records.lease import is_live
from seqplat_resources.records.pins import Pins
from seqplat_resources.times import milliseconds

# Time travel and running readers need old files for a while; a week is also Delta's own default.
RETENTION_HOURS = 7 * 24
# What is younger is never deleted: running builds and readers, and streams between writing a file and committing it,
# which take seconds. Whoever takes longer is refused his commit, and reads again.
LEAST_HOURS = 1

_HOUR_MS = 3_600_000


def vacuum(table: LakeTable, *, retention_hours: int = RETENTION_HOURS, dry_run: bool = True) -> list[str]:
    """Files that no version younger than ``retention_hours`` uses, orphans of crashed writes included; their paths.

    Deletes them unless ``dry_run``. Below the default retention a reader of an old version may lose its files; less
    than ``LEAST_HOURS`` is as much. Files of a bucket whose writer lease somebody holds stay, and those of versions
    that are pinned.
    """
    if not table.exists():
        return []
    hours = max(retention_hours, LEAST_HOURS)
    if dry_run:
        return list(_unneeded(table, hours, milliseconds(table.clock.now()) - hours * _HOUR_MS))
    # What was replaced goes first and needs no note, for it was committed: that makes room on a full disk.
    replaced = _deleted(table, _unneeded(table, hours, milliseconds(table.clock.now()) - hours * _HOUR_MS, full=False))
    try:
        left_over = _left_over(table, hours)
    except Exception as error:
        if full_disk(error) is None or not give_up_room(table.home):
            raise
        left_over = _left_over(table, hours)
    with suppress(OSError):
        keep_room(table.home)
    return replaced + left_over


def _left_over(table: LakeTable, hours: int) -> list[str]:
    """Delete what was never committed; the paths."""
    before_ms = _storage_now_ms(table.home) - hours * _HOUR_MS
    if not any(_unneeded(table, hours, before_ms)):
        return []
    # First said, then looked again: what was committed until then is needed, what was not is refused from now on.
    with suppress(_AlreadyFenced):
        check = partial(_require_unfenced, before_ms)
        table.commit([], check=check, written_ms=None, transactions=[fence(before_ms)])
    return _deleted(table, _unneeded(table, hours, before_ms))


def _deleted(table: LakeTable, paths: Iterator[str]) -> list[str]:
    gone = list(paths)
    for path in gone:
        with suppress(FileNotFoundError):  # another vacuum was faster
            obstore.delete(table.home.objects, f"{table.name}/{path}")
    return gone


def _storage_now_ms(home: Home) -> int:
    """The clock by which files are old: a host that is hours ahead would refuse everybody's commits for hours."""
    obstore.put(home.objects, "leases/clock", b"{}")
    return milliseconds(home.objects.head("leases/clock")["last_modified"])


class _AlreadyFenced(Exception):
    """Another vacuum went at least as far; a note that says less would take its word back."""


def _require_unfenced(before_ms: int, delta: DeltaTable) -> None:
    if fenced_before_ms(delta) >= before_ms:
        raise _AlreadyFenced


def _unneeded(table: LakeTable, hours: int, before_ms: int, *, full: bool = True) -> Iterator[str]:
    """Paths of files that are not needed; without ``full`` only of those that some version had."""
    written = {
        item["path"]: milliseconds(item["last_modified"]) for item in table.home.objects.list(table.name).collect()
    }
    held, pinned = _held(table), _pinned(table)
    enforce = hours >= RETENTION_HOURS
    for path in table.delta().vacuum(hours, dry_run=True, enforce_retention_duration=enforce, full=full):
        is_old = written.get(f"{table.name}/{path}", before_ms) < before_ms
        if is_old and path not in pinned and not held(path.rpartition("/")[0]):
            yield path


def _pinned(table: LakeTable) -> set[str]:
    """The files of versions that are pinned.

    Raises:
        VersionGone: the log of one cannot be read, so nobody knows which these are.
    """
    return {
        path
        for version in Pins(table.home, table.clock).versions_of(table.name)
        for path in table.pinned(version).files()["path"]
    }


def _held(table: LakeTable) -> Callable[[str], bool]:
    """Whether somebody holds the writer lease of the bucket in a folder; asked once per folder."""
    known: dict[str, bool] = {}

    def held(folder: str) -> bool:
        if folder not in known:
            values = "/".join(part.partition("=")[2] for part in folder.split("/"))
            known[folder] = is_live(table.home, f"{table.name}/{values}", clock=table.clock)
        return known[folder]

    return held
