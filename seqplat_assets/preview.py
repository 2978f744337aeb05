"""The Dagster APIs still marked beta or preview, in one place: what changes in them changes here and nowhere else.

They are used on purpose, so their warnings are silenced here; a warning from anywhere else still shows.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData

# A run that fails or is cancelled repeats all its days, and memory of an ingest grows with them; a run costs about
# three seconds to start. A quarter per run keeps both small, and lets years of backfill run side by side.
DAYS_PER_RUN = 92


@contextmanager
def quiet() -> Iterator[None]:
    """No beta and preview warnings inside the block."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        warnings.simplefilter("ignore", dg.PreviewWarning)
        yield


def range_asset(
    spec: dg.AssetSpec, name: str, body: Callable[[dg.AssetExecutionContext], dg.MaterializeResult[Any]], *, pool: str
) -> dg.AssetsDefinition:
    """An asset whose run may take a range of partitions (``backfill_policy`` is beta)."""
    with quiet():
        policy = dg.BackfillPolicy.multi_run(DAYS_PER_RUN)
        return dg.multi_asset(specs=[spec], name=name, backfill_policy=policy, pool=pool)(body)


def day_mapping() -> dg.TimeWindowPartitionMapping:
    """Same day upstream, if upstream has it (``allow_nonexistent_upstream_partitions`` is beta)."""
    with quiet():
        return dg.TimeWindowPartitionMapping(allow_nonexistent_upstream_partitions=True)


def day_check(
    asset: dg.AssetKey, name: str, partitions: dg.PartitionsDefinition[str], *, description: str, blocking: bool
) -> dg.AssetCheckSpec:
    """A check judged per partition (partitioned checks are preview)."""
    with quiet():
        return dg.AssetCheckSpec(
            name, asset=asset, description=description, blocking=blocking, partitions_def=partitions
        )


def newest_materializations(
    instance: dg.DagsterInstance, asset: dg.AssetKey, days: Sequence[str]
) -> dict[str, AssetCheckEvaluationTargetMaterializationData]:
    """What a verdict on each day is about. Without it the UI counts the day as not checked."""
    found: dict[str, AssetCheckEvaluationTargetMaterializationData] = {}
    wanted = dg.AssetRecordsFilter(asset_key=asset, asset_partitions=list(days))
    cursor: str | None = None
    more = True
    while more and len(found) < len(days):
        page = instance.fetch_materializations(wanted, limit=len(days), cursor=cursor)
        for record in page.records:  # newest first
            found.setdefault(record.partition_key or "", _target(record))
        cursor, more = page.cursor, page.has_more
    return found


def newest_materialization(
    instance: dg.DagsterInstance, asset: dg.AssetKey
) -> AssetCheckEvaluationTargetMaterializationData | None:
    """What a verdict on an asset without days is about."""
    records = instance.fetch_materializations(asset, limit=1).records
    return _target(records[0]) if records else None


def _target(record: dg.EventLogRecord) -> AssetCheckEvaluationTargetMaterializationData:
    return AssetCheckEvaluationTargetMaterializationData(
        storage_id=record.storage_id, run_id=record.run_id, timestamp=record.timestamp
    )


def day_evaluation(
    spec: dg.AssetCheckSpec,
    day: str,
    target: AssetCheckEvaluationTargetMaterializationData | None,
    *,
    passed: bool,
    severity: dg.AssetCheckSeverity,
    description: str,
    metadata: Mapping[str, Any],
) -> dg.AssetCheckEvaluation:
    """The verdict on one day.

    NOTE: not the ``AssetCheckResult`` that bodies usually return: that names no partition, so a range run stores one
    verdict for no day at all. An evaluation names its day in both kinds of run, and blocks like a result.
    """
    return dg.AssetCheckEvaluation(
        asset_key=spec.asset_key,
        check_name=spec.name,
        passed=passed,
        severity=severity,
        description=description,
        metadata=metadata,
        partition=day,
        target_materialization_data=target,
        blocking=spec.blocking,
    )


def log_evaluation(context: dg.OpExecutionContext, evaluation: dg.AssetCheckEvaluation) -> None:
    """A verdict from a run that is not about the check (taken by ``log_event``, though its types do not say so)."""
    context.log_event(evaluation)  # type: ignore[arg-type]


def day_checks(
    specs: Sequence[dg.AssetCheckSpec],
    name: str,
    evaluate: Callable[[dg.AssetCheckExecutionContext], Iterator[dg.AssetCheckEvaluation]],
    *,
    pool: str,
) -> dg.AssetChecksDefinition:
    """Several checks of one asset that run in one step, any of which may also run alone."""

    def body(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckEvaluation | dg.Output[None]]:
        told: dict[str, list[dg.AssetCheckEvaluation]] = {}
        for evaluation in evaluate(context):
            told.setdefault(evaluation.check_name, []).append(evaluation)
            yield evaluation
        if not has_days(context):
            # "Execute" of the UI plans one verdict without a day; left without, it would show as skipped.
            yield from (_over_all_days(evaluations) for evaluations in told.values())
        # A result would have brought its output along; what waits for a blocking check waits for that.
        for output in context.op_execution_context.selected_output_names:
            yield dg.Output(None, output)

    with quiet():
        return dg.multi_asset_check(specs=specs, name=name, can_subset=True, pool=pool)(body)


def has_days(context: dg.AssetCheckExecutionContext) -> bool:
    """Whether the run is about a day or a range of days. The UI executes checks without either."""
    return bool(context.has_partition_key or context.has_partition_key_range)


def _over_all_days(told: Sequence[dg.AssetCheckEvaluation]) -> dg.AssetCheckEvaluation:
    failed = [evaluation.partition for evaluation in told if not evaluation.passed]
    return dg.AssetCheckEvaluation(
        asset_key=told[0].asset_key,
        check_name=told[0].check_name,
        passed=not failed,
        severity=told[0].severity,
        description=f"{len(failed)} of {len(told)} days did not pass" + (f", first {failed[0]}" if failed else ""),
        metadata={},
    )
