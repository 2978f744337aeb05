"""Rolled up blocks as they lie in LMDB, and rolling up. Every function but ``rollable`` works inside the transaction it
is given.

A record is the number of its days (1 byte), then of each day how far it is before the newest (1 byte) and the write
version of its rows (8 bytes), the crc32 of the key and this head (4 bytes), then the block. Its versions stand beside
those of the day's own entries, as if the rows were one of them: ``versions`` knows no difference, and so publishing,
reading and pruning need none.

Of a record whose head is damaged only the key is known. It counts as if it had rows of every day that the user has,
from the newest one back to the next record, each of a version older than any day entry's. Entries beside it are then
served as they are, and what they do not hide is missing, and said to be. That is right because rolling deletes all
entries that are not newer than what it takes. Published again, all days are hidden, and the record can go.
"""

import json
import logging
import struct
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from types import MappingProxyType
from typing import NamedTuple

from seqplat_resources.online_store import keys
from seqplat_resources.online_store.codec import SchemaLookup, is_sound, schema_id
from seqplat_resources.online_store.codec.layout import CHECKSUM_BYTES, CHECKSUM_RESIDUE
from seqplat_resources.online_store.errors import CorruptBlockError, UnknownSchemaError
from seqplat_resources.online_store.lmdb import records, sealed
from seqplat_resources.online_store.lmdb.environment import Environment, Readable, Transaction
from seqplat_resources.online_store.spans import SPAN_DAYS, Roll, Rollable, RollSource, RollSpan
from seqplat_resources.online_store.versions import RolledDay, rolled_day

# Users looked at, or changed, in one transaction, and bytes of their blocks: decoded they take some 20 times as much.
STRIDE = 1 << 10
CHUNK_BYTES = 4 << 20

_COUNT, _DAY = 1, struct.Struct("<BQ")
# Of rows in a record whose head is damaged: write versions begin at 1.
UNKNOWN = 0

_log = logging.getLogger(__name__)


class RolledRecord(NamedTuple):
    """One rolled up block: day number -> write version of its rows, newest day first; where the block begins; and what
    is wrong with a damaged head."""

    newest: int
    days: Mapping[int, int]
    payload_at: int
    damage: CorruptBlockError | None = None

    @classmethod
    def of(cls, key: bytes, value: bytes | memoryview) -> "RolledRecord":
        """
        Raises:
            CorruptBlockError: the head is not what was written under this key.
        """
        newest, end = keys.rolled_day(key), _COUNT + (value[0] if value else 0) * _DAY.size
        payload_at = end + CHECKSUM_BYTES
        if len(value) < payload_at or zlib.crc32(value[:payload_at], zlib.crc32(key)) != CHECKSUM_RESIDUE:
            raise CorruptBlockError(
                "the head does not match its checksum",
                where=f"the rolled up block of user {_user(key).decode()!r} whose newest day is {keys.iso(newest)}",
            )
        return cls(newest, _days_of(newest, bytes(value[_COUNT:end])), payload_at)

    @property
    def oldest(self) -> int:
        return next(reversed(self.days))


# Days are rolled up for all users together, so of users who were there each day it is the same.
@lru_cache(1 << 12)
def _days_of(newest: int, listed: bytes) -> Mapping[int, int]:
    return MappingProxyType({newest - back: version for back, version in _DAY.iter_unpack(listed)})


def packed(key: bytes, days: Mapping[int, int], payload: bytes) -> bytes:
    """The record that lies under ``key``."""
    newest = keys.rolled_day(key)
    listed = b"".join(_DAY.pack(newest - day, version) for day, version in sorted(days.items(), reverse=True))
    head = bytes([len(days)]) + listed
    return head + zlib.crc32(head, zlib.crc32(key)).to_bytes(CHECKSUM_BYTES, "little") + payload


def record(transaction: Readable, key: bytes, value: bytes | memoryview) -> RolledRecord:
    """What a record says, or has to be taken to say where its head is damaged: then its payload is empty, and so is
    refused by whoever reads it."""
    try:
        return RolledRecord.of(key, value)
    except CorruptBlockError as error:
        newest = keys.rolled_day(key)
        return RolledRecord(newest, dict.fromkeys([newest, *_possible(transaction, key)], UNKNOWN), len(value), error)


def _possible(transaction: Readable, key: bytes) -> Iterator[int]:
    """Days before its newest that a record may have rows of, newest first: those of which the user has a digest or
    entries, because what was rolled up keeps one of the two."""
    newest, name, user = keys.rolled_day(key), key[1 : 2 + key[1]], _user(key)
    first, cursor = newest // SPAN_DAYS * SPAN_DAYS, transaction.cursor()
    if (
        cursor.set_key(key)
        and cursor.prev()
        and (older := bytes(cursor.key())).startswith(keys.rolled_of_user(name, user))
    ):
        first = max(first, keys.rolled_day(older) + 1)
    for day in range(newest - 1, first - 1, -1):
        has_digest = transaction.get(keys.digests_of_day(name, day) + user) is not None
        if has_digest or next(sealed.entries(transaction, keys.blocks_of_day(name, user, day)), None):
            yield day


def _user(key: bytes) -> bytes:
    return keys.user_of_rolled(key, key[1 : 2 + key[1]])


def version_of(transaction: Transaction, name: bytes, user: bytes, day: int) -> int | None:
    """The write version of the user's rolled up rows of a day."""
    found = _holding(transaction, name, user, day)
    return found[0].days[day] if found else None


def is_readable(transaction: Transaction, name: bytes, user: bytes, day: int, schemas: SchemaLookup) -> bool:
    """Whether the user's rows of a day are in a rolled up block, all of which can be read."""
    found = _holding(transaction, name, user, day)
    if found is None:
        return False
    held, value = found
    return not held.damage and is_sound(value[held.payload_at :], schemas)


def _holding(transaction: Transaction, name: bytes, user: bytes, day: int) -> tuple[RolledRecord, bytes] | None:
    """The record with the user's rows of a day."""
    cursor = transaction.cursor()
    if not cursor.set_range(keys.rolled(name, user, day)) or not cursor.key().startswith(
        keys.rolled_of_user(name, user)
    ):
        return None
    found = record(transaction, cursor.key(), cursor.value())
    return (found, cursor.value()) if day in found.days else None


def days(transaction: Transaction, event_type: str) -> Mapping[str, int]:
    """See the contract. Every day that any rolled up block has rows of is among them, also after a crash."""
    found = sealed.get(transaction, keys.rolled_days(keys.type_bytes(event_type)))
    marks: dict[str, int] = json.loads(found) if found else {}
    return marks


def mark(transaction: Transaction, event_type: str, changed: Mapping[str, int]) -> None:
    marks = {**days(transaction, event_type), **changed}
    sealed.put(transaction, keys.rolled_days(keys.type_bytes(event_type)), json.dumps(marks, sort_keys=True).encode())


def unmark(transaction: Transaction, event_type: str, gone: Collection[str]) -> None:
    before = days(transaction, event_type)
    marks = {day: version for day, version in before.items() if day not in gone}
    if marks == before:
        return
    sealed.put(transaction, keys.rolled_days(keys.type_bytes(event_type)), json.dumps(marks, sort_keys=True).encode())


def rollable(environment: Environment, event_type: str, span: RollSpan) -> Iterator[Sequence[Rollable]]:
    """See the contract; ``STRIDE`` users are looked at in one transaction."""
    name, after, more = keys.type_bytes(event_type), b"", True
    while more:
        found: list[Rollable] = []
        with environment.read() as transaction:
            shown = shown_in(transaction, event_type, span)
            size_bytes, looked_at, more = 0, 0, False
            for user in users(transaction, name, after):
                if looked_at >= STRIDE or size_bytes >= CHUNK_BYTES:
                    more = True
                    break
                looked_at, after = looked_at + 1, user
                if one := _rollable(transaction, name, user, span, shown):
                    found.append(one)
                    size_bytes += sum(len(source.payload) for source in one.sources)
        if found:
            yield found


def roll(transaction: Transaction, event_type: str, span: RollSpan, rolls: Sequence[Roll]) -> int:
    """Everything ``roll_many`` does for some users."""
    name, shown = keys.type_bytes(event_type), shown_in(transaction, event_type, span)
    for wanted in {schema_id(block.payload) for roll in rolls for block in roll.blocks}:
        if not records.has_schema(transaction, wanted):
            raise UnknownSchemaError(wanted, event_type=event_type)
    fresh = {day for roll in rolls for block in roll.blocks for day in block.days} - days(
        transaction, event_type
    ).keys()
    if fresh:
        mark(transaction, event_type, dict.fromkeys(fresh, 0))
    return sum(_roll_one(transaction, name, span, shown, roll) for roll in rolls)


def shown_in(transaction: Transaction, event_type: str, span: RollSpan) -> Mapping[int, Collection[int]]:
    """Day number -> bucket versions that kept epochs show, of the span's days."""
    shown: dict[int, set[int]] = {}
    for epoch in records.kept_epochs(transaction, event_type):
        for day, bucket in epoch.buckets.items():
            if span.first_day <= day <= span.last_day:
                shown.setdefault(keys.ordinal(day), set()).add(bucket.version)
    return shown


def users(transaction: Readable, name: bytes, after: bytes = b"") -> Iterator[bytes]:
    """Users with any entry of an event type, of days or rolled up, in the order of keys; those after ``after``."""
    here, there = (
        _Walk(transaction, prefix, after) for prefix in (keys.blocks_of_type(name), keys.rolled_of_type(name))
    )
    while stems := [stem for stem in (here.stem, there.stem) if stem is not None]:
        user = min(stems)
        yield user[2:]
        here.pass_over(user)
        there.pass_over(user)


class _Walk:
    """Over the users of one kind of entries; ``stem`` is the one it stands at, as in keys behind its length."""

    def __init__(self, transaction: Readable, prefix: bytes, after: bytes) -> None:
        self._cursor, self._prefix = transaction.cursor(), prefix
        self._move(keys.past(prefix + len(after).to_bytes(2, "big") + after) if after else prefix)

    def pass_over(self, stem: bytes) -> None:
        if self.stem == stem:
            self._move(keys.past(self._prefix + stem))

    def _move(self, to: bytes) -> None:
        self.stem: bytes | None = None
        if self._cursor.set_range(to):
            key, at = bytes(self._cursor.key()), len(self._prefix)
            if key.startswith(self._prefix):
                self.stem = key[at : at + 2 + int.from_bytes(key[at : at + 2], "big")]


@dataclass(frozen=True)
class _UserRecords:
    """What is stored of a user's days in a span: the days' entries (day -> version -> block), and records by key."""

    entries: Mapping[int, Mapping[int, bytes]]
    records: Mapping[bytes, tuple[RolledRecord, bytes]]

    def decided(self, shown: Mapping[int, Collection[int]]) -> Mapping[int, RolledDay]:
        rolled = {day: version for record, _ in self.records.values() for day, version in record.days.items()}
        return {
            day: rolled_day(
                {version: block == records.LEFT for version, block in self.entries.get(day, {}).items()},
                rolled.get(day),
                shown.get(day, ()),
            )
            for day in {*self.entries, *rolled}
        }


def _stored(transaction: Transaction, name: bytes, user: bytes, span: RollSpan) -> _UserRecords:
    first, last = keys.ordinal(span.first_day), keys.ordinal(span.last_day)
    entries: dict[int, dict[int, bytes]] = {}
    found = records.between(
        transaction, keys.blocks_of_day(name, user, first), keys.past(keys.blocks_of_day(name, user, last))
    )
    for day, versioned in groupby(found, key=lambda entry: keys.day_and_version(entry[0])[0]):
        entries[day] = {keys.day_and_version(key)[1]: block for key, block in versioned}
    rolled = records.between(transaction, keys.rolled(name, user, first), keys.rolled(name, user, last + 1))
    return _UserRecords(entries, {key: (record(transaction, key, value), value) for key, value in rolled})


def _rollable(
    transaction: Transaction, name: bytes, user: bytes, span: RollSpan, shown: Mapping[int, Collection[int]]
) -> Rollable | None:
    stored = _stored(transaction, name, user, span)
    decided = stored.decided(shown)
    sources, is_less = [], False
    for day, result in decided.items():
        if result.is_taken and result.version is not None:
            payload = stored.entries[day][result.version]
            sources.append(RollSource({keys.iso(day): result.version}, payload, is_rolled=False))
    has_new = bool(sources)
    for record, value in stored.records.values():
        kept = {day: version for day, version in record.days.items() if decided[day].version == version}
        is_less |= len(kept) < len(record.days)
        if kept and record.damage:
            _log.warning("events of %s are not rolled up: %s", name[1:].decode(), record.damage)
            return None
        if kept:
            named = {keys.iso(day): version for day, version in kept.items()}
            sources.append(RollSource(named, value[record.payload_at :], is_rolled=True))
    if not is_less and not (has_new and len(sources) > 1):
        return None
    newest_first = sorted(sources, key=lambda source: max(source.days), reverse=True)
    return Rollable(user.decode(), tuple(newest_first))


def _roll_one(
    transaction: Transaction, name: bytes, span: RollSpan, shown: Mapping[int, Collection[int]], roll: Roll
) -> bool:
    user = keys.user_bytes(roll.user)
    stored = _stored(transaction, name, user, span)
    decided = stored.decided(shown)
    wanted = {keys.ordinal(day): version for block in roll.blocks for day, version in block.days.items()}
    if wanted != {day: result.version for day, result in decided.items() if result.version is not None}:
        return False
    for day, result in decided.items():
        for version in result.deleted:
            transaction.delete(keys.block(name, user, day, version))
    for key in stored.records:
        transaction.delete(key)
    for block in roll.blocks:
        numbered = {keys.ordinal(day): version for day, version in block.days.items()}
        key = keys.rolled(name, user, max(numbered))
        transaction.put(key, packed(key, numbered, block.payload))
    return True
