"""Steps from the raw row to the event: what the engine made of each copy."""

from collections.abc import Iterator

import polars as pl

from seqplat_resources.explain.account.model import Fact, Step
from seqplat_resources.explain.account.situation import Situation
from seqplat_resources.explain.trace.engine import filter_of, spot
from seqplat_resources.explain.trace.evidence import Evidence
from seqplat_resources.explain.trace.online import NOW
from seqplat_resources.explain.trace.raw import spans, table_of
from seqplat_resources.explain.trace.visibility import HIDDEN, Sight
from seqplat_resources.stream.report import lateness

# Copies of which more say nothing new.
_SHOWN = 5
# How much of refused bytes is shown.
_PAYLOAD_BYTES = 200

_CLASSES = {
    "future": "its clock is ahead: it was received before it happened",
    "on_time": "received within ten minutes",
    "late": "received within three days; the day it belongs to is built again",
    "very_late": "received after more than three days; the day it belongs to is built again when it is at rest",
}


def made_steps(evidence: Evidence, found: Situation, sight: Sight) -> Iterator[Step]:
    """In the order of the stations; those with nothing to tell are left out."""
    yield _raw(evidence, found)
    if why := evidence.problems.get(f"rejects:{found.source.name}"):
        yield Step.unknown("rejected", why)
    yield from rejected_steps(found, sight)
    if found.copies:
        yield _made(evidence, found)
        yield from _filtered(evidence, found, sight)
        yield from _lateness(evidence, found)
        yield from _deduplicated(found)
        yield from _moved(found)


def _raw(evidence: Evidence, found: Situation) -> Step:
    if found.copies:
        first = found.copies[0]
        places = [f"{table_of(found.source, copy.at[0])} {spot(copy.at)}" for copy in found.copies[:_SHOWN]]
        received = f"{first.ingest_time:%Y-%m-%d %H:%M:%S}"
        said = f"seen {len(found.copies)} time(s), first at {spot(first.at)}, received {received}"
        facts: dict[str, Fact] = {"copies": len(found.copies), "at": places, "event_time": first.event_time}
        return Step("raw", "seen", said, facts | {"ingest_time": first.ingest_time})
    if found.lake_unknown:
        return Step.unknown("raw", found.lake_unknown)
    searched = sorted(evidence.rows[found.source.name].searched)
    facts = {"searched": spans(searched), "days": len(searched)}
    if found.online_rows:
        row = found.online_rows[0]
        kept = "not kept in the lake yet" if row.where == NOW else "not in the lake any more"
        return Step("raw", "only online", f"{spot(row.at)} is {kept}; {spans(searched)} searched", facts)
    if any(row.event_id for row in found.refused):
        return Step("raw", "refused", "it never became a raw row", facts)
    return Step("raw", "never seen", f"no raw row says this id; {spans(searched)} searched", facts)


def rejected_steps(found: Situation, sight: Sight) -> Iterator[Step]:
    """Rows of it that were refused, as raw rows or as events."""
    for copy in found.copies:
        if copy.fate == "rejected":
            reason = sight.reason(found.event_type.name, found.source, copy.reason)
            facts: dict[str, Fact] = {"at": spot(copy.at), "reason": reason, "stage": found.event_type.name}
            yield Step("rejected", "rejected", f"{spot(copy.at)} could not become an event: {reason}", facts)
    for row in found.refused[:_SHOWN]:
        reason = sight.reason(found.event_type.name, found.source, row.reason)
        facts = {"at": spot(row.at), "reason": reason, "stage": row.stage}
        text = row.payload[:_PAYLOAD_BYTES].decode(errors="backslashreplace")
        facts["bytes"] = text if sight.sees_rows(found.event_type.name, found.source) else HIDDEN
        outcome = "rejected" if row.event_id else "rejected, perhaps"
        whose = "could not become a raw row" if row.event_id else "says no id, but its bytes hold this one"
        yield Step("rejected", outcome, f"{spot(row.at)} {whose}: {reason}", facts)


def _made(evidence: Evidence, found: Situation) -> Step:
    lead = found.lead or found.copies[0]
    made: list[str] = []
    for name in evidence.event_types:
        of_type = evidence.made(name) if evidence.plans.get(name) else None
        if of_type is None or of_type.plan.source.name != found.source.name:
            continue
        here = of_type.typed.filter((pl.col("source_partition") == lead.at[0]) & (pl.col("offset") == lead.at[1]))
        made += [f"{name} {event_id}" for event_id in here["event_id"].to_list()]
    facts: dict[str, Fact] = {"at": spot(lead.at), "events": made[: 2 * _SHOWN]}
    if not made:
        return Step("made", "no event", f"{spot(lead.at)} gives no event", facts)
    return Step("made", "mapped", f"{spot(lead.at)} gives {', '.join(made[:_SHOWN])}", facts)


def _filtered(evidence: Evidence, found: Situation, sight: Sight) -> Iterator[Step]:
    made = evidence.made(found.event_type.name)
    for copy in [copy for copy in found.copies if copy.fate in ("filtered", "dropped", "withdrew")][:_SHOWN]:
        if made is None:
            return
        if copy.fate == "dropped":
            what = f"executor {found.event_type.executor!r} gives no such event of {spot(copy.at)}"
            yield Step("filtered", "left out", what, {"at": spot(copy.at), "executor": found.event_type.executor})
            continue
        text, row = filter_of(made.plan, made.raw_at(copy.at))
        text = sight.expression(found.event_type, found.source, text, list(row))
        values = sight.values(found.event_type.name, found.source, row)
        with_values = ", ".join(f"{name} = {value}" for name, value in values.items())
        said = f"{spot(copy.at)} is left out by the filter of event type {found.event_type.name}: {text}"
        said += f" (with {with_values})" if with_values else ""
        facts: dict[str, Fact] = {"at": spot(copy.at), "filter": text, "values": values}
        if copy.fate == "withdrew":
            said += f"; as a correction (rev {copy.rev}) it withdraws the event"
        yield Step("filtered", "withdrawn" if copy.fate == "withdrew" else "filtered", said, facts)


def _lateness(evidence: Evidence, found: Situation) -> Iterator[Step]:
    made, lead = evidence.made(found.event_type.name), found.lead
    if made is None or lead is None:
        return
    for kind in lateness(made.raw_at(lead.at)):
        behind = lead.ingest_time - lead.event_time
        if kind != "on_time":
            yield Step("lateness", kind.replace("_", " "), _CLASSES[kind], {"seconds": behind.total_seconds()})


_WON = {
    "rev": "has the higher rev",
    "ingest_time": "was received first",
    "source_partition": "lies in the partition that sorts first",
    "offset": "lies at the lower offset",
}


def _deduplicated(found: Situation) -> Iterator[Step]:
    beaten = [copy for copy in found.copies if copy.by is not None]
    for copy in beaten[:_SHOWN]:
        said = f"{spot(copy.at)} gave way to {spot(copy.by or copy.at)}, which {_WON[copy.key]}"
        if copy.at_time != copy.event_time:
            said += f" and says that it happened at {copy.at_time}, not at {copy.event_time}"
        if copy.fate == "conflicting":
            said += "; they say different things, which is counted as a conflict"
        facts: dict[str, Fact] = {"at": spot(copy.at), "by": spot(copy.by or copy.at), "key": copy.key}
        facts |= {
            "its": copy.mine,
            "winner's": copy.theirs,
            "event_time": copy.event_time,
            "winner's time": copy.at_time,
        }
        words = {"repeated": "duplicate", "conflicting": "conflict", "outranked": "older revision"}
        yield Step("deduplicated", words[copy.fate], said, facts)
    if not beaten and len(found.copies) == 1 and found.copies[0].fate == "stands":
        yield Step("deduplicated", "only copy", "no other row says this event", {})


def _moved(found: Situation) -> Iterator[Step]:
    for copy in found.copies:
        if copy.fate == "moved":
            said = f"{spot(copy.at)} left {copy.day}: rev {copy.rev_to} says that it happened on {copy.day_to}"
            facts: dict[str, Fact] = {"at": spot(copy.at), "rev": copy.rev, "rev_to": copy.rev_to}
            yield Step("moved", "moved", said, facts | {"day": copy.day, "day_to": copy.day_to})
