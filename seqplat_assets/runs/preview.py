"""The Dagster APIs still marked beta or preview, in one place: what changes in them changes here and nowhere else.

They are used on purpose, so their warnings are silenced here; a warning from anywhere else still shows.

>>> build_step("events/purchase"), check_step("events/purchase")
('events__purchase', 'check_events__purchase')
"""

import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData
from dagster._core.events import DagsterEvent, DagsterEventBatchMetadata
from dagster._core.execution.context.metadata_logging import AssetMetadataHandle, OutputMetadataAccumulator
from dagster._core.storage.tags import RESUME_RETRY_TAG

# A run that fails or is cancelled repeats all its days, and memory of an ingest grows with them; a run costs about
# three seconds to start. A quarter per run keeps both small, and lets years of backfill run side by side.
DAYS_PER_RUN = 92
# A summary of a range names so many of the days that did not pass.
DAYS_TOLD = 5
# What the verdict on a day says that nobody could look at.
JUDGED = "judged"


@contextmanager
def quiet() -> Iterator[None]:
    """No beta and preview warnings inside the block."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        warnings.simplefilter("ignore", dg.PreviewWarning)
        yield


def range_asset(
    spec: dg.AssetSpec,
    name: str,
    body: Callable[[dg.AssetExecutionContext], Iterator[dg.MaterializeResult[Any]]],
    *,
    pool: str,
    tags: Mapping[str, str],
    days_per_run: int = DAYS_PER_RUN,
) -> dg.AssetsDefinition:
    """An asset whose run may take a range of partitions (``backfill_policy`` is beta)."""
    with quiet():
        policy = dg.BackfillPolicy.multi_run(days_per_run)
        return dg.multi_asset(specs=[spec], name=name, backfill_policy=policy, pool=pool, op_tags=tags)(body)


# What is made of a day goes on as soon as the day was handed on, also where the step then fails because of others.
EXECUTOR = dg.in_process_executor.configured(
    {"step_dependency_config": {"require_upstream_step_success": False}}, name="by_day"
)


def of_days(context: dg.AssetExecutionContext, days: Mapping[str, Mapping[str, Any]]) -> None:
    """Have the step's output materialize ``days`` alone, each with its metadata. Dagster takes an output to be of all
    partitions of its run, and copies what was said of all days before for each that something is added of.
    """
    step = context.get_step_execution_context()
    said = dict(step._metadata_accumulator.per_output_metadata)
    for day, metadata in days.items():
        said[AssetMetadataHandle(asset_key=context.asset_key, partition_key=day)] = metadata
    step._metadata_accumulator = OutputMetadataAccumulator(per_output_metadata=said)
    of_all = step.get_output_context

    def narrowed(*args: Any, **more: Any) -> dg.OutputContext:
        output: dg.OutputContext = of_all(*args, **more)
        if not days:
            output._asset_key = None  # handed on, and nothing materialized
        elif output.has_asset_partitions:
            output._asset_partitions_subset = output.asset_partitions_def.subset_with_partition_keys(list(days))
        return output

    step.get_output_context = narrowed


def built_before(context: dg.AssetExecutionContext) -> set[str]:
    """Days of the asset that this run built in an earlier attempt, or the runs that this one goes on from."""
    runs = [*([context.run.run_id] if context.retry_number > 0 else []), *resumed_runs(context)]
    return {day for run_id in runs for day in _materialized(context, run_id)}


def resumed_runs(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> list[str]:
    """The runs that this one goes on from, newest first."""
    run: dg.DagsterRun | None = context.run
    found: list[str] = []
    while run is not None and RESUME_RETRY_TAG in run.tags and run.parent_run_id:
        found.append(run.parent_run_id)
        run = context.instance.get_run_by_id(run.parent_run_id)
    return found


def _materialized(context: dg.AssetExecutionContext, run_id: str) -> set[str]:
    logged = context.instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    events = [entry.asset_materialization for entry in logged]
    return {e.partition for e in events if e and e.partition and e.asset_key == context.asset_key}


def planned_after(
    context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext, asset: dg.AssetKey
) -> list[dg.AssetKey]:
    """What is made of an asset in this run, in order of keys."""
    layer = context.op_execution_context.job_def.asset_layer
    found, new = set[dg.AssetKey](), {asset}
    while new:
        children = {child for key in new for child in layer.asset_graph.get(key).child_keys}
        new = children & set(layer.selected_asset_keys) - found
        found |= new
    return sorted(found)


def planned_checks(
    context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext, asset: dg.AssetKey
) -> list[dg.AssetCheckSpec]:
    """The checks by day of an asset that this run is to make."""
    graph, chosen = context.op_execution_context.job_def.asset_layer.asset_graph, context.run.asset_check_selection
    keys = [key for key in graph.asset_check_keys if key.asset_key == asset and (chosen is None or key in chosen)]
    return [spec for spec in map(graph.get_check_spec, sorted(keys)) if spec.partitions_def]


def build_step(asset: str) -> str:
    """The name of the step that builds days of ``events/purchase``, say."""
    return asset.replace("/", "__")


def check_step(asset: str) -> str:
    """The name of the step that judges them."""
    return f"check_{build_step(asset)}"


def is_planned(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext, step: str) -> bool:
    """Whether the run has a step."""
    wanted = context.run.step_keys_to_execute
    return context.op_execution_context.job_def.has_node_named(step) and (wanted is None or step in wanted)


def day_mapping(after: int = 0) -> dg.TimeWindowPartitionMapping:
    """Same day upstream and so many days ``after`` it, if upstream has them (``allow_nonexistent_upstream_partitions``
    is beta).
    """
    with quiet():
        return dg.TimeWindowPartitionMapping(end_offset=after, allow_nonexistent_upstream_partitions=True)


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


def no_verdict(
    spec: dg.AssetCheckSpec,
    day: str,
    target: AssetCheckEvaluationTargetMaterializationData | None,
    why: str,
) -> dg.AssetCheckEvaluation:
    """In place of the verdict on a day that is not built. A check that was planned and is left without any reads as
    "execution failed", which it did not.
    """
    words = f"not judged, because the day is not built: {why}"
    severity, said = dg.AssetCheckSeverity.WARN, {JUDGED: False}
    return day_evaluation(spec, day, target, passed=False, severity=severity, description=words, metadata=said)


def is_verdict(evaluation: dg.AssetCheckEvaluation) -> bool:
    """Whether somebody looked."""
    return JUDGED not in evaluation.metadata


def log_evaluation(context: dg.OpExecutionContext, evaluation: dg.AssetCheckEvaluation) -> None:
    """A verdict from a run that is not about the check (taken by ``log_event``, though its types do not say so)."""
    context.log_event(evaluation)  # type: ignore[arg-type]


def log_evaluations(context: dg.OpExecutionContext, evaluations: Sequence[dg.AssetCheckEvaluation]) -> None:
    """The same of many days, stored together: one by one they take longer than it takes to judge them."""
    step, batch = context.get_step_execution_context(), str(uuid.uuid4())
    for number, each in enumerate(evaluations, start=1):
        told = f": {each.description}" if each.description else ""
        DagsterEvent.from_step(
            dg.DagsterEventType.ASSET_CHECK_EVALUATION,
            step,
            each,
            f"{each.check_name} of {each.partition} {'passed' if each.passed else 'did not pass'}{told}",
            DagsterEventBatchMetadata(batch, number == len(evaluations)),
        )


def _together(told: Iterator[dg.AssetCheckEvaluation]) -> Iterator[list[dg.AssetCheckEvaluation]]:
    """Verdicts in their order: those that passed one after the other of one check at once, others as they are told.

    What was told before an error is handed on before it is raised.
    """
    kept: list[dg.AssetCheckEvaluation] = []
    try:
        for each in told:
            if kept and not (each.passed and each.check_name == kept[0].check_name):
                yield kept
                kept = []
            if each.passed:
                kept.append(each)
            else:
                yield [each]
    except Exception:
        if kept:
            yield kept
        raise
    if kept:
        yield kept


class HeldDays(Exception):
    """Days that nothing may be made of; the step fails with ``failure``, and hands the others on if there are any."""

    def __init__(self, failure: dg.Failure, *, all_of_them: bool) -> None:
        self.failure, self.all_of_them = failure, all_of_them
        super().__init__(failure.description)


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
        held: HeldDays | None = None
        try:
            for evaluations in _together(evaluate(context)):
                for evaluation in evaluations:
                    told.setdefault(evaluation.check_name, []).append(evaluation)
                if evaluations[0].passed:
                    log_evaluations(context.op_execution_context, evaluations)
                else:  # what blocks is for Dagster to see
                    yield from evaluations
        except HeldDays as found:
            held = found
        for evaluations in told.values():
            # "Execute" of the UI plans one verdict without a day; left without, it would show as skipped. Of a range,
            # the asset's page shows the newest day's, also if it is the only good one.
            if not has_days(context) or _shows_good(evaluations):
                yield _over_all_days(evaluations)
        if held is None or not held.all_of_them:
            # A result would have brought its output along; what waits for a blocking check waits for that.
            for output in context.op_execution_context.selected_output_names:
                yield dg.Output(None, output)
        if held is not None:
            raise held.failure

    with quiet():
        return dg.multi_asset_check(specs=specs, name=name, can_subset=True, pool=pool)(body)


def has_days(context: dg.AssetCheckExecutionContext) -> bool:
    """Whether the run is about a day or a range of days. The UI executes checks without either."""
    return bool(context.has_partition_key or context.has_partition_key_range)


def _shows_good(told: Sequence[dg.AssetCheckEvaluation]) -> bool:
    newest = max(told, key=lambda evaluation: evaluation.partition or "")
    return newest.passed and not all(evaluation.passed for evaluation in told)


def _over_all_days(told: Sequence[dg.AssetCheckEvaluation]) -> dg.AssetCheckEvaluation:
    failed = [evaluation for evaluation in told if not evaluation.passed]
    words = f"{len(failed)} of {len(told)} days did not pass"
    named = "; ".join(f"{evaluation.partition}: {evaluation.description}" for evaluation in failed[:DAYS_TOLD])
    severe = any(evaluation.severity is dg.AssetCheckSeverity.ERROR for evaluation in failed)
    return dg.AssetCheckEvaluation(
        asset_key=told[0].asset_key,
        check_name=told[0].check_name,
        passed=not failed,
        severity=dg.AssetCheckSeverity.ERROR if severe else dg.AssetCheckSeverity.WARN,
        description=f"{words}: {named}{'; ...' if failed[DAYS_TOLD:] else ''}" if failed else words,
        metadata={"days": dg.MetadataValue.json([evaluation.partition for evaluation in failed])} if failed else {},
    )
