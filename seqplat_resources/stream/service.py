"""Keep the streams of a release running in this process: one thread per source, restarted after what may pass."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from seqplat_resources.batch.partitions import is_built
from seqplat_resources.clock import Clock, SystemClock
from seqplat_resources.enrichment import StreamLookup
from seqplat_resources.errors import Final, Retryable, SeqplatError
from seqplat_resources.foreign_errors import in_our_words
from seqplat_resources.logs import LogSource, OnLost
from seqplat_resources.logs.opening import open_log_source
from seqplat_resources.merge.folding import fold_crowded
from seqplat_resources.online_store import OnlineStore
from seqplat_resources.runtime import Runtime
from seqplat_resources.schema_registry import Framing, open_framing
from seqplat_resources.stream.loop import Pace, StreamLoop
from seqplat_resources.stream.ownership import Ownership
from seqplat_resources.stream.report import Tally
from sequence_defs.compiler.release import Release

_log = logging.getLogger(__name__)

# Between attempts after an error: doubled each time, back to the first after a batch that worked.
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
# How long a published release, and users with very many small blocks, may go unnoticed.
LOOK_EVERY_S = 10.0
# Blocks of one user in the now view before they are folded into one: reading them takes about 20 us each.
CROWDED = 64


def streamed_sources(release: Release) -> list[str]:
    """The sources that are read from a log: those in service with a topic and without joined files."""
    return [name for name, s in release.sources.items() if s.topic and not s.joins and is_built(s)]


class NothingStreamed(Final):
    """A release without a topic, or none of the sources asked for has one."""


@dataclass
class StreamService:
    """Streams ``sources`` (by default all that have a topic) until ``stop`` is set.

    ``load`` gives the release to run; it is asked again every few seconds, and one that cannot be loaded changes
    nothing. ``report`` is told of each source what it did since the last time, at most every ``report_s``.
    """

    load: Callable[[], Runtime]
    store: OnlineStore
    environment: Mapping[str, str]
    sources: Sequence[str] = ()
    on_lost: OnLost = "error"
    pace: Pace = Pace(overlap=True)
    clock: Clock = field(default_factory=SystemClock)
    stop: threading.Event = field(default_factory=threading.Event)
    report: Callable[[str, Tally, Mapping[str, int]], None] = lambda *_: None
    report_s: float = 10.0
    _failed: list[BaseException] = field(default_factory=list)
    _worked: set[str] = field(default_factory=set)
    _framing: Framing | None = None
    _opening: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> None:
        """Return when ``stop`` is set and everything read is kept.

        Raises:
            NothingStreamed: there is nothing to do. Final: a stream cannot go on without a change; the others are
            stopped as well, so that somebody notices.
        """
        names = self._names(self.load())
        threads = [threading.Thread(target=self._guarded, args=(name,), name=f"stream-{name}") for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._framing is not None:
            self._framing.close()
        if self._failed:
            raise self._failed[0]

    def _names(self, runtime: Runtime) -> list[str]:
        topics = streamed_sources(runtime.release)
        if unknown := [name for name in self.sources if name not in topics]:
            raise NothingStreamed(
                f"source {unknown[0]!r} is not streamed; those that are: {', '.join(topics) or 'none'}"
            )
        if not topics:
            raise NothingStreamed("no source of the release has a topic; name one in a definition and publish it")
        return list(self.sources or topics)

    def _guarded(self, name: str) -> None:
        try:
            self._keep_alive(name)
        except BaseException as error:
            self._failed.append(error)
            self.stop.set()

    def _keep_alive(self, name: str) -> None:
        wait = FIRST_WAIT_S
        while not self.stop.is_set():
            self._worked.discard(name)
            try:
                self._stream(name)
            except Retryable as error:
                if name in self._worked:
                    wait = FIRST_WAIT_S
                _log.warning("stream of %s: %s; again in %.1f s", name, error, wait)
                self.stop.wait(wait)
                wait = min(LONGEST_WAIT_S, wait * 2)

    def _stream(self, name: str) -> None:
        """One log after the other release by release; returns when ``stop`` is set."""
        runtime = self.load()
        log = open_log_source(
            self.environment, runtime.home, group=f"seqplat-{name}", client_id="seqplat-stream", on_lost=self.on_lost
        )
        with closing(log):
            while not self.stop.is_set():
                runtime = self._run_release(runtime, name, log)

    def _run_release(self, runtime: Runtime, name: str, log: LogSource) -> Runtime:
        """Stream under one release until the channel has another that loads, or ``stop``; returns what comes next."""
        framing = self._framing_of(runtime, name)
        lookup = StreamLookup(runtime, self.store, self.environment)
        ownership = Ownership(runtime.home, name, self.clock)
        loop = StreamLoop(runtime, name, log, self.store, lookup, ownership, self.pace, self.clock, framing=framing)
        looked_at = told_at = time.monotonic()
        following = runtime
        try:
            while not self.stop.is_set() and following is runtime:
                if loop.once():
                    self._worked.add(name)
                if time.monotonic() - told_at >= self.report_s:
                    told_at, tally, loop.tally = time.monotonic(), loop.tally, Tally()
                    self.report(name, tally, {str(p): behind for p, behind in loop.lag().items()})
                if time.monotonic() - looked_at >= LOOK_EVERY_S:
                    looked_at, following = time.monotonic(), self._newest(runtime)
                    for event_type in loop.event_types:
                        fold_crowded(self.store, event_type, more_than=CROWDED)
        except BaseException as error:
            lookup.close()
            # What was read and not kept is read again by whoever is next: its messages are still in the log.
            loop.abandon()
            if (told := in_our_words(error)) not in (None, error):
                raise told from error  # a full disk passes, whichever library says so
            raise
        loop.close()
        lookup.close()
        self.report(name, loop.tally, {})
        return following

    def _framing_of(self, runtime: Runtime, name: str) -> Framing | None:
        """What opens the messages of a source; one for all, so that a schema is fetched once. None: they are JSON."""
        if runtime.release.sources[name].message_format == "json":
            return None
        with self._opening:
            self._framing = self._framing or open_framing(self.environment)
            return self._framing

    def _newest(self, runtime: Runtime) -> Runtime:
        """The release the channel points at now; the one that runs if that is the same or cannot be used."""
        try:
            newest = self.load()
        except SeqplatError as error:
            _log.warning("going on with release %s: %s", runtime.loaded.id[:12], error)
            return runtime
        return runtime if newest.loaded.id == runtime.loaded.id else newest
