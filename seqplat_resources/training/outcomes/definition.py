"""What labels are made of: whose moments, and what is asked of the time after them."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from seqplat_resources.errors import Final
from seqplat_resources.times import FIRST_US, LAST_US
from sequence_defs.schema.sequences import LABEL_KEYS, FollowedKind

_US = dt.timedelta(microseconds=1)
USER, TIME, REQUEST, CENSORED, WEIGHT = "user", "time", "request", "censored", "sample_weight"


class OutcomesRefused(Final):
    """Labels that cannot be made as they are described."""


@dataclass(frozen=True)
class Anchors:
    """The moments that labels are of: each event of a view, or start of a session (``sessions_visit``).

    With ``every`` there is a schedule instead: each user's moments are all multiples of it (since 1970, UTC) from
    ``since`` on that lie after their first event of the view, so that nobody has a moment before they were there.
    ``where`` is SQL over the view's columns; ``since`` is included, ``until`` is not.
    """

    of: str
    where: str | None = None
    every: dt.timedelta | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None


@dataclass(frozen=True)
class LabelOutcome:
    """What a user's events of a view say after a moment t, those with ``t < event_time <= t + within``.

    ``did``: whether there is any; ``count``; ``sum`` of a ``column``, nulls being nothing; ``time_to`` the first, in
    seconds, null where there is none. What happens at t itself is neither an outcome nor in a sequence.
    """

    name: str
    measure: FollowedKind
    of: str
    within: dt.timedelta
    column: str = ""
    where: str | None = None


@dataclass(frozen=True)
class Negatives:
    """At most ``cap`` labels of each user whose outcome ``of`` is nothing (false, 0 or null) are kept; others all are.

    Which ones, a hash of ``seed``, user, moment and request says: neither the order of rows nor memory has a part in
    it. ``sample_weight`` is how many labels each one kept stands for.
    """

    of: str
    cap: int
    seed: int = 0


def require_sound(anchors: Anchors, outcomes: Sequence[LabelOutcome], negatives: Negatives | None) -> None:
    """
    Raises:
        OutcomesRefused: names clash or are not there, or a span is none.
    """
    names = [outcome.name for outcome in outcomes]
    if not names:
        raise OutcomesRefused("labels have at least one outcome, such as bought=did:purchase:7d")
    for name in names:
        if name in LABEL_KEYS or names.count(name) > 1 or not name:
            raise OutcomesRefused(f"an outcome cannot be called {name!r}: labels have such a column; call it otherwise")
    for outcome in outcomes:
        if outcome.within <= dt.timedelta():
            raise OutcomesRefused(f"outcome {outcome.name!r} looks {outcome.within} ahead; give a span such as 7d")
        if outcome.within // _US > LAST_US - FIRST_US:
            raise OutcomesRefused(f"outcome {outcome.name!r} looks {outcome.within} ahead, longer than all time")
        if (outcome.measure == "sum") != bool(outcome.column):
            raise OutcomesRefused(
                f"outcome {outcome.name!r}: sum takes a column, as sum:purchase.amount:7d; others none"
            )
    if anchors.every is not None and not 0 < anchors.every // _US <= LAST_US - FIRST_US:
        raise OutcomesRefused(f"a schedule of every {anchors.every} has no moments; give a span such as 7d")
    if negatives is not None and negatives.of not in names:
        raise OutcomesRefused(f"there is no outcome {negatives.of!r} to cap; there are {', '.join(names)}")
    if negatives is not None and negatives.cap < 0:
        raise OutcomesRefused(f"a cap of {negatives.cap} keeps less than nothing; give 0 or more")
