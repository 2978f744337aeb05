"""Epochs, leases and schemas as they lie in LMDB. Every function works inside the transaction it is given, and raises
StoreDamagedError where a record is not what was written.
"""

from collections.abc import Iterator, MutableMapping
from contextlib import suppress

from seqplat_resources.online_store import keys
from seqplat_resources.online_store.codec import BlockSchema
from seqplat_resources.online_store.contract import ANY_EPOCH, Epoch
from seqplat_resources.online_store.errors import EpochConflictError, EpochGoneError, StoreDamagedError
from seqplat_resources.online_store.lmdb import sealed
from seqplat_resources.online_store.lmdb.environment import Readable, Transaction

# A day's entry of a user who left the day. Not empty, so that a block that was cut short is not taken for it.
LEFT = b"left"


# Raise when what is stored can no longer be read by, or from, the code before.
_LAYOUT = b"2"


def has_layout(transaction: Readable) -> bool | None:
    """Whether the store was written by code that stores as this does; None where nothing is stored."""
    found = transaction.get(keys.LAYOUT)
    return bytes(found) == _LAYOUT if found is not None else False if transaction.cursor().first() else None


def put_layout(transaction: Transaction) -> None:
    if has_layout(transaction) is None:
        transaction.put(keys.LAYOUT, _LAYOUT)


def head_number(transaction: Readable, event_type: str) -> int | None:
    found = sealed.get(transaction, keys.head(keys.type_bytes(event_type)))
    return int.from_bytes(found, "big") if found else None


def epoch(transaction: Readable, event_type: str, number: int) -> Epoch:
    """One kept epoch.

    Raises:
        EpochGoneError: it is not kept.
    """
    found = sealed.get(transaction, keys.epoch(keys.type_bytes(event_type), number)) if 0 < number < 1 << 63 else None
    if found is None:
        raise EpochGoneError(event_type, number, kept=kept_numbers(transaction, event_type))
    return Epoch.from_json(found)


def head(transaction: Readable, event_type: str, expected: int | None = ANY_EPOCH) -> Epoch | None:
    """The current epoch. Raises as ``check_head``."""
    check_head(transaction, event_type, expected)
    number = head_number(transaction, event_type)
    return epoch(transaction, event_type, number) if number is not None else None


def check_head(transaction: Readable, event_type: str, expected: int | None) -> None:
    """
    Raises:
        EpochConflictError: the current epoch is not the expected one.
    """
    if expected != ANY_EPOCH and expected != (number := head_number(transaction, event_type)):
        raise EpochConflictError(event_type, expected=expected, actual=number)


def heads(transaction: Readable) -> list[Epoch]:
    """The current epochs of all event types, by name."""
    types = [key[len(keys.HEADS) + 1 :].decode() for key, _ in sealed.scan(transaction, keys.HEADS)]
    return [current for event_type in sorted(types) if (current := head(transaction, event_type))]


def is_kept(transaction: Readable, event_type: str, number: int) -> bool:
    return transaction.cursor().set_key(keys.epoch(keys.type_bytes(event_type), number))


def kept_numbers(transaction: Readable, event_type: str) -> tuple[int, ...]:
    """Oldest first."""
    prefix = keys.epochs_of_type(keys.type_bytes(event_type))
    return tuple(int.from_bytes(key[len(prefix) :], "big") for key, _ in sealed.entries(transaction, prefix))


def kept_epochs(transaction: Readable, event_type: str) -> list[Epoch]:
    """Oldest first."""
    prefix = keys.epochs_of_type(keys.type_bytes(event_type))
    return [Epoch.from_json(record) for _, record in sealed.scan(transaction, prefix)]


def readable_epochs(
    transaction: Readable, event_type: str, known: MutableMapping[int, Epoch] | None = None
) -> list[Epoch]:
    """As ``kept_epochs``, without those that are damaged. Those that are ``known`` by number are not read again."""
    found, known = list[Epoch](), {} if known is None else known
    for number in kept_numbers(transaction, event_type):
        with suppress(StoreDamagedError):
            if number not in known:
                known[number] = epoch(transaction, event_type, number)
            found.append(known[number])
    return found


def forget_damaged(transaction: Transaction, event_type: str) -> int:
    """Forget epochs that cannot be read, so that nothing rests on them any more; the largest number there ever was."""
    readable = {each.epoch for each in readable_epochs(transaction, event_type)}
    numbers = kept_numbers(transaction, event_type)
    for number in set(numbers) - readable:
        transaction.delete(keys.epoch(keys.type_bytes(event_type), number))
    with suppress(StoreDamagedError):
        numbers = (*numbers, head_number(transaction, event_type) or 0)
    return max(numbers, default=0)


def append_epoch(transaction: Transaction, new: Epoch, *, keep_epochs: int) -> None:
    """Make ``new`` the current epoch and forget those that are too old."""
    event_type = keys.type_bytes(new.event_type)
    sealed.put(transaction, keys.epoch(event_type, new.epoch), new.to_json().encode())
    sealed.put(transaction, keys.head(event_type), new.epoch.to_bytes(8, "big"))
    forget_epochs(transaction, new.event_type, keep_epochs=keep_epochs)


def forget_epochs(transaction: Transaction, event_type: str, *, keep_epochs: int) -> None:
    for number in kept_numbers(transaction, event_type)[: -max(1, keep_epochs)]:
        transaction.delete(keys.epoch(keys.type_bytes(event_type), number))


def newest_version(transaction: Readable, event_type: str) -> int:
    """The write version that was given out last; 0 before the first."""
    return int.from_bytes(sealed.get(transaction, keys.last_version(keys.type_bytes(event_type))) or b"", "big")


def next_version(transaction: Transaction, event_type: str) -> int:
    """Give out the next write version; never the same twice, also not after a crash."""
    version = newest_version(transaction, event_type) + 1
    sealed.put(transaction, keys.last_version(keys.type_bytes(event_type)), version.to_bytes(8, "big"))
    return version


def lease_holder(transaction: Readable, event_type: bytes, day: int) -> int | None:
    """The write version that may write a bucket now; None where nobody ever did."""
    found = sealed.get(transaction, keys.lease(event_type, day))
    return int.from_bytes(found, "big") if found else None


def give_lease(transaction: Transaction, event_type: bytes, day: int, version: int) -> None:
    sealed.put(transaction, keys.lease(event_type, day), version.to_bytes(8, "big"))


def schema(transaction: Readable, schema_id: int, known: MutableMapping[int, BlockSchema]) -> BlockSchema | None:
    """A registered schema, kept in ``known`` from then on."""
    if schema_id not in known and (found := sealed.get(transaction, keys.schema(schema_id))) is not None:
        known[schema_id] = BlockSchema.from_json(found)
    return known.get(schema_id)


def has_schema(transaction: Readable, schema_id: int) -> bool:
    return sealed.get(transaction, keys.schema(schema_id)) is not None


def between(transaction: Readable, first: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Entries with ``first <= key < end``, in key order. Nothing may be deleted meanwhile."""
    cursor = transaction.cursor()
    if cursor.set_range(first):
        for key, value in cursor.iternext():
            if bytes(key) >= end:
                return
            yield bytes(key), bytes(value)
