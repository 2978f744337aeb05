"""The now view as it lies in LMDB: a stream's blocks, the index of its batches, and its positions.

Every public function but ``prepare`` works inside the transaction it is given. An advance is one transaction, so
blocks and positions agree after any crash; so is each stride of an eviction.
"""

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from seqplat_resources.online_store import keys, rules
from seqplat_resources.online_store.errors import UnknownSchemaError
from seqplat_resources.online_store.lmdb import records, sealed
from seqplat_resources.online_store.lmdb.environment import Readable, Transaction
from seqplat_resources.online_store.now_view import (
    Advance,
    Eviction,
    EvictionMark,
    Fold,
    NowBlock,
    NowStats,
    NowWrite,
    Reach,
    StreamPosition,
)

# Blocks deleted, or users folded, in one transaction: about 10 ms during which no stream or publisher can commit.
STRIDE = 1 << 12

_POSITION = struct.Struct("<4q")
_UNTIL = struct.Struct("<q")
_TOTALS = struct.Struct("<3q")
_COVERED = struct.Struct("<2q")
_BATCH_HEAD = struct.Struct("<q")


@dataclass(frozen=True)
class PreparedAdvance:
    """A write ready for its transaction: ``users`` as they stand in keys, in key order, and their blocks."""

    event_type: str
    name: bytes
    users: Sequence[bytes]
    blocks: Sequence[bytes]
    schema_ids: Iterable[int]
    reach: Reach


def prepare(write: NowWrite) -> PreparedAdvance:
    """
    Raises:
        InvalidNowWriteError, InvalidKeyError: as the contract says.
    """
    name = keys.type_bytes(write.event_type)
    by_user = rules.by_user(write)
    found = sorted(zip(keys.now_users(by_user), by_user.values(), strict=True))
    users, blocks = [user for user, _ in found], [block for _, block in found]
    return PreparedAdvance(write.event_type, name, users, blocks, rules.schema_ids(blocks), write.reach)


def advance(transaction: Transaction, writes: Sequence[PreparedAdvance], partitions: Mapping[str, Advance]) -> None:
    """Everything an ``advance`` does."""
    for partition, step in partitions.items():
        rules.check_position(partition, _position(transaction, partition), step)
    at_ms = max((step.at_ms for step in partitions.values()), default=0)
    sequence = _last_sequence(transaction) + 1
    for write in writes:
        _check_schemas(transaction, write.event_type, write.schema_ids)
        if write.users:
            _put_batch(transaction, write, sequence, at_ms)
    if writes:
        sealed.put(transaction, keys.LAST_SEQUENCE, sequence.to_bytes(8, "big"))
    for partition, step in partitions.items():
        sealed.put(transaction, keys.position(partition), _position_record(step.position))


def positions(transaction: Readable, *, beginning: str = "") -> dict[str, StreamPosition]:
    """By source partition, of those whose name begins so."""
    return {
        key[len(keys.POSITIONS) :].decode(): _position_of(record)
        for key, record in sealed.scan(transaction, keys.POSITIONS + beginning.encode())
    }


def blocks(transaction: Readable, event_type: str, user: str, first: int) -> list[NowBlock]:
    """A user's that are numbered ``first`` or later, oldest first."""
    prefix = keys.now_of_type(keys.type_bytes(event_type)) + keys.now_user(keys.user_bytes(user))
    found = sealed.entries(transaction, prefix, keys.numbered(prefix, first))
    return [NowBlock(keys.sequence_of(key), block) for key, block in found]


def shown_from(transaction: Readable, event_type: str, epoch: int | None) -> int:
    """The first number that a reader of this epoch has to look at."""
    noted = sealed.get(transaction, keys.now_covered(keys.type_bytes(event_type)))
    return EvictionMark(*_COVERED.unpack(noted)).shown_from(epoch) if noted else 0


def newest_day(transaction: Readable, event_type: str) -> str | None:
    """The newest day of which the now view has rows."""
    prefix = keys.now_days_of_type(keys.type_bytes(event_type))
    cursor = transaction.cursor()
    found = cursor.prev() if cursor.set_range(keys.past(prefix)) else cursor.last()
    key = bytes(cursor.key())
    if not found or not key.startswith(prefix):
        return None
    return keys.iso(int.from_bytes(key[len(prefix) :], "big"))


def evict_stride(transaction: Transaction, event_type: str) -> tuple[Eviction, bool]:
    """Delete up to ``STRIDE`` blocks of the oldest batches that every kept epoch covers; whether to go on."""
    name, epochs = keys.type_bytes(event_type), records.kept_epochs(transaction, event_type)
    gone_blocks = gone_batches = gone_bytes = looked_at = 0
    held_by: tuple[str, str] | None = None
    while oldest := next(sealed.scan(transaction, keys.batches_of_type(name)), None):
        sequence, reach = keys.sequence_of(oldest[0]), _reach(oldest[1])
        held_by = rules.first_uncovered(reach, epochs)
        if held_by or looked_at >= STRIDE:
            break
        listed = keys.numbered(keys.users_of_batches(name), sequence)
        users = keys.split_users(sealed.get(transaction, listed) or b"")
        room = STRIDE - looked_at
        sizes = _delete_blocks(transaction, name, users[:room], sequence)
        gone_blocks, gone_bytes, looked_at = gone_blocks + len(sizes), gone_bytes + sum(sizes), looked_at + len(users)
        if users[room:]:
            sealed.put(transaction, listed, b"".join(users[room:]))
            break
        transaction.delete(listed)
        transaction.delete(oldest[0])
        _count_days(transaction, name, reach, -1)
        gone_batches += 1
    left = _add_totals(transaction, name, -gone_batches, -gone_blocks, -gone_bytes)
    return Eviction(gone_blocks, gone_batches, left.batches, held_by), bool(left.batches) and not held_by


def covered(transaction: Transaction, event_type: str) -> EvictionMark | None:
    """How far the current epoch covers what an eviction left; looks at every batch up to there."""
    head = records.head(transaction, event_type)
    if head is None:
        return None
    listed = sealed.scan(transaction, keys.batches_of_type(keys.type_bytes(event_type)))
    batches = ((keys.sequence_of(key), _reach(record)) for key, record in listed)
    return rules.covered(batches, head, _last_sequence(transaction) + 1)


def note_covered(transaction: Transaction, event_type: str, found: EvictionMark) -> None:
    sealed.put(transaction, keys.now_covered(keys.type_bytes(event_type)), _COVERED.pack(found.epoch, found.below))


def stats(transaction: Transaction, event_type: str) -> NowStats:
    """From the totals that every change keeps right."""
    name = keys.type_bytes(event_type)
    batches, blocks, size_bytes = _TOTALS.unpack(sealed.get(transaction, keys.now_totals(name)) or bytes(_TOTALS.size))
    oldest = next(sealed.scan(transaction, keys.batches_of_type(name)), None)
    return NowStats(batches, blocks, size_bytes, _BATCH_HEAD.unpack_from(oldest[1])[0] if oldest else None)


def crowded(transaction: Transaction, event_type: str, more_than: int) -> list[str]:
    """Users with more than so many blocks; looks at every key of the event type's now view, at no block."""
    prefix, cursor = keys.now_of_type(keys.type_bytes(event_type)), transaction.cursor()
    found: list[str] = []
    if cursor.set_range(prefix):
        for stem, run in groupby(cursor.iternext(keys=True, values=False), key=keys.without_sequence):
            if not stem.startswith(prefix):
                break
            if sum(1 for _ in run) > more_than:
                found.append(stem[len(prefix) + 2 :].decode())
    return found


def fold(transaction: Transaction, event_type: str, folds: Sequence[Fold]) -> int:
    """Replace the blocks of these users whose expected ones are all there; how many."""
    _check_schemas(transaction, event_type, rules.schema_ids(fold.payload for fold in folds))
    name = keys.type_bytes(event_type)
    count = blocks_added = bytes_added = 0
    for item in folds:
        stem = keys.now_of_type(name) + keys.now_user(keys.user_bytes(item.user))
        wanted = [keys.numbered(stem, sequence) for sequence in sorted(set(item.expected))]
        sizes = [len(block) for key in wanted if (block := transaction.get(key)) is not None]
        if not wanted or len(sizes) != len(wanted):
            continue
        for key in wanted[:-1]:
            transaction.delete(key)
        transaction.put(wanted[-1], item.payload)
        count, blocks_added = count + 1, blocks_added + 1 - len(wanted)
        bytes_added += len(item.payload) - sum(sizes)
    _add_totals(transaction, name, 0, blocks_added, bytes_added)
    return count


def _last_sequence(transaction: Transaction) -> int:
    return int.from_bytes(sealed.get(transaction, keys.LAST_SEQUENCE) or b"", "big")


def _position(transaction: Transaction, partition: str) -> StreamPosition | None:
    record = sealed.get(transaction, keys.position(partition))
    return _position_of(record) if record else None


def _position_record(position: StreamPosition) -> bytes:
    """Earlier releases do not know ``until``, so it is there only where it says something."""
    words = (position.next_offset, position.token, position.lag_ms, position.at_ms)
    return _POSITION.pack(*words) + (_UNTIL.pack(position.until) if position.until else b"")


def _position_of(record: bytes) -> StreamPosition:
    until = _UNTIL.unpack(record[_POSITION.size :]) if len(record) > _POSITION.size else ()
    return StreamPosition(*_POSITION.unpack_from(record), *until)


def _check_schemas(transaction: Transaction, event_type: str, schema_ids: Iterable[int]) -> None:
    for wanted in schema_ids:
        if not records.has_schema(transaction, wanted):
            raise UnknownSchemaError(wanted, event_type=event_type)


def _put_batch(transaction: Transaction, write: PreparedAdvance, sequence: int, at_ms: int) -> None:
    prefix, suffix = keys.now_of_type(write.name), keys.numbered(b"", sequence)
    entries = [(prefix + user + suffix, block) for user, block in zip(write.users, write.blocks, strict=True)]
    transaction.cursor().putmulti(entries)
    sealed.put(transaction, keys.numbered(keys.users_of_batches(write.name), sequence), b"".join(write.users))
    plain = {day: {partition: int(offset) for partition, offset in of.items()} for day, of in write.reach.items()}
    reach = json.dumps(plain, separators=(",", ":"), ensure_ascii=False)
    record = _BATCH_HEAD.pack(at_ms) + reach.encode()
    sealed.put(transaction, keys.numbered(keys.batches_of_type(write.name), sequence), record)
    _count_days(transaction, write.name, write.reach, 1)
    _add_totals(transaction, write.name, 1, len(write.users), sum(map(len, write.blocks)))


def _reach(record: bytes) -> Reach:
    reach: Reach = json.loads(record[_BATCH_HEAD.size :])
    return reach


def _delete_blocks(transaction: Transaction, name: bytes, users: Sequence[bytes], sequence: int) -> list[int]:
    """Sizes of the blocks that were still there: those of folded users lie under a later number."""
    prefix, suffix, cursor = keys.now_of_type(name), keys.numbered(b"", sequence), transaction.cursor()
    popped = (cursor.pop(prefix + user + suffix) for user in users)
    return [len(block) for block in popped if block is not None]


def _count_days(transaction: Transaction, name: bytes, reach: Reach, change: int) -> None:
    for day in reach:
        key = keys.now_day(name, keys.ordinal(day))
        count = int.from_bytes(sealed.get(transaction, key) or b"", "big") + change
        if count:
            sealed.put(transaction, key, count.to_bytes(8, "big"))
        else:
            transaction.delete(key)


def _add_totals(transaction: Transaction, name: bytes, batches: int, blocks: int, size_bytes: int) -> NowStats:
    key = keys.now_totals(name)
    before = _TOTALS.unpack(sealed.get(transaction, key) or bytes(_TOTALS.size))
    after = NowStats(before[0] + batches, before[1] + blocks, before[2] + size_bytes, None)
    if batches or blocks or size_bytes:
        sealed.put(transaction, key, _TOTALS.pack(after.batches, after.blocks, after.size_bytes))
    return after
