"""Streams as runs: a job per streamed source that lives for a while, and the sensor that has the next one follow.

The stream itself is ``seqplat_resources.stream`` and needs no Dagster: ``seqplat stream`` runs the same beside these
runs or in their place. Ownership of partitions is leased, so it does no harm if two overlap.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial

import dagster as dg

from seqplat_assets.liveness import IN_FLIGHT, WORK, Attempt, end_if_dead, wants_another
from seqplat_assets.stream_run import stream
from seqplat_resources.errors import Final
from seqplat_resources.runtime import Runtime
from seqplat_resources.stream.service import streamed_sources

# Whether the sensor is on from the start, and for how long a run reads: settings of docs/settings.md.
STREAMS, LIFE = "SEQPLAT_STREAMS", "SEQPLAT_STREAM_LIFE_S"
LIFE_S = 1800.0
# Dagster looks at sensors no more often than every five seconds.
TICK_S = 5

_RUNS_LOOKED_AT = 20


class StreamSettingsInvalid(Final):
    """A setting of streams that is no such thing."""


def life_s(environment: Mapping[str, str]) -> float:
    """How long a run reads before its successor has taken over.

    Raises:
        StreamSettingsInvalid: not a positive number.
    """
    said = environment.get(LIFE) or str(LIFE_S)
    with suppress(ValueError):
        if (seconds := float(said)) > 0:
            return seconds
    raise StreamSettingsInvalid(f"{LIFE} is {said!r}, in the environment; give seconds, such as {LIFE_S:.0f}")


def stream_jobs(runtime: Runtime) -> list[dg.JobDefinition]:
    """One job per streamed source, so that each has a pool of its own and is started with one click."""
    return [_job(runtime, name) for name in streamed_sources(runtime.release)]


def job_name(source: str) -> str:
    """The job that streams a source."""
    return f"stream_{source}"


def stream_sensors(runtime: Runtime, jobs: Sequence[dg.JobDefinition]) -> list[dg.SensorDefinition]:
    """The sensor that keeps streams running: none for a release that streams nothing."""
    if not jobs:
        return []
    environment = runtime.home.environment
    is_on = environment.get(STREAMS, "").lower() != "off"
    evaluate = partial(_keep_running, streamed_sources(runtime.release), life_s(environment))
    return [
        dg.SensorDefinition(
            "keep_streams_running",
            evaluation_fn=evaluate,
            jobs=jobs,
            minimum_interval_seconds=TICK_S,
            default_status=dg.DefaultSensorStatus.RUNNING if is_on else dg.DefaultSensorStatus.STOPPED,
            description="Has a run of every streamed source at all times, and the next begin before one ends.",
        )
    ]


def _job(runtime: Runtime, source: str) -> dg.JobDefinition:
    @dg.op(
        name=f"read_{source}",
        pool=f"stream/{source}",
        out=dg.Out(dg.Nothing),
        description=f"Make messages of topic `{runtime.release.sources[source].topic}` visible and keep them.",
    )
    def body(context: dg.OpExecutionContext) -> None:
        stream(context, runtime, source, life_s=life_s(runtime.home.environment))

    @dg.graph(name=job_name(source))
    def graph() -> None:
        body()

    tags = {
        WORK: "stream",
        "seqplat/stream": source,
        "dagster/priority": "10",
        # The sensor starts the next one, and knows when to wait.
        "dagster/max_retries": "0",
        "dagster/max_runtime": str(round(2 * life_s(runtime.home.environment)) + 60),
    }
    return graph.to_job(tags=tags, executor_def=dg.in_process_executor, description=f"Stream `{source}` for a while.")


def _keep_running(
    sources: Sequence[str], life: float, context: dg.SensorEvaluationContext
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    asked = 0
    for source in sources:
        records = _runs(context.instance, source)
        if any(end_if_dead(context.instance, record.dagster_run) for record in records):
            records = _runs(context.instance, source)
        attempts = [Attempt.of(record) for record in records]
        if wants_another(attempts, now=time.time(), life_s=life):
            asked += 1
            # The same tick evaluated twice asks for the same run: the one that follows the newest there is.
            newest = attempts[0].run_id if attempts else "none"
            yield dg.RunRequest(run_key=f"{source} after {newest}", job_name=job_name(source))
    if not asked:
        yield dg.SkipReason(f"every stream has its run: {', '.join(sources)}")


def _runs(instance: dg.DagsterInstance, source: str) -> Sequence[dg.RunRecord]:
    """Those that may still read, and the newest of those that ended, newest first."""
    name = job_name(source)
    newest = instance.get_run_records(dg.RunsFilter(job_name=name), limit=_RUNS_LOOKED_AT)
    known = {record.dagster_run.run_id for record in newest}
    others = instance.get_run_records(dg.RunsFilter(job_name=name, statuses=IN_FLIGHT))
    return [*newest, *(record for record in others if record.dagster_run.run_id not in known)]
