"""What the decoder and the engine make of a sample, by the definitions that are proposed for it.

>>> from seqplat_resources.clock import SystemClock
>>> from seqplat_resources.sampling.layout import laid_out
>>> from seqplat_resources.sampling.pieces import sample_of
>>> sample = sample_of("orders/2024-05-01.csv", shop.sources_root, shop.home, SystemClock())
>>> profile = Profile.of(sample, laid_out(sample), now=SystemClock().now())
>>> found = previewed(profile, shop.release.sources["orders"], None, SystemClock())
>>> found.rows["product"].to_list(), found.refused
(['tea', 'jam'], 0)
"""

import re
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from seqplat_resources.clock import Clock
from seqplat_resources.engine.contract import NoLookup
from seqplat_resources.engine.outcome import no_rejects
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.engine.registry import digests, executor_for
from seqplat_resources.engine.run import run
from seqplat_resources.sampling.profile import Profile
from seqplat_resources.sources.decode import decode_files
from seqplat_resources.sources.files import SourceFile
from sequence_defs.schema import EventType, Source

_NUMBER, _LONGEST = re.compile(r"\d+"), 200


@dataclass(frozen=True)
class Preview:
    """``rows`` are decoded raw rows, ``events`` what is made of them, ``refused`` how many are refused and why."""

    rows: pl.DataFrame
    events: pl.DataFrame
    refused: int
    reasons: tuple[tuple[str, int], ...]
    copies: int = 0

    @property
    def share(self) -> float:
        """Of the rows, those that are refused."""
        return self.refused / max(1, self.refused + self.rows.height)


def previewed(profile: Profile, source: Source, event_type: EventType | None, clock: Clock) -> Preview:
    """Run the sampled rows through decoding and, where they are events, through the engine."""
    with tempfile.TemporaryDirectory(prefix="seqplat-sample-") as folder:
        file = Path(folder) / "sample"
        file.write_bytes(profile.table.content)
        read = source.model_copy(
            update={
                "location": str(file),
                "topic": "",
                "format": "parquet" if profile.written.format == "delta" else profile.written.format,
            }
        )
        found = list(
            decode_files(read, [SourceFile(str(file), "sample", profile.sample.modified_at)], folder, clock=clock)
        )
    rows = pl.concat([chunk.rows for chunk in found], how="diagonal") if found else pl.DataFrame()
    rejects = pl.concat([no_rejects(), *(chunk.rejects for chunk in found)])
    events, copies = rows, 0
    if event_type is not None:
        plan = EventPlan("preview", event_type, source, executor_for(event_type.executor, _digest(event_type)), ())
        outcome = run(plan, rows, NoLookup())
        events, rejects = outcome.events, pl.concat([rejects, outcome.rejects])
        copies = outcome.counts.duplicates + outcome.counts.conflicts
    return Preview(rows, events, rejects.height, _reasons(rejects["reason"]), copies)


def _digest(event_type: EventType) -> str:
    return digests()[event_type.executor]


def _reasons(said: pl.Series) -> tuple[tuple[str, int], ...]:
    """Reasons, most frequent first: those that differ by numbers alone are one, told by the first of them."""
    kinds = [_NUMBER.sub("#", reason) for reason in said]
    first = dict(zip(reversed(kinds), reversed(said.to_list()), strict=True))
    return tuple((first[kind][:_LONGEST], count) for kind, count in Counter(kinds).most_common())
