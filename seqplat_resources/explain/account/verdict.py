"""The verdict on a situation: why the event is, or is not, in the answer, and what to do next. Pure.

>>> from seqplat_resources.explain.account.situation import situation
>>> from seqplat_resources.explain.trace.evidence import Evidence
>>> from seqplat_resources.release.sequence_plan import SequencePlan
>>> plan = SequencePlan.of(shop.loaded, "basket")
>>> judge(plan, "ann", situation(Evidence(shop, store, plan, "ann"), "purchase", "77"), ()).code
'never_seen'
"""

from collections.abc import Sequence

from seqplat_resources.commands import command
from seqplat_resources.engine.status import CellStatus
from seqplat_resources.explain.account.model import Step, Verdict
from seqplat_resources.explain.account.situation import Situation
from seqplat_resources.explain.trace.engine import Copy, spot
from seqplat_resources.explain.trace.lake import BucketRow
from seqplat_resources.explain.trace.online import HISTORY
from seqplat_resources.release.sequence_plan import SequencePlan
from sequence_defs.compiler.project import STATUS_SUFFIX


def judge(  # noqa: PLR0911 - one per reason
    plan: SequencePlan, user: str, found: Situation, steps: Sequence[Step]
) -> Verdict:
    """What the answer says decides; everything else is looked at for the reason. ``steps`` have its words."""
    name, definition = found.event_type.name, plan.definition
    whole, windowed, place = found.places
    if not found.in_sequence:
        text = f"Not in the answer: {name} is not an event type of sequence {definition.name}."
        return Verdict("not_in_sequence", text, ("seqplat check    # after adding it to the sequence's event_types",))
    if name in plan.stored_as and (place is not None or whole is None):
        return _of_legacy(name, place)
    if place is not None:
        return _in_answer(plan, user, found, place)
    if windowed is not None:
        text = (
            f"Not in the answer: it would stand at position {windowed}, and sequence {definition.name} is cut to the "
            f"newest {definition.length} {'rows' if definition.collapse else 'events'}."
        )
        return Verdict("truncated", text, ("seqplat publish    # with a larger length, if it should be there",))
    if whole is not None:
        text = (
            f"Not in the answer: it happened before the window of {definition.window_days} days, which is counted back "
            "from the newest published day."
        )
        return Verdict("outside_window", text, ("seqplat publish    # with larger window_days, if it should be there",))
    if found.winner is not None:
        return _hidden(found)
    return _not_online(found, steps)


def out_of_time(event_id: str) -> Verdict:
    """On an event of which too little was read before the deadline."""
    text = (
        f"Why event {event_id} is, or is not, in the answer is not known here, because time ran out: ask again with "
        "the day on which it happened, or with more time."
    )
    return Verdict("not_known", text)


def of_copy(verdict: Verdict, copy: Copy, sequence: str, user: str, event_id: str) -> Verdict:
    """The verdict on one raw row, in the light of that on its event."""
    event = verdict.text
    match copy.fate:
        case "repeated" | "conflicting" | "outranked":
            by = spot(copy.by or copy.at)
            text = f"This row ({spot(copy.at)}) gave way to {by}, another copy of event {event_id}. The event: {event}"
            return Verdict("duplicate", text, (command("explain", sequence, user, raw=by), *verdict.next))
        case "moved":
            text = f"This row ({spot(copy.at)}) was moved to {copy.day_to} by rev {copy.rev_to}. The event: {event}"
            return Verdict("moved", text, verdict.next)
        case "filtered" | "dropped" if verdict.code not in ("filtered", "not_in_sequence"):
            return Verdict(
                "filtered", f"This row ({spot(copy.at)}) is left out by the filter. The event: {event}", verdict.next
            )
        case "rejected" if verdict.code != "rejected":
            return Verdict("rejected", f"This row ({spot(copy.at)}) is a reject. The event: {event}", verdict.next)
    return verdict


def _in_answer(plan: SequencePlan, user: str, found: Situation, place: int) -> Verdict:
    winner, name = found.winner, found.event_type.name
    where = "from published history" if winner is None or winner.where == HISTORY else "from the now view"
    at = "in the row at position" if plan.collapse else "at position"
    text, commands = f"In the answer, {at} {place}, {where}.", [command("get", plan.definition.name, user)]
    waiting = [
        status.removesuffix(STATUS_SUFFIX)
        for status, value in found.statuses.items()
        if value in (CellStatus.PENDING, CellStatus.ERROR)
    ]
    if winner is not None and winner.where != HISTORY:
        text += f" Batch takes it over when {name} of {winner.day} is built and published."
    if waiting:
        text += f" Still without {', '.join(waiting)}."
        commands = [_rebuild(found, *(f"enrichments/{each}" for each in waiting if each in found.seen))]
    if (
        found.lead
        and winner
        and found.lead.fate == "stands"
        and found.lead.at != winner.at
        and found.lead.rev > winner.rev
    ):
        text += f" A newer revision ({spot(found.lead.at)}, rev {found.lead.rev}) is not visible yet."
        commands = [_rebuild(found)]
    return Verdict("in_answer", text, tuple(commands))


def _of_legacy(event_type: str, place: int | None) -> Verdict:
    """Of an event type of which the user has legacy's events: what became of ours decides nothing."""
    said = f"In the answer, at position {place}" if place is not None else "Not in the answer: legacy does not have it"
    text = f"{said}. This user is not moved yet, and has legacy's events of {event_type}."
    return Verdict("in_legacy" if place is None else "in_answer", text, (command("cutover", "status", event_type),))


def _hidden(found: Situation) -> Verdict:
    """The online store has a row that counts, and the event does not stand."""
    winner = found.winner
    if found.lead is not None and found.lead.fate == "withdrew" and (winner is None or winner.at == found.lead.at):
        return _withdrawn(found.lead)
    if winner is not None and winner.op == "retract":
        text = f"Not in the answer: it was retracted by {spot(winner.at)} (rev {winner.rev})."
        return Verdict("retracted", text, ("seqplat send --help    # a message with a higher rev brings it back",))
    if found.stored and found.stored.damaged:
        text = "Not in the answer: a stored block of the user is damaged and left out."
        return Verdict(
            "damaged", text, (f"seqplat materialize {found.day} {found.day} online/{found.event_type.name}",)
        )
    return Verdict("unexplained", "Not in the answer, although the online store has a row that counts.", _report())


def _withdrawn(lead: Copy) -> Verdict:
    text = f"Not in the answer: its correction {spot(lead.at)} (rev {lead.rev}) does not pass the filter."
    return Verdict("withdrawn", text, ("seqplat check    # after changing the filter, if it should be kept",))


def _damaged(found: Situation) -> Verdict:
    text = "Not in the answer: a stored block of the user is damaged and left out."
    return Verdict("damaged", text, (f"seqplat materialize {found.day} {found.day} online/{found.event_type.name}",))


def _not_online(found: Situation, steps: Sequence[Step]) -> Verdict:  # noqa: PLR0911 - one per reason
    lead = found.lead
    if lead is not None and lead.fate in ("filtered", "dropped"):
        return _filtered(steps)
    if lead is not None and lead.fate == "rejected":
        return _rejected(found, steps)
    if lead is not None and lead.fate == "withdrew":
        return _withdrawn(lead)
    if found.is_expired:
        kept = f"{found.event_type.name} keeps {found.event_type.retention_days} days"
        text = f"Not in the answer: {found.day} has expired, {kept}."
        return Verdict("expired", text, ("seqplat publish    # with larger retention_days, if it should be kept",))
    if found.sealed is not None:
        is_damaged = found.stored is not None and found.published is not None and found.stored.damaged
        return _damaged(found) if is_damaged else _not_published(found, found.sealed)
    if lead is not None:
        return _not_built(found, lead)
    if any(row.event_id for row in found.refused):
        return _rejected(found, steps)
    if found.lake_unknown:
        text = f"Not in the answer; why is not known here, because {found.lake_unknown}."
        return Verdict("not_known", text, ("seqplat explain ...    # where the lake is",))
    return Verdict(
        "never_seen", "Not in the answer: no raw row says this id.", (f"seqplat rejects {found.source.name}",)
    )


def _filtered(steps: Sequence[Step]) -> Verdict:
    text = f"Not in the answer: {_step_text(steps, 'filtered')}."
    return Verdict("filtered", text, ("seqplat check    # after changing the filter, if it should be kept",))


def _rejected(found: Situation, steps: Sequence[Step]) -> Verdict:
    text = f"Not in the answer: {_step_text(steps, 'rejected')}."
    again = "send it again" if found.source.topic else "mend the file and materialize the day again"
    after = f"# then mend the producer or the definition, and {again}"
    return Verdict("rejected", text, (f"seqplat rejects {found.source.name}    {after}",))


def _step_text(steps: Sequence[Step], name: str) -> str:
    return next(step.said for step in steps if step.name == name)


def _not_published(found: Situation, row: BucketRow) -> Verdict:
    if row.op == "retract":
        return Verdict("retracted", f"Not in the answer: it was retracted by {spot(row.at)} (rev {row.rev}).")
    bucket = f"events/{found.event_type.name} {row.day}"
    if found.online_unknown:
        text = f"{bucket} holds it; the answer is not known here, because {found.online_unknown}."
        return Verdict("not_known", text, (f"seqplat materialize {row.day} {row.day} online/{found.event_type.name}",))
    text = f"Not in the answer yet: {bucket} holds it, and is not published."
    return Verdict("not_published", text, (f"seqplat materialize {row.day} {row.day} online/{found.event_type.name}",))


def _not_built(found: Situation, lead: Copy) -> Verdict:
    name = f"events/{found.event_type.name}"
    if lead.op == "retract":
        return Verdict("retracted", f"Not in the answer: it was retracted by {spot(lead.at)} (rev {lead.rev}).")
    if found.event_type.lifecycle == "retired":
        return Verdict(
            "retired", f"Not in the answer: event type {found.event_type.name} is retired, nothing is built of it."
        )
    if found.bucket is None or not found.has_read:
        if found.from_log and found.online_unknown is None and lead.at[1] >= (found.streamed_to or 0):
            text = (
                f"Not in the answer yet: no stream has shown {spot(lead.at)}, and {name} {found.day} has not read it."
            )
            return Verdict(
                "not_streamed", text, ("seqplat lag", f"seqplat stream {found.source.name}    # if none is running")
            )
        state = "is not built" if found.bucket is None else "was built before it came"
        return Verdict("not_built", f"Not in the answer yet: {name} {found.day} {state}.", (_rebuild(found),))
    if found.redefined:
        text = f"Not in the answer yet: {name} {found.day} was built by an earlier definition, which left it out."
        return Verdict("not_built", text, (_rebuild(found),))
    text = f"Not in the answer: {name} {found.day} was built from this row and does not hold it, which it should."
    return Verdict("unexplained", text, (_rebuild(found), *_report()))


def _rebuild(found: Situation, *before: str) -> str:
    name, day = found.event_type.name, found.day
    return " ".join(["seqplat materialize", str(day), str(day), *before, f"events/{name}", f"online/{name}"])


def _report() -> tuple[str, ...]:
    return ("seqplat tables",)
