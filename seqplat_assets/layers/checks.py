"""Checks per day: measures of ``seqplat_resources.quality`` as Dagster asset checks.

>>> from seqplat_assets.layers.assets import built
>>> first = next(built(shop))
>>> first.spec.key.path, [sorted(spec.name for spec in checks.check_specs) for checks in checks_for(shop, first)]
(['raw', 'old_orders_raw'], [['days_built'], ['rejects']])
"""

import datetime as dt
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import dagster as dg

from seqplat_assets.layers.assets import LayerAsset
from seqplat_assets.layers.build import errors_told
from seqplat_assets.layers.daybook import Daybook, not_built
from seqplat_assets.layers.days import day_partitions, days_of
from seqplat_assets.layers.recording import keep, unjudged
from seqplat_assets.layers.unjudged import days_built_of, hold_up, no_verdicts, say_days_built
from seqplat_assets.layers.verdicts import verdict_check
from seqplat_assets.runs.preview import (
    HeldDays,
    build_step,
    check_step,
    day_check,
    day_checks,
    day_evaluation,
    has_days,
    is_planned,
    newest_materializations,
    resumed_runs,
)
from seqplat_resources.batch.backfill.rates import Sample, note, rows_of
from seqplat_resources.errors import Retryable
from seqplat_resources.health.answered import Measure
from seqplat_resources.health.checks import ALL_BUILT, Check, numbers_of, promised
from seqplat_resources.health.marks import mark_of, marks_now
from seqplat_resources.health.results import CheckVerdict
from seqplat_resources.lake.layout import DAY, SHADOW, SHADOW_SEQUENCES
from seqplat_resources.quality.frame import DETAIL, EMPTY, PASSED
from seqplat_resources.release.runtime import Runtime


def checks_for(runtime: Runtime, asset: LayerAsset) -> Iterator[dg.AssetChecksDefinition]:
    """The checks of an asset by day, as one step, where its layer has any; and the one of all its days."""
    yield _days_built(runtime, asset)
    if asset.layer in (SHADOW, SHADOW_SEQUENCES):
        yield verdict_check(runtime, asset)
    promises = {each.check.name: each for each in promised(runtime)[asset.full_name] if each.check.measure}
    if not promises:
        return
    partitions = day_partitions(asset.days)
    specs = {
        name: day_check(
            asset.spec.key, name, partitions, description=each.check.description, blocking=each.check.blocking
        )
        for name, each in promises.items()
    }

    def measure(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckEvaluation]:
        selected = {key.name for key in context.selected_asset_check_keys}
        chosen = [each for name, each in promises.items() if name in selected]
        book, asked, told = asset.book(runtime), _days(context, asset.spec.key), list[CheckVerdict]()
        # A run that goes on from one that was killed when it had built them judges its days.
        resumed = [] if is_planned(context, build_step(asset.full_name)) else resumed_runs(context)
        unbuilt = {day: why for day, why in book.unbuilt(without=resumed).items() if day in asked}
        days = [day for day in asked if day not in unbuilt]
        # First, so that they are not what the asset's page shows where there is another.
        skipped = list(no_verdicts(context.instance, [specs[each.check.name] for each in chosen], unbuilt))
        yield from skipped
        unhurried = book.unhurried()
        told += [each for each in unjudged(skipped, book.roots()) if each.day not in unhurried]
        targets = newest_materializations(context.instance, asset.spec.key, [str(day) for day in days])
        began = time.monotonic()
        held, judged = dict[dt.date, tuple[str, str]](), sorted({of for each in chosen for of in each.judges})
        try:
            with errors_told():
                # Before anything is read: what is built meanwhile is not what was judged.
                marks = marks_now(runtime, judged)
            for each in chosen if days else ():
                check, by_day = each.check, each.check.measure
                assert by_day is not None  # others were left out above
                with errors_told():
                    measured = sorted(_measured(by_day, runtime, asset.name, days), key=_good_first)
                for row in measured:
                    if not row[PASSED] and check.holds(row):
                        held.setdefault(row[DAY], (check.name, row[DETAIL]))
                    told.append(each.told(runtime.release, row, mark_of(marks, each.judges, row[DAY])))
                    yield _evaluation(check, specs[check.name], row, targets.get(str(row[DAY])))
            settled = {name for name, each in promises.items() if each.check.blocking} <= selected
            _keep(context, book, days, held, told, settled=settled, resumed=resumed)
        finally:
            keep(context, runtime, told, buckets=judged, days=days)
            _note_effort(runtime, asset.full_name, days, time.monotonic() - began)

    yield day_checks(list(specs.values()), check_step(asset.full_name), measure, pool=asset.layer)


def _measured(measure: Measure, runtime: Runtime, name: str, days: Sequence[dt.date]) -> Iterator[Mapping[str, Any]]:
    """A row per day. One that the measure raises on does not pass, and costs no other its verdict."""
    try:
        yield from measure(runtime, name, days).rows(named=True)
    except Retryable:
        raise
    except Exception as error:
        if len(days) == 1:
            yield {DAY: days[0], PASSED: False, DETAIL: f"it cannot be judged: {error}", EMPTY: True}
            return
        for half in (days[: len(days) // 2], days[len(days) // 2 :]):
            yield from _measured(measure, runtime, name, half)


def _good_first(row: Mapping[str, Any]) -> tuple[bool, dt.date]:
    """The asset's page shows the verdict that was told last: that must not be a good one if there is a bad one."""
    return (not row[PASSED], row[DAY])


def _days_built(runtime: Runtime, asset: LayerAsset) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=asset.spec.key, name=ALL_BUILT.name, description=ALL_BUILT.description, pool=asset.layer)
    def check(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        book = asset.book(runtime)
        with errors_told():
            found = book.evaluation(context.instance)
            keep(context, runtime, [days_built_of(found, book)])
        return dg.AssetCheckResult(
            passed=found.passed, severity=found.severity, description=found.description, metadata=found.metadata
        )

    return check


def _note_effort(runtime: Runtime, asset: str, days: Sequence[dt.date], seconds: float) -> None:
    """Never raises, as ``note``."""
    with suppress(Exception):
        rows = rows_of(runtime, asset)
        note(runtime.home, asset, "checks", Sample(len(days), sum(rows.get(day, 0) for day in days), 0, seconds))


def _keep(
    context: dg.AssetCheckExecutionContext,
    book: Daybook,
    days: Sequence[dt.date],
    held: Mapping[dt.date, tuple[str, str]],
    told: list[CheckVerdict],
    *,
    settled: bool,
    resumed: Sequence[str],
) -> None:
    """Write down which days may not be built on. Days whose blocking checks all passed are well again, and what the
    runs ``resumed`` built is judged.

    Raises:
        HeldDays: there are some.
    """
    let_go = settled and book.let_go(day for day in days if day not in held)
    found = {day: detail for day, (_, detail) in sorted(held.items())}
    book.note(found, "held", check={day: name for day, (name, _) in held.items()})
    for run in (context.run.run_id, *resumed):
        book.troubles.end(book.asset, run)
    if let_go and not held:
        told.append(say_days_built(context, book))
    if not held:
        return
    if len(held) == len(days):
        told += hold_up(context, book, found, itself=False)
    told.append(say_days_built(context, book))
    why = {day: f"{held[day][0]}: {detail}" for day, detail in found.items()}
    raise HeldDays(not_built(book.asset, days, why), all_of_them=len(held) == len(days))


def _days(context: dg.AssetCheckExecutionContext, asset: dg.AssetKey) -> list[dt.date]:
    """The days of the run, or all that were ever built."""
    if has_days(context):
        return days_of(context)
    return sorted(dt.date.fromisoformat(day) for day in context.instance.get_materialized_partitions(asset))


def _evaluation(check: Check, spec: dg.AssetCheckSpec, row: Mapping[str, Any], target: Any) -> dg.AssetCheckEvaluation:
    """One day's row of a measure; its numbers are what the UI plots over the days.

    The UI gives a check of which any day did not pass the colour of the newest verdict, also if that one passed: red is
    for what is told as such, of a day or over all of them.
    """
    is_error = not row[PASSED] and check.is_severe(row)
    return day_evaluation(
        spec,
        str(row[DAY]),
        target,
        passed=row[PASSED],
        severity=dg.AssetCheckSeverity.ERROR if is_error else dg.AssetCheckSeverity.WARN,
        description=row[DETAIL],
        metadata=numbers_of(row),
    )
