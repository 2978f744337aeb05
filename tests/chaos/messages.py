"""The campaign's world: visits of a few hundred members, every message a function of its number, and what they mean.

Each message makes one event of two types, so that a micro-batch that is half visible shows one without the other.
A member's messages go to one partition: what a reader sees must be what some first so many of them mean.
"""

import datetime as dt
import json
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from sequence_defs.schema import Column, Definition, EventType, Source, Tenant, Time
from sequence_defs.schema import Sequence as SequenceDefinition

TOPIC = "visits"
PARTITIONS = 4
MEMBERS = 200
DAYS = [dt.date(2024, 5, 1) + dt.timedelta(days=n) for n in range(6)]
TYPES = ("came", "went")
RECEIVED = dt.datetime(2024, 5, 7, tzinfo=dt.UTC)
_UNSEEN = 60
MALFORMED = (b"", b"{", b'{"member": 1e999}', b"[1]", b"\xff\xfe", b'{"visit": "none", "at": "never"}')

_COLUMNS = {
    "member": "string",
    "visit": "int64",
    "at": "timestamp",
    "received": "timestamp",
    "revision": "int64",
    "operation": "string",
}


def definitions() -> tuple[Definition, ...]:
    """One streamed source, two event types made of each of its messages, and the sequence of both."""
    source = Source(
        name="visits",
        tenant="shop",
        topic=TOPIC,
        columns=tuple(Column(name=n, dtype=t, nullable=n in ("revision", "operation")) for n, t in _COLUMNS.items()),
        event_time=Time(sql="at"),
        ingest_time=Time(sql="received"),
        user_id="member",
        rev="revision",
        op="operation",
        start=DAYS[0],
        end=DAYS[-1] + dt.timedelta(days=1),
    )
    columns = (Column(name="visit", dtype="int64", nullable=False), Column(name="revision", dtype="int64"))
    types = [
        EventType(name=name, tenant="shop", source="visits", natural_key=("visit",), columns=columns) for name in TYPES
    ]
    both = SequenceDefinition(name="both", tenant="shop", event_types=TYPES, columns=("visit", "revision"))
    return (Tenant(name="shop", tenant="shop"), source, *types, both)


class Said(NamedTuple):
    """One message. One without a member is malformed."""

    number: int
    member: str
    visit: int
    at: dt.datetime
    revision: int
    retracts: bool

    @property
    def partition(self) -> int:
        return int(self.member[1:] or self.number) % PARTITIONS

    @property
    def value(self) -> bytes:
        if not self.member:
            return MALFORMED[self.number % len(MALFORMED)]
        fields = {"member": self.member, "visit": self.visit, "at": self.at.isoformat(), "revision": self.revision}
        fields["received"] = (RECEIVED + dt.timedelta(milliseconds=self.number)).isoformat()
        fields["operation"] = "retract" if self.retracts else None
        return json.dumps(fields).encode()


def said(count: int, seed: int) -> Iterator[Said]:
    """Fresh visits, many of them late; copies; corrections, half of which move the day; retractions; rubbish."""
    draw = random.Random(seed)
    latest: dict[str, list[Said]] = defaultdict(list)
    for number in range(count):
        member, kind = f"m{draw.randrange(MEMBERS)}", draw.random()
        day = DAYS[-1] if draw.random() < 0.6 else draw.choice(DAYS)
        at = dt.datetime.combine(day, dt.time(), dt.UTC) + dt.timedelta(milliseconds=number)
        known = latest[member]
        if kind < 0.02:
            yield Said(number, "", 0, at, 0, False)
        elif kind < 0.75 or not known:
            known.append(Said(number, member, number, at, 0, False))
            yield known[-1]
        else:
            where = draw.randrange(len(known))
            before = known[where]
            if kind >= 0.9:  # a copy, with the number and so the receipt of the first
                yield before
                continue
            moves, retracts = kind < 0.82, kind >= 0.87
            known[where] = Said(number, member, before.visit, at if moves else before.at, before.revision + 1, retracts)
            yield known[where]


def by_member(messages: Iterable[Said]) -> dict[str, list[Said]]:
    found: dict[str, list[Said]] = defaultdict(list)
    for message in messages:
        found[message.member].append(message)
    found.pop("", None)
    return found


Shown = list[tuple[dt.datetime, int, int]]


def meaning(messages: Iterable[Said]) -> Shown:
    """What a member's messages mean, newest first: of each visit the highest revision, unless it retracts."""
    best: dict[int, Said] = {}
    for message in messages:
        if message.visit not in best or best[message.visit].revision < message.revision:
            best[message.visit] = message
    return sorted(((m.at, m.visit, m.revision) for m in best.values() if not m.retracts), reverse=True)


def seen_through(history: Sequence[Said], shown: Shown, least: int) -> int | None:
    """The smallest count, at least ``least``, of first messages that mean what is shown; None if none does."""
    place = {(message.visit, message.revision): n for n, message in reversed(list(enumerate(history)))}
    if any((visit, revision) not in place for _, visit, revision in shown):
        return None
    newest = max((place[visit, revision] + 1 for _, visit, revision in shown), default=0)
    start = max(newest, least)
    # What was said after the newest that is shown has been retracted, or is a copy: never many in a row.
    within = range(start, min(start + _UNSEEN, len(history)) + 1)
    return next((count for count in within if meaning(history[:count]) == shown), None)
