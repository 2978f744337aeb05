"""What may stand in FROM: a view of each event type, as people speak of it, and each stored table as it is.

A view of events has one row per event that stands. It hides what storage needs: receipt, position, release, shard,
revision, statuses of enrichments. Columns that were retyped, or lie beside their day, are columns like any other.

>>> purchases = views(shop)["purchase"]
>>> [column.name for column in purchases.columns]
['user_id', 'event_id', 'event_time', 'number', 'product', 'amount', 'price', 'day']
>>> purchases.rows().filter(pl.col("amount") > 2).select("user_id", "product").sort("user_id").collect().rows()
[('ann', 'tea'), ('bob', 'jam')]
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import polars as pl

from seqplat_resources.analysis.vectors import decoded
from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.upkeep.layouts import layouts
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.lake.layout import DAY
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.release.runtime import Runtime
from sequence_defs.compiler.project import status_column
from sequence_defs.schema import Column, parse_dtype

# Of the system columns those that say something of the event.
_SHOWN = ("user_id", "event_id", "event_time")
_DAY = Column(name=DAY, dtype="date", description="UTC day of event_time; a condition on it reads just these days")
# Files that are nothing without those they lie beside.
_BESIDE = "columns/"


@dataclass(frozen=True)
class View:
    """What may stand in FROM. ``table`` is what it is read from, ``columns`` are those of ``rows``, in order."""

    name: str
    about: str
    table: LakeTable
    columns: tuple[Column, ...]
    is_view: bool

    def rows(self) -> pl.LazyFrame:
        """Its rows, lazily: conditions on ``day`` and ``user_id`` skip files, columns not asked for are not read.

        Shapes:
            Out: ``columns``; of a view one row per event, vectors as arrays. None before anything was built.
        """
        stored = self.table.scan()
        if not self.is_view:
            return stored.select(column.name for column in self.columns)
        shown = [_shown(column) for column in self.columns]
        return stored.filter(pl.col("op") == "upsert").select(shown)


# What a reader may see: of an event type or sequence (``events/purchase``, ``sequences/basket``) its columns.
Seen = Mapping[str, Collection[str]]


def views(runtime: Runtime, *, seen: Seen | None = None) -> dict[str, View]:
    """Everything that may be asked, by name: ``purchase`` is a view of events, ``sequences_basket`` a stored table.

    Without ``seen`` that is all but personal data (the user's id stays); with it, just what it names: stored tables of
    events are then not there at all, as their rows say more than a view does.
    """
    found = dict[str, View]()
    for name, definition in runtime.release.event_types.items():
        if seen is None or f"events/{name}" in seen:
            plan = EventPlan.of(runtime.loaded, name)
            may = None if seen is None else seen[f"events/{name}"]
            about = definition.description or f"events of type {name}"
            columns = (*(column for column in _of_events(plan) if _may_see(column, may)), _DAY)
            found[name] = View(name, about, tables.events(runtime, plan), columns, is_view=True)
    for path, layout in layouts(runtime).items():
        named = seen is None or (path in seen and not path.startswith("events/"))
        if not named or path.startswith(_BESIDE):
            continue
        # NOTE: an event type may be called like a table; what people named goes first.
        name, may = path.replace("/", "_"), None if seen is None else seen[path]
        columns = tuple(column for column in layout.table.columns if _may_see(column, may))
        keys = tuple(_key(key) for key in layout.table.partition_by)
        found.setdefault(name, View(name, f"table {path}", layout.table, (*columns, *keys), is_view=False))
    return found


def _of_events(plan: EventPlan) -> list[Column]:
    statuses = {status_column(use.enrichment) for use, _ in plan.attachments}
    hidden = {column.name for column in plan.system_columns} - set(_SHOWN)
    return [column for column in plan.columns if column.name not in statuses | hidden]


def _may_see(column: Column, may: Collection[str] | None) -> bool:
    return column.name in _SHOWN or (not column.pii if may is None else column.name in may)


def _key(name: str) -> Column:
    return _DAY if name == DAY else Column(name=name, dtype="string")


def _shown(column: Column) -> pl.Expr:
    is_vector = parse_dtype(column.dtype).kind == "vector"
    return decoded(column.name, column.dtype) if is_vector else pl.col(column.name)
