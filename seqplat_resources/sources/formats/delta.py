"""Delta tables that others write: which version there is, what of it is of which day, and its rows."""

import datetime as dt
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from seqplat_resources.home import Home
from sequence_defs.native import first_line

# A table that keeps deletions beside its files loses rows without another file coming.
_DELETIONS = "deletionVectors"
# Of each file of a table.
_FACTS = ("path", "modification_time", "size_bytes")


class TableUnreadable(Exception):
    """A Delta table that is not there, cannot be opened, or is not partitioned as was said."""


@dataclass(frozen=True)
class TableVersion:
    """A version of a table; of one that is partitioned by the day in ``column``, the rows of the day ``value``."""

    number: int
    column: str = ""
    value: str = ""


@dataclass(frozen=True)
class TablePart:
    """What there is of a version: when it was last written, a mark that differs where it is another, and its bytes."""

    version: TableVersion
    written_ms: int
    mark: str
    size_bytes: int


def whole(place: str) -> TablePart:
    """A table as it is now.

    Raises:
        TableUnreadable
    """
    table = _opened(place)
    number, files = int(table.version()), _files(table)
    return TablePart(TableVersion(number), _newest(files), str(number), _size(files))


def by_day(place: str, column: str) -> dict[dt.date, TablePart]:
    """What a table that is partitioned by ``column`` has of each day, written as a date or as its ISO text.

    Raises:
        TableUnreadable
    """
    table = _opened(place)
    number, partitioned = int(table.version()), table.metadata().partition_columns
    if column not in partitioned:
        raise TableUnreadable(f"the Delta table at {place} is partitioned by {partitioned}, not by {column!r}")
    marked = _DELETIONS in (table.protocol().reader_features or ())
    found: dict[dt.date, TablePart] = {}
    for (value,), files in _files(table).partition_by(f"partition.{column}", as_dict=True).items():
        try:
            day = dt.date.fromisoformat(str(value))
        except ValueError:
            continue  # Hive's name for null, or no day at all
        names = "\n".join(sorted(files["path"]))
        mark = str(number) if marked else hashlib.sha256(names.encode()).hexdigest()[:16]
        found[day] = TablePart(TableVersion(number, column, str(day)), _newest(files), mark, _size(files))
    return found


def parse(place: str, version: TableVersion, chunk_rows: int) -> Iterator[pl.DataFrame]:
    """The rows of a version, some at a time and always in the same order; partition columns are columns like others."""
    scan = pl.scan_delta(place, version=version.number, storage_options=_options(place) or None)
    if version.column:
        is_date = isinstance(scan.collect_schema()[version.column], pl.Date)
        scan = scan.filter(
            pl.col(version.column) == (dt.date.fromisoformat(version.value) if is_date else version.value)
        )
    height = scan.select(pl.len()).collect().item()
    for start in range(0, max(1, height), chunk_rows):
        yield scan.slice(start, chunk_rows).collect()


def _opened(place: str) -> DeltaTable:
    try:
        return DeltaTable(place, storage_options=_options(place))
    except TableNotFoundError as error:
        raise TableUnreadable(f"there is no Delta table at {place}") from error
    except (DeltaError, OSError, ValueError) as error:
        raise TableUnreadable(f"the Delta table at {place} cannot be opened: {first_line(error)}") from error


def _files(table: DeltaTable) -> pl.DataFrame:
    partitions = [f"partition.{name}" for name in table.metadata().partition_columns]
    found = pl.DataFrame(table.get_add_actions(flatten=True))
    if not found.width:
        found = pl.DataFrame(schema=dict.fromkeys([*_FACTS, *partitions], pl.String()))
    return found.select(*_FACTS, *partitions)


def _newest(files: pl.DataFrame) -> int:
    return int(files.select(pl.col("modification_time").cast(pl.Int64).max().fill_null(0)).item())


def _size(files: pl.DataFrame) -> int:
    return int(files.select(pl.col("size_bytes").cast(pl.Int64).sum()).item())


def _options(place: str) -> dict[str, str]:
    return Home(place, os.environ).storage_options
