"""Checks per day: measures of ``seqplat_resources.quality`` as Dagster asset checks."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from seqplat_assets.layers.assets import LayerAsset
from seqplat_assets.layers.build import errors_told
from seqplat_assets.layers.daybook import DAYS_BUILT, DESCRIPTION, Daybook, not_built
from seqplat_assets.layers.days import day_partitions, days_of
from seqplat_assets.layers.unjudged import hold_up, no_verdicts
from seqplat_assets.layers.verdicts import ANSWERED, Measure, verdict_check, with_answered
from seqplat_assets.runs.preview import (
    HeldDays,
    check_step,
    day_check,
    day_checks,
    day_evaluation,
    has_days,
    log_evaluation,
    newest_materializations,
)
from seqplat_resources.errors import Retryable
from seqplat_resources.lake.layout import DAY, SHADOW, SHADOW_SEQUENCES
from seqplat_resources.quality.availability import availability
from seqplat_resources.quality.completeness import completeness
from seqplat_resources.quality.consistency import consistency
from seqplat_resources.quality.coverage import coverage
from seqplat_resources.quality.frame import DETAIL, EMPTY, PASSED
from seqplat_resources.quality.identity import identity
from seqplat_resources.quality.rejects import event_rejects, rejects
from seqplat_resources.quality.schema import schema
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.days.measure import events_match
from seqplat_resources.shadow.sequences.window import sequences_match
from seqplat_resources.stream.service import streamed_sources


@dataclass(frozen=True)
class Check:
    """A measure with what its failure means. A blocking one keeps what is made of the day from being built:
    with the severity ERROR always, else where the measure says so of the day in the column ``blocks_where``.
    """

    name: str
    measure: Measure
    description: str
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR
    blocks_where: str = ""

    @property
    def blocking(self) -> bool:
        return bool(self.blocks_where) or self.severity is dg.AssetCheckSeverity.ERROR

    def severity_of(self, row: Mapping[str, Any]) -> dg.AssetCheckSeverity:
        """Of one day's failure."""
        return dg.AssetCheckSeverity.ERROR if row.get(self.blocks_where) else self.severity


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
    blocks_where=EMPTY,
)
EVENT_REJECTS = Check(
    "rejects",
    event_rejects,
    "Of no more raw rows than its source's max_rejected_share no event could be made, nor of all there are of a day.",
    _WARN,
    blocks_where=EMPTY,
)
SERVED = Check(
    "served_equals_batch",
    consistency,
    "What streams made visible of the day is what batch computed of the same messages, but for what is explained.",
    _WARN,
)
AVAILABLE = Check("available", availability, "The enrichment has values for the day.", _WARN)

EVENTS_MATCH = Check(
    "events_match_legacy",
    with_answered(events_match, lambda _, name: (name,)),
    "The day's events are legacy's, but for what is within the bands. An error once users are answered with ours.",
    _WARN,
    blocks_where=ANSWERED,
)
SEQUENCES_MATCH = Check(
    "sequences_match_legacy",
    with_answered(sequences_match, lambda release, name: release.sequences[name].event_types),
    "Users' sequences at the end of the day are legacy's, but for what is within the bands. An error once users are "
    "answered with our events.",
    _WARN,
    blocks_where=ANSWERED,
)


def checks_for(runtime: Runtime, asset: LayerAsset) -> Iterator[dg.AssetChecksDefinition]:
    """The checks of an asset by day, as one step, where its layer has any; and the one of all its days."""
    yield _days_built(runtime, asset)
    if asset.layer in (SHADOW, SHADOW_SEQUENCES):
        yield verdict_check(runtime, asset)
    wanted = _wanted(runtime, asset)
    if not wanted:
        return
    partitions = day_partitions(asset.days)
    specs = {
        check.name: day_check(
            asset.spec.key, check.name, partitions, description=check.description, blocking=check.blocking
        )
        for check in wanted
    }

    def measure(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckEvaluation]:
        book, asked = asset.book(runtime), _days(context, asset.spec.key)
        unbuilt = {day: why for day, why in book.unbuilt().items() if day in asked}
        days = [day for day in asked if day not in unbuilt]
        selected = {key.name for key in context.selected_asset_check_keys}
        # First, so that they are not what the asset's page shows where there is another.
        yield from no_verdicts(context.instance, [specs[name] for name in specs if name in selected], unbuilt)
        targets = newest_materializations(context.instance, asset.spec.key, [str(day) for day in days])
        held = dict[dt.date, tuple[str, str]]()
        for check in wanted:
            if check.name in selected and days:
                with errors_told():
                    measured = sorted(_measured(check, runtime, asset.name, days), key=_good_first)
                for row in measured:
                    if not row[PASSED] and check.severity_of(row) is dg.AssetCheckSeverity.ERROR:
                        held.setdefault(row[DAY], (check.name, row[DETAIL]))
                    yield _evaluation(check, specs[check.name], row, targets.get(str(row[DAY])))
        settled = {check.name for check in wanted if check.blocking} <= selected
        _keep(context, book, days, held, settled=settled)

    yield day_checks(list(specs.values()), check_step(asset.full_name), measure, pool=asset.layer)


def _measured(check: Check, runtime: Runtime, name: str, days: Sequence[dt.date]) -> Iterator[Mapping[str, Any]]:
    """A row per day. One that the measure raises on does not pass, and costs no other its verdict."""
    try:
        yield from check.measure(runtime, name, days).rows(named=True)
    except Retryable:
        raise
    except Exception as error:
        if len(days) == 1:
            yield {DAY: days[0], PASSED: False, DETAIL: f"it cannot be judged: {error}", EMPTY: True}
            return
        for half in (days[: len(days) // 2], days[len(days) // 2 :]):
            yield from _measured(check, runtime, name, half)


def _good_first(row: Mapping[str, Any]) -> tuple[bool, dt.date]:
    """The asset's page shows the verdict that was told last: that must not be a good one if there is a bad one."""
    return (not row[PASSED], row[DAY])


def _days_built(runtime: Runtime, asset: LayerAsset) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=asset.spec.key, name=DAYS_BUILT, description=DESCRIPTION, pool=asset.layer)
    def check(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        with errors_told():
            found = asset.book(runtime).evaluation(context.instance)
        return dg.AssetCheckResult(
            passed=found.passed, severity=found.severity, description=found.description, metadata=found.metadata
        )

    return check


def _keep(
    context: dg.AssetCheckExecutionContext,
    book: Daybook,
    days: Sequence[dt.date],
    held: Mapping[dt.date, tuple[str, str]],
    *,
    settled: bool,
) -> None:
    """Write down which days may not be built on. Days whose blocking checks all passed are well again.

    Raises:
        HeldDays: there are some.
    """
    let_go = settled and book.let_go(day for day in days if day not in held)
    found = {day: detail for day, (_, detail) in sorted(held.items())}
    book.note(found, "held", check={day: name for day, (name, _) in held.items()})
    book.troubles.end(book.asset, context.run.run_id)
    if let_go and not held:
        log_evaluation(context.op_execution_context, book.evaluation(context.instance))
    if not held:
        return
    if len(held) == len(days):
        hold_up(context, book, found, itself=False)
    log_evaluation(context.op_execution_context, book.evaluation(context.instance))
    told = {day: f"{held[day][0]}: {detail}" for day, detail in found.items()}
    raise HeldDays(not_built(book.asset, days, told), all_of_them=len(held) == len(days))


def _days(context: dg.AssetCheckExecutionContext, asset: dg.AssetKey) -> list[dt.date]:
    """The days of the run, or all that were ever built."""
    if has_days(context):
        return days_of(context)
    return sorted(dt.date.fromisoformat(day) for day in context.instance.get_materialized_partitions(asset))


def _wanted(runtime: Runtime, asset: LayerAsset) -> list[Check]:
    if asset.layer == "events":
        definition = runtime.release.event_types[asset.name]
        streamed = definition.source in streamed_sources(runtime.release)
        enriched = [COVERAGE] if definition.enrichments else []
        return [SCHEMA, IDENTITY, COMPLETE, EVENT_REJECTS, *enriched, *([SERVED] if streamed else [])]
    of_legacy = {SHADOW: [EVENTS_MATCH], SHADOW_SEQUENCES: [SEQUENCES_MATCH]}
    return {"raw": [REJECTS], "enrichments": [AVAILABLE], **of_legacy}.get(asset.layer, [])


def _evaluation(check: Check, spec: dg.AssetCheckSpec, row: Mapping[str, Any], target: Any) -> dg.AssetCheckEvaluation:
    """One day's row of a measure; its numbers are what the UI plots over the days.

    The UI gives a check of which any day did not pass the colour of the newest verdict, also if that one passed: red is
    for what is told as such, of a day or over all of them.
    """
    severity = _WARN if row[PASSED] else check.severity_of(row)
    return day_evaluation(
        spec,
        str(row[DAY]),
        target,
        passed=row[PASSED],
        severity=severity,
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
