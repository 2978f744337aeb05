"""SQL over views: one SELECT, run by Polars over the lake's own scans, so that it reads what the platform itself would.

>>> from seqplat_resources.analysis.views import views
>>> found = views(shop)
>>> bought = "SELECT user_id, SUM(amount) AS bought FROM purchase GROUP BY user_id ORDER BY bought"
>>> query(found, bought).collect().rows()
[('bob', 4), ('ann', 6)]
>>> query(found, "SELECT product,\\n       amonut\\nFROM purchase")
Traceback (most recent call last):
seqplat_resources.analysis.refusals.QueryRefused: line 2, column 8: there is no column 'amonut'; did you mean 'amount'?
         amonut
         ^^^^^^
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

import polars as pl

from seqplat_resources.analysis.refusals import ONLY_SELECT, QueryRefused, of_polars, refused
from seqplat_resources.analysis.views import View
from seqplat_resources.whole_files import written_whole
from sequence_defs.language.tokens import SqlError, calls, place_of
from sequence_defs.native import NATIVE_ERRORS

Format = Literal["json", "csv", "parquet"]

# Polars would read any file that this process may. Who asks in SQL asks for what is named in it.
_READS_FILES = ("read_", "scan_")
# Polars would drop the table from the query's own list, and say nothing. A comment ends where it first may, for good:
# else many of them would be tried in all their unions.
_CHANGES = re.compile(
    r"(?>\s+|--[^\n]*\n|/\*.*?\*/)*+(drop|truncate|delete|insert|update|create|alter|copy|show)\b",
    re.DOTALL | re.IGNORECASE,
)
_BUDGET = "POLARS_OOC_MEMORY_BUDGET_MB"


def query(found: Mapping[str, View], sql: str) -> pl.LazyFrame:
    """What one SELECT says, lazily; nothing but the log of the tables it names was read.

    Raises:
        QueryRefused: it is no SELECT, reads files by itself, or names what there is not; with line and column.
    """
    if "\0" in sql:
        raise QueryRefused("a query has no NUL characters")
    if changes := _CHANGES.match(sql):
        raise refused(ONLY_SELECT, sql, changes.start(1), changes[1])
    try:
        for start, name in calls(sql):
            if name.lower().startswith(_READS_FILES):
                raise refused(
                    f"{name} is not possible; a query reads views and tables, of which "
                    "`seqplat sql --tables` shows all",
                    sql,
                    start,
                    name,
                )
        named = {name: view.rows() for name, view in found.items() if place_of(sql, name)}
    except SqlError as error:
        raise refused(str(error), sql, error.at or 0) from error
    with in_words(sql, found):
        lazy = pl.SQLContext(named, eager=False).execute(sql)
        lazy.collect_schema()
    return lazy


@contextmanager
def in_words(sql: str, found: Mapping[str, View]) -> Iterator[None]:
    """What Polars raises of a query, while it is read or run, as ``QueryRefused``; other errors stay as they are."""
    try:
        yield
    except NATIVE_ERRORS as error:
        if (told := of_polars(error, sql, list(found))) is None:
            raise
        raise told from error


def write(lazy: pl.LazyFrame, path: str, form: Format) -> None:
    """Its rows as a file, streamed, which is there whole or not at all: lines of JSON, CSV with a header, or Parquet.

    Raises:
        QueryRefused: CSV has no lists, structs and bytes.
    """
    nested = [name for name, dtype in lazy.collect_schema().items() if dtype.is_nested() or dtype == pl.Binary]
    if form == "csv" and nested:
        raise QueryRefused(f"CSV cannot hold column(s) {', '.join(nested)}; leave them out, or write --parquet")
    with written_whole(path) as draft:
        if form == "json":
            lazy.sink_ndjson(draft)
        elif form == "csv":
            lazy.sink_csv(draft)
        else:
            lazy.sink_parquet(draft)


@contextmanager
def within_memory(budget_bytes: int) -> Iterator[None]:
    """While it is open, sorts, joins and groups of Polars go to disk (below TMPDIR) from so many bytes on.

    NOTE: a budget, no wall: what is being read or written comes on top, and so does a result kept in memory.
    """
    before = os.environ.get(_BUDGET)
    os.environ[_BUDGET] = str(max(1, budget_bytes // 1_000_000))
    pl.Config.reload_env_vars()
    try:
        yield
    finally:
        if before is None:
            del os.environ[_BUDGET]
        else:
            os.environ[_BUDGET] = before
        pl.Config.reload_env_vars()
