"""What an explanation says: steps with facts, in the order an event goes, and a verdict in plain words.

>>> verdict = Verdict("in_answer", "it is the first of ann's basket", ())
>>> Explanation("basket", "7f9ad790", EventKey("ann", "4", "purchase", None), verdict, ()).verdict.text
"it is the first of ann's basket"
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Fact: TypeAlias = "str | int | float | bool | dt.datetime | dt.date | list[str] | dict[str, str] | None"

# Stations of an event, in the order in which it passes them.
StepName = Literal[
    "raw",
    "rejected",
    "made",
    "filtered",
    "lateness",
    "deduplicated",
    "moved",
    "enriched",
    "lake",
    "published",
    "online",
    "window",
    "answer",
]
Code = Literal[
    "in_answer",
    "truncated",
    "outside_window",
    "retracted",
    "withdrawn",
    "not_in_sequence",
    "in_legacy",
    "expired",
    "retired",
    "moved",
    "duplicate",
    "filtered",
    "rejected",
    "not_built",
    "not_published",
    "not_streamed",
    "damaged",
    "never_seen",
    "not_known",
    "unexplained",
]
UNKNOWN = "not known here"


@dataclass(frozen=True)
class Step:
    """One station: what became of the event there, in a word (``outcome``) and in a sentence (``said``)."""

    name: StepName
    outcome: str
    said: str
    facts: Mapping[str, Fact] = field(default_factory=dict)

    @classmethod
    def unknown(cls, name: StepName, why: str) -> "Step":
        """Nothing can be said, because a piece is missing where this runs."""
        return cls(name, UNKNOWN, f"not known here, because {why}")


@dataclass(frozen=True)
class Verdict:
    """Why the event is, or is not, in the answer. ``next`` are commands to go on with."""

    code: Code
    text: str
    next: tuple[str, ...] = ()


@dataclass(frozen=True)
class EventKey:
    """Which event: ``event_type`` and ``day`` are None where nothing of it was found."""

    user: str
    event_id: str
    event_type: str | None = None
    day: dt.date | None = None


@dataclass(frozen=True)
class Explanation:
    """``also`` has the verdict of other event types whose events have the same id; ask for one of them by name."""

    sequence: str
    release: str
    event: EventKey
    verdict: Verdict
    steps: tuple[Step, ...]
    also: Mapping[str, Verdict] = field(default_factory=dict)


@dataclass(frozen=True)
class Candidate:
    """One of a user's recent events, with the verdict on it."""

    event: EventKey
    event_time: dt.datetime
    verdict: Verdict
