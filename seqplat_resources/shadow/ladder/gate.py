"""What a move up rests on, and when a verdict takes users back without anybody asking."""

import datetime as dt
from collections.abc import Iterable, Iterator
from contextlib import suppress

from seqplat_resources.batch.days.partitions import Partitions
from seqplat_resources.commands import command
from seqplat_resources.lake.layout import SHADOW_SEQUENCES
from seqplat_resources.records.log import RecordConflict
from seqplat_resources.shadow.days.kept import ComparedDays
from seqplat_resources.shadow.days.sides import Sides
from seqplat_resources.shadow.days.window import COMPARED, Judgement
from seqplat_resources.shadow.ladder.moves import Grounds, Ladder, Move, Standing
from seqplat_resources.shadow.verdict.accepted import AcceptedDifference, AcceptedDifferences
from seqplat_resources.shadow.verdict.account import headline
from seqplat_resources.shadow.verdict.record import VerdictLog, VerdictRecord, load, recheck, signing_key

BY = "seqplat"


def grounds_of(ladder: Ladder, standing: Standing, sides: Sides) -> tuple[Grounds, list[str]]:
    """What the newest verdict is worth now, and what is wrong with it in words.

    A verdict that was made before the event type came to where it stands says nothing of this step; one about buckets
    that were built anew since, about another definition, or without the newest days says nothing any more; one that was
    changed after it was written never did. Neither passes an event type of whose sequences with legacy one has no
    verdict, or FAIL.
    """
    wrong = list(_of_sequences(ladder, sides))
    newest = VerdictLog(ladder.home, standing.event_type).latest()
    if newest is None:
        return Grounds(), ["there is no verdict", *wrong]
    number, document = newest
    record, found = load(document), recheck(document, sides.tables, signing_key(ladder.home))
    digest = f"{number}"
    said = [*found.found, *found.stale[:3], *_outlived(record, number, ladder, standing, sides), *wrong]
    if record.decision.state != "PASS":
        return Grounds(record.decision.state, digest), [*said, headline(record)]
    return (Grounds("HOLD" if said else "PASS", digest)), said


def _outlived(record: VerdictRecord, number: int, ladder: Ladder, standing: Standing, sides: Sides) -> Iterator[str]:
    """Why a verdict that holds is none on what there is to decide now."""
    if standing.since is not None and record.at < standing.since:
        yield f"it was made on {record.at:%Y-%m-%d %H:%M:%S}, before this step began"
    elif number <= standing.rests_on:  # clocks differ, numbers do not
        yield f"the step before rests on verdict {standing.rests_on}, and no verdict was made since"
    if record.hashes.get(COMPARED) != sides.definition:
        yield "the event type, legacy's source or what is equal was defined otherwise when it was made"
    if _in_force(record.case.accepted, record.case.decided_on) != _accepted(ladder):
        yield "other differences are accepted now than when it was made"
    newest = max(ComparedDays.of(sides.runtime, standing.event_type).days(), default=record.case.window.last)
    if newest > record.case.window.last:
        yield f"it is about days up to {record.case.window.last}, and days up to {newest} were compared"


def _of_sequences(ladder: Ladder, sides: Sides) -> Iterator[str]:
    """What is wrong with the newest verdicts of the sequences that contain the event type."""
    release = sides.runtime.release
    for name in Partitions.of(release).shadow_sequences:
        if ladder.event_type.name not in release.sequences[name].event_types:
            continue
        newest = VerdictLog(ladder.home, name, SHADOW_SEQUENCES).latest()
        if newest is None:
            yield f"there is no verdict on sequence {name!r}; `{command('shadow', 'verdict', name)}` makes one"
            continue
        record = load(newest[1])
        found = recheck(newest[1], record.tables, signing_key(ladder.home))
        yield from (f"sequence {name!r}: {said}" for said in found.found)
        if record.decision.state == "FAIL":
            yield f"sequence {name!r}: {headline(record)}"


def _accepted(ladder: Ladder) -> dict[str, float]:
    found = AcceptedDifferences(ladder.home, ladder.event_type.name, ladder.clock).current().differences
    return _in_force(found, ladder.clock.now().date())


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
