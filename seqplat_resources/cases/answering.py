"""A sequence of a case: its events streamed into an embedded store of its own, and read as the API reads.

Nobody will read that store again, so it waits for no disk.
"""

from collections.abc import Mapping
from contextlib import closing

import polars as pl

from seqplat_resources.batch.publish.events import now_schema
from seqplat_resources.clock import Clock
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.online_store import Advance
from seqplat_resources.online_store.lmdb import LmdbStore
from seqplat_resources.read.answer import answer
from seqplat_resources.release.query import Query
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.release.store import LoadedRelease
from seqplat_resources.stream.visible import now_write
from seqplat_resources.times import milliseconds


def answered(
    loaded: LoadedRelease,
    name: str,
    user: str,
    plans: Mapping[str, EventPlan],
    events: Mapping[str, pl.DataFrame],
    folder: str,
    clock: Clock,
    limit: int | None,
) -> pl.DataFrame:
    """The user's sequence, newest first, with all columns it has."""
    plan = SequencePlan.of(loaded, name)
    with closing(LmdbStore(folder, sync=False)) as store:
        writes, ends = [], dict[str, int]()
        for kind, frame in events.items():
            store.register_schema(now_schema(plans[kind]))
            if frame.height:
                in_order = frame.sort("user_id", "event_time", descending=[False, True], maintain_order=True)
                writes.append(now_write(plans[kind], in_order))
                for partition, last in frame.group_by("source_partition").agg(pl.col("offset").max()).iter_rows():
                    ends[partition] = max(ends.get(partition, 0), last + 1)
        at_ms = milliseconds(clock.now())
        store.advance(writes, {partition: Advance(0, end, 1, 0, at_ms) for partition, end in ends.items()})
        return answer(plan, store, user, Query(limit=limit), clock=clock).events
