"""Steps from the event to the answer: lake, publication, online store, window."""

from collections.abc import Iterator

from seqplat_resources.engine.status import CellStatus
from seqplat_resources.explain.account.model import Fact, Step
from seqplat_resources.explain.account.situation import Situation
from seqplat_resources.explain.trace.engine import spot
from seqplat_resources.explain.trace.evidence import Evidence
from seqplat_resources.explain.trace.online import COVERED, HISTORY, NOW, StoredRow
from sequence_defs.compiler.project import status_column
from sequence_defs.schema import Derived, Enrichment, Service, Snapshot

# Rows of which more say nothing new.
_SHOWN = 5
_PLACES = {HISTORY: "history", NOW: "the now view", COVERED: "the now view"}


def served_steps(evidence: Evidence, found: Situation) -> Iterator[Step]:
    """In the order of the stations; those with nothing to tell are left out."""
    yield from _enriched(evidence, found)
    # What never became a raw row is of no day, and in no bucket of any.
    if found.day is not None:
        yield _lake(found)
    if found.in_sequence:
        if found.day is not None:
            yield _published(found)
        yield _online(found)
        yield from _window(evidence, found)
    yield answer_step(evidence, found)


def _enriched(evidence: Evidence, found: Situation) -> Iterator[Step]:
    release, statuses = evidence.runtime.release, found.statuses
    by = "stream" if found.winner and found.winner.where == NOW else "batch"
    for use in found.event_type.enrichments:
        status = statuses.get(status_column(use.enrichment))
        if status is None:
            continue
        enrichment, looked = release.enrichments[use.enrichment], found.seen.get(use.enrichment)
        facts: dict[str, Fact] = {"enrichment": use.enrichment, "status": status.name, "by": by}
        said = f"{use.enrichment} is {status.name}, by {by}"
        if looked is not None and looked.valid_from is not None:
            facts |= {"valid_from": looked.valid_from, "valid_to": looked.valid_to}
            until = f" until {looked.valid_to:%Y-%m-%d %H:%M}" if looked.valid_to else ""
            begun = f"the version in force began {looked.valid_from:%Y-%m-%d %H:%M}{until}"
            said += f"; {f'the table of {found.day}' if isinstance(enrichment, Snapshot) else begun}"
        if status in (CellStatus.PENDING, CellStatus.ERROR):
            said += f"; {_why_pending(evidence, found, enrichment)}"
        yield Step("enriched", status.name, said, facts)


def _why_pending(evidence: Evidence, found: Situation, enrichment: Enrichment) -> str:
    name = enrichment.name
    looked = found.seen.get(name)
    if isinstance(enrichment, Service):
        return "the service had not answered"
    if isinstance(enrichment, Derived):
        return "it looks at other rows, or at what is pending itself, so it waits for the batch of the day"
    if why := evidence.problems.get(f"enrichments:{found.event_type.name}"):
        return f"why is not known here, because {why}"
    if looked is None:
        return "its table was not there"
    if looked.built:
        return f"enrichments/{name} of {found.day} is there now, and was not when the event was made"
    return f"enrichments/{name} of {found.day} is not built"


def _lake(found: Situation) -> Step:
    if found.bucket_unknown:
        return Step.unknown("lake", found.bucket_unknown)
    name, bucket = f"events/{found.event_type.name}", found.bucket
    if bucket is None:
        said = f"{name} of {found.day} was never built{_left_behind(found)}"
        return Step("lake", "not built", said, {"day": found.day})
    facts: dict[str, Fact] = {"day": bucket.day, "built_at": bucket.built_at, "delta_version": bucket.version}
    if found.lead and found.from_log:
        facts["read_to"] = bucket.high_water.get(found.lead.at[0], 0)
    here = f"{name} {bucket.day}, built {bucket.built_at:%Y-%m-%d %H:%M:%S}"
    row, left_behind = found.sealed, _left_behind(found)
    if row is not None:
        facts |= {"at": spot(row.at), "rev": row.rev, "op": row.op, "release": row.release[:12]}
        what = "as a retraction" if row.op == "retract" else "as an event"
        return Step("lake", "sealed", f"{here}, holds {spot(row.at)} (rev {row.rev}) {what}{left_behind}", facts)
    if found.has_read:
        again = ", by another definition of the event type than today's" if found.redefined else ""
        said = f"{here} from this row as well{again}, and does not hold it{left_behind}"
        return Step("lake", "left out", said, facts)
    return Step("lake", "not read", f"{here} before this row was there{left_behind}", facts)


def _left_behind(found: Situation) -> str:
    """Rows in the buckets of other days, which a revision moved the event from, and which are to be built again."""
    rows = [row for row in found.bucket_rows if row.day != found.day]
    return "".join(
        f"; events/{found.event_type.name} {row.day} still holds {spot(row.at)} (rev {row.rev})" for row in rows
    )


def _published(found: Situation) -> Step:
    if found.stored is None:
        return Step.unknown("published", found.online_unknown or "there is no online store here")
    epoch, bucket = found.stored.epoch, found.published
    if epoch is None:
        return Step("published", "nothing published", f"nothing of {found.event_type.name} is published", {})
    facts: dict[str, Fact] = {"epoch": epoch.epoch}
    if found.is_expired:
        return Step("published", "expired", f"days before {epoch.expired_before} are kept no longer", facts)
    if bucket is None:
        return Step("published", "day not published", f"epoch {epoch.epoch} does not have {found.day}", facts)
    facts |= {"bucket_version": bucket.version, "delta_version": bucket.delta_version}
    said = f"epoch {epoch.epoch} has {found.day} of delta version {bucket.delta_version}"
    if found.lead and found.from_log:
        mark = bucket.high_water.get(found.lead.at[0], 0)
        facts["read_to"] = mark
        said += f", which read {found.lead.at[0]} up to {mark}"
    outcome = (
        "published"
        if any(row.where == HISTORY and row.day == found.day for row in found.online_rows)
        else "published without it"
    )
    return Step("published", outcome, said, facts)


def _online(found: Situation) -> Step:
    if found.stored is None:
        return Step.unknown("online", found.online_unknown or "there is no online store here")
    damaged: dict[str, Fact] = {"damaged": list(found.stored.damaged)} if found.stored.damaged else {}
    broken = f"; damaged blocks are left out: {', '.join(found.stored.damaged)}" if damaged else ""
    if not found.online_rows:
        return Step("online", "not there", f"neither history nor now view has a row of it{broken}", damaged)
    winner, rows = found.winner, [_row_text(row) for row in found.online_rows[:_SHOWN]]
    if winner is None:
        why = "its day has expired" if found.is_expired else "its bucket has read it"
        return Step("online", "covered", f"{rows[0]} counts no more: {why}", {"rows": rows})
    facts: dict[str, Fact] = {"rows": rows, "at": spot(winner.at), "rev": winner.rev, **damaged}
    if winner.available_time:
        facts["available_time"] = winner.available_time
    others = [_lost(row) for row in found.online_rows if row is not winner]
    outcome = "retracted" if winner.op == "retract" else winner.where
    what = f"{spot(winner.at)} in {_PLACES[winner.where]} retracts it" if winner.op == "retract" else _row_text(winner)
    return Step("online", outcome, "; ".join([what, *others[:_SHOWN]]) + broken, facts)


def _row_text(row: StoredRow) -> str:
    return f"{spot(row.at)} (rev {row.rev}, {row.op}) in {_PLACES[row.where]}"


_LOST = {
    "rev": "it has a lower rev",
    "from_batch": "it is streamed, and batch has the same revision",
    "ingest_time": "it was received later",
    "source_partition": "it lies in a later partition",
    "offset": "it lies at a higher offset",
    "covered": "its bucket has read it",
}


def _lost(row: StoredRow) -> str:
    return f"{_row_text(row)} does not count: {_LOST[row.lost_by]}"


def _window(evidence: Evidence, found: Situation) -> Iterator[Step]:
    definition, (whole, windowed, _) = evidence.plan.definition, found.places
    if whole is None or evidence.online is None:
        return
    first = evidence.online.answers.first_day
    if definition.window_days is not None:
        facts: dict[str, Fact] = {"window_days": definition.window_days, "first_day": first}
        outcome = "outside" if windowed is None else "inside"
        yield Step("window", outcome, f"the window of {definition.window_days} day(s) begins {first}", facts)
    if definition.length is not None and windowed is not None:
        outcome = "truncated" if windowed > definition.length else "kept"
        what = f"in row {windowed} of the user's" if definition.collapse else f"number {windowed} of the user's events"
        said = f"it is {what}, and the sequence has {definition.length}"
        yield Step("window", outcome, said, {"position": windowed, "length": definition.length})


def answer_step(evidence: Evidence, found: Situation) -> Step:
    """The last station."""
    if not found.in_sequence:
        said = f"sequence {evidence.plan.definition.name} has no event type {found.event_type.name}"
        return Step("answer", "not in it", said, {"event_types": list(evidence.plan.definition.event_types)})
    if evidence.online is None:
        return Step.unknown("answer", found.online_unknown or "there is no online store here")
    total, place = evidence.online.answers.total, found.places[2]
    what = "row" if evidence.plan.collapse else "event"
    if place is None:
        return Step("answer", "not in it", f"not among the {total} {what}(s) of the answer", {"length": total})
    said = f"in row {place}" if what == "row" else f"number {place}"
    return Step(
        "answer", "in it", f"{said} of the {total} {what}(s) of the answer", {"position": place, "length": total}
    )
