"""Where a campaign lives: its folder, its log, its release, and the notes that its processes leave for each other."""

import datetime as dt
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seqplat_resources.home import Home
from seqplat_resources.online_store import OnlineStore
from seqplat_resources.read.answer import answer
from seqplat_resources.release.query import Query
from seqplat_resources.release.runtime import DEFAULT_CHANNEL, Runtime
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.release.store import ReleaseStore
from seqplat_resources.sources.log import LogSource, LogWriter
from seqplat_resources.sources.log.opening import open_log_source, open_log_writer
from tests.chaos.messages import TYPES, Shown

# Of the newest-few answers; even, so that no pair is cut.
FEW = 10
# What the store's server lost so long before a wrong answer is told with it.
LOST_S = 60


class Broken(Exception):
    """An answer that no reader may ever see."""


class NotWhole(Exception):
    """An answer that says that something is missing."""


@dataclass(frozen=True)
class Site:
    """One installation. ``environment`` names the log and the online store; without it, files below the home.

    Notes lie beside the home, so that they can be written when its disk is full.
    """

    folder: Path
    seed: int
    total: int
    rate: int
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Home:
        return Home(str(self.folder / "home"), self.environment)

    @property
    def may_forget(self) -> bool:
        """Whether the online store can lose what it holds, so that answers are short until it is published."""
        return "SEQPLAT_ONLINE" in self.environment

    @property
    def api(self) -> str:
        """Where the API that was started last listens."""
        return f"http://127.0.0.1:{self.noted('port')}"

    @property
    def runtime(self) -> Runtime:
        return Runtime(self.home, ReleaseStore(self.home).load(DEFAULT_CHANNEL), str(self.folder))

    def log(self) -> LogSource:
        return open_log_source(self.environment, self.home, client_id="chaos")

    def writer(self) -> LogWriter:
        return open_log_writer(self.environment, self.home, client_id="chaos")

    def note(self, name: str, value: object) -> None:
        """Leave a note that is there whole or not at all."""
        path = self.folder / name
        path.with_suffix(f".{os.getpid()}").write_text(json.dumps(value))
        path.with_suffix(f".{os.getpid()}").rename(path)

    def noted(self, name: str, default: Any = None) -> Any:
        path = self.folder / name
        return json.loads(path.read_text()) if path.exists() else default

    def is_over(self, role: str) -> bool:
        return (self.folder / f"over-{role}").exists()

    def lose(self, keys: Sequence[bytes]) -> None:
        """Note what the online store's server has lost."""
        self.tell("lost", json.dumps([time.time(), [key.decode(errors="replace") for key in keys]]))

    def violated(self, text: str) -> None:
        """Tell what nobody may see, and beside it what the server had lost until then."""
        path, now = self.folder / "lost.told", time.time()
        told = map(json.loads, path.read_text().splitlines()) if path.exists() else ()
        lost = [f"{now - at:.0f} s before {', '.join(keys)}" for at, keys in told if now - at < LOST_S]
        self.tell("violations", f"{text}{'; lost: ' * bool(lost)}{'; '.join(lost)}")

    def tell(self, role: str, text: str) -> None:
        """Append a line that survives the process."""
        with open(self.folder / f"{role}.told", "a") as told:
            told.write(text + "\n")


def shown(
    plan: SequencePlan, store: OnlineStore, user: str, limit: int | None = None, *, may_forget: bool = False
) -> Shown:
    """A user's visits as both event types agree on them.

    Raises:
        Broken: a visit of one type without the other, twice, or out of order.
        NotWhole: the store ``may_forget``, and the answer says that something is missing.
    """
    found = answer(plan, store, user, Query(limit=limit))
    if may_forget and is_short(found.freshness.completeness, found.freshness.degraded):
        raise NotWhole(user)
    rows = found.events.select("event_time", "visit", "revision", "event_type").rows()
    if limit is not None and len(rows) > limit:
        raise Broken(f"{user}: {len(rows)} rows where {limit} were asked for")
    return agreed(rows, user)


def is_short(completeness: float, degraded: Iterable[str]) -> bool:
    """Whether an answer says that something is missing. A stream that is silent may be behind, which is no fault: what
    it made visible is there.
    """
    return completeness < 1 or any("silent" not in each for each in degraded)


def agreed(rows: Sequence[tuple[dt.datetime, int, int, str]], user: str) -> Shown:
    """Rows of both event types (time, visit, revision, type) as the visits that they agree on.

    Raises:
        Broken: as ``shown``.
    """
    visits: Shown = []
    for first, second in zip(rows[::2], [*rows[1::2], None], strict=False):
        if second is None or first[:3] != second[:3] or {first[3], second[3]} != set(TYPES):
            raise Broken(f"{user}: half visible: {first} beside {second}")
        visits.append(first[:3])
    if len({visit for _, visit, _ in visits}) < len(visits):
        raise Broken(f"{user}: a visit twice in {visits}")
    if visits != sorted(visits, reverse=True):
        raise Broken(f"{user}: out of order: {visits}")
    return visits
