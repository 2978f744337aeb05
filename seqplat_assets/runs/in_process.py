"""Runs that execute in this process: what of Dagster's inside that takes.

>>> with instance_of(folder) as instance:
...     type(instance.compute_log_manager).__name__
...
'NoOpComputeLogManager'
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.events import RunFailureReason
from dagster._core.execution.execute_in_process import core_execute_in_process
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from dagster._serdes import ConfigurableClassData


@contextmanager
def instance_of(home: Path) -> Iterator[dg.DagsterInstance]:
    """The instance of a folder such as DAGSTER_HOME, for runs that execute in this process.

    Such runs leave the process's output where it goes. Dagster would send it into a file of DAGSTER_HOME, from where
    four processes a run bring it back: late, without what was printed last, and not at all where that disk is full.
    """
    ref = InstanceRef.from_dir(str(home))
    none = ConfigurableClassData(NoOpComputeLogManager.__module__, NoOpComputeLogManager.__name__, "{}")
    with dg.DagsterInstance.from_ref(ref._replace(compute_logs_data=none)) as instance:
        yield instance


def run_in_process(
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    run_id: str,
    keys: Sequence[dg.AssetKey],
    *,
    without: str = "",
    **more: Any,
) -> bool:
    """Run some assets of a job, with the job's own executor, in this process; whether all went well.

    All checks of the assets run as well, but for those named ``without``.

    Raises:
        KeyboardInterrupt: somebody stopped this process, or cancelled the run. Dagster notes it on the run and would go
            on with whatever comes next.

    NOTE: not ``JobDefinition.execute_in_process``, which brings an executor of its own along: under that one, what is
    made of good days would not run beside a bad one.
    """
    checks = {key for key in job.asset_layer.asset_graph.asset_check_keys if key.asset_key in keys}
    chosen = {key for key in checks if key.name != without}
    done = core_execute_in_process(
        job=InMemoryJob(job.get_subset(asset_selection=frozenset(keys), asset_check_selection=frozenset(chosen))),
        instance=instance,
        output_capturing_enabled=False,
        raise_on_error=False,
        run_id=run_id,
        asset_selection=frozenset(keys),
        **more,
    )
    if done.dagster_run.status in _STOPPED or any(map(_is_stopped, done.all_events)):
        raise KeyboardInterrupt
    return done.success


_STOPPED = (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)


def _is_stopped(event: dg.DagsterEvent) -> bool:
    failed = event.event_type is dg.DagsterEventType.RUN_FAILURE
    return failed and event.job_failure_data.failure_reason is RunFailureReason.UNEXPECTED_TERMINATION
