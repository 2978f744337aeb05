"""All users' sequences as of a time: a training set with a label for each user.

>>> made = export(shop, TrainingQuestion("basket", mode="as_corrected"), folder / "all", shop.clock.now())
>>> pl.read_parquet(folder / "all/*.parquet").select("user", "product").rows()
[('ann', ['tea', 'bread', 'tea']), ('bob', ['jam'])]
"""

import datetime as dt
from collections.abc import Callable, Collection
from pathlib import Path

import polars as pl

from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.training.build import BuiltSet, TrainingLimits, TrainingProgress, build
from seqplat_resources.training.question import TrainingQuestion
from seqplat_resources.training.revisions import RevisionReader


def export(
    runtime: Runtime,
    question: TrainingQuestion,
    out: str | Path,
    as_of: dt.datetime,
    *,
    limits: TrainingLimits = TrainingLimits(),
    pii: Collection[str] = (),
    replace: bool = False,
    progress: Callable[[TrainingProgress], None] = lambda _: None,
) -> BuiltSet:
    """Of each user with any event a row: ``label_id``, ``user``, ``time`` (``as_of``) and the lists. As ``build``."""
    plan = SequencePlan.of(runtime.loaded, question.sequence, pii=pii)
    users = RevisionReader.open(runtime, plan, question.query, question.mode).everybody()
    labels = pl.DataFrame({"user": users}).with_columns(time=pl.lit(as_of).cast(pl.Datetime("us", "UTC")))
    return build(runtime, question, labels, out, limits=limits, pii=pii, replace=replace, progress=progress)
