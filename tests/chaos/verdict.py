"""After the storm: everything rebuilt, and compared with what all produced messages mean."""

from collections import Counter
from contextlib import closing

import polars as pl

from seqplat_resources.batch.builds import events
from seqplat_resources.batch.days.ledger import dirty_buckets
from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.publish.events import publish
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.online_store import OnlineStore
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.sources.log import Partition
from tests.chaos import offers
from tests.chaos.messages import DAYS, MALFORMED, PARTITIONS, TOPIC, TYPES, by_member, meaning, said
from tests.chaos.world import Broken, Site, shown

Counts = dict[str, int]


def behind(site: Site) -> None:
    """Leave the number of messages that no stream has made visible as the note ``behind``."""
    with closing(site.log()) as log, closing(open_online_store(site.home, readonly=True)) as store:
        ends, stored = log.end_offsets([Partition(TOPIC, n) for n in range(PARTITIONS)]), store.stream_positions()
    reached = {partition: stored[str(partition)].next_offset for partition in ends if str(partition) in stored}
    site.note("behind", sum(end - reached.get(partition, 0) for partition, end in ends.items()))


def verdict(site: Site) -> None:
    """Leave the counts as the note ``verdict``."""
    runtime, found = site.runtime, Counter[str]()
    with closing(open_online_store(site.home)) as store:
        for name in TYPES if site.may_forget else ():  # by now, what was built is published again
            list(publish(runtime, store, name, DAYS))
        found.update(_compared(site, store, "before rebuilding"))
        for name in TYPES:
            list(events.build(runtime, name, DAYS))
            for _ in range(5):  # until every epoch that is kept has read everything
                list(publish(runtime, store, name, DAYS))
            found["now batches left"] += store.now_stats(name).batches
            found["dirty buckets left"] += len(dirty_buckets(runtime, name))
        found.update(_compared(site, store, "after rebuilding"))
    found["users whose offers are missing"] = offers.missing(site)
    found.update(_kept_once(site, runtime))
    site.note("verdict", dict(found))


def _compared(site: Site, store: OnlineStore, when: str) -> Counts:
    plan = SequencePlan.of(site.runtime.loaded, "both")
    found = dict.fromkeys(("visits expected", "half-visible or doubled", "lost", "should not be there"), 0)
    for name, history in by_member(said(site.total, site.seed)).items():
        expected = meaning(history)
        found["visits expected"] += len(expected) if when.startswith("after") else 0
        try:
            visits = shown(plan, store, name)
        except Broken as broken:
            site.violated(f"{when}: {broken}")
            found["half-visible or doubled"] += 1
            continue
        lost, extra = set(expected) - set(visits), set(visits) - set(expected)
        if lost or extra:
            site.violated(f"{when}: {name}: lost {sorted(lost)}, should not be there {sorted(extra)}")
        found["lost"] += len(lost)
        found["should not be there"] += len(extra)
    return found


def _kept_once(site: Site, runtime: Runtime) -> Counts:
    """Every message of the log is one raw row, or one reject with its bytes; every raw row was served once."""
    source, found = runtime.release.sources["visits"], Counter[str]()
    with closing(site.log()) as log:
        ends = log.end_offsets([Partition(TOPIC, n) for n in range(PARTITIONS)])
    archive = (
        tables.archive(runtime, source).scan().select(pl.col("_partition").alias("p"), pl.col("_offset").alias("o"))
    )
    rejects = tables.rejects(runtime, "visits").scan().filter(pl.col("stage") == "stream")
    refused = rejects.select(pl.col("source_partition").alias("p"), pl.col("offset").alias("o"), "payload").collect()
    raw = archive.collect()
    places = Counter([*raw.rows(), *refused.select("p", "o").rows()])
    wanted = {(str(partition), offset) for partition, end in ends.items() for offset in range(end)}
    found["messages in the log"], found["raw rows"], found["rejects"] = len(wanted), raw.height, refused.height
    found["messages not kept"] = len(wanted - set(places))
    found["messages kept twice"] = sum(count > 1 for count in places.values())
    # One that is JSON but has no such types is kept as the fields that were read.
    found["rejects with other bytes"] = sum(
        bytes(value or b"") not in MALFORMED and b"never" not in value for value in refused["payload"]
    )
    for name in TYPES:
        served = tables.served(runtime, EventPlan.of(runtime.loaded, name)).scan()
        rows = served.select(pl.col("source_partition").alias("p"), pl.col("offset").alias("o")).collect()
        found["served twice"] += rows.height - rows.unique().height
        found["served without a raw row"] += rows.unique().join(raw, on=["p", "o"], how="anti").height
    return dict(found)
