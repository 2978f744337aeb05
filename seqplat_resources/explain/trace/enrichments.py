"""Which version of each enrichment an event sees: the engine's own as-of join, asked for validity, not for values."""

import datetime as dt
from dataclasses import dataclass

import polars as pl

from seqplat_resources.batch.inputs import tables
from seqplat_resources.engine.enrich import enrich
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.engine.status import CellStatus
from seqplat_resources.lake.layout import DAY
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.times import midnight
from sequence_defs.compiler.project import status_column
from sequence_defs.compiler.sql import UTC_US
from sequence_defs.schema import Column, Keyed, Snapshot, Versioned

_FROM, _TO = (Column(name=name, dtype="timestamp") for name in ("valid_from", "valid_to"))


@dataclass(frozen=True)
class EnrichmentSight:
    """What batch finds of one enrichment for an event of the day. ``built``: the day's bucket is there."""

    status: CellStatus
    valid_from: dt.datetime | None
    valid_to: dt.datetime | None
    built: bool


def sights(runtime: Runtime, plan: EventPlan, event: pl.DataFrame, day: dt.date) -> dict[str, EnrichmentSight]:
    """By enrichment with a table. ``event`` is one row with the event's own columns, as the engine gives it."""
    lookup = _EnrichmentDay(runtime, day)
    found = {}
    for number, (use, enrichment) in enumerate(plan.attachments):
        if isinstance(enrichment, Versioned | Snapshot):
            asked = enrichment.model_copy(update={"columns": (_FROM, _TO), "missing": {}})
            # Copied, not made: no event has such columns, and so no definition may name them.
            use_of_it = use.model_copy(update={"columns": {"_from": "valid_from", "_to": "valid_to"}})
            attachments = (*plan.attachments[:number], (use_of_it, asked))
            row = enrich(event, attachments, lookup, complete=False).row(0, named=True)
            status = CellStatus(row[status_column(enrichment.name)])
            found[enrichment.name] = EnrichmentSight(status, row["_from"], row["_to"], lookup.has(enrichment))
    return found


class _EnrichmentDay:
    """The engine's lookup for one event: only the versions of its keys are read, with the starts that they state."""

    def __init__(self, runtime: Runtime, day: dt.date) -> None:
        self._runtime, self._day = runtime, day

    def has(self, definition: Keyed) -> bool:
        return (self._day.isoformat(),) in tables.enrichment(self._runtime, definition).buckets()

    def versions(self, enrichment: str, keys: pl.DataFrame) -> pl.DataFrame | None:
        definition = self._runtime.release.enrichments[enrichment]
        if not isinstance(definition, Versioned | Snapshot) or not self.has(definition):
            return None
        table = tables.enrichment(self._runtime, definition)
        of_keys = pl.all_horizontal(pl.col(name) == keys[name][0] for name in keys.columns)
        versions = table.scan().filter((pl.col(DAY) == self._day) & of_keys).select(list(table.schema)).collect()
        start = pl.lit(midnight(self._day)).cast(UTC_US)
        return versions.with_columns(pl.col("valid_from").fill_null(start)).sort("valid_from")
