"""What checks said, kept in the home's own table as well: Dagster's storage is read check by check, and is not ours."""

import datetime as dt
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from typing import Protocol

import dagster as dg

from seqplat_assets.describe.keys import name_of
from seqplat_resources.foreign_errors import in_our_words
from seqplat_resources.health.checks import Check, definition_judged, numbers_of
from seqplat_resources.health.marks import buckets_of, marks_now
from seqplat_resources.health.results import CheckVerdict, Results
from seqplat_resources.health.view import Status
from seqplat_resources.release.runtime import Runtime


class _Running(Protocol):
    """Any context of a run."""

    @property
    def run(self) -> dg.DagsterRun: ...

    @property
    def log(self) -> dg.DagsterLogManager: ...


def keep(
    context: _Running,
    runtime: Runtime,
    told: Sequence[CheckVerdict],
    *,
    buckets: Iterable[str] = (),
    days: Collection[dt.date] = (),
) -> None:
    """Keep verdicts, and which ``days`` there are of the assets ``buckets``, in one append.

    Never raises: no build is worth less because a page cannot show it. What could not be kept is an error in the run's
    log, and a note in the home by which those who show results say so.
    """
    results, assets = Results(runtime.home, runtime.clock), tuple(buckets)
    try:
        results.record(
            told,
            built=lambda: buckets_of(marks_now(runtime, assets), days),
            run=context.run.run_id,
            release=runtime.loaded.id,
        )
    except BaseException as error:  # a panic of Polars is no Exception
        why = in_our_words(error) or error
        if not isinstance(why, Exception):
            raise
        context.log.error(f"what checks said could not be kept, and shows as stale: {why}")
        lost = {asset: {*days} for asset in assets}
        for each in told:
            lost.setdefault(each.asset, set()).update([each.day] if each.day else [])
        with suppress(Exception):
            results.unrecorded.add(lost, str(why))


def told_of(
    evaluation: dg.AssetCheckEvaluation | dg.AssetCheckResult,
    check: Check,
    runtime: Runtime,
    asset: str,
    *,
    root: str = "",
    mark: int | None = None,
) -> CheckVerdict:
    """A verdict that Dagster has, or that of a day which was not built."""
    metadata = {name: each.value for name, each in (evaluation.metadata or {}).items() if hasattr(each, "value")}
    value, limit = check.decisive(runtime.release, asset.split("/", 1)[1], metadata)
    day = getattr(evaluation, "partition", None)
    return CheckVerdict(
        asset,
        check.name,
        dt.date.fromisoformat(day) if day else None,
        _status(evaluation),
        value,
        limit,
        "" if evaluation.passed else evaluation.description or "",
        numbers_of(metadata),
        root,
        mark,
        definition_judged(runtime.release, asset) if mark is not None else None,
    )


def unjudged(evaluations: Iterable[dg.AssetCheckEvaluation], roots: dict[dt.date, str]) -> list[CheckVerdict]:
    """Days that nobody could look at, and the asset with the cause of each."""
    found = []
    for each in evaluations:
        asset, day = name_of(each.asset_key), dt.date.fromisoformat(each.partition or "")
        because, root = each.description or "", roots.get(day) or asset
        found.append(CheckVerdict(asset, each.check_name, day, "unjudged", because=because, root=root))
    return found


def _status(evaluation: dg.AssetCheckEvaluation | dg.AssetCheckResult) -> Status:
    if evaluation.passed:
        return "pass"
    return "fail" if evaluation.severity is dg.AssetCheckSeverity.ERROR else "warn"
