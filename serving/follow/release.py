"""Follow a channel: the release and the online store that requests are answered from, kept good while both move.

>>> follower = Follower(Settings.from_environment({"SEQPLAT_HOME": shop.home.root}))
>>> follower.is_ready
False
>>> follower.refresh()
>>> follower.is_ready, sorted(follower.serving.plans)
(True, ['basket'])
>>> follower.close()
"""

import datetime as dt
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from seqplat_resources.clock import Clock, SystemClock
from seqplat_resources.errors import SeqplatError
from seqplat_resources.home import Home
from seqplat_resources.online_store import OnlineStore
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.read.past import PastRows
from seqplat_resources.release.sequence_plan import NotShared, SequencePlan, UnknownSequence
from seqplat_resources.release.store import ChannelMove, LoadedRelease, ReleaseStore
from seqplat_resources.stream.trouble import Trouble, Troubles
from seqplat_resources.training.answered.write import RecordedAnswer, append_answers
from sequence_defs.compiler.release import Release
from serving.follow.answers import AnswerLog
from serving.follow.arms import Arms
from serving.follow.errors import NotReady
from serving.follow.exposures import ExposureLog
from serving.follow.polling import polled
from serving.settings import Settings

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServedRelease:
    """One release made ready for requests. Immutable, so a request that holds it sees one release to its end.

    ``home`` is where the data of its channel lives.
    """

    home: Home
    loaded: LoadedRelease
    move: ChannelMove
    loaded_at: dt.datetime
    plans: Mapping[str, SequencePlan]

    @property
    def release(self) -> Release:
        return self.loaded.release

    def plan(self, name: str) -> SequencePlan:
        """
        Raises:
            UnknownSequence: the release has none of that name.
        """
        if name not in self.plans:
            raise UnknownSequence(name, list(self.plans))
        return self.plans[name]


@dataclass(frozen=True)
class Failure:
    """Why the channel's release is not the one being served, or the store does not answer. ``since`` is the first of
    equal failures in a row.
    """

    since: dt.datetime
    message: str


class Follower:
    """The release of ``settings.channel`` and the open store.

    ``refresh`` is called by one thread at a time, away from requests; everything else by any thread. A release that
    cannot be loaded changes nothing but ``failure``: the last good one is served on. A store that does not answer is
    ``store_failure``, and kept open: it reconnects by itself.
    """

    def __init__(self, settings: Settings, *, clock: Clock = SystemClock()) -> None:
        self.channel = settings.channel
        self.clock = clock
        self._releases, self._poll_s = ReleaseStore(settings.home), settings.poll_s
        self._serving: ServedRelease | None = None
        self._store: OnlineStore | None = None
        self.failure: Failure | None = None
        self.store_failure: Failure | None = None
        self.stream_troubles: Mapping[str, Trouble] = {}
        self.arms = Arms()
        self.exposures = ExposureLog.to_lake(lambda: self.serving.home, clock)
        self.answers = AnswerLog(self._append_answers, clock)

    @property
    def serving(self) -> ServedRelease:
        """
        Raises:
            NotReady: no release could be loaded yet.
        """
        if self._serving is None:
            why = self.failure.message if self.failure else ""
            fix = f"publish a release to channel {self.channel!r} with `seqplat publish`"
            raise NotReady("no release is loaded yet", fix=fix, why=why)
        return self._serving

    @property
    def store(self) -> OnlineStore:
        """
        Raises:
            NotReady: there is no store to read yet.
        """
        if self._store is None:
            why = self.store_failure.message if self.store_failure else ""
            fix = "build and publish at least one day, for example with `seqplat materialize`"
            raise NotReady("the online store is not open yet", fix=fix, why=why)
        return self._store

    @property
    def past(self) -> PastRows:
        """What was shown once and is not any more, of the release that is served.

        Raises:
            NotReady: there is none.
        """
        return PastRows(self.serving.home)

    @property
    def is_ready(self) -> bool:
        return self._serving is not None and self._store is not None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Refresh now and then every ``poll_s`` seconds, in a thread, until left; then close the store."""
        try:
            async with polled(self.refresh, self._poll_s):
                yield
        finally:
            self.close()

    def refresh(self) -> None:
        """Look at the channel and at the store, which is opened if it is not. Raises nothing."""
        try:
            self._follow()
        except Exception as error:  # whatever is wrong with a new release, requests are answered from the old one
            self._failed(error)
        if self._serving is not None:
            self.arms.refresh(self._serving.home, self._serving.release)
        try:
            self._look_at_store()
        except Exception as error:  # the store may be back at any time
            self._store_failed(error)
        else:
            self.store_failure = None
        try:
            self._look_at_streams()
        except Exception as error:  # what was found last stays
            _log.warning("how streams are cannot be looked at: %s", _error_text(error))

    def _append_answers(self, sequence: str, answers: Sequence[RecordedAnswer], dropped: int) -> None:
        serving = self.serving
        append_answers(serving.home, self.clock, serving.release, sequence, answers, dropped=dropped)

    def _look_at_streams(self) -> None:
        if self._serving is not None:
            self.stream_troubles = Troubles(self._serving.home).of(self._serving.release.sources)

    def close(self) -> None:
        """Close the store; no request may be under way."""
        store, self._store = self._store, None
        if store:
            store.close()

    def _follow(self) -> None:
        move = self._releases.current(self.channel)
        if self._serving is None or move.number != self._serving.move.number:
            loaded, home = self._releases.get(move.release), self._releases.home_of(self.channel)
            self.arms.refresh(home, loaded.release)  # before any request asks for it
            self._serving = ServedRelease(home, loaded, move, self.clock.now(), _plans(loaded))
            _log.info("serving release %s of channel %s (move %d)", loaded.id[:12], self.channel, move.number)
        self.failure = None

    def _failed(self, error: Exception) -> None:
        message = _error_text(error)
        if self.failure and self.failure.message == message:
            return
        self.failure = Failure(self.clock.now(), message)
        kept = self._serving.loaded.id[:12] if self._serving else "none"
        _log.error("channel %s: %s; release served: %s", self.channel, message, kept)

    def _look_at_store(self) -> None:
        """Open it, or ask it the least there is to ask."""
        if self._serving is None:
            return  # where it is, is known with the release
        if self._store is None:
            self._store = open_online_store(self._serving.home, readonly=True)
        if event_type := next(iter(self._serving.release.event_types), None):
            self._store.epoch(event_type)

    def _store_failed(self, error: Exception) -> None:
        message = _error_text(error)
        if self.store_failure and self.store_failure.message == message:
            return
        self.store_failure = Failure(self.clock.now(), message)
        _log.warning("the online store does not answer: %s", message)


def _plans(loaded: LoadedRelease) -> dict[str, SequencePlan]:
    """Of every sequence that may be read at all; `check` finds the others before they are published."""
    found = {}
    for name in loaded.release.sequences:
        try:
            found[name] = SequencePlan.of(loaded, name)
        except NotShared as error:
            _log.error("a sequence is answered to nobody: %s", error)
    return found


def _error_text(error: Exception) -> str:
    return str(error) if isinstance(error, SeqplatError) else f"{type(error).__name__}: {error}"
