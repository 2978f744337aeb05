"""What the engine needs to know of one event type, resolved once from a release.

>>> plan = EventPlan.of(shop.loaded, "purchase")
>>> plan.raw_columns[:3], [column.name for column in plan.columns][-2:]
(('number', 'member', 'at'), ['price', 'price__status'])
"""

import datetime as dt
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from seqplat_resources.engine.contract import Executor
from seqplat_resources.engine.registry import executor_for
from seqplat_resources.release.store import LoadedRelease
from seqplat_resources.rules.order import SOURCE_ORDER
from sequence_defs.compiler.project import event_columns
from sequence_defs.compiler.sql import storage_dtype
from sequence_defs.schema import Column, Enrich, Enrichment, EventType, Source

# Positions and receipt times of a raw row. Source columns cannot start with an underscore, so these never clash.
POSITION = ("_partition", "_offset", "_event_time", "_ingest_time", "_shard")
_DECLARED_ORDER = Column(name=SOURCE_ORDER, dtype="string", description="what orders events of equal time, as text")


@dataclass(frozen=True)
class EventPlan:
    """One event type of one release. ``meaning`` is what its events mean, as text; empty where nobody asks."""

    release: str
    event_type: EventType
    source: Source
    executor: Executor
    attachments: tuple[tuple[Enrich, Enrichment], ...]
    meaning: str = ""

    @classmethod
    def of(cls, loaded: LoadedRelease, name: str) -> "EventPlan":
        """Resolve an event type.

        Raises:
            ExecutorUnknown, ExecutorChanged: this installation does not have the code the release was compiled with.
        """
        release = loaded.release
        event_type = release.event_types[name]
        return cls(
            loaded.id,
            event_type,
            release.sources[event_type.source],
            executor_for(event_type.executor, release.executors.get(event_type.executor, "")),
            tuple((use, release.enrichments[use.enrichment]) for use in event_type.enrichments),
            loaded.meaning(name),
        )

    @cached_property
    def identity(self) -> tuple[str, ...]:
        """The event columns that identify an event within its user."""
        return (self.event_type.id_field,) if self.event_type.id_field else self.event_type.natural_key

    @property
    def horizon(self) -> dt.timedelta:
        """How far apart the times of copies of one event may be."""
        return dt.timedelta(hours=self.event_type.identity_horizon_h)

    @cached_property
    def payload(self) -> tuple[str, ...]:
        """What a copy of an event says: when it happened and whether it stands are part of it, so they can conflict."""
        return (*(column.name for column in self.event_type.columns), "event_time", "op")

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Table columns of this event type: system columns, then the event's own, then enrichments and statuses."""
        by_name = {enrichment.name: enrichment for _, enrichment in self.attachments}
        return (*self.system_columns, *event_columns(self.event_type, by_name).values())

    @cached_property
    def system_columns(self) -> tuple[Column, ...]:
        """The columns every event type has; ``user_id`` keeps its source's type."""
        user = next(column for column in self.source.columns if column.name == self.source.user_id)
        ordered = (_DECLARED_ORDER,) if self.source.order else ()
        return (*system_columns(user), *ordered)

    @cached_property
    def schema(self) -> dict[str, pl.DataType]:
        return {column.name: storage_dtype(column.dtype) for column in self.columns}

    @cached_property
    def raw_columns(self) -> tuple[str, ...]:
        """The raw columns an event is made from, so that a build reads no others."""
        return (*(column.name for column in self.source.columns), *POSITION)


def system_columns(user: Column) -> tuple[Column, ...]:
    """System columns of an event whose user id is the column ``user``."""
    return (
        Column(name="tenant", dtype="string", description="owning team"),
        Column(name="event_type", dtype="string"),
        Column(name="user_id", dtype=user.dtype, pii=user.pii, description=user.description),
        Column(name="event_id", dtype="string", description="identity within the user"),
        Column(name="event_time", dtype="timestamp", description="when it happened"),
        Column(name="ingest_time", dtype="timestamp", description="first durable receipt"),
        Column(name="available_time", dtype="timestamp", description="first visible to online reads"),
        Column(name="rev", dtype="int64", description="correction counter"),
        Column(name="op", dtype="string", description="upsert or retract"),
        Column(name="source_partition", dtype="string", description="file or log partition the raw row came from"),
        Column(name="offset", dtype="int64", description="position in the source partition"),
        Column(name="release", dtype="string", description="release that made the row"),
        Column(name="shard", dtype="int16", description="hash(user_id) % shards"),
    )
