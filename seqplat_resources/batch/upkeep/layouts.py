"""Upkeep of every table of a release, each with the file layout its builds give it.

>>> layout = layouts(shop)["events/purchase"]
>>> layout.split_by, list(compact_table(layout))
('shard', [])
"""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from seqplat_resources.batch.inputs import tables
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.lake.append import compact_appended
from seqplat_resources.lake.compact import LeftBucket, compact
from seqplat_resources.lake.layout import ANSWERED, EXPOSURES, OBJECTS, READOUT, SESSIONS, SHADOW, SHADOW_SEQUENCES
from seqplat_resources.lake.table import BucketCommit, LakeTable
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.view_plan import ViewPlan
from seqplat_resources.rules.order import by_user_newest_first
from sequence_defs.schema import Snapshot, Versioned


@dataclass(frozen=True)
class Layout:
    """A table with the way its rows lie in files: one file per value of ``split_by``, rows in order of ``sort_by``.

    ``appended`` tables are those streams add to; builds replace the buckets of the others. Files that are ``beside``
    one of another table stay as they are: they are of its rows, one by one.
    """

    table: LakeTable
    split_by: str | None
    sort_by: tuple[str, ...]
    appended: bool = False
    beside: bool = False

    def sorted(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows of one file in the order a build writes them."""
        if self.split_by is not None:
            return by_user_newest_first(rows)
        return rows.sort(self.sort_by, maintain_order=True) if self.sort_by else rows


def layouts(runtime: Runtime) -> dict[str, Layout]:
    """Every table the release can have, by the name people use (``events/purchase``)."""
    release = runtime.release
    compared = {name: each.legacy for name, each in release.event_types.items() if each.legacy}
    theirs = {name for each in compared.values() for name in (each.source, each.replay) if name}
    fed = sorted({*(event_type.source for event_type in release.event_types.values()), *theirs})
    found: dict[str, Layout] = {}
    for name in fed:
        source = release.sources[name]
        if source.location:
            found[f"raw/{name}"] = Layout(tables.raw(runtime, source), None, ("_shard",))
        if source.topic:
            archive = tables.archive(runtime, source)
            found[f"archive/{name}"] = Layout(archive, "_partition", ("_offset",), appended=True)
    for name, enrichment in release.enrichments.items():
        if isinstance(enrichment, Versioned | Snapshot):
            table = tables.enrichment(runtime, enrichment)
            found[f"enrichments/{name}"] = Layout(table, None, ("valid_from", *enrichment.key))
    for name in release.event_types:
        table = tables.events(runtime, EventPlan.of(runtime.loaded, name))
        found[f"events/{name}"] = Layout(table, "shard", ())
        found[f"columns/{name}"] = Layout(
            tables.columns(runtime, EventPlan.of(runtime.loaded, name)), None, (), beside=True
        )
        found[f"superseded/{name}"] = Layout(
            tables.superseded(runtime, EventPlan.of(runtime.loaded, name)), "shard", ()
        )
        if release.sources[release.event_types[name].source].topic:
            served = tables.served(runtime, EventPlan.of(runtime.loaded, name))
            found[f"served/{name}"] = Layout(served, "source_partition", ("offset",), appended=True)
    for name in compared:
        found[f"{SHADOW}/{name}"] = Layout(tables.shadow(runtime, name), None, ())
    for name in (name for name, each in release.event_types.items() if each.experiment):
        exposed = tables.exposures(runtime.home, name, runtime.clock)
        found[f"{EXPOSURES}/{name}"] = Layout(exposed, None, ("place", "user"), appended=True)
        found[f"{READOUT}/{name}"] = Layout(tables.readout(runtime, name), None, ())
    for name in release.sequences:
        found |= _of_sequence(runtime, name)
    found |= _views(runtime)
    for name in sorted(
        {*fed, *(e.source for e in release.enrichments.values() if isinstance(e, Versioned | Snapshot))}
    ):
        found[f"rejects/{name}"] = Layout(tables.rejects(runtime, name), None, ("source_partition", "offset"))
    return found


def _of_sequence(runtime: Runtime, name: str) -> dict[str, Layout]:
    definition, found = runtime.release.sequences[name], dict[str, Layout]()
    found[f"sequences/{name}"] = Layout(tables.sequence(runtime, name), None, ("user_id",))
    if definition.legacy:
        found[f"{SHADOW_SEQUENCES}/{name}"] = Layout(tables.shadow(runtime, name, SHADOW_SEQUENCES), None, ())
    answered = tables.answered(runtime.home, name, runtime.clock)
    if definition.answers_recorded or answered.exists():  # what was recorded once expires all the same
        found[f"{ANSWERED}/{name}"] = Layout(answered, None, ("user", "at"), appended=True)
    return found


def _views(runtime: Runtime) -> dict[str, Layout]:
    named = [(SESSIONS, name) for name in runtime.release.sessions]
    named += [(OBJECTS, name) for name in runtime.release.objects]
    plans = [ViewPlan.of(runtime.loaded, f"{layer}/{name}") for layer, name in named]
    return {plan.name: Layout(tables.view(runtime, plan), None, ("user_id",)) for plan in plans}


def compact_table(layout: Layout, *, min_files: int = 2) -> Iterator[BucketCommit | LeftBucket]:
    """Merge the small files of one table, bucket by bucket."""
    if layout.beside:
        return
    if layout.appended:
        yield from compact_appended(layout.table, split_by=layout.split_by, sort_by=layout.sort_by, min_files=min_files)
        return
    yield from compact(layout.table, split_by=layout.split_by, sort=layout.sorted, min_files=min_files)
