"""Streams as runs: a job per streamed source that lives for a while, and the sensor that has the next one follow.

The stream itself is ``seqplat_resources.stream`` and needs no Dagster: ``seqplat stream`` runs the same beside these
runs or in their place. Ownership of partitions is leased, so it does no harm if two overlap.

>>> jobs = stream_jobs(shop)
>>> [job.name for job in jobs], [sensor.name for sensor in stream_sensors(shop, jobs)]
(['stream_clicks'], ['keep_streams_running'])
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial

import dagster as dg

from seqplat_assets.runs.liveness import IN_FLIGHT, WORK, Attempt, end_if_dead, wants_another
from seqplat_assets.streams.capacity import RunCapacity
from seqplat_assets.streams.run import stream
from seqplat_resources.errors import Final
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.stream.service import streamed_sources
from sequence_defs.compiler.release import Release

# Whether the sensor is on from the start, and for how long a run reads: settings of docs/settings.md.
STREAMS, LIFE = "SEQPLAT_STREAMS", "SEQPLAT_STREAM_LIFE_S"
LIFE_S = 1800.0
# How many runs all sources share: each is a process, and builds need room beside them.
RUNS, MOST_RUNS = "SEQPLAT_STREAM_RUNS", 8
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


def most_runs(environment: Mapping[str, str]) -> int:
    """How many jobs there are at most, however many sources.

    Raises:
        StreamSettingsInvalid: not a positive whole number.
    """
    said = environment.get(RUNS) or str(MOST_RUNS)
    if said.isdecimal() and int(said) > 0:
        return int(said)
    raise StreamSettingsInvalid(f"{RUNS} is {said!r}, in the environment; give a number of runs, such as {MOST_RUNS}")


def shared(release: Release, environment: Mapping[str, str]) -> dict[str, list[str]]:
    """The sources of each job by its name: one each, or, where they are more than there may be runs, shared evenly.

    A source stays in its job while none comes or goes; ownership is leased, so no harm is done where one moves.
    """
    sources, most = streamed_sources(release), most_runs(environment)
    if len(sources) <= most:
        return {job_name(source): [source] for source in sources}
    return {f"stream_shared_{n + 1}": sorted(sources)[n::most] for n in range(most)}


def stream_jobs(runtime: Runtime) -> list[dg.JobDefinition]:
    """One job per streamed source, so that each is started with one click, or a few that share them."""
    jobs = shared(runtime.release, runtime.home.environment)
    return [_job(runtime, name, sources) for name, sources in jobs.items()]


def job_name(source: str) -> str:
    """The job that streams a source which shares with no other."""
    return f"stream_{source}"


def room_problem(release: Release, environment: Mapping[str, str]) -> str:
    """What is wrong with the settings of the instance in DAGSTER_HOME for the streams of a release; empty: nothing."""
    with dg.DagsterInstance.get() as instance:
        return RunCapacity.of(instance).shortage(len(shared(release, environment)))


def stream_sensors(runtime: Runtime, jobs: Sequence[dg.JobDefinition]) -> list[dg.SensorDefinition]:
    """The sensor that keeps streams running: none for a release that streams nothing."""
    if not jobs:
        return []
    environment = runtime.home.environment
    is_on = environment.get(STREAMS, "").lower() != "off"
    evaluate = partial(_keep_running, [job.name for job in jobs], life_s(environment))
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


def _job(runtime: Runtime, name: str, sources: Sequence[str]) -> dg.JobDefinition:
    topics = ", ".join(f"`{runtime.release.sources[source].topic}`" for source in sources)

    @dg.op(
        name=name.replace("stream_", "read_", 1),
        pool=f"stream/{name.removeprefix('stream_')}",
        out=dg.Out(dg.Nothing),
        description=f"Make messages of {topics} visible and keep them.",
    )
    def body(context: dg.OpExecutionContext) -> None:
        stream(context, runtime, sources, life_s=life_s(runtime.home.environment))

    @dg.graph(name=name)
    def graph() -> None:
        body()

    tags = {
        WORK: "stream",
        "seqplat/stream": name.removeprefix("stream_"),
        "dagster/priority": "10",
        # The sensor starts the next one, and knows when to wait.
        "dagster/max_retries": "0",
        "dagster/max_runtime": str(round(2 * life_s(runtime.home.environment)) + 60),
    }
    return graph.to_job(tags=tags, executor_def=dg.in_process_executor, description=f"Stream {topics} for a while.")


def _keep_running(
    jobs: Sequence[str], life: float, context: dg.SensorEvaluationContext
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Every job without a run that goes on gets one, as long as there is room: builds need runs as well."""
    records = {job: _records(context.instance, job) for job in jobs}
    room = RunCapacity.of(context.instance)
    in_flight = sum(record.dagster_run.status in IN_FLIGHT for found in records.values() for record in found)
    asked, no_room = 0, list[str]()
    # Those that have none first: one that hands over has one.
    for job in sorted(jobs, key=lambda job: any(r.dagster_run.status in IN_FLIGHT for r in records[job])):
        attempts = [Attempt.of(record) for record in records[job]]
        if not wants_another(attempts, now=time.time(), life_s=life):
            continue
        if room.for_streams is not None and in_flight + asked >= room.for_streams:
            no_room.append(job)
            continue
        asked += 1
        # The same tick evaluated twice asks for the same run: the one that follows the newest there is.
        newest = attempts[0].run_id if attempts else "none"
        yield dg.RunRequest(run_key=f"{job.removeprefix('stream_')} after {newest}", job_name=job)
    if no_room:
        context.log.warning(f"no room for {', '.join(no_room)}: {room.shortage(len(jobs))}")
    if not asked:
        yield dg.SkipReason(room.shortage(len(jobs)) if no_room else f"every stream has its run: {', '.join(jobs)}")


def _records(instance: dg.DagsterInstance, job: str) -> Sequence[dg.RunRecord]:
    records = _runs(instance, job)
    ended = [end_if_dead(instance, record.dagster_run) for record in records]
    return _runs(instance, job) if any(ended) else records


def _runs(instance: dg.DagsterInstance, name: str) -> Sequence[dg.RunRecord]:
    """Those that may still read, and the newest of those that ended, newest first."""
    newest = instance.get_run_records(dg.RunsFilter(job_name=name), limit=_RUNS_LOOKED_AT)
    known = {record.dagster_run.run_id for record in newest}
    others = instance.get_run_records(dg.RunsFilter(job_name=name, statuses=IN_FLIGHT))
    return [*newest, *(record for record in others if record.dagster_run.run_id not in known)]
