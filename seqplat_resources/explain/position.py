"""An explanation that starts from a position: one raw row of a file or of a partition of a log.

>>> plan = SequencePlan.of(shop.loaded, "basket")
>>> found = explain_row(shop, store, plan, parse_position("orders/2024-05-02.csv@0"))
>>> found.event.event_id, found.verdict.code
('3', 'in_answer')
"""

from collections.abc import Callable, Collection
from dataclasses import replace

import polars as pl

from seqplat_resources.errors import Final
from seqplat_resources.explain.account.model import EventKey, Explanation, Step, Verdict
from seqplat_resources.explain.account.verdict import of_copy
from seqplat_resources.explain.run import SEARCH_DAYS, explanation_of, find
from seqplat_resources.explain.trace.engine import Position, spot
from seqplat_resources.explain.trace.evidence import UNREADABLE, Evidence
from seqplat_resources.explain.trace.raw import UserRows, table_of
from seqplat_resources.explain.trace.rejects import RejectedRow, refused_at
from seqplat_resources.explain.trace.visibility import HIDDEN
from seqplat_resources.online_store import OnlineStore
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.sequence_plan import SequencePlan
from sequence_defs.schema import Source


class NotAPosition(Final):
    """Text that names no place in a file or log."""


class AnotherUser(Final):
    """The row at a position is not of the user that was named."""


def parse_position(text: str) -> Position:
    """``partition@offset``.

    Raises:
        NotAPosition: the text is no position.
    """
    partition, _, offset = text.rpartition("@")
    if not partition or not (offset.isascii() and offset.isdigit()):
        raise NotAPosition(f"{text!r} is no position; write it as PARTITION@OFFSET, for example clicks:0@17")
    return partition, int(offset)


def explain_row(
    runtime: Runtime,
    store: OnlineStore | None,
    plan: SequencePlan,
    at: Position,
    *,
    user: str | None = None,
    plan_of: Callable[[str], SequencePlan] | None = None,
    others: Collection[str] = (),
    most_days: int = SEARCH_DAYS,
    inside: bool = False,
) -> Explanation:
    """What became of one raw row, and of the event it says; of the first, where it says several.

    ``plan_of`` gives the plan by which a user is answered, where that is not ``plan`` for all.
    Raises:
        AnotherUser: it is not a row of ``user``.
    Cost:
        As ``explain``, and the row itself: of a log, one file of the archive; of files, a look at every day.
    """
    evidence = Evidence(runtime, store, plan, user or "", others, inside=inside)
    for rows in evidence.rows.values():
        try:
            row = rows.at(*at)
            refused = [] if row.height else refused_at(runtime, rows.plan, at)
        except UNREADABLE as error:
            evidence.unreadable(rows.source.name, error)
            continue
        if row.height:
            whose = _user(rows, row, user)
            answered = plan_of(whose) if plan_of else plan
            of_user = Evidence(runtime, store, answered, whose, others, inside=inside)
            return _of_row(of_user, at, row, most_days)
        if refused:
            return _of_reject(evidence, rows.source, refused[0])
    return _nowhere(evidence, at)


def _of_row(evidence: Evidence, at: Position, row: pl.DataFrame, most_days: int) -> Explanation:
    day = row["_event_time"][0].date()
    evidence.read([day])
    ids = {name: made.ids_at(at) for name in evidence.event_types if (made := evidence.made(name))}
    event_type = next((name for name, found in ids.items() if found), None)
    if event_type is None:
        return _says_nothing(evidence, at, row)
    event_id = ids[event_type][0]
    find(evidence, event_id, day, most_days)
    explanation = explanation_of(evidence, event_id)
    made = evidence.made(explanation.event.event_type or event_type)
    copy = next((copy for copy in made.copies(event_id) if copy.at == at), None) if made else None
    if copy is None:
        return explanation
    verdict = of_copy(explanation.verdict, copy, explanation.sequence, evidence.user, event_id)
    return replace(explanation, verdict=verdict)


def _says_nothing(evidence: Evidence, at: Position, row: pl.DataFrame) -> Explanation:
    """A row without identity: the engine rejects it, or gives no event of it."""
    sight = evidence.sight
    said, source = [], None
    for name in evidence.event_types:
        made = evidence.made(name)
        if made is not None and at in made.rejects:
            source = made.plan.source
            reason = sight.reason(name, source, made.rejects[at])
            said.append(
                Step("rejected", "rejected", f"{spot(at)} could not become an event: {reason}", {"at": spot(at)})
            )
    key = EventKey(evidence.user, "", None, row["_event_time"][0].date())
    if source is None:
        verdict = Verdict("filtered", f"Row {spot(at)} gives no event of any event type of this sequence.")
    else:
        verdict = Verdict("rejected", f"Row {spot(at)} was rejected.", (f"seqplat rejects {source.name}",))
    return Explanation(evidence.plan.definition.name, evidence.plan.release, key, verdict, tuple(said))


def _of_reject(evidence: Evidence, source: Source, refused: RejectedRow) -> Explanation:
    sight, at = evidence.sight, refused.at
    name = next(name for name, plan in evidence.plans.items() if plan.source.name == source.name)
    reason = sight.reason(name, source, refused.reason)
    text = refused.payload[:200].decode(errors="backslashreplace") if sight.sees_rows(name, source) else HIDDEN
    facts = {"at": spot(at), "stage": refused.stage, "reason": reason, "bytes": text}
    step = Step("rejected", "rejected", f"{spot(at)} could not become a raw row: {reason}", facts)
    verdict = Verdict("rejected", f"Row {spot(at)} was rejected: {reason}.", (f"seqplat rejects {source.name}",))
    return Explanation(
        evidence.plan.definition.name, evidence.plan.release, EventKey(evidence.user, ""), verdict, (step,)
    )


def _nowhere(evidence: Evidence, at: Position) -> Explanation:
    """No table has the position."""
    stream = evidence.store.stream_positions().get(at[0]) if evidence.store is not None else None
    unknown = next((why for name in evidence.event_types if (why := evidence.why_unknown(name))), None)
    facts = {"read_to": stream.next_offset} if stream else {}
    if stream is not None and at[1] >= stream.next_offset:
        text = f"The stream has not read {spot(at)} yet: it is at {stream.next_offset}."
        step = Step("raw", "not read", f"the stream is at {stream.next_offset}", facts)
        verdict = Verdict("not_streamed", text, ("seqplat lag",))
    elif stream is not None:
        text = f"The stream has read {spot(at)}, and the lake does not have it: it is kept within seconds."
        step = Step("raw", "not kept", f"the stream is at {stream.next_offset}", facts)
        verdict = Verdict("not_known", text, ("seqplat lag",))
    elif unknown is not None:
        step, verdict = Step.unknown("raw", unknown), Verdict("not_known", f"Not known here, because {unknown}.")
    else:
        names = ", ".join(dict.fromkeys(table_of(rows.source, at[0]) for rows in evidence.rows.values()))
        step = Step("raw", "never seen", f"looked in {names}")
        verdict = Verdict("never_seen", f"No table has {spot(at)}.", ("seqplat tables", "seqplat lag"))
    key = EventKey(evidence.user, "")
    return Explanation(evidence.plan.definition.name, evidence.plan.release, key, verdict, (step,))


def _user(rows: UserRows, row: pl.DataFrame, asked: str | None) -> str:
    found = str(row[rows.source.user_id or ""].cast(pl.String)[0])
    if asked is not None and found != asked:
        raise AnotherUser(
            f"the row at {row['_partition'][0]}@{row['_offset'][0]} is not of user {asked!r}; leave the user out"
        )
    return found
