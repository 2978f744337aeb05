"""A source of orders in any format, and what ingesting it leaves in the lake."""

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl

from seqplat_resources.batch.builds import raw
from seqplat_resources.batch.inputs import tables
from seqplat_resources.clock import Clock, SystemClock
from seqplat_resources.home import Home
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.sources.decode import RECEIPT_COLUMNS
from sequence_defs.schema import Column, Definition, Source, Tenant, Time
from tests.building import days, runtime_for
from tests.oracle import Row

DAY, NEXT = days(dt.date(2024, 5, 1), 2)
UNDATED = dt.date(1970, 1, 1)

shop = Tenant(name="shop", tenant="shop")
COLUMNS = (
    Column(name="member", dtype="string", nullable=False),
    Column(name="at", dtype="timestamp", nullable=False),
    Column(name="number", dtype="int64"),
    Column(name="amount", dtype="float64"),
)


def orders(format: str = "csv", **changes: Any) -> Source:
    source = Source(
        name="orders",
        tenant="shop",
        location=f"orders*.{format}",
        format=format,  # type: ignore[arg-type]
        columns=COLUMNS,
        event_time=Time(sql="at"),
        ingest_time=Time(sql="at"),
        user_id="member",
        start=DAY,
    )
    return source.model_copy(update=changes)


class Orders:
    """A folder of source files, and a home that they are ingested into."""

    def __init__(self, folder: Path) -> None:
        self.files = folder / "files"
        self.files.mkdir(parents=True)
        self._home = Home(str(folder / "home"), {})

    def write(self, name: str, content: str | bytes | pl.DataFrame) -> None:
        path = self.files / name
        if isinstance(content, pl.DataFrame):
            content.write_parquet(path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    def runtime(self, source: Source, *others: Definition, clock: Clock = SystemClock()) -> Runtime:
        return runtime_for(self._home, (shop, source, *others), self.files, clock=clock)

    def ingest(self, source: Source, *of: dt.date) -> Runtime:
        """Ingest days, by default the first, in one range."""
        runtime = self.runtime(source)
        list(raw.ingest(runtime, source.name, list(of) or [DAY]))
        return runtime


def rows(runtime: Runtime, *columns: str) -> list[tuple[Any, ...]]:
    """All raw rows in file order: the asked columns, by default what the source declares."""
    source = runtime.release.sources["orders"]
    wanted = columns or tuple(column.name for column in source.columns)
    table = tables.raw(runtime, source).scan().sort("day", "_partition", "_offset").collect()
    return table.select(wanted).rows()


def rejects(runtime: Runtime) -> list[Row]:
    """All rejects of the source, by stage, day and position."""
    table = tables.rejects(runtime, "orders").scan()
    return table.sort("stage", "day", "source_partition", "offset").collect().to_dicts()


def reasons(runtime: Runtime) -> list[tuple[int, str]]:
    """Offset and reason of each reject."""
    return [(row["offset"], row["reason"]) for row in rejects(runtime)]


RECEIPT = tuple(column.name for column in RECEIPT_COLUMNS)
