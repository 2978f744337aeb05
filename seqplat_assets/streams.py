"""Streams as runs: a job per streamed source that lives for a while, and the sensor that has the next one follow.

The stream itself is ``seqplat_resources.stream`` and needs no Dagster: ``seqplat stream`` runs the same beside these
runs or in their place. Ownership of partitions is leased, so it does no harm if two overlap.
"""

import queue
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeAlias

import dagster as dg

from seqplat_assets.building import errors_told
from seqplat_assets.liveness import IN_FLIGHT, WORK, Attempt, end_if_dead, say_process, wants_another
from seqplat_assets.preview import log_evaluation
from seqplat_assets.stream_checks import RejectsWatch
from seqplat_assets.summary import Summary, materialization
from seqplat_resources.errors import Final
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.releases import ReleaseStore
from seqplat_resources.runtime import DEFAULT_CHANNEL, Runtime
from seqplat_resources.stream.report import Tally
from seqplat_resources.stream.service import StreamService, streamed_sources

# Whether the sensor is on from the start, and for how long a run reads: settings of docs/settings.md.
STREAMS, LIFE = "SEQPLAT_STREAMS", "SEQPLAT_STREAM_LIFE_S"
LIFE_S = 1800.0
# Dagster looks at sensors no more often than every five seconds.
TICK_S = 5
# An event costs Dagster some milliseconds and is kept for ever; a stream with nothing to say is quiet for longer.
SUMMARY_EVERY_S = 10.0
QUIET_EVERY_S = 60.0
# What was read is kept well within this; a run that does not end is taken for hung by the instance's settings.
STOP_S = 25.0

_RUNS_LOOKED_AT = 20

_Told: TypeAlias = tuple[Tally, Mapping[str, int]] | None


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
        stream(context, runtime, source)

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


@dataclass
class _Worker:
    """The stream in a thread of its own, so that the run's main thread is free for signals and events."""

    runtime: Runtime
    source: str
    stop: threading.Event = field(default_factory=threading.Event)
    told: "queue.SimpleQueue[_Told]" = field(default_factory=queue.SimpleQueue)
    failure: BaseException | None = None

    def start(self) -> threading.Thread:
        thread = threading.Thread(target=self._run, name=f"stream-{self.source}", daemon=True)
        thread.start()
        return thread

    def _run(self) -> None:
        try:
            with closing(open_online_store(self.runtime.home)) as store:
                StreamService(
                    self._newest,
                    store,
                    self.runtime.home.environment,
                    [self.source],
                    clock=self.runtime.clock,
                    stop=self.stop,
                    report=lambda _, tally, lag: self.told.put((tally, lag)),
                    report_s=SUMMARY_EVERY_S,
                ).run()
        except BaseException as error:
            self.failure = error
        finally:
            self.told.put(None)

    def _newest(self) -> Runtime:
        """What the channel points at now: a stream follows it without a restart."""
        channel = self.runtime.home.environment.get("SEQPLAT_CHANNEL") or DEFAULT_CHANNEL
        return replace(self.runtime, loaded=ReleaseStore(self.runtime.home).load(channel))


def stream(context: dg.OpExecutionContext, runtime: Runtime, source: str) -> None:
    """Stream for one life, and say every few seconds what was done.

    When the run is terminated, the stream keeps what it read, as far as there is time, and the run ends as cancelled.
    What was not kept is read again by the next.

    Raises:
        dg.Failure: the stream cannot go on without a change.
    """
    say_process(context.instance, context.run_id)
    worker = _Worker(runtime, source)
    thread = worker.start()
    teller = _Teller(context, runtime, source)
    until = time.monotonic() + life_s(runtime.home.environment)
    try:
        while (told := _next(worker, until)) is not None:
            teller.hear(*told)
        thread.join()
    except BaseException:
        worker.stop.set()
        thread.join(STOP_S)
        _drain(worker, teller)
        raise
    teller.finish()
    if worker.failure is not None:
        with errors_told():
            raise worker.failure


def _next(worker: _Worker, until: float) -> _Told:
    """What the stream tells next, None when it has ended; at the end of the life it is asked to."""
    while True:
        # Waits are short because a signal that ends the run is noticed between them.
        with suppress(queue.Empty):
            return worker.told.get(timeout=0.5)
        if time.monotonic() >= until:
            worker.stop.set()


def _drain(worker: _Worker, teller: "_Teller") -> None:
    while not worker.told.empty() and (told := worker.told.get()) is not None:
        teller.hear(*told)
    teller.finish()


class _Teller:
    """Turns what the stream reports into few events of the run."""

    def __init__(self, context: dg.OpExecutionContext, runtime: Runtime, source: str) -> None:
        self._context, self._runtime, self._source = context, runtime, source
        self._began = self._said_at = time.monotonic()
        self._since, self._whole = Summary(), Summary()
        self._rejects = RejectsWatch(runtime, source)

    def hear(self, tally: Tally, lag: Mapping[str, int]) -> None:
        for summary in (self._since, self._whole):
            summary.add(tally, lag)
        # The stream reports as often as the shorter of the two; a little early is not worth another round.
        due = (SUMMARY_EVERY_S if self._since.tally.messages else QUIET_EVERY_S) * 0.9
        if time.monotonic() - self._said_at >= due:
            self._say()

    def finish(self) -> None:
        """The rest, and the numbers of the whole run."""
        seconds = time.monotonic() - self._began
        self._say(run_messages=float(self._whole.tally.messages), run_seconds=round(seconds, 2))

    def _say(self, **more: float | str) -> None:
        now = time.monotonic()
        self._since.seconds, self._said_at = now - self._said_at, now
        event = materialization(self._source, self._since, release=self._runtime.loaded.id, **more)
        self._context.log_event(event)
        # A verdict is about a materialization: after a newer one, the UI shows the check as not evaluated.
        log_evaluation(self._context, self._rejects.evaluation(self._context.instance))
        self._since = Summary()


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
