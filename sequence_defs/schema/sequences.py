"""Sequences: which events of a user, which columns, how many. Training sets: labels with a sequence beside each."""

import datetime as dt
from typing import Annotated, Literal

from pydantic import Field

from sequence_defs.schema.base import ColumnName, Definition, FieldName, Name, Part
from sequence_defs.schema.legacy import LegacySequence
from sequence_defs.schema.views import MAX_ACTIONS

FollowedKind = Literal["did", "count", "sum", "time_to"]

# How the starts of sessions are named beside event types.
STARTS = "sessions_"
# What every label has besides its outcomes, and the weight that some have.
LABEL_KEYS = ("label_id", "user", "time", "request", "censored", "sample_weight")
# A label waits so long for its outcome: two years.
MAX_LABEL_WITHIN_H = 24 * 731
_MAX_EMBARGO_S = 3600 * MAX_LABEL_WITHIN_H


class Pick(Part):
    """One output column whose source column differs by event type; a type that is not named yields null."""

    name: ColumnName
    columns: dict[str, FieldName]


class Collapse(Part):
    """What a user did with one item in a short time, as one row: viewed, put into the cart and bought.

    Newest first, an event joins the row of its item (equal values in the columns ``by``; a null in one is no item) that
    was begun last, up to ``within_s`` before that row's newest event; else it begins another one. A row is its newest
    event, with the columns ``actions``, ``events`` (how many they are) and ``first_time`` (of the oldest of them).
    ``action`` is the column that says what was done, the event type where it is left out; of ``actions`` each is a bit,
    the first one worth 2, the next 4; 1 says that there were others.
    """

    by: tuple[ColumnName, ...] = Field(min_length=1)
    within_s: int = Field(ge=1, le=30 * 86_400)
    action: ColumnName | None = None
    actions: Annotated[tuple[str, ...], Field(min_length=1, max_length=MAX_ACTIONS)]


class Sequence(Definition):
    """A user's events, newest first.

    A plain column name takes the column of that name from every event type that has it. ``length`` counts events,
    ``window_days`` bounds their age; null means no bound. A sequence with a PII column states ``pii``:
    ``granted`` serves it to readers with an explicit grant, ``drop`` leaves it out of answers.
    With ``collapse``, events of one item are one row, and ``length`` counts rows.
    ``deprecated`` are the columns that readers are to leave; the catalogue says so. After 30 days of that, and 14 in
    which nobody asked for one, it may go.
    ``legacy`` is what it is compared with while it takes the place of an older system's.
    ``answers_recorded`` is the share of requests, 0 to 1, of which is kept which events they were answered with:
    training sets ``as_served`` are made of it.
    """

    event_types: tuple[str, ...] = Field(min_length=1)
    columns: tuple[ColumnName | Pick, ...] = Field(min_length=1)
    deprecated: tuple[ColumnName, ...] = ()
    length: int | None = Field(default=None, ge=1)
    window_days: int | None = Field(default=None, ge=1)
    collapse: Collapse | None = None
    pii: Literal["granted", "drop"] | None = None
    retention_days: int | None = Field(default=None, ge=1)
    legacy: LegacySequence | None = None
    answers_recorded: float = Field(default=0.0, ge=0.0, le=1.0)


class Moments(Part):
    """The times that labels are of: all events of a type, or starts of sessions (``sessions_visit``).

    ``where`` (SQL over their columns) says which ones. With ``every_h`` each user has a moment every so many hours
    instead, at multiples of it since 1970 (UTC), from their first event on.
    """

    events: Name
    where: str | None = None
    every_h: int | None = Field(default=None, ge=1, le=MAX_LABEL_WITHIN_H)


class Followed(Part):
    """One outcome of a label: what the user's ``events`` say of the ``within_h`` hours after its moment.

    ``did``: whether there is one; ``count``: how many; ``sum``: of ``column``; ``time_to``: seconds until the first,
    null without one. ``where`` (SQL over their columns) says which events are meant.
    """

    name: ColumnName
    events: Name
    within_h: int = Field(ge=1, le=MAX_LABEL_WITHIN_H)
    kind: FollowedKind = "did"
    column: FieldName | None = None
    where: str | None = None


class FewNegatives(Part):
    """At most ``cap`` labels of a user and day whose ``outcome`` is nothing are kept, chosen by a hash of ``seed``."""

    outcome: ColumnName
    cap: int = Field(ge=0)
    seed: int = 0


class TrainingSet(Definition):
    """Labels with the user's sequence as of each, a set for each day that labels are of.

    Labels are those of a file or Delta table ``labels`` (columns ``user``, ``time`` and any others), or are made here:
    ``moments`` with their ``outcomes``, of which ``negatives`` keeps few. ``as_known`` gives the events that were
    known at a label's time, ``as_corrected`` what is known of them today; both end ``embargo_s`` before it.
    ``columns``, ``length`` and ``where`` ask less of the sequence, as a request can; ``prefix`` goes before the names
    of its columns. A day whose outcomes are not over yet has no set.
    """

    sequence: Name
    labels: str = ""
    moments: Moments | None = None
    outcomes: tuple[Followed, ...] = ()
    negatives: FewNegatives | None = None
    mode: Literal["as_known", "as_corrected"] = "as_known"
    embargo_s: int = Field(default=0, ge=0, le=_MAX_EMBARGO_S)
    columns: tuple[ColumnName, ...] = ()
    length: int | None = Field(default=None, ge=1)
    where: str | None = None
    prefix: str = Field(default="", pattern=r"^([a-z][a-z0-9_]{0,30})?$")
    start: dt.date
    end: dt.date | None = None
