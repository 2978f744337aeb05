"""What a page, an answer or a command shows of all checks: rows of cells, incidents, and event types on their way.

Plain values: whoever shows them reads no table, and whoever filters them makes new ones.

>>> cell = Cell(dt.date(2024, 5, 1), "fail", value=3.0, limit=0.0, because="3 rows have no product")
>>> cell.is_due, rank(cell.status) < rank("pass")
(True, True)
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

# ``unjudged``: nobody looked, or nobody could. ``stale``: somebody did, and the day was built anew since.
Status: TypeAlias = Literal["pass", "warn", "fail", "unjudged", "stale"]

# From worst to best; a page sorts by it and shows a glyph for each.
WORST_FIRST: Final[tuple[Status, ...]] = ("fail", "warn", "stale", "unjudged", "pass")
_RANK: Final[Mapping[Status, int]] = {status: place for place, status in enumerate(WORST_FIRST)}


def rank(status: Status) -> int:
    """0 is worst."""
    return _RANK[status]


@dataclass(frozen=True, slots=True)
class Cell:
    """One check of one day; ``day`` is None where it is about all days together.

    An ``unjudged`` cell says in ``because`` why nobody looked; it is blank where nothing was to be looked at: the asset
    does not have the day, or nobody has built it yet.
    ``was`` is what a ``stale`` verdict said. ``value`` is the number that decides and ``limit`` its limit; None where
    the check has none. ``because`` is blank where it passed. ``at`` and ``run`` (Dagster's id) are of the verdict, and
    None where there is none. ``incident`` is the id of the incident that the cell is part of.
    """

    day: dt.date | None
    status: Status
    was: Status | None = None
    value: float | None = None
    limit: float | None = None
    because: str = ""
    at: dt.datetime | None = None
    run: str | None = None
    incident: str | None = None

    @property
    def is_due(self) -> bool:
        """Whether somebody was to look."""
        return self.status != "unjudged" or bool(self.because)


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One check of one asset (``events/click``): a cell for each day of the window, in order; one cell for a check of
    the whole asset. ``blocking`` checks keep what is made of a day from being built. ``worst`` leaves out cells of
    which nothing was to be looked at.
    """

    asset: str
    layer: str
    name: str
    tenant: str | None
    owner: str
    check: str
    description: str
    blocking: bool
    cells: tuple[Cell, ...]
    worst: Status
    muted_until: dt.date | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """What a person said of an incident."""

    who: str
    at: dt.datetime
    says: str


@dataclass(frozen=True, slots=True)
class Incident:
    """Everything that one cause broke.

    ``id`` stays while the cause is the same. ``asset`` has the cause; ``touches`` are the checks that show it (asset,
    check, days). ``next`` is a command. ``acknowledged`` and ``muted_until`` are None once it got worse than it was.
    ``shared`` is a cause that is no asset's own, and blank where it is that of ``asset``. ``well_at`` is when something
    of it passed last; None where it never did, or where nobody spoke of it.
    """

    id: str
    title: str
    status: Status
    asset: str
    days: tuple[dt.date, ...]
    touches: tuple[tuple[str, str, int], ...]
    since: dt.datetime | None
    because: str
    next: str
    run: str | None = None
    acknowledged: Note | None = None
    muted_until: dt.date | None = None
    shared: Literal["", "missed", "never"] = ""
    well_at: dt.datetime | None = None

    @property
    def needs_you(self) -> bool:
        """Nobody has said yet that they know."""
        return self.acknowledged is None and self.muted_until is None


@dataclass(frozen=True, slots=True)
class Health:
    """All checks of a release over a window of days.

    ``data_up_to`` is the newest day that any asset has; ``healthy`` of ``assets`` have no check that is worse than
    ``pass``. ``never_ran`` are checks (asset, check) that are promised and have no verdict at all. ``as_of`` is when
    the newest verdict was told, ``errors`` what could not be read.
    """

    release: str
    channel: str
    days: tuple[dt.date, ...]
    data_up_to: dt.date | None
    rows: tuple[CheckRow, ...]
    incidents: tuple[Incident, ...]
    assets: int
    healthy: int
    need_you: int
    never_ran: tuple[tuple[str, str], ...]
    at: dt.datetime
    as_of: dt.datetime | None = None
    errors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MigrationRow:
    """One event type on its way from a legacy pipeline: where it stands, and what keeps it from the next step.

    ``share`` of users have our events (0 to 1). ``verdict`` is a number in the event type's log. ``blocking`` is the
    metric that is worst against its band, with ``value`` and ``limit``. ``because_of`` is the sequence that ``because``
    is about, and blank where it is about the event type.
    """

    event_type: str
    tenant: str | None
    owner: str
    step: str
    share: float
    since: dt.datetime | None
    held: bool
    state: Literal["PASS", "HOLD", "FAIL"] | None
    stale: bool
    verdict: int | None
    judged_at: dt.datetime | None
    needs_users: int | None
    about_days: float | None
    blocking: str | None
    value: float | None
    limit: float | None
    because: str
    next: str
    because_of: str = ""
    is_unreadable: bool = False
