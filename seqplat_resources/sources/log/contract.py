"""What a log of raw messages promises: partitions that are read from remembered offsets, and appended to.

It owns how messages are fetched and what is lost when they are not there any more. It does not remember how far a
reader came: offsets live with the caller, who stores them in the same commit as what was made of the messages.

>>> str(Partition("clicks", 0)), Partition.parse("clicks:0")
('clicks:0', Partition(topic='clicks', number=0))
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, Protocol, TypeAlias

# What to do with an offset that the log no longer has: stop, or go on at the oldest message there is.
OnLost: TypeAlias = Literal["error", "earliest"]
# One record to append: its key (None: none) and its value.
Record: TypeAlias = tuple[bytes | None, bytes | None]


class Partition(NamedTuple):
    """One ordered part of a topic. As text it is ``topic:number``: the ``source_partition`` of events."""

    topic: str
    number: int

    def __str__(self) -> str:
        return f"{self.topic}:{self.number}"

    @classmethod
    def parse(cls, text: str) -> "Partition":
        """The partition that ``str`` wrote.

        Raises:
            ValueError: the text is not ``topic:number``.
        """
        topic, _, number = text.rpartition(":")
        if not topic or not (number.isascii() and number.isdigit()):
            raise ValueError(f"{text!r} is not a partition of a log; it has to look like 'topic:0'")
        return cls(topic, int(number))


@dataclass(frozen=True)
class LogBatch:
    """Messages of one partition in offset order; at least one.

    ``offsets``, ``timestamps_ms`` and ``values`` are equally long. Offsets ascend and may have holes (compacted
    records, transaction markers). ``timestamps_ms`` is when the message was received, UTC milliseconds since 1970, as
    the log says: any 64 bits that a producer sends to Kafka, -1 for not known. A value of None is a tombstone.
    ``next_offset`` is where to go on: last offset + 1, or more where the log is known to hold nothing in between.
    """

    partition: Partition
    offsets: list[int]
    timestamps_ms: list[int]
    values: list[bytes | None]
    next_offset: int

    def __len__(self) -> int:
        return len(self.offsets)

    @cached_property
    def size_bytes(self) -> int:
        """Of the values; a tombstone counts nothing."""
        return sum(map(len, filter(None, self.values)))


class LogSource(Protocol):
    """Reads assigned partitions from given offsets.

    Called by one stream loop, from one thread, from opening to ``close``; any number of sources (other processes
    too) read the same partitions without noticing each other. Nothing is kept between two sources: after a crash
    the caller assigns the offsets of its last durable commit and gets exactly the messages from there on.

    Raised by every method that talks to the log:
        LogUnreachable: no answer in time; try again later.
        LogAccessDenied: the log refused the credentials or the right to read.
        UnknownTopic: a topic or partition that is not there.
    """

    def partitions(self, topic: str) -> list[Partition]:
        """Every partition of a topic, ascending."""

    def identity(self, topic: str) -> str:
        """What tells a topic from one of its name that was deleted before it; empty where the log does not know."""

    def assign(self, positions: Mapping[Partition, int]) -> None:
        """Read these partitions from these offsets from now on, and no others; an empty mapping reads nothing.

        Polled messages that were not handed out yet are forgotten.
        Raises:
            OffsetsLost: the log no longer has an offset, and the source was not opened with ``on_lost="earliest"``.
            OffsetsAhead: an offset lies behind the end of the log: this is not the log the offset came from.
        """

    def poll(self, *, max_rows: int, max_bytes: int, timeout_s: float) -> list[LogBatch]:
        """The next messages, at most one batch per partition.

        Returns as soon as ``max_rows`` messages or ``max_bytes`` of values are there, and otherwise after
        ``timeout_s`` with what came until then, perhaps nothing. Both bounds hold for all batches together; a message
        larger than ``max_bytes`` comes alone. A partition with much to read does not keep out another: those that
        have messages waiting share the bounds.
        Raises:
            OffsetsLost: as ``assign``; retention overtook this reader.
        """

    def positions(self) -> dict[Partition, int]:
        """For each assigned partition the offset that ``poll`` hands out next (or the end of the log)."""

    def start_offsets(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """The oldest offset that can be read; where nothing can, the end."""

    def end_offsets(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """The offset that the next message will get (of a transactional log: the first that is still undecided)."""

    def hint(self, positions: Mapping[Partition, int]) -> None:
        """Tell the log how far the caller is, for its lag displays. Best effort: nothing depends on it, nothing is
        raised, and without a group it does nothing."""

    def close(self) -> None:
        """Release connections and files. A second call does nothing."""


class LogWriter(Protocol):
    """Appends to topics; used by replay, tests and logging of served requests, from one thread.

    A crash before ``flush`` returned may have stored any prefix of what was appended to a partition, never half a
    record; nothing is reordered within a partition. Raises as ``LogSource`` does.
    """

    def create_topic(self, topic: str, partitions: int) -> None:
        """Make the topic, empty; nothing happens if it is there already.

        Raises:
            TopicDiffers: it is there with another number of partitions.
        """

    def append(self, topic: str, records: Sequence[Record], *, partition: int | None = None) -> None:
        """Hand over records, in order. Without ``partition``, records of equal keys go to the same one, in order;
        those without key are spread."""

    def flush(self) -> None:
        """Return when everything appended is stored as durably as the log can."""

    def close(self) -> None:
        """``flush``, then release connections and files. A second call does nothing."""
