"""A log in memory whose records carry any stamp: what Kafka hands on from producers, which stamp as they like."""

import time
from collections.abc import Iterable, Mapping, Sequence

from seqplat_resources.sources.log import LogBatch, Partition
from seqplat_resources.sources.log.backlog import Backlog
from seqplat_resources.sources.log.polling import PolledSource

Stamped = tuple[int, bytes | None]


class MemoryTopic:
    """The records of one topic, by partition. It outlives the sources that read it, as a broker does."""

    def __init__(self, name: str, partitions: int) -> None:
        self.name = name
        self.records: list[list[Stamped]] = [[] for _ in range(partitions)]

    def append(self, partition: int, records: Sequence[Stamped]) -> None:
        self.records[partition] += records

    def __len__(self) -> int:
        return sum(map(len, self.records))


class MemoryLog(PolledSource):
    """Reads a ``MemoryTopic``."""

    def __init__(self, topic: MemoryTopic) -> None:
        super().__init__(where=f"the memory of {topic.name}", on_lost="error")
        self._topic = topic

    def partitions(self, topic: str) -> list[Partition]:
        return [Partition(topic, number) for number in range(len(self._topic.records))]

    def identity(self, topic: str) -> str:
        return ""

    def start_offsets(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        return dict.fromkeys(partitions, 0)

    def end_offsets(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        return {partition: len(self._topic.records[partition.number]) for partition in partitions}

    def hint(self, positions: Mapping[Partition, int]) -> None:
        """Nobody displays the lag of memory."""

    def close(self) -> None:
        """Nothing is open."""

    def _seek(self, positions: Mapping[Partition, int]) -> None:
        """The backlog knows where each partition goes on."""

    def _pull(self, backlog: Backlog, max_rows: int, max_bytes: int, timeout_s: float) -> None:
        before = backlog.rows
        for partition in backlog.positions:
            start, records = backlog.fetched_to(partition), self._topic.records[partition.number]
            if found := records[start : start + max_rows]:
                offsets = list(range(start, start + len(found)))
                stamps, values = [stamp for stamp, _ in found], [value for _, value in found]
                backlog.add(LogBatch(partition, offsets, stamps, values, start + len(found)))
        if backlog.rows == before:
            time.sleep(min(timeout_s, 0.001))
