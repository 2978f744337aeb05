"""Keep the streams of a release running in this process: one thread per source, restarted after what may pass.

>>> from seqplat_resources.sources.log.file.folder import FileLogWriter
>>> writer = FileLogWriter(shop.home.uri("log"))
>>> writer.create_topic("clicks", 1)
>>> writer.close()
>>> service = StreamService(lambda: shop, store, {})
>>> service.report = lambda source, tally, lag: print(source, tally.messages)
>>> service.stop.set()
>>> service.run()
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from functools import partial

from seqplat_resources.batch.days.partitions import is_built
from seqplat_resources.clock import Clock, SystemClock
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.enrichment import StreamLookup
from seqplat_resources.errors import Final, Retryable, SeqplatError
from seqplat_resources.foreign_errors import in_our_words
from seqplat_resources.online_store import OnlineStore
from seqplat_resources.online_store.folding import fold_crowded
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.sources.log import LogSource, OnLost
from seqplat_resources.sources.log.opening import open_log_source
from seqplat_resources.sources.schema_registry import Framing, open_framing
from seqplat_resources.stream.loop import Pace, StreamLoop
from seqplat_resources.stream.ownership import Ownership
from seqplat_resources.stream.report import Tally
from seqplat_resources.stream.trouble import Trouble, Troubles
from sequence_defs.compiler.release import Release

_log = logging.getLogger(__name__)

# Between attempts after an error: doubled each time, back to the first after a batch that worked. What does not pass by
# itself is tried less and less.
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
LONGEST_FINAL_WAIT_S = 300.0
# How long a published release, and users with very many small blocks, may go unnoticed.
LOOK_EVERY_S = 10.0
# Blocks of one user in the now view before they are folded into one: reading them takes about 20 us each.
CROWDED = 64


def streamed_sources(release: Release) -> list[str]:
    """The sources that are read from a log: those in service with a topic and without joined files."""
    return [name for name, s in release.sources.items() if s.topic and not s.joins and is_built(s)]


def group_of(runtime: Runtime, source: str) -> str:
    """Under which name the log is told how far a source was read, for its displays of lag. Each channel has its own:
    names of sources have no dots.
    """
    return f"seqplat.{runtime.channel}.{source}" if runtime.home.place else f"seqplat-{source}"


class NothingStreamed(Final):
    """A release without a topic, or none of the sources asked for has one."""


@dataclass
class StreamService:
    """Streams ``sources`` (by default all that have a topic) until ``stop`` is set.

    ``load`` gives the release to run; it is asked again every few seconds, and one that cannot be loaded changes
    nothing. ``report`` is told of each source what it did since the last time, at most every ``report_s``.

    A source that fails, however, is tried again with growing pauses, and noted (``trouble``); no other source notices.
    Only where all of them fail with what does not pass by itself does the service end, so that somebody notices.
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
    _stuck: dict[str, BaseException] = field(default_factory=dict)  # by source: what does not pass by itself
    _worked: set[str] = field(default_factory=set)
    _streamed: list[str] = field(default_factory=list)
    _framing: Framing | None = None
    _opening: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> None:
        """Return when ``stop`` is set and everything read is kept.

        Raises:
            NothingStreamed: there is nothing to do. Whatever a source could not go on with when all stopped.
        """
        runtime = self.load()
        names, troubles = self._names(runtime), Troubles(runtime.home)
        threads: list[threading.Thread] = []
        while True:
            for name in names[len(threads) :]:
                self._streamed.append(name)
                target = partial(self._keep_alive, name, troubles)
                threads.append(threading.Thread(target=target, name=f"stream-{name}"))
                threads[-1].start()
            if self.stop.wait(LOOK_EVERY_S):
                break
            names = self._with_new(names)
        for thread in threads:
            thread.join()
        if self._framing is not None:
            self._framing.close()
        for error in self._stuck.values():
            raise error

    def _names(self, runtime: Runtime) -> list[str]:
        topics = streamed_sources(runtime.release)
        if unknown := [name for name in self.sources if name not in topics]:
            raise NothingStreamed(
                f"source {unknown[0]!r} is not streamed; those that are: {', '.join(topics) or 'none'}"
            )
        if not topics:
            raise NothingStreamed("no source of the release has a topic; name one in a definition and publish it")
        return list(self.sources or topics)

    def _with_new(self, names: list[str]) -> list[str]:
        """And those that a release has begun to stream meanwhile, unless only some were asked for."""
        if self.sources:
            return names
        with suppress(SeqplatError):  # the sources that run say what is wrong with a release
            return list(dict.fromkeys([*names, *streamed_sources(self.load().release)]))
        return names

    def _keep_alive(self, name: str, troubles: Troubles) -> None:
        wait_s, before = FIRST_WAIT_S, None
        while not self.stop.is_set():
            self._worked.discard(name)
            try:
                self._stream(name, troubles)
            except BaseException as error:  # whatever it is, it is this source's alone
                if name in self._worked:
                    wait_s, before = FIRST_WAIT_S, None
                before = self._troubled(name, error, wait_s, before)
                troubles.put(before)
                if len(self._stuck) == len(self._streamed):
                    self.stop.set()
                self.stop.wait(wait_s)
                wait_s = min(LONGEST_FINAL_WAIT_S if name in self._stuck else LONGEST_WAIT_S, wait_s * 2)
        if before and name not in self._worked:
            troubles.put(replace(before, again_at=None))

    def _troubled(self, name: str, error: BaseException, wait_s: float, before: Trouble | None) -> Trouble:
        trouble = Trouble.of(name, error, at=self.clock.now(), wait_s=wait_s).after(before)
        if isinstance(error, Retryable):
            self._stuck.pop(name, None)
            _log.warning("stream of %s: %s; again in %.1f s", name, trouble.message, wait_s)
        else:
            self._stuck[name] = error
            # A trace of what nobody expected, once.
            trace = None if isinstance(error, SeqplatError) or before else error
            _log.error("stream of %s: %s; again in %.1f s", name, trouble.message, wait_s, exc_info=trace)
        return trouble

    def _works(self, name: str, troubles: Troubles) -> None:
        if name not in self._worked:
            self._worked.add(name)
            self._stuck.pop(name, None)
            troubles.clear(name)

    def _stream(self, name: str, troubles: Troubles) -> None:
        """One log after the other release by release; returns when ``stop`` is set. A source that a release streams no
        more waits for one that does.
        """
        runtime = self.load()
        while name not in streamed_sources(runtime.release):
            self._works(name, troubles)
            if self.stop.wait(LOOK_EVERY_S):
                return
            runtime = self._newest(runtime, name)
        group = group_of(runtime, name)
        log = open_log_source(
            self.environment, runtime.home, group=group, client_id="seqplat-stream", on_lost=self.on_lost
        )
        with closing(log):
            while not self.stop.is_set() and name in streamed_sources(runtime.release):
                runtime = self._run_release(runtime, name, log, troubles)

    def _run_release(self, runtime: Runtime, name: str, log: LogSource, troubles: Troubles) -> Runtime:
        """Stream under one release until the channel has another that loads, or ``stop``; returns what comes next."""
        framing = self._framing_of(runtime, name)
        lookup = StreamLookup(runtime, self.store, self.environment)
        ownership = Ownership(runtime.home, name, self.clock)
        loop = StreamLoop(runtime, name, log, self.store, lookup, ownership, self.pace, self.clock, framing=framing)
        looked_at = told_at = time.monotonic()
        following = runtime
        try:
            while not self.stop.is_set() and following is runtime:
                loop.once()
                if loop.times_kept:
                    self._works(name, troubles)
                if time.monotonic() - told_at >= self.report_s:
                    told_at, tally, loop.tally = time.monotonic(), loop.tally, Tally()
                    tally.services = lookup.take_counts()
                    self.report(name, tally, {str(p): behind for p, behind in loop.lag().items()})
                if time.monotonic() - looked_at >= LOOK_EVERY_S:
                    self._works(name, troubles)  # so long without an error, if without a message too
                    looked_at, following = time.monotonic(), self._newest(runtime, name)
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
        loop.tally.services = lookup.take_counts()
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

    def _newest(self, runtime: Runtime, name: str) -> Runtime:
        """The release the channel points at now; the one that runs if that is the same or cannot be used here, as where
        its events are made by code that this process has not.
        """
        try:
            newest = self.load()
            for event_type, definition in newest.release.event_types.items():
                if definition.source == name:
                    EventPlan.of(newest.loaded, event_type)
        except SeqplatError as error:
            _log.warning("going on with release %s: %s", runtime.loaded.id[:12], error)
            return runtime
        return runtime if newest.loaded.id == runtime.loaded.id else newest
