"""Compare the lake's files with what was written into them, and say how a damaged one is made again.

>>> [(name, found.files, found.damaged) for name, found in verify(shop, ["events/purchase"])]
[('events/purchase', 5, ())]
"""

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import polars as pl

from seqplat_resources.batch.days.partitions import Partitions
from seqplat_resources.batch.inputs.tables import INGEST_STAGE
from seqplat_resources.batch.upkeep.layouts import layouts
from seqplat_resources.commands import command
from seqplat_resources.lake.damage import LogDamaged, way_out
from seqplat_resources.lake.layout import DAY, OBJECTS, READOUT, SESSIONS, SHADOW, SHADOW_SEQUENCES, UNDATED
from seqplat_resources.lake.verify import FileVerdict, share_of, verified, verified_log
from seqplat_resources.release.runtime import Runtime

# In place of a day, for what belongs to all days of a table.
LOG = "its log"


@dataclass(frozen=True)
class DamagedFile:
    """A file whose bytes are not those that were written: what is wrong with it, and the way out, in words."""

    table: str
    day: str
    path: str
    why: str
    fix: str

    def __str__(self) -> str:
        return f"{self.path} ({self.table}, {self.day}): {self.why}; {self.fix}"


@dataclass
class Verification:
    """What was looked at. ``unchecked`` files are older than checksums, and were only asked for their size."""

    files: int = 0
    bytes: int = 0
    unchecked: int = 0
    damaged: tuple[DamagedFile, ...] = ()

    def add(self, runtime: Runtime, name: str, verdict: FileVerdict) -> None:
        self.files, self.bytes = self.files + 1, self.bytes + verdict.bytes
        self.unchecked += not verdict.checked
        if verdict.damage is not None:
            self.damaged += (_damaged(runtime, name, verdict, verdict.damage),)


def verify(
    runtime: Runtime,
    names: Collection[str] = (),
    *,
    first: dt.date = dt.date.min,
    last: dt.date = dt.date.max,
    share: tuple[int, int] = (0, 1),
) -> Iterator[tuple[str, Verification]]:
    """Read the files of the tables ``names`` (all without any) of the days ``first`` to ``last``; what was found.

    ``share`` (k, n) takes the k-th n-th of the files, so that n runs see each of them once.
    """
    for name, layout in layouts(runtime).items():
        if (names and name not in names) or not layout.table.exists():
            continue
        dated = pl.col(DAY).is_between(pl.lit(first.isoformat()), pl.lit(last.isoformat()))
        found = Verification()
        try:
            of_files = verified(layout.table, share_of(layout.table.files().filter(dated), *share))
            for verdict in chain(verified_log(layout.table, *share), of_files):
                found.add(runtime, name, verdict)
        except LogDamaged as error:  # of this table nothing else can be known; of the others all
            found.damaged += (DamagedFile(name, LOG, error.path, error.why, error.fix),)
        yield name, found


def damaged_days(runtime: Runtime, name: str, days: Sequence[dt.date]) -> dict[dt.date, DamagedFile]:
    """The days of a table of which a file is damaged, with the first such file."""
    table = layouts(runtime)[name].table
    files = table.files().filter(pl.col(DAY).is_in([str(day) for day in days]))
    found: dict[dt.date, DamagedFile] = {}
    for verdict in verified(table, files):
        if verdict.damage is not None:
            day = dt.date.fromisoformat(verdict.bucket[DAY])
            found.setdefault(day, _damaged(runtime, name, verdict, verdict.damage))
    return found


def _damaged(runtime: Runtime, name: str, verdict: FileVerdict, why: str) -> DamagedFile:
    path = runtime.home.uri(f"{verdict.table}/{verdict.path}")
    if not verdict.bucket:
        return DamagedFile(name, LOG, path, why, way_out(runtime.home, verdict.table))
    return DamagedFile(name, verdict.bucket[DAY], path, why, _fix(runtime, name, verdict.bucket))


def _fix(runtime: Runtime, name: str, bucket: Mapping[str, str]) -> str:
    """How the bucket of a file is made again, with everything that was made of it."""
    layer, _, of = name.partition("/")
    if layer == "rejects":  # made together with what was not refused
        layer, of = ("raw", of) if bucket["stage"] == INGEST_STAGE else ("events", bucket["stage"])
    if layer in ("columns", "superseded"):  # gone, or made anew, when the day is built as a whole
        layer = "events"
    assets = _with_what_is_made_of_it(runtime, layer, of)
    if not assets:
        return "restore it from a backup: a stream wrote it, and nothing here can make it again"
    if bucket[DAY] == UNDATED.isoformat():
        return f"build {assets[0]} again for the days of its files"
    return f"run `{command('materialize', bucket[DAY], bucket[DAY], *assets)}`"


def _with_what_is_made_of_it(runtime: Runtime, layer: str, name: str) -> list[str]:
    """The asset of a table and those downstream, in build order; none for what no build makes."""
    release, days = runtime.release, Partitions.of(runtime.release)
    made = {
        "raw": days.raw,
        "enrichments": days.enrichments,
        "events": days.event_types,
        "sequences": days.sequences,
        SESSIONS: days.sessions,
        OBJECTS: days.objects,
        SHADOW: days.shadow,
        SHADOW_SEQUENCES: days.shadow_sequences,
        READOUT: days.readout,
    }
    if name not in made.get(layer, {}):
        return []
    if layer in (SESSIONS, OBJECTS, SHADOW, SHADOW_SEQUENCES, READOUT):
        return [f"{layer}/{name}"]
    types = {
        event_type
        for event_type in days.event_types
        if (layer, name) in (("raw", release.event_types[event_type].source), ("events", event_type))
        or (layer == "enrichments" and name in [u.enrichment for u in release.event_types[event_type].enrichments])
    }
    own = [] if layer == "events" else [f"{layer}/{name}"]
    sequences = [f"sequences/{s}" for s in days.sequences if types & set(release.sequences[s].event_types)]
    views = [
        *(f"{SESSIONS}/{v}" for v in days.sessions if types & set(release.sessions[v].event_types)),
        *(f"{OBJECTS}/{v}" for v in days.objects if types & set(release.objects[v].event_types)),
    ]
    return [*own, *(f"events/{t}" for t in sorted(types)), *sequences, *views, *(f"online/{t}" for t in sorted(types))]
