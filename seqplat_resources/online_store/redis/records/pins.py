"""What a snapshot begins with: one hash, read in one step, that says which epochs and now batches are visible. Pure.

>>> pin = Pin.of([b"hpurchase", b"4 7 a,b,c,d"])
>>> pin.head("purchase").number, pin.head("purchase").kept, pin.head("click") is None
(7, (4, 5, 6, 7), True)
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from seqplat_resources.online_store import keys
from seqplat_resources.online_store.contract import Epoch
from seqplat_resources.online_store.now_view import EvictionMark, StreamPosition
from seqplat_resources.online_store.redis.records.damage import check, checksum, reading
from seqplat_resources.online_store.redis.records.names import type_name


@dataclass(frozen=True)
class EpochHead:
    """The epochs of an event type that are kept: ``oldest`` to ``number``, which is the current one.

    ``nonces`` are theirs, newest first: they tell epochs of one number apart, of which a failover or a flush may have
    taken the first.
    """

    oldest: int
    number: int
    nonces: tuple[bytes, ...]

    @classmethod
    def parse(cls, text: bytes) -> "EpochHead":
        """
        Raises:
            StoreDamagedError: it cannot be read.
        """
        with reading("the numbers of an event type's epochs", text):
            oldest, number, nonces = text.split(b" ")
            return cls(int(oldest), int(number), tuple(nonces.split(b",")))

    @property
    def nonce(self) -> bytes:
        """Of the current epoch."""
        return self.nonces[0]

    def keeps(self, epoch: Epoch) -> bool:
        """Whether this very epoch is kept, not another of its number."""
        age = self.number - epoch.epoch
        return epoch.epoch >= self.oldest and 0 <= age < len(self.nonces) and self.nonces[age] == epoch.nonce.encode()

    @property
    def kept(self) -> tuple[int, ...]:
        return tuple(range(self.oldest, self.number + 1))


@dataclass(frozen=True)
class Pin:
    """The hash as it was at one moment. Most requests need a few of its fields, so each is read when asked for."""

    fields: Mapping[bytes, bytes]

    @classmethod
    def of(cls, answer: Sequence[bytes]) -> "Pin":
        return cls(paired(answer))

    def head(self, event_type: str) -> EpochHead | None:
        found = self.fields.get(b"h" + type_name(event_type))
        return EpochHead.parse(found) if found else None

    def has_census(self, event_type: str) -> bool:
        return b"n" + type_name(event_type) in self.fields

    def has_arrivals(self, event_type: str) -> bool:
        """Whether the census lists which now blocks users should have."""
        return b"m" + type_name(event_type) in self.fields

    def heads(self) -> Iterator[tuple[str, EpochHead]]:
        """Of every event type that has something published, by name."""
        names = sorted(name[1:].decode() for name in self.fields if name[:1] == b"h")
        return ((name, EpochHead.parse(self.fields[b"h" + name.encode()])) for name in names)

    def positions(self, topic: str | None = None) -> dict[str, StreamPosition]:
        """As ``StoreSnapshot.stream_positions``.

        Raises:
            StoreDamagedError: one of them is not what was written.
        """
        start = b"p" if topic is None else b"p" + topic.encode() + b":"
        found = {name[1:].decode(): text for name, text in self.fields.items() if name.startswith(start)}
        return {
            partition: _position(partition, text)
            for partition, text in found.items()
            if topic is None or partition.rpartition(":")[0] == topic
        }

    def newest_now_day(self, event_type: str) -> str | None:
        found = self.fields.get(b"d" + type_name(event_type), b"0")
        with reading("the newest day of a now view", found):
            return keys.iso(int(found)) if int(found) else None

    def streamed_types(self) -> list[str]:
        """Event types that the now view has, or had."""
        return sorted(name[1:].decode() for name in self.fields if name[:1] == b"d")

    def shows(self, sequence: int) -> bool:
        """Whether a now block of this number is visible: its advance was committed before the pin was read."""
        floor, last, excluded = self._state
        return floor <= sequence <= last and sequence not in excluded

    def now_from(self, event_type: str) -> int:
        """The first now block a reader of the current epoch has to look at."""
        head, noted = self.head(event_type), self.fields.get(b"c" + type_name(event_type))
        if head is None or noted is None:
            return 0
        number, nonce, below = noted.split(b" ")
        return EvictionMark(int(number), int(below)).shown_from(head.number) if nonce == head.nonce else 0

    @property
    def settled_below(self) -> int:
        """Below this number no batch becomes visible any more."""
        _, last, excluded = self._state
        return min(excluded, default=last + 1)

    @property
    def floor(self) -> int:
        """The first batch that may be visible."""
        return self._state[0]

    @property
    def last(self) -> int:
        """The last batch that was begun."""
        return self._state[1]

    @cached_property
    def _state(self) -> tuple[int, int, frozenset[int]]:
        found = self.fields.get(b"s", b"1 0")
        with reading("the numbers of the now batches", found):
            floor, last, *excluded = map(int, found.split())
            return floor, last, frozenset(excluded)


def position_record(partition: str, position: StreamPosition) -> bytes:
    """As the pin has it: what streams compare first, offset and token, and at the end a checksum. Earlier releases do
    not know ``until``, so it is there only where it says something."""
    words = b"%d %d %d %d" % (position.next_offset, position.token, position.lag_ms, position.at_ms)
    if position.until:
        words += b" %d" % position.until
    return words + b" " + checksum(partition.encode(), words)


def _position(partition: str, record: bytes) -> StreamPosition:
    with reading(f"the stream position of {partition}", record):
        words, _, expected = record.rpartition(b" ")
        check(expected, partition.encode(), words)
        return StreamPosition(*map(int, words.split()))


def paired(answer: Sequence[bytes]) -> dict[bytes, bytes]:
    """A hash as the server sends it: names and values in turns."""
    return dict(zip(answer[::2], answer[1::2], strict=True))
