"""Upkeep of every table of a release, each with the file layout its builds give it."""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from seqplat_resources.batch import tables
from seqplat_resources.engine.order import by_user_newest_first
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.lakehouse.table import BucketCommit, LakeTable
from seqplat_resources.lakehouse.upkeep import compact
from seqplat_resources.runtime import Runtime
from sequence_defs.schema import Snapshot, Versioned


@dataclass(frozen=True)
class Layout:
    """A table with the way its rows lie in files: one file per value of ``split_by``, rows in order of ``sort_by``."""

    table: LakeTable
    split_by: str | None
    sort_by: tuple[str, ...]

    def sorted(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows of one file in the order a build writes them."""
        if self.split_by is not None:
            return by_user_newest_first(rows)
        return rows.sort(self.sort_by, maintain_order=True) if self.sort_by else rows


def layouts(runtime: Runtime) -> dict[str, Layout]:
    """Every table the release can have, by the name people use (``events/purchase``)."""
    release = runtime.release
    fed = sorted({event_type.source for event_type in release.event_types.values()})
    found: dict[str, Layout] = {}
    for source in fed:
        found[f"raw/{source}"] = Layout(tables.raw(runtime, release.sources[source]), None, ("_shard",))
    for name, enrichment in release.enrichments.items():
        if isinstance(enrichment, Versioned | Snapshot):
            table = tables.enrichment(runtime, enrichment)
            found[f"enrichments/{name}"] = Layout(table, None, ("valid_from", *enrichment.key))
    for name in release.event_types:
        table = tables.events(runtime, EventPlan.of(runtime.loaded, name))
        found[f"events/{name}"] = Layout(table, "shard", ())
    for name in release.sequences:
        found[f"sequences/{name}"] = Layout(tables.sequence(runtime, name), None, ("user_id",))
    for source in sorted(
        {*fed, *(e.source for e in release.enrichments.values() if isinstance(e, Versioned | Snapshot))}
    ):
        found[f"rejects/{source}"] = Layout(tables.rejects(runtime, source), None, ("source_partition", "offset"))
    return found


def compact_table(layout: Layout, *, min_files: int = 2) -> Iterator[BucketCommit]:
    """Merge the small files of one table, bucket by bucket."""
    return compact(layout.table, split_by=layout.split_by, sort=layout.sorted, min_files=min_files)
