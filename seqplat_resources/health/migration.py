"""Event types on their way from a legacy pipeline, as a table: where each stands, and what keeps it there."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from seqplat_resources.commands import command
from seqplat_resources.foreign_errors import in_our_words
from seqplat_resources.health.view import MigrationRow
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.days.measure import furthest
from seqplat_resources.shadow.days.sides import Sides
from seqplat_resources.shadow.days.window import COMPARED
from seqplat_resources.shadow.ladder.gate import grounds_of, of_sequence
from seqplat_resources.shadow.ladder.moves import Ladder, Standing
from seqplat_resources.shadow.routing import WHOLE
from seqplat_resources.shadow.verdict.record import VerdictLog, VerdictRecord, load, recheck
from sequence_defs.schema import EventType

_UNKNOWN = "unknown"
# What asks for somebody comes first; what is done comes last.
_RANKED = ("FAIL", "HOLD", None, "PASS")


def migration(runtime: Runtime) -> tuple[MigrationRow, ...]:
    """A row for each event type that says legacy, those that need somebody first.

    An event type whose ladder or verdict cannot be read says so in its own row.
    Cost: a few small records, and the Delta logs of both sides, for each.
    """
    rows = [_row(runtime, each) for each in runtime.release.event_types.values() if each.legacy is not None]
    return tuple(sorted(rows, key=_worst_first))


def _worst_first(row: MigrationRow) -> tuple[bool, int, bool, float, str]:
    return row.step == "retired", _RANKED.index(row.state), not row.stale, -row.share, row.event_type


def _row(runtime: Runtime, event_type: EventType) -> MigrationRow:
    row = MigrationRow(
        event_type=event_type.name,
        tenant=event_type.tenant,
        owner=event_type.owner,
        step=_UNKNOWN,
        share=0.0,
        since=None,
        held=False,
        state=None,
        stale=False,
        verdict=None,
        judged_at=None,
        needs_users=None,
        about_days=None,
        blocking=None,
        value=None,
        limit=None,
        because="",
        next=command("cutover", "status", event_type.name),
    )
    try:
        return _placed(row, runtime, event_type)
    except (Exception, pl.exceptions.PanicException) as error:  # one that is damaged costs no other its row
        return replace(row, because=str(in_our_words(error) or error), is_unreadable=True)


def _placed(row: MigrationRow, runtime: Runtime, event_type: EventType) -> MigrationRow:
    """With where its users are, and what keeps it from a step up."""
    ladder = Ladder(runtime.home, event_type, runtime.clock)
    standing = ladder.standing()
    sides = Sides.open(runtime, event_type.name)
    _, wrong = grounds_of(ladder, standing, sides)
    newest = VerdictLog(runtime.home, event_type.name).latest()
    record = load(newest[1]) if newest else None
    because = wrong[0] if wrong else ""
    return replace(
        row,
        step=standing.step.name,
        share=standing.step.share / WHOLE,
        since=standing.since,
        held=standing.is_held,
        verdict=newest[0] if newest else None,
        stale=newest is not None and _is_stale(newest[1], sides, standing),
        because=because,
        because_of=next((of for of in runtime.release.sequences if because.startswith(of_sequence(of))), ""),
        next=_next(event_type.name, standing, wrong),
        **({} if record is None else _of_verdict(record)),
    )


def _is_stale(document: bytes, sides: Sides, standing: Standing) -> bool:
    """Whether a verdict is about other buckets or another definition than there are, or is older than the step."""
    record = load(document)
    # Retiring is the last step, and rests on the verdict before it.
    is_over = standing.step.name == "retired"
    is_of_before = not is_over and standing.since is not None and record.at < standing.since
    is_of_other = record.hashes.get(COMPARED) != sides.definition
    return is_of_before or is_of_other or bool(recheck(document, sides.tables).stale)


def _of_verdict(record: VerdictRecord) -> dict[str, Any]:
    decision, decisive = record.decision, furthest(record.decision)
    return {
        "state": decision.state,
        "judged_at": record.at,
        "needs_users": decision.more_users,
        "about_days": decision.more_days,
        "blocking": decisive.metric.name if decisive else None,
        "value": decisive.metric.value if decisive else None,
        "limit": decisive.limit if decisive else None,
    }


def _next(name: str, standing: Standing, wrong: Sequence[str]) -> str:
    if standing.step.name == "retired":
        return ""
    if standing.is_held or not standing.step.is_gated:
        return command("cutover", "status", name)
    if wrong:
        return command("shadow", "verdict", name)
    return command("cutover", "retire" if standing.step.name == "live" else "advance", name)
