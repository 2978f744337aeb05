"""What tests do with a log of any kind: make topics, append, open readers, delete old messages, read until."""

import shutil
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from kafka import KafkaAdminClient, TopicPartition

from seqplat_resources.sources.log import LogBatch, LogSource, LogWriter, OnLost, Partition
from seqplat_resources.sources.log.file.folder import FileLogSource, FileLogWriter
from seqplat_resources.sources.log.kafka.confluent import ConfluentSource, ConfluentWriter
from seqplat_resources.sources.log.kafka.python import KafkaPythonSource, KafkaPythonWriter
from seqplat_resources.sources.log.kafka.settings import KafkaSettings

# For conditions; a broker on a busy machine needs seconds for what takes milliseconds otherwise.
WITHIN_S = 60.0
# Small enough that a handful of messages fills several files.
SEGMENT_BYTES = 1000


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {WITHIN_S:g} s for {what}")
        time.sleep(0.01)


@dataclass
class Log:
    """One kind of log. Everything it opened is closed by ``close``."""

    kind: str
    folder: Path
    bootstrap: str = ""
    settings: KafkaSettings | None = None
    """Of readers and writer, but that the writer always waits as long as a busy broker needs."""
    _opened: ExitStack = field(default_factory=ExitStack)
    _writer: LogWriter | None = None

    @property
    def _kafka(self) -> KafkaSettings:
        return self.settings or KafkaSettings(self.bootstrap)

    def source(self, *, group: str | None = None, on_lost: OnLost = "error") -> LogSource:
        source: LogSource
        if self.kind == "file":
            source = FileLogSource(self.folder, on_lost=on_lost)
        elif self.kind == "kafka":
            source = KafkaPythonSource(self._kafka, group=group, on_lost=on_lost)
        else:
            source = ConfluentSource(self._kafka, group=group, on_lost=on_lost)
        self._opened.callback(source.close)
        return source

    @property
    def writer(self) -> LogWriter:
        if self._writer is None:
            if self.kind == "file":
                self._writer = FileLogWriter(self.folder, sync=False, segment_bytes=SEGMENT_BYTES)
            else:
                patient = replace(self._kafka, reach_within_s=WITHIN_S)
                self._writer = (KafkaPythonWriter if self.kind == "kafka" else ConfluentWriter)(patient)
            self._opened.callback(self._writer.close)
        return self._writer

    def topic(self, partitions: int = 1) -> str:
        name = f"test-{uuid.uuid4().hex[:12]}"
        self.writer.create_topic(name, partitions)
        return name

    def append(self, topic: str, values: Sequence[bytes | None], *, partition: int = 0) -> Partition:
        self.writer.append(topic, [(b"key", value) for value in values], partition=partition)
        self.writer.flush()
        return Partition(topic, partition)

    def trim(self, partition: Partition, before_offset: int) -> None:
        if isinstance(self.writer, FileLogWriter):
            self.writer.trim(partition, before_offset)
            return
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        admin.delete_records({TopicPartition(*partition): before_offset})
        admin.close()

    def delete(self, topic: str) -> None:
        if self.kind == "file":
            shutil.rmtree(self.folder / topic)
            return
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        admin.delete_topics([topic])
        admin.close()

    def close(self) -> None:
        self._opened.close()


def read(source: LogSource, rows: int, *, max_rows: int = 1000, max_bytes: int = 1 << 24) -> list[LogBatch]:
    """Poll until so many messages came, in as few batches as they came in."""
    batches: list[LogBatch] = []
    deadline = time.monotonic() + WITHIN_S
    while (missing := rows - sum(map(len, batches))) > 0:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{missing} of {rows} messages did not come within {WITHIN_S:g} s")
        batches += source.poll(max_rows=min(missing, max_rows), max_bytes=max_bytes, timeout_s=0.5)
    return batches


def values_of(batches: Sequence[LogBatch]) -> Mapping[int, list[bytes | None]]:
    """What came, by partition number."""
    found: dict[int, list[bytes | None]] = {}
    for batch in batches:
        found.setdefault(batch.partition.number, []).extend(batch.values)
    return found


def numbered(count: int, *, size_bytes: int = 100) -> list[bytes]:
    """Different values of one size."""
    return [f"{n:06}".encode().ljust(size_bytes, b".") for n in range(count)]
