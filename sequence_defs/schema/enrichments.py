"""Enrichments: signals attached to events, one class per way of finding the value."""

from typing import Annotated, Literal

from pydantic import Field

from sequence_defs.schema.base import FieldName
from sequence_defs.schema.columns import Column, Time
from sequence_defs.schema.sharing import Shareable


class _Keyed(Shareable):
    """A signal looked up by key. A key that is not found yields status NULL and, per column, ``missing``."""

    source: str
    key: tuple[FieldName, ...] = Field(min_length=1)
    columns: tuple[Column, ...] = Field(min_length=1)
    filter: str | None = None
    missing: dict[FieldName, str | int | float | bool] = Field(default_factory=dict)
    retention_days: int | None = Field(default=None, ge=1)


class Versioned(_Keyed):
    """A keyed table with ``valid_from``: the version current at event time is attached (as-of join).

    ``valid_to`` ends a version early; ``max_age_days`` is the staleness bound. ``refresh="full"`` says that all rows
    of one ``valid_from`` are a complete new table, so a key absent from the newest one has no value.
    """

    kind: Literal["versioned"] = "versioned"
    valid_from: Time
    valid_to: Time | None = None
    refresh: Literal["changes", "full"] = "changes"
    max_age_days: float | None = Field(default=None, gt=0)


class Snapshot(_Keyed):
    """A keyed table that is complete for a day; ``day`` names that day, or is absent for a table that never changes.

    The value is attached to every event of the UTC day: state it as of the day's start, or events see their future.
    """

    kind: Literal["snapshot"] = "snapshot"
    day: Time | None = None


class Derived(Shareable):
    """Columns computed from the event's own columns and its earlier enrichments.

    An expression may look at other rows only through ``OVER (PARTITION BY user_id, ...)``; such a column is known
    once the day is complete: streaming answers PENDING, batch the value.
    """

    kind: Literal["derived"] = "derived"
    columns: tuple[Column, ...] = Field(min_length=1)


class Service(Shareable):
    """Values fetched from an HTTP service in batches; cells stay PENDING where no runtime has fetched them.

    Each request carries up to ``batch_size`` keys: ``{"keys": [{"sku": 7}, ...]}`` is answered by
    ``{"values": [{"score": 0.5}, null, ...]}``, one per key and in order; null says that there is nothing. A stream
    waits ``deadline_ms`` for all requests of one batch of events together, batch as long for each of them.
    ``secret_env`` names the environment variable that holds the value of the header ``secret_header``.
    """

    kind: Literal["service"] = "service"
    url: str
    key: tuple[FieldName, ...] = Field(min_length=1)
    columns: tuple[Column, ...] = Field(min_length=1)
    batch_size: int = Field(default=256, ge=1)
    deadline_ms: int = Field(default=200, ge=1)
    cache_ttl_s: int = Field(default=60, ge=0)
    secret_env: str | None = Field(default=None, pattern=r"^[A-Z][A-Z0-9_]*$")
    secret_header: str = Field(default="authorization", pattern=r"^[A-Za-z][A-Za-z0-9-]*$")


Keyed = Versioned | Snapshot
Enrichment = Annotated[Versioned | Snapshot | Derived | Service, Field(discriminator="kind")]
