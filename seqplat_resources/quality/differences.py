"""Why an event is on one side only, streamed or built: explanations from positions, revisions and releases."""

import datetime as dt
from collections.abc import Mapping, Set
from dataclasses import dataclass, field

import polars as pl

from seqplat_resources.batch.inputs.rows import RawInputs
from seqplat_resources.comparison.causes.rules import CauseRule, causes_of
from seqplat_resources.errors import SeqplatError
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.store import ReleaseStore
from seqplat_resources.rules.identity import IDENTITY
from seqplat_resources.rules.precedence import outranked


@dataclass
class Definitions:
    """Whether releases mean the same by an event type."""

    runtime: Runtime
    event_type: str
    _known: dict[str, str] = field(default_factory=dict)

    def differ(self, one: str, others: Set[str]) -> bool:
        """Whether any of ``others`` gives other events than release ``one``."""
        return any(self._semantic(other) != self._semantic(one) for other in others)

    def _semantic(self, release: str) -> str:
        """What moves when values may; of a release that is gone or knew no such event type, its own name."""
        if release not in self._known:
            try:
                loaded = ReleaseStore(self.runtime.home).get(release)
                self._known[release] = loaded.release.hashes[f"event_types/{self.event_type}"].semantic
            except (SeqplatError, KeyError):
                self._known[release] = release
        return self._known[release]


def only_stream(
    gone: pl.DataFrame, day: dt.date, inputs: RawInputs, definitions: Definitions, releases: Set[str]
) -> pl.Series:
    """Of served events that the bucket has read and does not hold: why.

    ``moved``: a later revision, or the copy that was received first, belongs to another day.
    ``redefined``: the bucket's ``releases`` mean something else by the event type than the one that served it.
    """
    if not gone.height:
        return pl.Series("why", [], dtype=pl.String())
    elsewhere = inputs.rivals([day]).filter(pl.col("event_time").dt.date() != day)
    beaten = outranked(gone, elsewhere, IDENTITY, inputs.plan.horizon).select(IDENTITY).unique()
    moved = pl.struct(IDENTITY).is_in(beaten.select(pl.struct(IDENTITY)).to_series().implode())
    redefined = [release for release in gone["release"].unique() if definitions.differ(release, releases)]
    rules = (
        CauseRule("moved", "Another revision or copy of it belongs to another day.", moved),
        CauseRule("redefined", "The day was built by another meaning of it.", pl.col("release").is_in(redefined)),
    )
    return causes_of(gone, rules)["cause"]


def only_batch(
    new: pl.DataFrame,
    topic: str,
    positions: Mapping[str, int | None],
    firsts: Mapping[str, int],
    definitions: Definitions,
    served_by: Set[str],
) -> pl.Series:
    """Of stored events that were never served: why.

    ``by_file``: they did not come through the log. ``not_kept``: the log of what was served does not reach there yet.
    ``before_stream``: it begins later, or has not begun. ``redefined``: another meaning of the event type was
    streamed on that day.
    """
    if not new.height:
        return pl.Series("why", [], dtype=pl.String())
    kept = {partition: end for partition, end in positions.items() if end is not None}
    partition, offset = pl.col("source_partition"), pl.col("offset")
    redefined = [r for r in new["release"].unique() if definitions.differ(r, served_by)]
    end, first = (partition.replace_strict(dict(each), default=0, return_dtype=pl.Int64()) for each in (kept, firsts))
    rules = (
        CauseRule("by_file", "It did not come through the log.", ~partition.str.starts_with(f"{topic}:")),
        CauseRule("before_stream", "Nothing of its partition was ever served.", ~partition.is_in(list(kept))),
        CauseRule("not_kept", "What was served is not kept that far yet.", offset >= end),
        CauseRule("before_stream", "Its partition was served from a later message on.", offset < first),
        CauseRule("redefined", "Another meaning of it was streamed.", pl.col("release").is_in(redefined)),
    )
    return causes_of(new, rules)["cause"]


def first_served(served: LakeTable, new: pl.DataFrame) -> dict[str, int]:
    """By source partition of ``new``, the first offset that was ever served.

    Cost: a scan of two columns of the whole table, and none where nothing is new.
    """
    if not new.height or not served.exists():
        return {}
    of = pl.col("source_partition").is_in(new["source_partition"].unique().implode())
    return dict(served.scan().filter(of).group_by("source_partition").agg(pl.col("offset").min()).collect().iter_rows())
