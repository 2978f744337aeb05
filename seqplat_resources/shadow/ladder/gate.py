"""What a move up rests on, and when a verdict takes users back without anybody asking."""

from collections.abc import Mapping

from seqplat_resources.shadow.days.window import Judgement
from seqplat_resources.shadow.ladder.moves import Grounds, Ladder, Move, Standing
from seqplat_resources.shadow.verdict.account import headline
from seqplat_resources.shadow.verdict.record import VerdictLog, load, recheck, signing_key

BY = "seqplat"


def grounds_of(ladder: Ladder, standing: Standing, tables: Mapping[str, int]) -> tuple[Grounds, list[str]]:
    """What the newest verdict is worth now, and what is wrong with it in words; ``tables`` are as they are now.

    A verdict that was made before the event type came to where it stands says nothing of this step; one about buckets
    that were built anew since says nothing any more; one that was changed after it was written never did.
    """
    newest = VerdictLog(ladder.home, standing.event_type).latest()
    if newest is None:
        return Grounds(), ["there is no verdict"]
    number, document = newest
    record, found = load(document), recheck(document, tables, signing_key(ladder.home))
    digest = f"{number}"
    said = [*found.found, *found.stale[:3]]
    if standing.since is not None and record.at < standing.since:
        said.append(f"it was made on {record.at:%Y-%m-%d %H:%M:%S}, before this step began")
    if record.decision.state != "PASS":
        return Grounds(record.decision.state, digest), [*said, headline(record)]
    return (Grounds("HOLD" if said else "PASS", digest)), said


def step_back_if_broken(ladder: Ladder, found: Judgement) -> Move | None:
    """Take users one step back where they have our events and the verdict is FAIL; None where nothing is to be done.

    Raises:
        RecordConflict: somebody moved it meanwhile; the next verdict looks again.
    """
    standing = ladder.standing()
    if found.record.decision.state != "FAIL" or not standing.step.share or standing.step.name == "retired":
        return None
    if standing.since is None:
        return None  # it was live before it was compared: nobody came here by the ladder
    reason, grounds = headline(found.record), Grounds("FAIL", str(found.number))
    return ladder.roll_back(by=BY, reason=reason, grounds=grounds, asked=False)
