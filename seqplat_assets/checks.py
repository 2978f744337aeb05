"""Checks per day: measures of ``seqplat_resources.quality`` as Dagster asset checks."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import dagster as dg
import polars as pl

from seqplat_assets.building import errors_told
from seqplat_assets.days import day_partitions, days_of
from seqplat_assets.layers import Built
from seqplat_assets.preview import day_check, day_checks, day_evaluation, has_days, newest_materializations
from seqplat_resources.lakehouse.layout import DAY
from seqplat_resources.quality.availability import availability
from seqplat_resources.quality.completeness import completeness
from seqplat_resources.quality.consistency import consistency
from seqplat_resources.quality.coverage import coverage
from seqplat_resources.quality.frame import DETAIL, EMPTY, PASSED
from seqplat_resources.quality.identity import identity
from seqplat_resources.quality.rejects import event_rejects, rejects
from seqplat_resources.quality.schema import schema
from seqplat_resources.runtime import Runtime
from seqplat_resources.stream.service import streamed_sources

Measure: TypeAlias = Callable[[Runtime, str, Sequence[dt.date]], pl.DataFrame]


@dataclass(frozen=True)
class Check:
    """A measure with what its failure means. A blocking one keeps the run from going on to what is made of the day:
    with the severity ERROR always, else where the measure says that the day is empty and should not be.
    """

    name: str
    measure: Measure
    description: str
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR
    blocks_empty: bool = False

    @property
    def blocking(self) -> bool:
        return self.blocks_empty or self.severity is dg.AssetCheckSeverity.ERROR

    def severity_of(self, row: Mapping[str, Any]) -> dg.AssetCheckSeverity:
        """Of one day's failure."""
        return dg.AssetCheckSeverity.ERROR if self.blocks_empty and row[EMPTY] else self.severity


_WARN = dg.AssetCheckSeverity.WARN

SCHEMA = Check("schema", schema, "Columns and types of the bucket are exactly those of the release.")
IDENTITY = Check("identity_unique", identity, "No event is in its bucket twice, or without identity.")
COMPLETE = Check(
    "complete_against_raw",
    completeness,
    "The day's raw rows, taken through the executor again, give exactly the events that are stored.",
)
COVERAGE = Check(
    "enrichment_coverage", coverage, "No cell of an enrichment waits for its value (PENDING) or failed (ERROR).", _WARN
)
REJECTS = Check(
    "rejects",
    rejects,
    "No more of the source's rows were refused than its max_rejected_share; no file whole, nor all there is of a day.",
    _WARN,
    blocks_empty=True,
)
EVENT_REJECTS = Check(
    "rejects",
    event_rejects,
    "Of no more raw rows than its source's max_rejected_share no event could be made, nor of all there are of a day.",
    _WARN,
    blocks_empty=True,
)
SERVED = Check(
    "served_equals_batch",
    consistency,
    "What streams made visible of the day is what batch computed of the same messages, but for what is explained.",
    _WARN,
)
AVAILABLE = Check("available", availability, "The enrichment has values for the day.", _WARN)


def checks_for(runtime: Runtime, asset: Built) -> dg.AssetChecksDefinition | None:
    """The checks of an asset, as one step; None for a layer without any."""
    wanted = _wanted(runtime, asset)
    if not wanted:
        return None
    partitions = day_partitions(asset.days)
    specs = {
        check.name: day_check(
            asset.spec.key, check.name, partitions, description=check.description, blocking=check.blocking
        )
        for check in wanted
    }

    def measure(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckEvaluation]:
        days = _days(context, asset.spec.key)
        selected = {key.name for key in context.selected_asset_check_keys}
        targets = newest_materializations(context.instance, asset.spec.key, [str(day) for day in days])
        for check in wanted:
            if check.name in selected and days:
                with errors_told():
                    measured = check.measure(runtime, asset.name, days)
                for row in measured.iter_rows(named=True):
                    yield _told(check, specs[check.name], row, targets.get(str(row[DAY])))

    return day_checks(list(specs.values()), f"check_{'__'.join(asset.spec.key.path)}", measure, pool=asset.layer)


def _days(context: dg.AssetCheckExecutionContext, asset: dg.AssetKey) -> list[dt.date]:
    """The days of the run, or all that were ever built."""
    if has_days(context):
        return days_of(context)
    return sorted(dt.date.fromisoformat(day) for day in context.instance.get_materialized_partitions(asset))


def _wanted(runtime: Runtime, asset: Built) -> list[Check]:
    if asset.layer == "events":
        definition = runtime.release.event_types[asset.name]
        streamed = definition.source in streamed_sources(runtime.release)
        enriched = [COVERAGE] if definition.enrichments else []
        return [SCHEMA, IDENTITY, COMPLETE, EVENT_REJECTS, *enriched, *([SERVED] if streamed else [])]
    return {"raw": [REJECTS], "enrichments": [AVAILABLE]}.get(asset.layer, [])


def _told(check: Check, spec: dg.AssetCheckSpec, row: Mapping[str, Any], target: Any) -> dg.AssetCheckEvaluation:
    """One day's row of a measure; its numbers are what the UI plots over the days."""
    return day_evaluation(
        spec,
        str(row[DAY]),
        target,
        passed=row[PASSED],
        severity=check.severity_of(row),
        description=row[DETAIL],
        metadata=_numbers(row),
    )


def _numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """Every number of a measure as float, the type that the UI plots."""
    return {
        name: float(value)
        for name, value in row.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
