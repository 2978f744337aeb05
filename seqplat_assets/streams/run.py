"""One run of a stream: the service in a thread, its summaries as events, its end by time, by signal or by an error."""

import queue
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import dagster as dg

from seqplat_assets.layers.build import errors_told
from seqplat_assets.layers.recording import keep
from seqplat_assets.runs.liveness import say_process
from seqplat_assets.runs.preview import log_evaluation
from seqplat_assets.streams.checks import Watch
from seqplat_assets.streams.summary import Summary, materialization
from seqplat_resources.health.checks import STREAM_CHECKS
from seqplat_resources.health.results import CheckVerdict
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.release.runtime import DEFAULT_CHANNEL, Runtime
from seqplat_resources.release.store import ReleaseStore
from seqplat_resources.stream.report import Tally
from seqplat_resources.stream.service import StreamService

# An event costs Dagster some milliseconds and is kept for ever; a stream with nothing to say is quiet for longer.
SUMMARY_EVERY_S = 10.0
QUIET_EVERY_S = 60.0
# What was read is kept well within this; a run that does not end is taken for hung by the instance's settings.
STOP_S = 25.0

_Told: TypeAlias = tuple[str, Tally, Mapping[str, int]] | None


def stream(context: dg.OpExecutionContext, runtime: Runtime, sources: Sequence[str], *, life_s: float) -> None:
    """Stream some sources for one life, and say every few seconds what was done.

    When the run is terminated, the stream keeps what it read, as far as there is time, and the run ends as cancelled.
    What was not kept is read again by the next.

    Raises:
        dg.Failure: the stream cannot go on without a change.
    """
    say_process(context.instance, context.run_id)
    worker = _Worker(runtime, sources)
    thread = worker.start()
    tellers = {source: _Teller(context, runtime, source) for source in sources}
    until = time.monotonic() + life_s
    try:
        while (told := _next(worker, until, tellers)) is not None:
            source, tally, lag = told
            tellers[source].hear(tally, lag)
        thread.join()
    except BaseException:
        worker.stop.set()
        thread.join(STOP_S)
        _drain(worker, tellers)
        raise
    for teller in tellers.values():
        teller.finish()
    if worker.failure is not None:
        with errors_told():
            raise worker.failure


@dataclass
class _Worker:
    """The stream in a thread of its own, so that the run's main thread is free for signals and events."""

    runtime: Runtime
    sources: Sequence[str]
    stop: threading.Event = field(default_factory=threading.Event)
    told: "queue.SimpleQueue[_Told]" = field(default_factory=queue.SimpleQueue)
    failure: BaseException | None = None

    def start(self) -> threading.Thread:
        thread = threading.Thread(target=self._run, name=f"stream-{self.sources[0]}", daemon=True)
        thread.start()
        return thread

    def _run(self) -> None:
        try:
            with closing(open_online_store(self.runtime.home)) as store:
                StreamService(
                    self._newest,
                    store,
                    self.runtime.home.environment,
                    self.sources,
                    clock=self.runtime.clock,
                    stop=self.stop,
                    report=lambda source, tally, lag: self.told.put((source, tally, lag)),
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


def _next(worker: _Worker, until: float, tellers: Mapping[str, "_Teller"]) -> _Told:
    """What the stream tells next, None when it has ended; at the end of the life it is asked to."""
    while True:
        for teller in tellers.values():
            teller.wait()
        # Waits are short because a signal that ends the run is noticed between them.
        with suppress(queue.Empty):
            return worker.told.get(timeout=0.5)
        if time.monotonic() >= until:
            worker.stop.set()


def _drain(worker: _Worker, tellers: Mapping[str, "_Teller"]) -> None:
    while not worker.told.empty() and (told := worker.told.get()) is not None:
        source, tally, lag = told
        tellers[source].hear(tally, lag)
    for teller in tellers.values():
        teller.finish()


class _Teller:
    """Turns what the stream reports into few events of the run."""

    def __init__(self, context: dg.OpExecutionContext, runtime: Runtime, source: str) -> None:
        self._context, self._runtime, self._source = context, runtime, source
        self._began = self._said_at = time.monotonic()
        self._since, self._whole = Summary(), Summary()
        self._watches = [Watch(runtime, source, each) for each in STREAM_CHECKS]

    def hear(self, tally: Tally, lag: Mapping[str, int]) -> None:
        for summary in (self._since, self._whole):
            summary.add(tally, lag)
        # The stream reports as often as the shorter of the two; a little early is not worth another round.
        due = (SUMMARY_EVERY_S if self._since.tally.messages else QUIET_EVERY_S) * 0.9
        if time.monotonic() - self._said_at >= due:
            self._say()

    def wait(self) -> None:
        """Perhaps nothing was heard for long. A stream that fails says nothing, but its checks do."""
        if time.monotonic() - self._said_at >= QUIET_EVERY_S:
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
        told = list[CheckVerdict]()
        for watch in self._watches:
            evaluation = watch.evaluation(self._context.instance)
            log_evaluation(self._context, evaluation)
            told += watch.to_keep(evaluation)
        if told:
            keep(self._context, self._runtime, told)
        self._since = Summary()
