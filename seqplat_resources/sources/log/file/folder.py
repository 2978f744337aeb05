"""An embedded log in a folder, for where there is no broker: durable, one writer and many readers per partition.

    <root>/<topic>/topic.json           number of partitions, and what tells it from others of its name
    <root>/<topic>/<number>/*.seg       records, in files named by their first offset
    <root>/<topic>/<number>/lock        held by the writer

Its folder has to be on a local disk: network file systems neither lock nor show appended data as this needs.

>>> writer = FileLogWriter(folder)
>>> writer.create_topic("clicks", 1)
>>> writer.append("clicks", [(b"ann", b'{"number": 1}'), (b"ann", b'{"number": 2}')])
>>> writer.close()
>>> log = FileLogSource(folder)
>>> log.assign({Partition("clicks", 0): 1})
>>> [(batch.offsets, batch.values) for batch in log.poll(max_rows=1, max_bytes=1_000, timeout_s=5)]
[([1], [b'{"number": 2}'])]
>>> log.close()
"""

import json
import os
import re
import time
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from seqplat_resources.clock import Clock, SystemClock
from seqplat_resources.sources.log.backlog import Backlog
from seqplat_resources.sources.log.contract import OnLost, Partition, Record
from seqplat_resources.sources.log.errors import (
    CorruptLog,
    InvalidTopicName,
    LogAccessDenied,
    LogFailure,
    TopicDiffers,
    UnknownTopic,
)
from seqplat_resources.sources.log.file import segments
from seqplat_resources.sources.log.file.appender import PartitionAppender
from seqplat_resources.sources.log.file.reader import OffsetGone, PartitionReader
from seqplat_resources.sources.log.polling import PolledSource
from seqplat_resources.times import milliseconds

_FORMAT: Final = 1
# Kafka's rule, so that a topic may move there.
_TOPIC: Final = re.compile(r"(?!\.\.?$)[a-zA-Z0-9._-]{1,249}")
# A new file begins at this size; retention deletes whole files, and finding an offset looks through one.
SEGMENT_BYTES: Final = 64 << 20
# How often a reader at the end of the log looks again.
_LOOK_AGAIN_S: Final = 0.01


class FileLogSource(PolledSource):
    """Reads the log of a folder. Needs no rights to write."""

    def __init__(self, root: str | Path, *, on_lost: OnLost = "error") -> None:
        self._root = Path(root)
        super().__init__(where=f"the file log {self._root}", on_lost=on_lost)
        self._readers: dict[Partition, PartitionReader] = {}
        self._ends: dict[Partition, segments.EndFinder] = {}

    def partitions(self, topic: str) -> list[Partition]:
        with _translated_errors(f"opening topic {topic!r}", self._root):
            return _partitions(self._root, topic)

    def identity(self, topic: str) -> str:
        with _translated_errors(f"opening topic {topic!r}", self._root):
            return str(_described(self._root, topic).get("id", ""))

    def start_offsets(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        with _translated_errors("finding the start", self._root):
            return {p: segments.start_offset(_existing(self._root, p)) for p in partitions}

    def end_offsets(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        found: dict[Partition, int] = {}
        with _translated_errors("finding the end", self._root):
            for partition in partitions:
                folder = _existing(self._root, partition)
                finder = self._ends.setdefault(partition, segments.EndFinder(folder))
                found[partition] = finder.end_offset()
        return found

    def hint(self, positions: Mapping[Partition, int]) -> None:
        """Nobody displays the lag of a file log."""

    def close(self) -> None:
        for reader in self._readers.values():
            reader.close()
        self._readers = {}

    def _seek(self, positions: Mapping[Partition, int]) -> None:
        self.close()
        self._readers = {p: self._reader(p, offset) for p, offset in positions.items()}

    def _pull(self, backlog: Backlog, max_rows: int, max_bytes: int, timeout_s: float) -> None:
        share_rows = max(1, max_rows // max(1, len(self._readers)))
        share_bytes = max(1, max_bytes // max(1, len(self._readers)))
        before = backlog.rows
        for partition in list(self._readers):
            waiting = backlog.rows_of(partition)
            if waiting < share_rows:
                self._read(backlog, partition, share_rows - waiting, share_bytes)
        if backlog.rows == before:
            time.sleep(min(timeout_s, _LOOK_AGAIN_S))

    def _read(self, backlog: Backlog, partition: Partition, rows: int, size_bytes: int) -> None:
        reader = self._readers[partition]
        try:
            with _translated_errors(f"reading {partition}", self._root):
                run = reader.read(rows, size_bytes)
        except OffsetGone:
            start = self._out_of_range(partition, reader.next_offset)
            backlog.skip_to(partition, start)
            self._readers[partition] = self._reader(partition, start)
            return
        if run:
            backlog.add(run)

    def _reader(self, partition: Partition, offset: int) -> PartitionReader:
        return PartitionReader(_folder(self._root, partition), partition, offset)


@dataclass(frozen=True)
class Trimmed:
    """Files, and the messages in them, that were deleted or would be."""

    files: int = 0
    rows: int = 0
    bytes: int = 0


class FileLogWriter:
    """Appends to the log of a folder; the folder is made when it is first needed.

    ``sync``: everything is on disk when ``append`` returns. Without it that is so when ``flush`` returns, and a power
    cut before may leave files that a person has to look at; the end of the process alone never does.
    """

    def __init__(
        self, root: str | Path, *, sync: bool = True, segment_bytes: int = SEGMENT_BYTES, clock: Clock = SystemClock()
    ) -> None:
        self._root, self._sync, self._segment_bytes, self._clock = Path(root), sync, segment_bytes, clock
        self._appenders: dict[Partition, PartitionAppender] = {}
        self._turn = 0

    def create_topic(self, topic: str, partitions: int) -> None:
        if not _TOPIC.fullmatch(topic):
            raise InvalidTopicName(topic)
        folder = self._root / topic
        with _translated_errors(f"creating topic {topic!r}", self._root):
            if not (folder / "topic.json").exists():
                described = {"format": _FORMAT, "partitions": partitions, "id": uuid.uuid4().hex}
                for number in range(partitions):
                    (folder / str(number)).mkdir(parents=True, exist_ok=True)
                _put_if_absent(folder / "topic.json", json.dumps(described))
            present = len(_partitions(self._root, topic))
        if present != partitions:
            raise TopicDiffers(topic, partitions=present, asked=partitions, where=f"the file log {self._root}")

    def append(self, topic: str, records: Sequence[Record], *, partition: int | None = None) -> None:
        """Raises PartitionBusy where another writer appends to the partition."""
        with _translated_errors(f"appending to topic {topic!r}", self._root):
            for target, part in self._routed(topic, records, partition).items():
                self._appender(target).append(part, milliseconds(self._clock.now()))

    def trim(self, partition: Partition, before_offset: int, *, dry_run: bool = False) -> Trimmed:
        """Delete the files that hold only older messages, and say what went (or would).

        Whole files go, never the one that is written: older messages may stay. May run beside writers and readers.
        """
        with _translated_errors(f"trimming {partition}", self._root):
            folder, trimmed = _existing(self._root, partition), Trimmed()
            for base, following in segments.whole_before(folder, before_offset):
                path = segments.segment_path(folder, base)
                with suppress(FileNotFoundError):  # somebody else trims as well
                    size = path.stat().st_size
                    if not dry_run:
                        path.unlink()
                    trimmed = Trimmed(trimmed.files + 1, trimmed.rows + following - base, trimmed.bytes + size)
            return trimmed

    def offset_at(self, partition: Partition, time_ms: int) -> int | None:
        """The first offset received at or after a time (UTC milliseconds); None if all are older."""
        with _translated_errors(f"finding a time in {partition}", self._root):
            return segments.offset_at(_existing(self._root, partition), time_ms)

    def partitions(self, topic: str) -> list[Partition]:
        """Those of a topic. Raises UnknownTopic."""
        with _translated_errors(f"opening topic {topic!r}", self._root):
            return _partitions(self._root, topic)

    def flush(self) -> None:
        with _translated_errors("flushing", self._root):
            for appender in self._appenders.values():
                appender.flush()

    def close(self) -> None:
        with _translated_errors("closing", self._root):
            while self._appenders:
                self._appenders.popitem()[1].close()

    def _routed(
        self, topic: str, records: Sequence[Record], number: int | None
    ) -> Mapping[Partition, Sequence[Record]]:
        """What goes where. Records without key of one append stay together."""
        if number is not None:
            return {Partition(topic, number): records}
        count = len(_partitions(self._root, topic))
        self._turn = (self._turn + 1) % count
        routed: dict[Partition, list[Record]] = {}
        for record in records:
            at = self._turn if record[0] is None else zlib.crc32(record[0]) % count
            routed.setdefault(Partition(topic, at), []).append(record)
        return routed

    def _appender(self, partition: Partition) -> PartitionAppender:
        if (appender := self._appenders.get(partition)) is None:
            folder = _existing(self._root, partition)
            appender = PartitionAppender(folder, partition, segment_bytes=self._segment_bytes, sync=self._sync)
            self._appenders[partition] = appender
        return appender


@contextmanager
def _translated_errors(what: str, root: Path) -> Iterator[None]:
    """Errors of the file system become errors of the platform."""
    try:
        yield
    except PermissionError as error:
        raise LogAccessDenied(what, where=f"the file log {root}", reason=str(error)) from error
    except OSError as error:
        raise LogFailure(what, where=f"the file log {root}", reason=str(error)) from error


def _partitions(root: Path, topic: str) -> list[Partition]:
    return [Partition(topic, number) for number in range(_described(root, topic)["partitions"])]


def _described(root: Path, topic: str) -> Mapping[str, Any]:
    path = root / topic / "topic.json"
    try:
        described = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        present = sorted(path.parent.name for path in root.glob("*/topic.json"))
        raise UnknownTopic(f"topic {topic!r}", where=f"the file log {root}", present=present) from error
    except ValueError as error:
        raise CorruptLog(f"what describes topic {topic!r} is no JSON ({error})", where=str(path)) from error
    if not isinstance(described, dict) or not isinstance(described.get("partitions"), int):
        raise CorruptLog(f"what describes topic {topic!r} does not say how many partitions it has", where=str(path))
    return described


def _folder(root: Path, partition: Partition) -> Path:
    return root / partition.topic / str(partition.number)


def _existing(root: Path, partition: Partition) -> Path:
    known = _partitions(root, partition.topic)
    if partition not in known:
        present = [str(p) for p in known]
        raise UnknownTopic(f"partition {partition}", where=f"the file log {root}", present=present)
    return _folder(root, partition)


def _put_if_absent(path: Path, text: str) -> None:
    """The whole text or nothing, and only if no other process was faster."""
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
    segments.sync_folder(path.parent)
