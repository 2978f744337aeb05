"""Stories of one id sent again: steps of producers, streams, crashes and batch, as plain data that can be played."""

import datetime as dt
from dataclasses import dataclass, replace
from typing import Final

from tests.building import utc
from tests.hostile.material import clocks
from tests.hostile.material.draws import Draw

USERS: Final = ("ann", "bob")
# Ids that differ and look alike, or are taken apart by somebody.
IDS: Final = ("a", "b", "c", "a~b", "a\\~b", "é", "e\u0301", "A", " a", "a ")
OLD: Final = (utc(1970, 1, 1), utc(1, 1, 1), utc(1999, 12, 31, 23, 59, 59))
AHEAD: Final = (utc(2030, 1, 1), utc(9999, 12, 31, 23, 59, 59), utc(2024, 5, 13), utc(2024, 5, 11, 12, 0, 1))
REVS: Final = (0, 0, 0, 1, 2, 2**62)
# Equal receipts are as common as late and early ones; a wrong stamp is received when we read it.
STAMPS: Final = (*clocks.SANE_STAMPS, clocks.NOW_MS, clocks.NOW_MS, *clocks.WRONG_STAMPS[:6])


@dataclass(frozen=True)
class Said:
    """One message of a click."""

    member: str
    id: str
    at: dt.datetime
    amount: int | None
    rev: int | None
    op: str | None
    seq: int | None
    partition: int
    stamp_ms: int

    @property
    def passes(self) -> bool:
        return self.amount is not None and self.amount >= 0


@dataclass(frozen=True)
class Step:
    """``what`` is done ``how`` (a number), or with ``said`` and ``days``. A ``file`` has the stamp of its first row."""

    what: str
    how: int = 0
    said: tuple[Said, ...] = ()
    days: tuple[dt.date, ...] = ()


@dataclass(frozen=True)
class Reality:
    """What producers and clocks do in one story. Not all of it in all of them: one trouble hides another."""

    stamps: tuple[int, ...] = clocks.SANE_STAMPS
    times: tuple[dt.datetime, ...] = ()
    moved: bool = False
    revs: tuple[int, ...] = (0,)
    refused: bool = False
    files: bool = False


def reality(draw: Draw) -> Reality:
    return Reality(
        stamps=draw.of((clocks.SANE_STAMPS, (clocks.NOW_MS,), STAMPS)),
        times=draw.of(((), (), OLD, AHEAD)),
        moved=draw.chance(0.5),
        revs=draw.of((REVS, (0,))),
        refused=draw.chance(0.5),
        files=draw.chance(0.3),
    )


def story(draw: Draw, *, steps: int = 10) -> list[Step]:
    """Some steps. It begins with something said and streamed."""
    real = reality(draw)
    told = [*_says(sayings(draw, real)), Step("stream", 2)]
    for _ in range(draw.number(1, steps)):
        told += _steps(draw, real, told)
    return told


def _says(said: tuple[Said, ...]) -> list[Step]:
    """One step for each message, so that a story can do without any of them."""
    return [Step("say", said=(message,)) for message in said]


def _steps(draw: Draw, real: Reality, told: list[Step]) -> list[Step]:
    what = draw.of(("say", "stream", "seal", "say", "stream", "seal", "build", "crash", "tick", "seal all", "file"))
    if what == "file":
        said = sayings(draw, real, [said for step in told for said in step.said])
        return [Step("file", said=said)] if real.files else _says(said)
    if what == "say":
        return _says(sayings(draw, real, [said for step in told for said in step.said]))
    if what in ("seal", "build"):
        days = sorted({said.at.date() for step in told for said in step.said if said.at not in AHEAD})
        return [Step(what, days=tuple(sorted({draw.of(days) for _ in range(draw.number(1, 3))})) if days else ())]
    return [Step(what, draw.number(1, 5))]


def sayings(draw: Draw, real: Reality, before: list[Said] | None = None) -> tuple[Said, ...]:
    """Some clicks: most are of events that were told already, in another way."""
    said: list[Said] = list(before or [])
    start = len(said)
    for _ in range(draw.number(1, 6)):
        said.append(_again(draw, real, draw.of(said)) if said and draw.chance(0.7) else _fresh(draw, real))
    return tuple(said[start:])


def _fresh(draw: Draw, real: Reality) -> Said:
    rev = draw.of(real.revs)
    op = draw.of((None, None, None, "retract")) if len(real.revs) > 1 else None
    at = draw.of(real.times) if real.times and draw.chance(0.3) else clocks.sane_time(draw)
    amount = draw.of((1, 2, -1, None)) if real.refused and (rev or not op) else draw.of((1, 2, 0))
    seq = draw.of((0, 1, 2, -5, 2**62, None))
    said = Said(draw.of(USERS), draw.of(IDS), at, amount, rev or draw.of((0, None)), op, seq, 0, 0)
    return _sent(draw, real, said)


def _again(draw: Draw, real: Reality, said: Said) -> Said:
    """The same id: as it was, with another payload, another time, a higher rev, or taken back."""
    if real.moved and draw.chance(0.5):
        said = replace(said, at=_moved(draw, said.at))
    if draw.chance(0.4):
        said = replace(said, amount=draw.of((1, 2, 3, -1, None) if real.refused else (1, 2, 3)))
    if len(real.revs) > 1 and draw.chance(0.5):
        # A rev has one time where producers keep their promise.
        moves = timedelta_of(draw) if real.moved or draw.chance(0.3) else None
        said = replace(said, rev=(said.rev or 0) + 1, op=draw.of((None, "upsert", "retract", "RETRACT")))
        said = replace(said, at=_later(said.at, moves)) if moves else said
    if not said.rev and said.op and not said.passes:
        said = replace(said, amount=1)  # whether the filter sees a retraction that corrects nothing is left open
    return _sent(draw, real, said)


def _sent(draw: Draw, real: Reality, said: Said) -> Said:
    return replace(said, partition=draw.of((0, 1)), stamp_ms=draw.of(real.stamps))


def _moved(draw: Draw, at: dt.datetime) -> dt.datetime:
    """As a producer does that stamps on sending: seconds later, across midnight, days apart."""
    return _later(at, timedelta_of(draw))


def timedelta_of(draw: Draw) -> dt.timedelta:
    return draw.of((dt.timedelta(seconds=1), dt.timedelta(hours=13), dt.timedelta(days=2), -dt.timedelta(hours=13)))


def _later(at: dt.datetime, by: dt.timedelta) -> dt.datetime:
    try:
        return at + by
    except OverflowError:
        return at
