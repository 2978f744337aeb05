"""Epochs, leases and schemas as they lie in LMDB. Every function works inside the transaction it is given."""

from collections.abc import Iterator, MutableMapping

from seqplat_resources.online_store import keys
from seqplat_resources.online_store.codec import BlockSchema
from seqplat_resources.online_store.contract import ANY_EPOCH, Epoch
from seqplat_resources.online_store.errors import EpochConflictError, EpochGoneError
from seqplat_resources.online_store.lmdb_store.environment import Readable, Transaction


def head_number(transaction: Readable, event_type: str) -> int | None:
    found = transaction.get(keys.head(keys.type_bytes(event_type)))
    return int.from_bytes(found, "big") if found else None


def epoch(transaction: Readable, event_type: str, number: int) -> Epoch:
    """One kept epoch.

    Raises:
        EpochGoneError: it is not kept.
    """
    found = transaction.get(keys.epoch(keys.type_bytes(event_type), number)) if 0 < number < 1 << 63 else None
    if found is None:
        raise EpochGoneError(event_type, number, kept=kept_numbers(transaction, event_type))
    return Epoch.from_json(bytes(found))


def head(transaction: Readable, event_type: str, expected: int | None = ANY_EPOCH) -> Epoch | None:
    """The current epoch.

    Raises:
        EpochConflictError: it is not the expected one.
    """
    number = head_number(transaction, event_type)
    if expected not in (ANY_EPOCH, number):
        raise EpochConflictError(event_type, expected=expected, actual=number)
    return epoch(transaction, event_type, number) if number is not None else None


def heads(transaction: Readable) -> list[Epoch]:
    """The current epochs of all event types, by name."""
    types = [key[len(keys.HEADS) + 1 :].decode() for key, _ in scan(transaction, keys.HEADS)]
    return [current for event_type in sorted(types) if (current := head(transaction, event_type))]


def is_kept(transaction: Readable, event_type: str, number: int) -> bool:
    return transaction.cursor().set_key(keys.epoch(keys.type_bytes(event_type), number))


def kept_numbers(transaction: Readable, event_type: str) -> tuple[int, ...]:
    """Oldest first."""
    prefix = keys.epochs_of_type(keys.type_bytes(event_type))
    return tuple(int.from_bytes(key[len(prefix) :], "big") for key, _ in scan(transaction, prefix))


def kept_epochs(transaction: Readable, event_type: str) -> list[Epoch]:
    """Oldest first."""
    prefix = keys.epochs_of_type(keys.type_bytes(event_type))
    return [Epoch.from_json(record) for _, record in scan(transaction, prefix)]


def append_epoch(transaction: Transaction, new: Epoch, *, keep_epochs: int) -> None:
    """Make ``new`` the current epoch and forget those that are too old."""
    event_type = keys.type_bytes(new.event_type)
    transaction.put(keys.epoch(event_type, new.epoch), new.to_json().encode())
    transaction.put(keys.head(event_type), new.epoch.to_bytes(8, "big"))
    forget_epochs(transaction, new.event_type, keep_epochs=keep_epochs)


def forget_epochs(transaction: Transaction, event_type: str, *, keep_epochs: int) -> None:
    for number in kept_numbers(transaction, event_type)[: -max(1, keep_epochs)]:
        transaction.delete(keys.epoch(keys.type_bytes(event_type), number))


def next_version(transaction: Transaction, event_type: str) -> int:
    """Give out the next write version; never the same twice, also not after a crash."""
    key = keys.last_version(keys.type_bytes(event_type))
    version = int.from_bytes(transaction.get(key) or b"", "big") + 1
    transaction.put(key, version.to_bytes(8, "big"))
    return version


def lease_holder(transaction: Readable, event_type: bytes, day: int) -> int | None:
    """The write version that may write a bucket now; None where nobody ever did."""
    found = transaction.get(keys.lease(event_type, day))
    return int.from_bytes(found, "big") if found else None


def give_lease(transaction: Transaction, event_type: bytes, day: int, version: int) -> None:
    transaction.put(keys.lease(event_type, day), version.to_bytes(8, "big"))


def schema(transaction: Readable, schema_id: int, known: MutableMapping[int, BlockSchema]) -> BlockSchema | None:
    """A registered schema, kept in ``known`` from then on."""
    if schema_id not in known and (found := transaction.get(keys.schema(schema_id))) is not None:
        known[schema_id] = BlockSchema.from_json(bytes(found))
    return known.get(schema_id)


def between(transaction: Readable, first: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Entries with ``first <= key < end``, in key order. Nothing may be deleted meanwhile."""
    cursor = transaction.cursor()
    if cursor.set_range(first):
        for key, value in cursor.iternext():
            if bytes(key) >= end:
                return
            yield bytes(key), bytes(value)


def scan(transaction: Readable, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Entries whose key begins with ``prefix``, in key order. Nothing may be deleted meanwhile."""
    cursor = transaction.cursor()
    if not cursor.set_range(prefix):
        return
    for found, value in cursor.iternext():
        key = bytes(found)  # NOTE: of bytes this is the same object, of a view a copy
        if not key.startswith(prefix):
            return
        yield key, bytes(value)
