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

from collections.abc import Iterable, Sequence
from dataclasses import replace

from seqplat_resources.online_store import keys
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
    StoreDamagedError,
)
from seqplat_resources.online_store.redis import census
from seqplat_resources.online_store.redis.bucket import BucketWriter
from seqplat_resources.online_store.redis.catalog import Catalog, clock_s
from seqplat_resources.online_store.redis.records.leases import Counting, LeaseRecord
from seqplat_resources.online_store.redis.records.names import type_name
from seqplat_resources.online_store.redis.records.pins import EpochHead
from seqplat_resources.online_store.redis.records.views import PinnedEpoch, Valid
from seqplat_resources.online_store.redis.scripts import epochs as epoch_scripts


def publish(
    catalog: Catalog,
    event_type: str,
    writes: Iterable[BucketWrite],
    *,
    release: str,
    expected_epoch: int | None,
    drop_days: Sequence[str],
    expired_before: str | None,
    keep_epochs: int,
) -> PublishResult:
    """Everything a publication does."""
    based_on = catalog.head(event_type)
    _check_epoch(event_type, expected_epoch, based_on)
    is_lost = based_on is None or not _current(catalog, event_type, based_on, may_be_lost=True).shown
    census.prepare(catalog, event_type)
    result, written = PublishResult(epoch=0), dict[str, tuple[LeaseRecord, BucketVersion]]()
    cleared: list[BucketWriter] = []
    for write in writes:
        if write.day in written:
            raise InvalidKeyError(
                f"day {write.day} comes twice", where=f"one publication of {event_type}", fix="publish a day once"
            )
        lease = take(catalog, event_type, write.day, [held for held, _ in written.values()], expected_epoch)
        writer = BucketWriter(catalog, lease, *needed(catalog, lease))
        result = writer.write(write.blocks, result)
        written[write.day] = (lease, replace(write.bucket, version=lease.holder))
        cleared.append(writer)

    def next_view(before: PinnedEpoch | None) -> PinnedEpoch:
        base = before.epoch if before else Epoch(event_type, 0, release, {})
        buckets = {day: bucket for day, (_, bucket) in written.items()}
        epoch = base.with_buckets(buckets, dropped=drop_days, release=release, expired_before=expired_before)
        valid: Valid = {**(before.valid if before else {}), **{day: held.valid for day, (held, _) in written.items()}}
        return PinnedEpoch.of(epoch, {day: valid[day] for day in epoch.buckets})

    while True:
        head = catalog.head(event_type)
        _check_epoch(event_type, expected_epoch, head)
        if head is None and based_on is not None:  # the days beside these would be gone without a word
            raise EpochConflictError(event_type, expected=based_on.number, actual=None)
        view = next_view(_current(catalog, event_type, head, may_be_lost=is_lost) if head else None)
        if commit(catalog, view, head, [held for held, _ in written.values()], keep_epochs=keep_epochs):
            break
        # Somebody else published other days meanwhile: go on top of that, or say that it was not expected.
    for writer in cleared:
        writer.clear()
    census.settle(catalog, event_type)
    return replace(result, epoch=view.epoch.epoch)


def rollback(catalog: Catalog, event_type: str, *, to_epoch: int, expected_epoch: int, keep_epochs: int) -> Epoch:
    """As the contract says."""
    head = catalog.head(event_type)
    _check_epoch(event_type, expected_epoch, head)
    target = catalog.view(event_type, to_epoch)
    current = _current(catalog, event_type, head, may_be_lost=True) if head else None
    epoch = target.epoch.after(current.epoch if current else None)
    view = PinnedEpoch.of(epoch, {day: target.valid[day] for day in epoch.buckets})
    if not commit(catalog, view, head, [], keep_epochs=keep_epochs, needs=to_epoch):
        _check_epoch(event_type, expected_epoch, catalog.head(event_type))
    return view.epoch


def commit(
    catalog: Catalog,
    view: PinnedEpoch,
    head: EpochHead | None,
    leases: Sequence[LeaseRecord],
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
        *epoch_scripts.COMMIT_EPOCH(
            where,
            type_name(event_type),
            head.number if head else "",
            view.epoch.epoch,
            view.epoch.nonce,
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


def _current(catalog: Catalog, event_type: str, head: EpochHead, *, may_be_lost: bool) -> PinnedEpoch:
    """The view to publish on top of; one without days where the server has lost or changed it.

    Raises:
        StoreDamagedError: it is lost, and it may not be.
    """
    try:
        return catalog.views({event_type: head})[event_type]
    except StoreDamagedError:
        if not may_be_lost:
            raise
        return PinnedEpoch.of(Epoch(event_type, head.number, "", {}), {})


def take(
    catalog: Catalog, event_type: str, day: str, holding: Sequence[LeaseRecord], expected_epoch: int | None
) -> LeaseRecord:
    """Step 1. A publisher that has lost one of the leases it is ``holding`` must not take more: two publishers of the
    same days would otherwise take each other's, and both fail."""
    names = catalog.names
    expected = "any" if expected_epoch == ANY_EPOCH else "" if expected_epoch is None else expected_epoch
    answer = catalog.link.one(
        *epoch_scripts.LEASE(
            [names.pin, names.leases(event_type), names.versions],
            type_name(event_type),
            keys.ordinal(day),
            expected,
            clock_s(),
            *(part for held in holding for part in (held.ordinal, held.holder)),
        )
    )
    match answer[0]:
        case b"epoch":
            raise EpochConflictError(event_type, expected=expected_epoch, actual=int(answer[1] or 0) or None)
        case b"taken":
            raise _taken(event_type, answer)
    return LeaseRecord.parse(event_type, day, answer[1])


def needed(catalog: Catalog, lease: LeaseRecord) -> tuple[frozenset[int], Counting]:
    """The versions that kept epochs show, and the one the roster describes; and which versions count for them.

    Read after the lease was taken, so that later epochs can show no other ones.
    """
    shown = [here for view in catalog.kept_views(lease.event_type) if (here := view.shown.get(lease.ordinal))]
    versions = frozenset({*(here.version for here in shown), lease.committed} - {0})
    return versions, Counting.of(lease, shown)


def _check_epoch(event_type: str, expected: int | None, head: EpochHead | None) -> None:
    actual = head.number if head else None
    if expected not in (ANY_EPOCH, actual):
        raise EpochConflictError(event_type, expected=expected, actual=actual)


def _taken(event_type: str, answer: Sequence[bytes]) -> BucketTakenOverError:
    day, mine, theirs = (int(number) for number in answer[1:])
    return BucketTakenOverError(event_type, day=keys.iso(day), mine=mine, theirs=theirs)
