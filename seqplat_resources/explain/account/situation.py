"""Everything known of one event of one event type, gathered; no words yet.

>>> from seqplat_resources.release.sequence_plan import SequencePlan
>>> evidence = Evidence(shop, store, SequencePlan.of(shop.loaded, "basket"), "ann")
>>> evidence.read(days)
>>> found = situation(evidence, "purchase", "3")
>>> found.is_found, found.day, found.places
(True, datetime.date(2024, 5, 2), (2, 2, 2))
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from seqplat_resources.engine.status import CellStatus
from seqplat_resources.explain.trace.engine import Copy, EngineTrace, Position
from seqplat_resources.explain.trace.enrichments import EnrichmentSight, sights
from seqplat_resources.explain.trace.evidence import UNREADABLE, Evidence
from seqplat_resources.explain.trace.lake import BucketRow, LakeBucket, written_at
from seqplat_resources.explain.trace.online import COVERED, StoredRow, StoredRows
from seqplat_resources.explain.trace.rejects import RejectedRow
from seqplat_resources.online_store import BucketVersion
from seqplat_resources.quality.differences import Definitions
from sequence_defs.schema import EventType, Source

# From the copy that most is to be said of to the one that least is.
_INTEREST = ("stands", "withdrew", "moved", "conflicting", "repeated", "outranked", "filtered", "rejected", "dropped")


@dataclass(frozen=True)
class Situation:
    """What is None is not known where this runs; ``lake_unknown`` says why for raw rows.

    ``lead`` is the copy that the engine lets stand, or the one that came furthest. ``bucket`` and ``published`` are of
    its day, ``bucket_rows`` of any day read. ``places`` are positions from 1: among all events that stand, among those
    inside the window, and in the answer.
    """

    event_type: EventType
    source: Source
    event_id: str
    in_sequence: bool
    copies: Sequence[Copy]
    refused: Sequence[RejectedRow]
    lake_unknown: str | None
    online_unknown: str | None
    stored: StoredRows | None
    online_rows: Sequence[StoredRow]
    places: tuple[int | None, int | None, int | None]
    lead: Copy | None
    bucket: LakeBucket | None
    bucket_unknown: str | None
    bucket_rows: Sequence[BucketRow]
    lead_written_at: dt.datetime | None
    streamed_to: int | None
    seen: dict[str, EnrichmentSight]
    redefined: bool
    day: dt.date | None

    @property
    def winner(self) -> StoredRow | None:
        """The row of the online store that counts."""
        return next((row for row in self.online_rows if row.where != COVERED and not row.lost_by), None)

    @property
    def is_decided(self) -> bool:
        """Whether the answer itself, or the row that counts, or the sequence says what the verdict is."""
        return not self.in_sequence or any(place is not None for place in self.places) or self.winner is not None

    @property
    def published(self) -> BucketVersion | None:
        """What is published of the day."""
        epoch = self.stored.epoch if self.stored else None
        return epoch.buckets.get(str(self.day)) if epoch and self.day else None

    @property
    def is_expired(self) -> bool:
        """Whether its day is kept no longer."""
        epoch = self.stored.epoch if self.stored else None
        return epoch is not None and self.day is not None and str(self.day) < epoch.expired_before

    @property
    def sealed(self) -> BucketRow | None:
        """The event's row in the day's bucket."""
        return next((row for row in self.bucket_rows if row.day == self.day), None)

    @property
    def has_read(self) -> bool | None:
        """Whether the day's bucket was made from the leading row; None without either."""
        if self.bucket is None or self.lead is None:
            return None
        return self.bucket.has_read(self.lead.at, self.lead_written_at)

    @property
    def from_log(self) -> bool:
        """Whether the leading row came as a message of the log."""
        return bool(self.lead and self.source.topic and self.lead.at[0].startswith(f"{self.source.topic}:"))

    @property
    def statuses(self) -> dict[str, CellStatus]:
        """By status column what the row that counts has, or that of the bucket; null reads as PENDING."""
        rows = [row.statuses for row in (self.winner, self.sealed) if row is not None]
        return {
            name: CellStatus.PENDING if value is None else CellStatus(value)
            for name, value in (rows[0] if rows else {}).items()
        }

    @property
    def stands(self) -> bool:
        """Whether the engine makes an event of any copy."""
        return any(copy.fate not in ("filtered", "dropped", "rejected", "withdrew") for copy in self.copies)

    @property
    def is_found(self) -> bool:
        """Whether anything says the event."""
        return bool(self.copies or self.online_rows or self.bucket_rows or any(r.event_id for r in self.refused))


def situation(evidence: Evidence, event_type: str, event_id: str) -> Situation:
    """Look at everything that was read; reads the lake's buckets and enrichments of the event's own days besides."""
    release = evidence.runtime.release
    definition = release.event_types[event_type]
    source = release.sources[definition.source]
    online, made = evidence.online, evidence.made(event_type)
    stored = online.stored.get(event_type) if online else None
    online_rows = stored.of_event(event_id) if stored else []
    copies = made.copies(event_id) if made else []
    lead = _lead(copies, online_rows)
    day = lead.day if lead else next((row.day for row in online_rows), None)
    bucket, bucket_rows, unknown = _lake(evidence, event_type, event_id, day, {copy.day for copy in copies})
    day = day or next((row.day for row in bucket_rows), None)
    written = written_at(evidence.rows[source.name], lead.at, lead.day) if lead else None
    position = online.positions.get(lead.at[0]) if online and lead else None
    return Situation(
        event_type=definition,
        source=source,
        event_id=event_id,
        in_sequence=event_type in evidence.plan.definition.event_types,
        copies=copies,
        refused=[row for row in evidence.refused(event_type) if row.event_id == event_id or _mentions(row, event_id)],
        lake_unknown=evidence.why_unknown(event_type),
        online_unknown=evidence.problems.get("online"),
        stored=stored,
        online_rows=online_rows,
        places=_places(evidence, event_type, event_id),
        lead=lead,
        bucket=bucket,
        bucket_unknown=unknown,
        bucket_rows=bucket_rows,
        lead_written_at=written,
        streamed_to=position.next_offset if position else None,
        seen=_sights(evidence, event_type, made, event_id, lead),
        redefined=bool(bucket and _redefined(evidence, event_type, bucket)),
        day=day,
    )


def _lead(copies: Sequence[Copy], online: Sequence[StoredRow]) -> Copy | None:
    shown: Position | None = next((row.at for row in online if not row.lost_by), None)

    def rank(copy: Copy) -> tuple[object, ...]:
        return (_INTEREST.index(copy.fate), -copy.rev, copy.at != shown, copy.ingest_time)

    return min(copies, key=rank, default=None)


def _lake(
    evidence: Evidence, event_type: str, event_id: str, day: dt.date | None, days: set[dt.date]
) -> tuple[LakeBucket | None, list[BucketRow], str | None]:
    if event_type not in evidence.plans:
        return None, [], evidence.problems[event_type]
    try:
        buckets = evidence.buckets(event_type)
        if not buckets.table.exists():
            why = f"this installation's home has no events/{event_type}"
            return None, [], why if evidence.why_unknown(event_type) else None
        rows = buckets.rows(event_id, days | ({day} if day else set()))
        return (buckets.bucket(day) if day else None), rows, None
    except UNREADABLE as error:
        evidence.unreadable(f"events/{event_type}", error)
        return None, [], evidence.problems[f"events/{event_type}"]


def _places(evidence: Evidence, event_type: str, event_id: str) -> tuple[int | None, int | None, int | None]:
    if evidence.online is None:
        return None, None, None
    answers = evidence.online.answers
    whole, windowed, shown = (
        answers.place(events, event_type, event_id) for events in (answers.whole, answers.windowed, answers.shown)
    )
    return whole, windowed, shown


def _sights(
    evidence: Evidence, event_type: str, made: EngineTrace | None, event_id: str, lead: Copy | None
) -> dict[str, EnrichmentSight]:
    if made is None or lead is None or lead.fate != "stands":
        return {}
    try:
        evidence.require_time()
        return sights(evidence.runtime, evidence.plans[event_type], made.event(event_id, lead.day), lead.day)
    except UNREADABLE as error:
        evidence.unreadable(f"enrichments:{event_type}", error)
        return {}


def _redefined(evidence: Evidence, event_type: str, bucket: LakeBucket) -> bool:
    """Whether the bucket was made under another meaning of the event type than the one in force."""
    here = evidence.runtime.loaded.id
    return bucket.releases - {here} != set() and Definitions(evidence.runtime, event_type).differ(here, bucket.releases)


def _mentions(row: RejectedRow, event_id: str) -> bool:
    """Whether bytes that say no id hold every part of it."""
    return not row.event_id and all(part.encode() in row.payload for part in event_id.split("~"))
