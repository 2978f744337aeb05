"""Publishing: blocks first, invisible under a new write version, then one record that shows them.

    1. lease    take the bucket over: a new write version. Whoever held it before can publish no more, and what it wrote
                counts for nobody; what is known of that is deleted
    2. write    changed users: first into the journal, so that a successor knows what to delete; then their blocks
    3. remove   users that are no longer in the bucket get an entry that says so
    4. roster   the bucket's users and digests, for the next publisher to compare with
    5. commit   check epoch and leases, then show the new epoch, in one step
    6. clear    journals, and rosters that no epoch needs; only room is lost if this does not happen

A publisher that dies before 5, or sleeps through a takeover and writes on, leaves entries of a version that no epoch
counts. Each step but 5 touches a user or a bucket at a time, so it matters to no reader when it happens.
"""

import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from seqplat_resources.online_store import keys
from seqplat_resources.online_store.codec import schema_id
from seqplat_resources.online_store.contract import (
    ANY_EPOCH,
    BucketVersion,
    BucketWrite,
    Epoch,
    PublishResult,
)
from seqplat_resources.online_store.errors import (
    BucketTakenOverError,
    EpochConflictError,
    EpochGoneError,
    InvalidKeyError,
)
from seqplat_resources.online_store.redis_store import entries, rolled, rosters, scripts
from seqplat_resources.online_store.redis_store.catalog import Catalog
from seqplat_resources.online_store.redis_store.leases import Lease, listed
from seqplat_resources.online_store.redis_store.names import type_name
from seqplat_resources.online_store.redis_store.pins import Head
from seqplat_resources.online_store.redis_store.rosters import Roster
from seqplat_resources.online_store.redis_store.views import Valid, View
from seqplat_resources.online_store.redis_store.wire import Command

# What is sent, and answered, at once: bounds what the server buffers of one publisher.
CHUNK_USERS = 1 << 12
CHUNK_BYTES = 8 << 20


def publish(
    catalog: Catalog,
    event_type: str,
    writes: Iterable[BucketWrite],
    *,
    release: str,
    expected_epoch: int | None,
    drop_days: Sequence[str],
    keep_epochs: int,
) -> PublishResult:
    """Everything a publication does."""
    _check_epoch(event_type, expected_epoch, catalog.head(event_type))
    result, written = PublishResult(epoch=0), dict[str, tuple[Lease, BucketVersion]]()
    cleared: list[_Writer] = []
    for write in writes:
        if write.day in written:
            raise InvalidKeyError(
                f"day {write.day} comes twice", where=f"one publication of {event_type}", fix="publish a day once"
            )
        lease = _take(catalog, event_type, write.day, [held for held, _ in written.values()], expected_epoch)
        writer = _Writer(catalog, lease, _needed(catalog, lease))
        result = writer.write(write.blocks, result)
        written[write.day] = (lease, replace(write.bucket, version=lease.holder))
        cleared.append(writer)

    def next_view(before: View | None) -> View:
        base = before.epoch if before else Epoch(event_type, 0, release, {})
        buckets = {day: bucket for day, (_, bucket) in written.items()}
        epoch = base.with_buckets(buckets, dropped=drop_days, release=release)
        valid: Valid = {**(before.valid if before else {}), **{day: held.valid for day, (held, _) in written.items()}}
        return View.of(epoch, {day: valid[day] for day in epoch.buckets})

    while True:
        head = catalog.head(event_type)
        _check_epoch(event_type, expected_epoch, head)
        view = next_view(catalog.views({event_type: head})[event_type] if head else None)
        if commit(catalog, view, head, [held for held, _ in written.values()], keep_epochs=keep_epochs):
            break
        # Somebody else published other days meanwhile: go on top of that, or say that it was not expected.
    for writer in cleared:
        writer.clear()
    return replace(result, epoch=view.epoch.epoch)


def rollback(catalog: Catalog, event_type: str, *, to_epoch: int, expected_epoch: int, keep_epochs: int) -> Epoch:
    """As the contract says."""
    head = catalog.head(event_type)
    _check_epoch(event_type, expected_epoch, head)
    target = catalog.view(event_type, to_epoch)
    view = View.of(replace(target.epoch, epoch=head.number + 1 if head else 1), target.valid)
    if not commit(catalog, view, head, [], keep_epochs=keep_epochs, needs=to_epoch):
        _check_epoch(event_type, expected_epoch, catalog.head(event_type))
    return view.epoch


def commit(
    catalog: Catalog,
    view: View,
    head: Head | None,
    leases: Sequence[Lease],
    *,
    keep_epochs: int,
    needs: int | None = None,
) -> bool:
    """Step 5. False where ``head`` is not the current epoch any more.

    Raises:
        BucketTakenOverError: one of the leases is lost.
        EpochGoneError: the epoch that it ``needs`` is not kept any more.
    """
    names, event_type = catalog.names, view.epoch.event_type
    where = [names.pin, names.epochs(event_type), names.leases(event_type)]
    answer = catalog.link.one(
        *scripts.COMMIT_EPOCH(
            where,
            type_name(event_type),
            head.number if head else "",
            view.epoch.epoch,
            secrets.token_hex(4),
            view.record(),
            keep_epochs,
            needs or "",
            *(part for held in leases for part in (held.ordinal, held.holder)),
        )
    )
    match answer[0]:
        case b"taken":
            raise _taken(event_type, answer)
        case b"gone":
            raise EpochGoneError(event_type, needs or 0, kept=catalog.kept(event_type))
    return bool(answer[0] == b"ok")


@dataclass
class _Writer:
    """Steps 2 to 4 and 6 of one bucket. ``needed`` are the versions that readers of some epoch see."""

    catalog: Catalog
    lease: Lease
    needed: frozenset[int]
    fresh: Roster = field(default_factory=dict)

    def write(self, blocks: Iterable[tuple[str, bytes]], result: PublishResult) -> PublishResult:
        self._delete_skipped()
        before = self._roster(self.lease.committed)
        for changed, unchanged in _changes(blocks, before, self.fresh):
            self._put(changed)
            sizes = [len(block) for block in changed.values()]
            result = replace(
                result,
                users_written=result.users_written + len(sizes),
                users_unchanged=result.users_unchanged + unchanged,
                bytes_written=result.bytes_written + sum(sizes),
            )
        left = [user for user in before if user not in self.fresh]
        for start in range(0, len(left), CHUNK_USERS):
            self._put(dict.fromkeys(left[start : start + CHUNK_USERS], b""))
        if left and self.lease.day in rolled.days(self.catalog, self.lease.event_type):
            key = self.catalog.names.left(self.lease.event_type, self.lease.ordinal)
            self.catalog.link.one("RPUSH", key, rosters.packed_users(left))
        self._keep_roster()
        return replace(result, users_removed=result.users_removed + len(left))

    def clear(self) -> None:
        """Step 6."""
        clear(self.catalog, replace(self.lease, committed=self.lease.holder), self.needed)

    def _put(self, blocks: Mapping[bytes, bytes]) -> None:
        """Write a chunk of users; an empty block says that the user left."""
        if not blocks:
            return
        lease, names, link = self.lease, self.catalog.names, self.catalog.link
        self.catalog.require({schema_id(block) for block in blocks.values() if block}, lease.event_type)
        journal = names.journal(lease.event_type, lease.ordinal, lease.holder)
        held, _ = link.run(
            [
                ("HGET", names.leases(lease.event_type), lease.ordinal),
                ("RPUSH", journal, rosters.packed_users(blocks)),
            ]
        )
        if held is None or (found := Lease.parse(lease.event_type, lease.day, held)).holder != lease.holder:
            raise BucketTakenOverError(
                lease.event_type, day=lease.day, mine=lease.holder, theirs=found.holder if held else 0
            )
        link.run([self._command(user, block) for user, block in blocks.items()])

    def _command(self, user: bytes, block: bytes) -> Command:
        lease, names = self.lease, self.catalog.names
        name = entries.block_name(lease.ordinal, lease.holder)
        value, fields = b"0 0 0 -", list[bytes]()
        if block and (schema := self.catalog.schema(schema_id(block))):
            value, fields = entries.stored_form(name, block, schema)
        where = [names.index(lease.event_type, user), names.data(lease.event_type, user)]
        kind, since, skipped = "" if block else "x", lease.since, listed(lease.skipped)
        return scripts.PUT(
            where, lease.ordinal, lease.holder, kind, value, listed(self.needed), since, skipped, *fields
        )

    def _roster(self, version: int) -> Roster:
        key = self.catalog.names.roster(self.lease.event_type, self.lease.ordinal, version)
        return rosters.unpacked(self.catalog.link.one("HVALS", key, repeatable=True)) if version else {}

    def _keep_roster(self) -> None:
        key = self.catalog.names.roster(self.lease.event_type, self.lease.ordinal, self.lease.holder)
        chunks = [("HSET", key, number, chunk) for number, chunk in enumerate(rosters.packed(self.fresh))]
        self.catalog.link.run([("UNLINK", key), *chunks])

    def _delete_skipped(self) -> None:
        """What publishers before left behind, as far as their journals say."""
        lease, names, link = self.lease, self.catalog.names, self.catalog.link
        for version in lease.skipped:
            journal = names.journal(lease.event_type, lease.ordinal, version)
            for chunk in link.one("LRANGE", journal, 0, -1, repeatable=True):
                name = entries.block_name(lease.ordinal, version)
                link.run(
                    [
                        scripts.REMOVE(
                            [names.index(lease.event_type, user), names.data(lease.event_type, user)],
                            name,
                            name + b"x",
                        )
                        for user in rosters.unpacked_users(chunk)
                    ]
                )
            link.one("UNLINK", journal)
            link.one("UNLINK", names.roster(lease.event_type, lease.ordinal, version))


def clear(catalog: Catalog, lease: Lease, needed: Collection[int]) -> None:
    """Delete the journals of publishers that ended, and the rosters of versions that are not needed."""
    names, of = catalog.names, (lease.event_type, lease.ordinal)
    done = [version for version in lease.rosters if version not in needed]
    ended = {*lease.skipped, *lease.rosters, lease.committed} - {0}
    gone = [names.roster(*of, version) for version in (*done, *lease.skipped)]
    gone += [names.journal(*of, version) for version in ended]
    catalog.link.run([("UNLINK", key) for key in gone])
    if done:
        catalog.link.one(*scripts.FORGET_ROSTERS([names.leases(lease.event_type)], lease.ordinal, *done))


def _take(catalog: Catalog, event_type: str, day: str, holding: Sequence[Lease], expected_epoch: int | None) -> Lease:
    """Step 1. A publisher that has lost one of the leases it is ``holding`` must not take more: two publishers of the
    same days would otherwise take each other's, and both fail."""
    names = catalog.names
    expected = "any" if expected_epoch == ANY_EPOCH else "" if expected_epoch is None else expected_epoch
    answer = catalog.link.one(
        *scripts.LEASE(
            [names.pin, names.leases(event_type), names.versions],
            type_name(event_type),
            keys.ordinal(day),
            expected,
            *(part for held in holding for part in (held.ordinal, held.holder)),
        )
    )
    match answer[0]:
        case b"epoch":
            raise EpochConflictError(event_type, expected=expected_epoch, actual=int(answer[1] or 0) or None)
        case b"taken":
            raise _taken(event_type, answer)
    return Lease.parse(event_type, day, answer[1])


def _needed(catalog: Catalog, lease: Lease) -> frozenset[int]:
    """The versions that kept epochs show, and the one the roster describes.

    Read after the lease was taken, so that later epochs can show no other ones.
    """
    epochs = [view.epoch for view in catalog.kept_views(lease.event_type)]
    shown = {epoch.buckets[lease.day].version for epoch in epochs if lease.day in epoch.buckets}
    return frozenset({*shown, lease.committed} - {0})


def _changes(
    blocks: Iterable[tuple[str, bytes]], before: Roster, fresh: Roster
) -> Iterator[tuple[dict[bytes, bytes], int]]:
    """Chunks of changed users and how many unchanged ones came between; ``fresh`` gets all of them."""
    changed: dict[bytes, bytes] = {}
    unchanged, size = 0, 0
    for user, block in blocks:
        name, new = keys.user_bytes(user), rosters.digest(block)
        known = fresh.get(name, before.get(name))
        fresh[name] = new
        if known == new:
            unchanged += 1
            continue
        changed[name] = block
        size += len(block)
        if size >= CHUNK_BYTES or len(changed) >= CHUNK_USERS:
            yield changed, unchanged
            changed, unchanged, size = {}, 0, 0
    yield changed, unchanged


def _check_epoch(event_type: str, expected: int | None, head: Head | None) -> None:
    actual = head.number if head else None
    if expected not in (ANY_EPOCH, actual):
        raise EpochConflictError(event_type, expected=expected, actual=actual)


def _taken(event_type: str, answer: Sequence[bytes]) -> BucketTakenOverError:
    day, mine, theirs = (int(number) for number in answer[1:])
    return BucketTakenOverError(event_type, day=keys.iso(day), mine=mine, theirs=theirs)
