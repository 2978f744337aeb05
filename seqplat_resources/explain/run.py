"""Why an event is, or is not, in a user's sequence: find what there is of it, tell its way, judge.

>>> plan = SequencePlan.of(shop.loaded, "basket")
>>> explain(shop, store, plan, "ann", "3").verdict.text
'In the answer, at position 2, from published history.'
>>> [(each.event.event_id, each.verdict.code) for each in recent(shop, store, plan, "ann", most=2)]
[('4', 'in_answer'), ('3', 'in_answer')]
"""

import datetime as dt
from collections.abc import Collection, Iterator
from dataclasses import replace
from difflib import get_close_matches

import polars as pl

from seqplat_resources.clock import Deadline
from seqplat_resources.commands import command
from seqplat_resources.engine.run import identified
from seqplat_resources.explain.account.from_raw import made_steps, rejected_steps
from seqplat_resources.explain.account.model import Candidate, EventKey, Explanation, Step, Verdict
from seqplat_resources.explain.account.situation import Situation, situation
from seqplat_resources.explain.account.to_answer import answer_step, served_steps
from seqplat_resources.explain.account.verdict import judge, out_of_time
from seqplat_resources.explain.trace.engine import lenient
from seqplat_resources.explain.trace.evidence import UNREADABLE, Evidence
from seqplat_resources.explain.trace.raw import UserRows, spans
from seqplat_resources.explain.trace.visibility import Sight
from seqplat_resources.online_store import OnlineStore
from seqplat_resources.release.query import QueryError
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.rules.order import SOURCE_ORDER, newest_first
from sequence_defs.analysis.wording import instead
from sequence_defs.compiler.arms import arm_name

# Days with rows that are searched where nobody says the day and the online store does not know the event.
SEARCH_DAYS = 92
# By what events are listed, and its types.
_LISTED = {
    "event_type": pl.String(),
    "event_id": pl.String(),
    "event_time": pl.Datetime("us", "UTC"),
    SOURCE_ORDER: pl.String(),
    "source_partition": pl.String(),
    "offset": pl.Int64(),
}
# Ids that are told where the one asked for is not there.
_NEAREST = 3


def explain(
    runtime: Runtime,
    store: OnlineStore | None,
    plan: SequencePlan,
    user: str,
    event_id: str,
    *,
    event_type: str | None = None,
    day: dt.date | None = None,
    others: Collection[str] = (),
    most_days: int = SEARCH_DAYS,
    inside: bool = False,
    deadline: Deadline | None = None,
) -> Explanation:
    """Why the event is (not) in the user's sequence.

    ``plan`` is what whoever asks may see. ``event_type`` chooses among events of one id; ``others`` are event types
    beside the sequence's that may be told of. ``day`` says where to look. Without it the online store is asked, and if
    it does not know the event, raw rows are searched, newest days first, at most ``most_days`` of those with rows.
    ``inside``: what went wrong inside may be told, with paths. What was not begun by ``deadline`` is left out and said
    to be, and no verdict rests on it.

    Raises:
        InvalidKeyError: no store can hold such a user id.
        QueryError: no such event type in the sequence or among ``others``.
    Cost:
        The user's rows of the event's days, of one shard, from each source; three answers of keys alone. A search
        reads the user's rows of a week at a time.
    """
    evidence = Evidence(runtime, store, plan, user, others, event_type, inside, deadline)
    if not evidence.event_types:
        raise QueryError(
            "event_type",
            f"there is no event type {event_type!r} here",
            fix=instead(event_type or "", [*plan.definition.event_types, *others], "leave it out"),
        )
    find(evidence, event_id, day, most_days)
    return explanation_of(evidence, event_id)


def recent(
    runtime: Runtime,
    store: OnlineStore | None,
    plan: SequencePlan,
    user: str,
    *,
    most: int = 10,
    day: dt.date | None = None,
    others: Collection[str] = (),
    most_days: int = SEARCH_DAYS,
    inside: bool = False,
) -> list[Candidate]:
    """The user's newest events of which anything is known, in the answer or not, with the verdict on each.

    Raises:
        InvalidKeyError: no store can hold such a user id.
    """
    evidence = Evidence(runtime, store, plan, user, others, inside=inside)
    for rows in evidence.rows.values():
        try:
            for chunk in [[day]] if day is not None else rows.newest_first(most_days):
                rows.read(chunk)
                if rows.rows.height >= most:
                    break
        except UNREADABLE as error:
            evidence.unreadable(rows.source.name, error)
    found = _listed(evidence)
    if evidence.online is not None:
        whole = evidence.online.answers.whole
        for number, (time, *key) in enumerate(whole.iter_rows()):
            if (known := found.get((key[0], key[1]))) is not None:
                found[key[0], key[1]] = (time, *known[1:])  # copies may say other times: this one is served
            elif number < most and (day is None or time.date() == day):
                found[key[0], key[1]] = (time, None, "", 0)
    listed = pl.DataFrame([(*key, *order) for key, order in found.items()], schema=_LISTED, orient="row")
    newest = newest_first(listed).head(most).select("event_type", "event_id", "event_time").rows()
    evidence.read({time.date() for *_, time in newest})
    return [_candidate(evidence, name, event_id, time) for name, event_id, time in newest]


def _listed(evidence: Evidence) -> dict[tuple[str, str], tuple[object, ...]]:
    """What orders each event the rows give: of the row that stands, or of the last where none does."""
    found: dict[tuple[str, str], tuple[object, ...]] = {}
    for event_type in evidence.event_types:
        if (made := evidence.made(event_type)) is not None:
            is_asked = event_type in evidence.plan.definition.event_types
            for events in (made.identities, made.outcome) if is_asked else (made.outcome,):
                undeclared = [pl.lit(None, pl.String).alias(name) for name in _LISTED if name not in events.columns]
                keys = events.with_columns(undeclared).select(list(_LISTED))
                for name, event_id, *order in keys.sort(pl.all()).iter_rows():
                    found[name, event_id] = tuple(order)
    return found


def find(evidence: Evidence, event_id: str, day: dt.date | None, most_days: int) -> None:
    """Read the days that have to do with the event."""
    days = {day} if day else set()
    if evidence.online is not None:
        for stored in evidence.online.stored.values():
            days |= {row.day for row in stored.of_event(event_id)}
    days |= set(_corrected_days(evidence, event_id))
    evidence.read(days)
    said = [name for name in evidence.event_types if _says(evidence, name, event_id)]
    for rows in evidence.rows.values():
        of_source = [name for name in said if evidence.plans[name].source.name == rows.source.name]
        if (day is None and not said) or any(_lacks_original(evidence, name, event_id) for name in of_source):
            _search(evidence, rows, event_id, most_days)


def explanation_of(evidence: Evidence, event_id: str) -> Explanation:
    """The explanation of what ``find`` read."""
    plan, sight = evidence.plan, evidence.sight
    found = {name: situation(evidence, name, event_id) for name in evidence.event_types}
    told_of = {name: each for name, each in found.items() if _matters(each, is_asked=evidence.only is not None)}
    ways = {name: _way(evidence, each, sight) for name, each in told_of.items()}
    if not ways:
        return _not_found(evidence, list(found.values()), sight)
    main = min(ways, key=lambda name: _interest(ways[name][1]))
    steps, verdict = ways[main]
    others = ways.keys() - {main, arm_name(main)}  # whose events a user has is said by the verdict on the event type
    also = {name: each for name, (_, each) in ways.items() if name in others}
    key = EventKey(evidence.user, event_id, main, found[main].day)
    return Explanation(plan.definition.name, plan.release, key, verdict, steps, also)


def _matters(found: Situation, *, is_asked: bool) -> bool:
    """Of event types beside the sequence's, rows that give no event of them are none of this event's business."""
    return found.is_found and (found.in_sequence or is_asked or found.stands)


def _way(evidence: Evidence, found: Situation, sight: Sight) -> tuple[tuple[Step, ...], Verdict]:
    steps = (*made_steps(evidence, found, sight), *served_steps(evidence, found))
    if evidence.is_cut_short and not found.is_decided:
        return steps, out_of_time(found.event_id)
    return steps, judge(evidence.plan, evidence.user, found, steps)


def _interest(verdict: Verdict) -> int:
    return {"in_answer": 0, "not_in_sequence": 2}.get(verdict.code, 1)


def _candidate(evidence: Evidence, event_type: str, event_id: str, time: dt.datetime) -> Candidate:
    sight = evidence.sight
    _, verdict = _way(evidence, situation(evidence, event_type, event_id), sight)
    return Candidate(EventKey(evidence.user, event_id, event_type, time.date()), time, verdict)


def _corrected_days(evidence: Evidence, event_id: str) -> Iterator[dt.date]:
    for event_type in evidence.event_types:
        if (corrected := evidence.corrections(event_type)) is not None:
            yield from corrected.filter(corrected["event_id"] == event_id)["event_time"].dt.date()


def _says(evidence: Evidence, event_type: str, event_id: str) -> bool:
    """Whether any row that was read says the id."""
    made = evidence.made(event_type)
    online = evidence.online.stored.get(event_type) if evidence.online else None
    return bool(made and event_id in made.ids) or bool(online and online.of_event(event_id))


def _lacks_original(evidence: Evidence, event_type: str, event_id: str) -> bool:
    """Whether only corrections of the event were read: what they correct may lie on another day."""
    made = evidence.made(event_type)
    copies = made.copies(event_id) if made else []
    return bool(copies) and all(copy.rev > 0 for copy in copies)


def _search(evidence: Evidence, rows: UserRows, event_id: str, most_days: int) -> None:
    plans = [lenient(plan) for plan in evidence.plans.values() if plan.source.name == rows.source.name]
    try:
        for chunk in rows.newest_first(most_days):
            evidence.require_time(f"when {spans(sorted(rows.searched))} of rows had been searched")
            raw = rows.read(chunk)
            if any(_has_original(identified(plan, raw)[0], event_id) for plan in plans):
                break
    except UNREADABLE as error:
        evidence.unreadable(rows.source.name, error)


def _has_original(events: pl.DataFrame, event_id: str) -> bool:
    # A correction is known from the start, so that a search is over when there is what it corrects.
    return bool(((events["event_id"] == event_id) & (events["rev"] <= 0)).any())


def _not_found(evidence: Evidence, found: list[Situation], sight: Sight) -> Explanation:
    """Nothing says the id: where it was looked for, and what is like it."""
    plan, event_id = evidence.plan, found[0].event_id
    said: list[Step] = []
    for name in dict.fromkeys(each.source.name for each in found):
        types = [each for each in found if each.source.name == name]
        said.append(_looked(evidence, name, [each.event_type.name for each in types], event_id))
        said += [step for each in types[:1] for step in rejected_steps(each, sight)]
    if evidence.online is None:
        said.append(Step.unknown("online", evidence.problems["online"]))
    else:
        said.append(Step("online", "not there", "neither history nor now view has a row of it"))
    # What legacy alone has is in the answer of who is not moved yet.
    shown = next((each for each in found if any(each.places)), None)
    said.append(answer_step(evidence, shown or found[0]))
    unknown = next((each.lake_unknown for each in found if each.lake_unknown), None)
    perhaps = any(step.name == "rejected" for step in said)
    key = EventKey(evidence.user, event_id)
    if evidence.is_cut_short:
        verdict = out_of_time(event_id)
    elif shown is not None:
        verdict = judge(plan, evidence.user, shown, said)
    else:
        verdict = _never(evidence, event_id, unknown, is_perhaps_rejected=perhaps)
    return Explanation(plan.definition.name, plan.release, key, verdict, tuple(said))


def _looked(evidence: Evidence, source: str, event_types: list[str], event_id: str) -> Step:
    if (why := evidence.why_unknown(event_types[0])) is not None:
        return replace(Step.unknown("raw", why), facts={"source": source})
    rows = evidence.rows[source]
    known = [each for name in event_types if (made := evidence.made(name)) for each in made.ids]
    nearest = get_close_matches(event_id, dict.fromkeys(known), n=_NEAREST) or list(dict.fromkeys(known))[:_NEAREST]
    where = spans(sorted(rows.searched))
    if not rows.rows.height:
        return Step("raw", "no rows", f"{source}: no row of this user at all; {where} searched", {"source": source})
    said = f"{source}: no row says this id; {where} searched; nearest: {', '.join(nearest) or 'none'}"
    return Step("raw", "never seen", said, {"source": source, "nearest": nearest})


def _never(evidence: Evidence, event_id: str, unknown: str | None, *, is_perhaps_rejected: bool) -> Verdict:
    name, user = evidence.plan.definition.name, evidence.user
    if unknown is not None:
        text = f"Not in the answer; whether event {event_id} was ever received is not known here, because {unknown}."
        return Verdict("not_known", text)
    text = f"Not in the answer: nothing that was searched says event {event_id} of user {user}."
    if is_perhaps_rejected:
        text += " Rows that were rejected may be it."
    return Verdict("never_seen", text, (f"{command('explain', name, user)}    # this user's events",))
