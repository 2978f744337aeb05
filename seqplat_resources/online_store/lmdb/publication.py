"""Publishing: blocks first, invisible under a new write version, then one epoch record that shows them.

    1. lease    take the bucket over: a new write version, whose holder alone may write it from now on
    2. write    changed users, in transactions of a few megabytes; block and digest change together
    3. remove   users that are no longer in the bucket get an entry that says so
    4. commit   check epoch and leases once more, then move the head to the new epoch

A crash before 4 leaves blocks that no epoch shows. They are no debris to clean up: the digests always describe the
newest stored block, shown or not, so that the next publisher of the bucket compares with them and writes what differs.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import partial

from seqplat_resources.online_store import keys, versions
from seqplat_resources.online_store.codec import BlockSchema, schema_id
from seqplat_resources.online_store.contract import BucketVersion, BucketWrite, Epoch, PublishResult
from seqplat_resources.online_store.errors import BucketTakenOverError, StoreDamagedError, UnknownSchemaError
from seqplat_resources.online_store.lmdb import records, rolled, sealed
from seqplat_resources.online_store.lmdb.environment import Transaction

# A write transaction keeps its pages in memory and other writers out; a commit costs an fsync. 16k users dirty about
# 16k pages (64 MB) where every user has a long history.
CHUNK_USERS = 1 << 14
CHUNK_BYTES = 16 << 20
# Takes the place of the block of a user who left the bucket.
GONE = b""
NO_DIGEST = b""

Digests = dict[bytes, bytes]


@dataclass(frozen=True)
class BucketLease:
    """The right to write one bucket. ``shown`` are the bucket versions that kept epochs show."""

    event_type: str
    day: str
    version: int
    shown: tuple[int, ...]
    is_first: bool

    def check(self, transaction: Transaction) -> None:
        """Raises BucketTakenOverError unless this lease is still the newest of its bucket."""
        holder = records.lease_holder(transaction, keys.type_bytes(self.event_type), keys.ordinal(self.day))
        if holder != self.version:
            raise BucketTakenOverError(self.event_type, day=self.day, mine=self.version, theirs=holder or 0)


def together(writes: Iterable[BucketWrite]) -> Iterator[list[BucketWrite]]:
    """Buckets of which steps 1 to 3 are done together: each transaction costs an fsync, and small ones are many."""
    batch: list[BucketWrite] = []
    rows = 0
    for write in writes:
        if batch and rows + write.bucket.rows > CHUNK_USERS:
            yield batch
            batch, rows = [], 0
        batch.append(write)
        rows += write.bucket.rows
        if rows > CHUNK_USERS:  # a large one is written before the next is even made
            yield batch
            batch, rows = [], 0
    if batch:
        yield batch


def leases(
    transaction: Transaction,
    event_type: str,
    days: Sequence[str],
    *,
    holding: Sequence[BucketLease],
    expected_epoch: int | None,
    known: MutableMapping[int, Epoch],
) -> list[BucketLease]:
    """Step 1 of several buckets."""
    taken: list[BucketLease] = []
    for day in days:
        before = (*holding, *taken)
        taken.append(lease(transaction, event_type, day, holding=before, expected_epoch=expected_epoch, known=known))
    return taken


def lease(
    transaction: Transaction,
    event_type: str,
    day: str,
    *,
    holding: Sequence[BucketLease],
    expected_epoch: int | None,
    known: MutableMapping[int, Epoch] | None = None,
) -> BucketLease:
    """Step 1. Whoever held the bucket before fails at its next step.

    A publisher that has lost one of the leases it is ``holding`` must not take more: two publishers of the same days
    would otherwise take each other's, and both fail. Epochs that were read before are ``known``.
    """
    records.check_head(transaction, event_type, expected_epoch)
    # Where nobody took any lease since the last of them, none is lost.
    if holding and records.newest_version(transaction, event_type) != holding[-1].version:
        for held in holding:
            held.check(transaction)
    name, ordinal = keys.type_bytes(event_type), keys.ordinal(day)
    is_first = records.lease_holder(transaction, name, ordinal) is None
    version = records.next_version(transaction, event_type)
    records.give_lease(transaction, name, ordinal, version)
    epochs = records.readable_epochs(transaction, event_type, known)
    shown = tuple(epoch.buckets[day].version for epoch in epochs if day in epoch.buckets)
    return BucketLease(event_type, day, version, shown, is_first)


def digests(transaction: Transaction, held: BucketLease, schemas: MutableMapping[int, BlockSchema]) -> Digests:
    """User -> digest of the newest block, for the users in the bucket; about 200 bytes of memory each.

    NO_DIGEST for those of whom that block cannot be read any more, so that they are written again.
    """
    name, ordinal = keys.type_bytes(held.event_type), keys.ordinal(held.day)
    prefix = keys.digests_of_day(name, ordinal)
    found = {key[len(prefix) :]: stored for key, stored in sealed.entries(transaction, prefix)}
    lookup = partial(records.schema, transaction, known=schemas)
    for user, stored in found.items():
        blocks = [block for _, block in sealed.entries(transaction, keys.blocks_of_day(name, user, ordinal))]
        if blocks:
            is_readable = digest(blocks[-1]) == stored
        else:
            is_readable = rolled.is_readable(transaction, name, user, ordinal, lookup)
        if not is_readable:
            found[user] = NO_DIGEST
    return found


@dataclass(frozen=True)
class BucketChanges:
    """Part of a bucket's changes: user -> new block and its digest (GONE to remove); and how many were unchanged."""

    blocks: Mapping[bytes, tuple[bytes, bytes]]
    unchanged: int = 0
    schema_ids: frozenset[int] = frozenset()

    def added_to(self, result: PublishResult) -> PublishResult:
        sizes = [len(block) for block, _ in self.blocks.values()]
        removed = sizes.count(0)
        return PublishResult(
            result.epoch,
            result.users_written + len(sizes) - removed,
            result.users_unchanged + self.unchanged,
            result.users_removed + removed,
            result.bytes_written + sum(sizes),
        )


def changes(blocks: Iterable[tuple[str, bytes]], stored: Digests) -> Iterator[BucketChanges]:
    """Compare a bucket's new blocks with the stored digests (which this uses up)."""
    changed: dict[bytes, tuple[bytes, bytes]] = {}
    unchanged, size, schema_ids = 0, 0, set()
    for user, block in blocks:
        name, fresh = keys.user_bytes(user), digest(block)
        if stored.pop(name, None) == fresh:
            unchanged += 1
            continue
        changed[name] = (block, fresh)
        schema_ids.add(schema_id(block))
        size += len(block)
        if size >= CHUNK_BYTES or len(changed) >= CHUNK_USERS:
            yield BucketChanges(changed, unchanged, frozenset(schema_ids))
            changed, unchanged, size = {}, 0, 0
    yield BucketChanges(changed, unchanged, frozenset(schema_ids))
    # Step 3: whoever was not popped is not in the bucket any more.
    left = list(stored)
    for start in range(0, len(left), CHUNK_USERS):
        yield BucketChanges(dict.fromkeys(left[start : start + CHUNK_USERS], (GONE, b"")))


def changes_together(
    batch: Sequence[BucketWrite], leases: Sequence[BucketLease], stored: Sequence[Digests]
) -> Iterator[list[tuple[BucketLease, BucketChanges]]]:
    """The changes of several buckets, as many at a time as one transaction should hold."""
    found: list[tuple[BucketLease, BucketChanges]] = []
    size = 0
    for write, held, known in zip(batch, leases, stored, strict=True):
        for chunk in changes(write.blocks, known):
            found.append((held, chunk))
            size += sum(len(block) for block, _ in chunk.blocks.values())
            if size >= CHUNK_BYTES or len(chunk.blocks) >= CHUNK_USERS:
                yield found
                found, size = [], 0
    yield found


def write_many(transaction: Transaction, chunks: Iterable[tuple[BucketLease, BucketChanges]]) -> None:
    """Steps 2 and 3 of several buckets."""
    for held, chunk in chunks:
        write(transaction, held, chunk)


def write(transaction: Transaction, held: BucketLease, chunk: BucketChanges) -> None:
    """Steps 2 and 3, one chunk: blocks and digests under the lease's version, in key order."""
    held.check(transaction)
    for wanted in chunk.schema_ids:
        if not records.has_schema(transaction, wanted):
            raise UnknownSchemaError(wanted, event_type=held.event_type)
    name, ordinal = keys.type_bytes(held.event_type), keys.ordinal(held.day)
    digest_prefix = keys.digests_of_day(name, ordinal)
    is_rolled = held.day in rolled.days(transaction, held.event_type)
    for user, (block, fresh) in sorted(chunk.blocks.items()):
        elsewhere = rolled.version_of(transaction, name, user, ordinal) if is_rolled else None
        older_is_shown = not held.is_first and _drop_superseded(transaction, held, name, user, ordinal, elsewhere)
        if block or older_is_shown:
            transaction.put(keys.block(name, user, ordinal, held.version), block or records.LEFT)
        if block:
            transaction.put(digest_prefix + user, fresh)
        else:
            transaction.delete(digest_prefix + user)


def commit(
    transaction: Transaction,
    event_type: str,
    written: Mapping[BucketLease, BucketVersion],
    *,
    drop_days: Iterable[str],
    expired_before: str | None,
    release: str,
    expected_epoch: int | None,
    keep_epochs: int,
    may_be_lost: bool,
) -> Epoch:
    """Step 4. On top of the current epoch; of none, if that ``may_be_lost`` and is damaged."""
    for held in written:
        held.check(transaction)
    before = _before(transaction, event_type, release, expected_epoch, may_be_lost)
    buckets = {held.day: bucket for held, bucket in written.items()}
    epoch = before.with_buckets(buckets, dropped=drop_days, release=release, expired_before=expired_before)
    records.append_epoch(transaction, epoch, keep_epochs=keep_epochs)
    return epoch


def _before(
    transaction: Transaction, event_type: str, release: str, expected_epoch: int | None, may_be_lost: bool
) -> Epoch:
    try:
        head = records.head(transaction, event_type, expected_epoch)
    except StoreDamagedError:
        if not may_be_lost:
            raise
        return Epoch(event_type, records.forget_damaged(transaction, event_type), release, {})
    records.forget_damaged(transaction, event_type)
    return head or Epoch(event_type, 0, release, {})


def digest(block: bytes) -> bytes:
    """What tells a changed block from an unchanged one; 128 bits, so that a collision need not be thought about."""
    return hashlib.blake2b(block, digest_size=16).digest()


def _drop_superseded(
    transaction: Transaction, held: BucketLease, name: bytes, user: bytes, ordinal: int, elsewhere: int | None
) -> bool:
    """Delete versions of a user's block that no kept epoch shows; whether any older one remains, be it ``elsewhere``
    (rolled up), where it cannot be deleted alone."""
    prefix = keys.blocks_of_day(name, user, ordinal)
    stored = [keys.day_and_version(key)[1] for key, _ in sealed.entries(transaction, prefix)]
    older = {version for version in (*stored, elsewhere) if version not in (held.version, None)}
    doomed = versions.superseded(older, held.shown) - {elsewhere}
    for version in doomed:
        transaction.delete(keys.block(name, user, ordinal, version))
    return doomed != older
