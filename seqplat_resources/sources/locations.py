"""Where the rows of a source are now: its files, or its Delta table as a file that has versions."""

import datetime as dt
import os

from seqplat_resources.sources.files import SourceFile, SourceUnreadable, find, find_days
from seqplat_resources.sources.formats import delta
from seqplat_resources.times import instant_of_ms
from sequence_defs.schema import Source

_OF_DAY = "={day}"


def files_of(source: Source, root: str, *, day: dt.date | None = None) -> list[SourceFile]:
    """The files of a source, as ``find``. A Delta table is one, a location ``<table>/<column>={day}`` one a partition.

    Raises:
        SourceUnreadable: a location without ``{day}`` matches nothing, or a Delta table is not there or cannot be read.
    """
    if source.format != "delta":
        return find(source.location, root, source=source.name, day=day)
    if "{day}" in source.location:
        return [file for of, files in files_by_day(source, root).items() if day in (None, of) for file in files]
    try:
        return [_file(source, root, delta.whole(_table(source, root)[0]))]
    except delta.TableUnreadable as error:
        raise _told(source, error) from error


def files_by_day(source: Source, root: str) -> dict[dt.date, list[SourceFile]]:
    """The files of every day that has any, of a location with ``{day}``; looked for once.

    Raises:
        SourceUnreadable: as ``files_of``.
    """
    if source.format != "delta":
        return find_days(source.location, root, source=source.name)
    try:
        found = delta.by_day(*_table(source, root))
    except delta.TableUnreadable as error:
        raise _told(source, error) from error
    return {day: [_file(source, root, part)] for day, part in sorted(found.items())}


def _file(source: Source, root: str, part: delta.TablePart) -> SourceFile:
    name = source.location.replace("{day}", part.version.value)
    written = instant_of_ms(part.written_ms)
    return SourceFile(_table(source, root)[0], name, written, part.mark, part.version, part.size_bytes)


def _table(source: Source, root: str) -> tuple[str, str]:
    """Where the table is, and the column by whose days it is partitioned, if the location names one."""
    table, _, last = source.location.rpartition("/")
    column = last.removesuffix(_OF_DAY) if last.endswith(_OF_DAY) else ""
    place = table if column else source.location
    return (place if os.path.isabs(place) or "://" in place else f"{root}/{place}"), column


def _told(source: Source, error: delta.TableUnreadable) -> SourceUnreadable:
    return SourceUnreadable(f"source {source.name!r}: {error}; set SEQPLAT_SOURCES or mend `location`")
