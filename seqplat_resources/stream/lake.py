"""What a stream keeps in the lake: raw rows, rejects, and the events it served, each appended exactly once.

The tables are committed one after the other. Each remembers its own positions, so after a crash between two commits
the messages are read again and every table takes only what it does not have.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import polars as pl

from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.rows import MEANING
from seqplat_resources.batch.inputs.spans import parts_by_day
from seqplat_resources.engine.outcome import no_rejects
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.lake.append import append, first_position, position
from seqplat_resources.lake.files import FilePart
from seqplat_resources.lake.layout import DAY, as_stored
from seqplat_resources.lake.table import Bucket, LakeTable
from seqplat_resources.release.runtime import Runtime
from sequence_defs.schema import Source

# Stage of rejects that came from a log. Batch replaces those of its own stages and leaves these.
STREAM_STAGE = "stream"


@dataclass
class _Buffer:
    frames: list[pl.DataFrame] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return sum(frame.height for frame in self.frames)

    def taken(self) -> pl.DataFrame:
        frames, self.frames = self.frames, []
        return pl.concat(frames)


class StreamLake:
    """The lake side of one source's stream. Not thread-safe."""

    def __init__(self, runtime: Runtime, source: Source, plans: Mapping[str, EventPlan]) -> None:
        self._release = runtime.loaded.id
        # Messages are decoded once, here: who reads them later has to know by which definition.
        self._archived_as = {MEANING: runtime.loaded.meaning_of(f"archive/{source.name}")}
        self._archive, self._rejects = tables.archive(runtime, source), tables.rejects(runtime, source.name)
        self._served = {name: tables.served(runtime, plan) for name, plan in plans.items()}
        self._raw, self._refused, self._events = _Buffer(), _Buffer(), {name: _Buffer() for name in plans}
        self._ends: dict[str, int] = {}
        self.starts: Mapping[str, int] = {}  # from where each partition is read

    def position(self, partition: str) -> int | None:
        """From where messages are still needed by some table; None where that is from the first on.

        Archive and rejects begin with the source, so one that never held anything needs all messages: a crash may have
        come between their first commits. A log of what was served begins when its event type does, so one that never
        held anything needs nothing.
        """
        archived, refused = position(self._archive, partition), position(self._rejects, partition)
        if archived is None and refused is not None:
            # The archive is kept first, so it was there, and is lost. What it had may have left the log since.
            return first_position(self._rejects, partition) or 0
        if archived is None or refused is None:
            return None
        served = (position(table, partition) for table in self._served.values())
        return min([archived, refused, *(found for found in served if found is not None)])

    def add(
        self, raw: pl.DataFrame, rejects: pl.DataFrame, events: Mapping[str, pl.DataFrame], ends: Mapping[str, int]
    ) -> None:
        """Take a micro-batch that reaches ``ends`` (source partition -> next offset)."""
        self._raw.frames.append(raw)
        self._refused.frames.append(rejects)
        for name, frame in events.items():
            self._events[name].frames.append(frame)
        self._ends |= ends

    @property
    def rows(self) -> int:
        """Messages that are waiting to be kept."""
        return self._raw.rows + self._refused.rows

    @property
    def is_empty(self) -> bool:
        return not self._ends

    def flush(self) -> Iterator[str]:
        """Commit what is waiting, table by table; yields the name of each that is done.

        Raises:
            PositionMoved, ConcurrentWrite, SchemaMismatch: what was not committed is gone from here; read again.
        """
        ends, self._ends = self._ends, {}
        raw, refused = self._raw.taken(), self._refused.taken()
        events = {name: pending.taken() for name, pending in self._events.items()}
        yield self._append(self._archive, as_stored(raw), "_partition", "_offset", ends, notes=self._archived_as)
        for name, frame in events.items():
            yield self._append(self._served[name], frame, "source_partition", "offset", ends)
        staged = pl.concat([no_rejects(), refused]).with_columns(release=pl.lit(self._release))
        yield self._append(self._rejects, staged, "source_partition", "offset", ends, stage={"stage": STREAM_STAGE})

    def _append(
        self,
        table: LakeTable,
        rows: pl.DataFrame,
        partition: str,
        offset: str,
        ends: Mapping[str, int],
        *,
        stage: Mapping[str, str] = MappingProxyType({}),
        notes: Mapping[str, str] = MappingProxyType({}),
    ) -> str:
        held = {key: position(table, key) for key in ends}
        moves = {key: (held[key], end) for key, end in ends.items() if (held[key] or 0) < end}
        if len(moves) < len(ends) or any(held.values()):
            starts = pl.col(partition).replace_strict({k: v or 0 for k, v in held.items()}, return_dtype=pl.Int64())
            rows = rows.filter(pl.col(offset) >= starts)
        if moves:
            begins = {key: self.starts[key] for key, (start, _) in moves.items() if start is None}
            parts, release = _parts(rows, partition, stage), {"release": self._release}
            append(table, parts, moves, metadata=release, begins=begins, notes=notes)
        return table.name


def _parts(rows: pl.DataFrame, partition: str, stage: Mapping[str, str]) -> Iterator[tuple[Bucket, FilePart]]:
    """Of raw rows, rejects or events."""
    time = pl.col("_event_time" if "_event_time" in rows.columns else "event_time")
    day = pl.col(DAY) if DAY in rows.columns else time.dt.date()
    for of_partition in rows.partition_by(partition, maintain_order=True):
        yield from parts_by_day(of_partition, day, **stage)
