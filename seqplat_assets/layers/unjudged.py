"""Days that a run planned checks for and does not build: each check says so of each day, in words of its own.

Without, the UI shows every one of these checks as failed in its execution, beside the one that says what is wrong.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence

import dagster as dg

from seqplat_assets.describe.keys import name_of
from seqplat_assets.layers.daybook import Daybook
from seqplat_assets.layers.recording import told_of, unjudged
from seqplat_assets.runs.preview import (
    log_evaluation,
    newest_materializations,
    no_verdict,
    planned_after,
    planned_checks,
)
from seqplat_resources.health.checks import ALL_BUILT
from seqplat_resources.health.results import CheckVerdict


def no_verdicts(
    instance: dg.DagsterInstance, specs: Sequence[dg.AssetCheckSpec], days: Mapping[dt.date, str]
) -> Iterator[dg.AssetCheckEvaluation]:
    """One for each check of one asset and each of ``days``, which says why it is not built."""
    if not specs or not days:
        return
    targets = newest_materializations(instance, specs[0].asset_key, [str(day) for day in days])
    for spec in specs:
        for day, why in days.items():
            yield no_verdict(spec, str(day), targets.get(str(day)), why)


def hold_up(
    context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext,
    book: Daybook,
    days: Mapping[dt.date, str],
    *,
    itself: bool,
) -> list[CheckVerdict]:
    """None of the run's days is handed on: note it of all that was to be made of them, and tell their checks; what
    was told, to be kept.

    Those of the asset ``itself`` as well, where its days are not built and not only held.
    """
    after = planned_after(context, book.key)
    book.hold_up(after, days)
    told = list[CheckVerdict]()
    for each in [*([book.key] if itself else []), *after]:
        other = Daybook(book.runtime, name_of(each))
        why = {day: str(trouble) for day, trouble in other.troubles.of(other.asset).items() if day in days}
        evaluations = list(no_verdicts(context.instance, planned_checks(context, each), why))
        for evaluation in evaluations:
            log_evaluation(context.op_execution_context, evaluation)
        told += unjudged(evaluations, other.roots())
        if each != book.key:
            told.append(say_days_built(context, other))
    return told


def say_days_built(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext, book: Daybook) -> CheckVerdict:
    """How all days of an asset stand, to Dagster at once; and to be kept."""
    evaluation = book.evaluation(context.instance)
    log_evaluation(context.op_execution_context, evaluation)
    return days_built_of(evaluation, book)


def days_built_of(evaluation: dg.AssetCheckEvaluation | dg.AssetCheckResult, book: Daybook) -> CheckVerdict:
    """The same as it is kept, with the asset that has the cause: its own where there are several."""
    roots = sorted({*book.roots().values()})
    root = book.asset if book.asset in roots else "".join(roots[:1])
    return told_of(evaluation, ALL_BUILT, book.runtime, book.asset, root="" if evaluation.passed else root)
