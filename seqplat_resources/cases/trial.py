"""Rows of a case through the real decoder, the real engine and, for a sequence, a real store and the real reader.

>>> row = {"number": 1, "member": "ann", "at": "2024-05-01T09:00:00Z", "product": "tea", "amount": 3}
>>> made = Trial(shop.loaded).events("purchase", [row, {**row, "number": "one"}])
>>> made.events.select("event_id", "product").rows(), made.rejects["reason"].to_list()
([('1', 'tea')], ['column number: one is not int64'])
"""

import datetime as dt
import json
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import lru_cache
from itertools import accumulate
from typing import Any

import polars as pl

from seqplat_resources.batch.builds.versions import bounded, versions_of
from seqplat_resources.clock import Clock, SystemClock
from seqplat_resources.engine.outcome import no_rejects
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.engine.registry import digests
from seqplat_resources.engine.run import run
from seqplat_resources.errors import Final, SeqplatError
from seqplat_resources.release.store import LoadedRelease
from seqplat_resources.sources.chunks import read_columns
from seqplat_resources.sources.decode import DecodedRows, decode
from seqplat_resources.sources.formats import json_lines
from seqplat_resources.times import FIRST_US, instant
from sequence_defs.compiler.lower import lower
from sequence_defs.compiler.project import Project
from sequence_defs.compiler.sql import UTC_US
from sequence_defs.schema import Column, Definition, Snapshot, Source, Versioned

Rows = Sequence[Mapping[str, Any]]


class CaseNotRun(Final):
    """What a case names is not defined, or its enrichments' rows are refused."""


@dataclass(frozen=True)
class TrialResult:
    """``events`` in the order of their rows (of a sequence newest first), and ``rejects`` with their reasons."""

    events: pl.DataFrame
    rejects: pl.DataFrame


@dataclass(frozen=True)
class FixedClock:
    """A clock that stands."""

    time: dt.datetime

    def now(self) -> dt.datetime:
        return self.time


@dataclass(frozen=True)
class Trial:
    """Definitions, compiled; each run is of its own. ``decoded`` rows are known by their source and their identity, and
    kept with what came of them: nothing else has that identity meanwhile.
    """

    loaded: LoadedRelease
    clock: Clock = SystemClock()
    decoded: Mapping[tuple[str, int], tuple[Rows, DecodedRows]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, definitions: Sequence[Definition]) -> "Trial":
        """Definitions in which analysis finds no error."""
        return cls(LoadedRelease("trial", lower(Project(tuple(definitions), digests()))))

    def at(self, now: dt.datetime) -> "Trial":
        """The same at another time of our clock."""
        return replace(self, clock=FixedClock(now), decoded={})

    def having_decoded(self, rows: Mapping[str, Sequence[Rows]]) -> "Trial":
        """The same, with the rows of many runs by source decoded at once: what that costs hardly grows with the rows.

        Rows that cannot be decoded together are left to the run that has them.
        """
        found = dict(self.decoded)
        for name, batches in rows.items():
            if (source := self.loaded.release.sources.get(name)) is not None:
                with suppress(SeqplatError, ValueError):
                    made = decoded_batches(source, batches, self.clock)
                    found |= {(name, id(each)): (each, one) for each, one in zip(batches, made, strict=True)}
        return replace(self, decoded=found)

    def rows_by_source(self, event_type: str, rows: Mapping[str, Rows]) -> Mapping[str, Rows]:
        """Rows of a case by their source: those of an event type stand under no name."""
        known = self.loaded.release.event_types.get(event_type)
        return {known.source: rows[""]} if known and "" in rows else rows

    def events(self, event_type: str, rows: Rows, enrichments: Mapping[str, Rows] | None = None) -> TrialResult:
        """What the engine makes of rows of the event type's source, all there are of their days.

        Raises:
            CaseNotRun: a name is not defined.
        """
        plan = self._plan(event_type)
        kept = self.decoded.get((plan.source.name, id(rows)))
        decoded = decoded_rows(plan.source, rows, self.clock) if kept is None else kept[1]
        made = run(plan, decoded.rows, _Tables(self, enrichments or {}))
        return TrialResult(made.events.sort("offset", maintain_order=True), pl.concat([decoded.rejects, made.rejects]))

    def columns(self, event_type: str) -> dict[str, Column]:
        """What events of the type have. Raises as ``events``."""
        return {column.name: column for column in self._plan(event_type).columns}

    def raw(self, event_type: str, rows: Rows) -> tuple[EventPlan, pl.DataFrame]:
        """Decoded rows of the event type's source, as its executor gets them. Raises as ``events``."""
        plan = self._plan(event_type)
        return plan, decoded_rows(plan.source, rows, self.clock).rows

    def sequence(
        self,
        name: str,
        user: str,
        rows: Mapping[str, Rows],
        enrichments: Mapping[str, Rows] | None = None,
        limit: int | None = None,
    ) -> TrialResult:
        """What a reader is answered for ``user`` once the rows of each source have streamed in.

        Raises:
            CaseNotRun: a name is not defined.
        """
        from seqplat_resources.cases.answering import answered  # noqa: PLC0415  (a store costs as much as all else)

        definition = _known(self.loaded.release.sequences, name, "sequence")
        for source in rows:
            _known(self.loaded.release.sources, source, "source")
        made = {
            kind: self.events(kind, rows.get(self._plan(kind).source.name, ()), enrichments)
            for kind in definition.event_types
        }
        with tempfile.TemporaryDirectory(prefix="seqplat-case-") as folder:
            plans = {kind: self._plan(kind) for kind in made}
            events = {kind: each.events for kind, each in made.items()}
            shown = answered(self.loaded, name, user, plans, events, folder, self.clock, limit)
        return TrialResult(
            shown, pl.concat([no_rejects(), *(each.rejects for each in made.values())]).unique(maintain_order=True)
        )

    def _plan(self, event_type: str) -> EventPlan:
        _known(self.loaded.release.event_types, event_type, "event type")
        return _planned(_ById(self.loaded), event_type)


@dataclass(frozen=True, eq=False)
class _ById:
    loaded: LoadedRelease

    def __hash__(self) -> int:
        return hash(self.loaded.id)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ById) and other.loaded is self.loaded


@lru_cache(maxsize=256)
def _planned(one: _ById, event_type: str) -> EventPlan:
    return EventPlan.of(one.loaded, event_type)


def decoded_rows(source: Source, rows: Rows, clock: Clock) -> DecodedRows:
    """Rows as messages of the source; a value is judged as in every format. Joined columns are given with the row."""
    (decoded,) = decoded_batches(source, [rows], clock)
    return decoded


def decoded_batches(source: Source, batches: Sequence[Rows], clock: Clock) -> list[DecodedRows]:
    """Several batches, each as ``decoded_rows`` has it: what a row is judged to be hangs on no other row."""
    every = [row for rows in batches for row in rows]
    lines = [json.dumps(row, ensure_ascii=False, allow_nan=True, default=str).encode() for row in every]
    read = read_columns(source)
    names = {column.name for column in read}
    joined = [column for column in source.columns if column.sql is None and column.name not in names]
    parsed = json_lines.parse_records(range(len(lines)), lines, [*read, *joined])
    placed = parsed.rows.with_columns(
        parsed.offsets.alias("_offset"),
        _partition=pl.lit(f"{source.name}:0"),
        _received=pl.lit(clock.now()).cast(UTC_US),
    )
    decoded = decode(placed, source, clock=clock, origin=parsed.origin)
    broken = [
        (instant(0).date(), f"{source.name}:0", piece.offset, piece.payload, piece.reason) for piece in parsed.broken
    ]
    more = pl.DataFrame(broken, schema=no_rejects().schema, orient="row")
    ends = list(accumulate(map(len, batches)))
    rows, rejects = decoded.rows, pl.concat([more, decoded.rejects])
    return [
        DecodedRows(
            _of_batch(rows, "_offset", end - len(batch), end), _of_batch(rejects, "offset", end - len(batch), end)
        )
        for batch, end in zip(batches, ends, strict=True)
    ]


def _of_batch(rows: pl.DataFrame, place: str, start: int, end: int) -> pl.DataFrame:
    """The rows with places from ``start``, which count from 0 again."""
    return rows.filter(rows[place].is_between(start, end, closed="left")).with_columns(pl.col(place) - start)


@dataclass(frozen=True)
class _Tables:
    """Enrichments whose rows the case gives; of others nothing is known, so their cells are PENDING."""

    trial: Trial
    rows: Mapping[str, Rows]

    def versions(self, enrichment: str, keys: pl.DataFrame) -> pl.DataFrame | None:
        release = self.trial.loaded.release
        for name in self.rows:
            _known(release.enrichments, name, "enrichment")
        definition = release.enrichments[enrichment]
        if enrichment not in self.rows or not isinstance(definition, Versioned | Snapshot):
            return None
        source = release.sources[definition.source]
        chunk = versions_of(decoded_rows(source, self.rows[enrichment], self.trial.clock), definition, source)
        if chunk.rejects.height:
            raise CaseNotRun(f"enrichments: {enrichment}: a row is refused: {chunk.rejects['reason'][0]}")
        rows = bounded(chunk.rows, definition)
        start = pl.col("_from").fill_null(pl.lit(instant(FIRST_US)).cast(UTC_US))
        end = pl.col("_to")
        if isinstance(definition, Snapshot) and definition.day is not None:
            end = pl.col("_from") + pl.duration(days=1)
        values = [column.name for column in definition.columns]
        return rows.select(*definition.key, start.alias("valid_from"), end.alias("valid_to"), *values).sort(
            "valid_from", maintain_order=True
        )


def _known(defined: Mapping[str, Any], name: str, what: str) -> Any:
    """
    Raises:
        CaseNotRun: nothing of that name is defined; the nearest is told.
    """
    if name not in defined:
        near = get_close_matches(name, defined, n=1)
        guess = f"did you mean {near[0]}?" if near else f"there are {', '.join(defined) or 'none'}"
        raise CaseNotRun(f"{what} {name!r} is not defined; {guess}")
    return defined[name]
