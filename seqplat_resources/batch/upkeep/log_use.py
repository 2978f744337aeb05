"""How far a file log has been read by whoever reads it: what nobody needs of it any more may go."""

from collections.abc import Collection, Iterator
from contextlib import closing, suppress

from seqplat_resources.batch.inputs import tables
from seqplat_resources.lake.append import position
from seqplat_resources.online_store import StreamPosition
from seqplat_resources.online_store.errors import StoreNotFoundError
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.sources.log.contract import Partition
from sequence_defs.schema import Source


def read_up_to(runtime: Runtime, source: Source, partitions: Collection[Partition]) -> dict[Partition, int]:
    """The offset in each partition that archive and now view have got past, in every channel that reads the topic.

    A channel of another place that has read nothing of a partition does not count: it begins with what there is then.

    Raises:
        ReleaseNotFound, ReleaseCorrupt, ChannelCorrupt: what another channel reads is not known.
    """
    found = _positions(runtime, source, partitions)
    read = {partition: found.get(partition, 0) for partition in partitions}
    for other in runtime.neighbours():
        for theirs in _of_topic(other, source.topic):
            for partition, at in _positions(other, theirs, partitions).items():
                read[partition] = min(read[partition], at)
    return read


def _of_topic(runtime: Runtime, topic: str) -> Iterator[Source]:
    return (source for source in runtime.release.sources.values() if source.topic == topic)


def _positions(runtime: Runtime, source: Source, partitions: Collection[Partition]) -> dict[Partition, int]:
    """Of the partitions that the channel has read at all. One that is only visible is not kept anywhere: 0."""
    archive, visible = tables.archive(runtime, source), dict[str, StreamPosition]()
    with suppress(StoreNotFoundError), closing(open_online_store(runtime.home, readonly=True)) as store:
        visible = store.stream_positions()
    found = dict[Partition, int]()
    for partition in partitions:
        kept, seen = position(archive, str(partition)), visible.get(str(partition))
        if kept is not None or seen is not None:
            found[partition] = min(kept or 0, seen.next_offset) if seen is not None else kept or 0
    return found
