"""Event types: one kind of user action, from which raw rows it is made and what is attached to it."""

import datetime as dt

from pydantic import Field

from sequence_defs.schema.base import ColumnName, FieldName, Part
from sequence_defs.schema.columns import Column
from sequence_defs.schema.experiment import Experiment
from sequence_defs.schema.legacy import Legacy
from sequence_defs.schema.sharing import Shareable


class Enrich(Part):
    """Attach ``enrichment``: ``on`` maps its key columns to event columns, ``columns`` output names to its columns.

    Empty ``on`` means equal names; empty ``columns`` means all of them, under their own names.
    """

    enrichment: str
    on: dict[FieldName, FieldName] = Field(default_factory=dict)
    columns: dict[ColumnName, FieldName] = Field(default_factory=dict)


class EventType(Shareable):
    """One kind of user action.

    Identity is ``id_field`` or ``natural_key`` (exactly one), unique within a user. ``filter`` keeps a raw row where
    it is true; null counts as false. ``executor`` names the code that maps raw rows; the default runs the
    expressions of ``columns``. ``start`` and ``end`` bound the day partitions (end exclusive, open when absent).
    Copies of an event whose times differ are one event if these are of one day, or within ``identity_horizon_h`` hours.
    A day is late where it is not published ``fresh_within_h`` hours after it is over; by default two and a half hours
    after its source is ready. Rows of which no stream recorded when they were visible are taken to be so
    ``serving_delay_s`` seconds after their receipt, by default as long after as streams took. ``legacy`` is what it is
    compared with while it takes the place of an older pipeline's, ``experiment`` what is read from users meanwhile.
    """

    source: str
    columns: tuple[Column, ...]
    executor: str = "declarative"
    params: dict[str, str | int | float | bool] = Field(default_factory=dict)
    filter: str | None = None
    id_field: FieldName | None = None
    natural_key: tuple[FieldName, ...] = ()
    identity_horizon_h: int = Field(default=72, ge=0)
    enrichments: tuple[Enrich, ...] = ()
    start: dt.date | None = None
    end: dt.date | None = None
    retention_days: int | None = Field(default=None, ge=1)
    fresh_within_h: int | None = Field(default=None, ge=1, le=720)
    serving_delay_s: float | None = Field(default=None, ge=0, le=2_678_400)
    legacy: Legacy | None = None
    experiment: Experiment | None = None
