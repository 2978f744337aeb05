"""What a move up rests on, and when a verdict takes users back without anybody asking.

>>> ladder = Ladder(shop.home, shop.release.event_types["purchase"])
>>> grounds, wrong = grounds_of(ladder, ladder.standing(), Sides.open(shop, "purchase"))
>>> wrong
['there is no verdict', "sequence 'basket': there is no verdict; `seqplat shadow verdict basket` makes another"]
"""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from seqplat_resources.batch.days.partitions import Partitions
from seqplat_resources.commands import command
from seqplat_resources.lake.layout import SHADOW_SEQUENCES
from seqplat_resources.records.log import RecordConflict
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.days.kept import ComparedDays
from seqplat_resources.shadow.days.sides import Sides
from seqplat_resources.shadow.days.window import COMPARED, Judgement
from seqplat_resources.shadow.ladder.moves import Grounds, Ladder, Move, Standing
from seqplat_resources.shadow.sequences.ours import SequenceSides
from seqplat_resources.shadow.verdict.accepted import AcceptedDifference, AcceptedDifferences
from seqplat_resources.shadow.verdict.account import headline
from seqplat_resources.shadow.verdict.record import VerdictLog, VerdictRecord, load, recheck, signing_key

BY = "seqplat"


def grounds_of(ladder: Ladder, standing: Standing, sides: Sides) -> tuple[Grounds, list[str]]:
    """What the newest verdict is worth now, and what is wrong with it in words.

    A verdict that was made before the event type came to where it stands says nothing of this step; one about buckets
    that were built anew since, about another definition, or without the newest days says nothing any more; one that was
    changed after it was written never did. So it is with the newest verdict of each sequence with legacy that contains
    the event type: it has to pass, now. Of what is retired nothing is wrong: no step is left.
    """
    subject, is_over = _of_event_type(ladder, sides), standing.step.name == "retired"
    wrong = [] if is_over else [*_wrong_with(subject, standing), *_of_sequences(ladder, standing, sides.runtime)]
    newest = subject.log.latest()
    if newest is None:
        return Grounds(), wrong
    number, state = newest[0], load(newest[1]).decision.state
    if state == "PASS" and wrong:
        state = "HOLD"
    return Grounds(state, f"{number}"), wrong


@dataclass(frozen=True)
class _Subject:
    """What a verdict is about, as it is now. ``tables`` are marks of what was read for the days of a record."""

    log: VerdictLog
    definition: str
    tables: Callable[[VerdictRecord], Mapping[str, int]]
    accepted: AcceptedDifferences
    days: ComparedDays
    floors: Mapping[str, float]


def _of_event_type(ladder: Ladder, sides: Sides) -> _Subject:
    name = ladder.event_type.name
    return _Subject(
        VerdictLog(ladder.home, name),
        sides.definition,
        lambda _: sides.tables,
        AcceptedDifferences(ladder.home, name, ladder.clock),
        ComparedDays.of(sides.runtime, name),
        sides.floor.shares if sides.floor else {},
    )


def _of_sequence(ladder: Ladder, runtime: Runtime, name: str) -> _Subject:
    sides = SequenceSides.open(runtime, name)
    return _Subject(
        VerdictLog(ladder.home, name, SHADOW_SEQUENCES),
        sides.definition,
        lambda record: sides.tables(record.case.window.judged),
        AcceptedDifferences(ladder.home, name, ladder.clock, SHADOW_SEQUENCES),
        ComparedDays.of(runtime, name, SHADOW_SEQUENCES),
        sides.floor.shares if sides.floor else {},
    )


def _of_sequences(ladder: Ladder, standing: Standing, runtime: Runtime) -> Iterator[str]:
    """What is wrong with the newest verdicts of the sequences that contain the event type."""
    for name in Partitions.of(runtime.release).shadow_sequences:
        if ladder.event_type.name not in runtime.release.sequences[name].event_types:
            continue
        # A step rests on a verdict of the event type: of a sequence nobody noted which one it was.
        found = _wrong_with(_of_sequence(ladder, runtime, name), replace(standing, rests_on=0))
        make = command("shadow", "verdict", name)
        yield from (f"{of_sequence(name)}{said}; `{make}` makes another" for said in found)


def of_sequence(name: str) -> str:
    """How what is wrong with a sequence's verdict begins."""
    return f"sequence {name!r}: "


def _wrong_with(subject: _Subject, standing: Standing) -> Iterator[str]:
    """Why the newest verdict does not allow a step from where users stand."""
    newest = subject.log.latest()
    if newest is None:
        yield "there is no verdict"
        return
    number, document = newest
    record = load(document)
    found = recheck(document, subject.tables(record), signing_key(subject.log.home))
    yield from (*found.found, *found.stale[:3])
    yield from _outlived(record, number, standing, subject)
    if record.decision.state != "PASS":
        yield headline(record)


def _outlived(record: VerdictRecord, number: int, standing: Standing, subject: _Subject) -> Iterator[str]:
    """Why a verdict that holds is none on what there is to decide now."""
    if standing.since is not None and record.at < standing.since:
        yield f"the newest verdict was made on {record.at:%Y-%m-%d %H:%M:%S}, before this step began"
    elif number <= standing.rests_on:  # clocks differ, numbers do not
        yield f"the step before rests on verdict {standing.rests_on}, and no verdict was made since"
    if record.hashes.get(COMPARED) != subject.definition:
        yield "what is compared, or what is equal, was defined otherwise when it was made"
    if _in_force(record.case.accepted, record.case.decided_on) != _accepted_now(subject.accepted):
        yield "other differences are accepted now than when it was made"
    if dict(record.case.floors) != dict(subject.floors):
        yield "the noise floor of its bands ended, or was measured anew, since it was made"
    newest = max(subject.days.days(), default=record.case.window.last)
    if newest > record.case.window.last:
        yield f"it is about days up to {record.case.window.last}, and days up to {newest} were compared"


def _accepted_now(log: AcceptedDifferences) -> dict[str, float]:
    return _in_force(log.current().differences, log.clock.now().date())


def _in_force(accepted: Iterable[AcceptedDifference], day: dt.date) -> dict[str, float]:
    return {each.metric: each.at_most for each in accepted if each.holds_on(day)}


def step_back_if_broken(ladder: Ladder, found: Judgement, at: Standing) -> Move | None:
    """Take users one step back where they have our events and the verdict is FAIL; None where nothing is to be done.

    ``at`` is where they stood when the verdict was made. Who was moved meanwhile, also by another look at the same
    days, stays: the next verdict looks again.
    """
    if found.record.decision.state != "FAIL" or not at.step.share or at.step.name == "retired":
        return None
    if at.since is None:
        return None  # it was live before it was compared: nobody came here by the ladder
    reason, grounds = headline(found.record), Grounds("FAIL", str(found.number))
    with suppress(RecordConflict):
        return ladder.roll_back(by=BY, reason=reason, grounds=grounds, asked=False, at=at)
    return None
