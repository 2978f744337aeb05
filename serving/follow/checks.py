"""What checks found, as of the last look: read in the background, so that a request only picks from it."""

import logging
import threading
from dataclasses import dataclass, replace
from time import monotonic

from seqplat_resources.foreign_errors import in_our_words
from seqplat_resources.health.attention import Attention, AttentionState
from seqplat_resources.health.board import CheckRecords, health, look
from seqplat_resources.health.migration import migration
from seqplat_resources.health.results import NewestVerdicts, Results
from seqplat_resources.health.view import Health, MigrationRow
from seqplat_resources.release.runtime import Runtime
from serving.follow.errors import NotReady
from serving.follow.release import Follower, ServedRelease

_log = logging.getLogger(__name__)

# A verdict is told minutes after its day was built; nobody sees it seconds earlier.
EVERY_S = 5.0
# Time passes also where nothing is told: days become due, streams fall silent.
AGAIN_S = 60.0


@dataclass(frozen=True)
class Board:
    """Everything there is to show."""

    health: Health
    migration: tuple[MigrationRow, ...]


class ChecksFollower:
    """The board of the release that is served. ``refresh`` may be called by any thread; one at a time is at it.

    What cannot be read changes nothing but the ``errors`` of the view: what was seen last is shown on, with its age.
    """

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._results: Results | None = None
        self._lock = threading.Lock()
        self._board: Board | None = None
        self._seen: CheckRecords | None = None
        self._made_of: tuple[ServedRelease, int, int] | None = None
        self._made_at = float("-inf")
        self._error = ""

    @property
    def board(self) -> Board:
        """
        Raises:
            NotReady: nothing was looked at yet.
        """
        if self._board is None:
            raise NotReady("checks were not looked at yet", fix="publish a release with `seqplat publish`")
        return self._board

    def refresh(self) -> None:
        """Look again, where anything was told or some time has passed. Raises nothing."""
        with self._lock:
            try:
                serving = self._follower.serving
            except NotReady:
                return
            try:
                self._look(serving)
            except BaseException as error:  # a panic of Polars is no Exception
                if not isinstance(in_our_words(error) or error, Exception):
                    raise
                self._failed(serving, str(in_our_words(error) or f"{type(error).__name__}: {error}"))

    def _look(self, serving: ServedRelease) -> None:
        runtime = Runtime(serving.home, serving.loaded, "", self._follower.clock)
        results = self._results = self._results or Results(serving.home, self._follower.clock)
        made_of = (serving, results.table.version(), Attention(serving.home).number())
        if made_of == self._made_of and monotonic() - self._made_at < AGAIN_S and not self._error:
            return
        self._seen = look(runtime, results=results)
        shown = health(runtime, self._seen, channel=self._follower.channel)
        self._board = Board(shown, migration(runtime))
        self._made_of, self._made_at, self._error = made_of, monotonic(), ""

    def _failed(self, serving: ServedRelease, why: str) -> None:
        if why != self._error:
            _log.error("checks cannot be looked at: %s", why)
        # The table may be another one by now.
        self._error, self._results = why, None
        runtime = Runtime(serving.home, serving.loaded, "", self._follower.clock)
        seen = self._seen or CheckRecords(NewestVerdicts.nothing(), AttentionState())
        shown = health(runtime, seen, channel=self._follower.channel, errors=[why])
        self._board = replace(self._board, health=shown) if self._board else Board(shown, ())
