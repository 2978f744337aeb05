"""Deleting what no kept epoch shows, in short transactions beside readers and publishers."""

from collections.abc import Collection, Iterator, Mapping
from functools import partial
from itertools import groupby

from seqplat_resources.online_store import keys, versions
from seqplat_resources.online_store.lmdb import records, rolled, sealed
from seqplat_resources.online_store.lmdb.environment import Environment, Transaction
from seqplat_resources.online_store.lmdb.records import LEFT
from seqplat_resources.online_store.spans import SPAN_DAYS

# Entries looked at in one transaction: about 10 ms during which no publisher can commit.
STRIDE = 1 << 14


def prune(environment: Environment, event_type: str, *, keep_epochs: int) -> int:
    """Forget old epochs, then delete the blocks that only they showed; returns how many.

    A rolled up block is deleted when no kept epoch shows any of its days. Until then what else is stored of them stays
    as it is, leases included, because some of it hides rows of the block.
    A day that no kept epoch shows (dropped, or never committed) is taken over and deleted whole. Of other days, the
    newest block of each user stays even if no epoch shows it, because the digests describe it.
    """
    name = keys.type_bytes(event_type)
    deserted = environment.write(partial(_forget, event_type=event_type, keep_epochs=keep_epochs))
    deleted = 0
    # Rolled up rows first: while a user has some of a day, whatever else is stored of the day may hide them.
    for sweep, first in ((_sweep_rolled, keys.rolled_of_type(name)), (_sweep, keys.blocks_of_type(name))):
        start = first
        while start:
            count, start = environment.write(partial(sweep, event_type=event_type, start=start, deserted=deserted))
            deleted += count
    environment.write(partial(_end_leases, event_type=event_type, deserted=deserted))
    return deleted


def _forget(transaction: Transaction, event_type: str, keep_epochs: int) -> Mapping[int, int]:
    """Forget epochs; returns the days that no epoch shows any more, with the version that now holds their lease."""
    records.forget_epochs(transaction, event_type, keep_epochs=keep_epochs)
    name, shown = keys.type_bytes(event_type), _shown(transaction, event_type)
    prefix = keys.leases_of_type(name)
    leased = [int.from_bytes(key[len(prefix) :], "big") for key, _ in sealed.entries(transaction, prefix)]
    deserted = {day: records.next_version(transaction, event_type) for day in leased if day not in shown}
    for day, version in deserted.items():
        records.give_lease(transaction, name, day, version)
    return deserted


def _shown(transaction: Transaction, event_type: str) -> Mapping[int, Collection[int]]:
    """Day -> bucket versions that kept epochs show."""
    shown: dict[int, set[int]] = {}
    for epoch in records.kept_epochs(transaction, event_type):
        for day, bucket in epoch.buckets.items():
            shown.setdefault(keys.ordinal(day), set()).add(bucket.version)
    return shown


def _sweep(transaction: Transaction, event_type: str, start: bytes, deserted: Mapping[int, int]) -> tuple[int, bytes]:
    """Delete from ``start`` on; returns how many, and where to go on (empty at the end)."""
    name, shown = keys.type_bytes(event_type), _shown(transaction, event_type)
    mine = _still_held(transaction, name, deserted)
    is_rolled = {keys.ordinal(day) for day in rolled.days(transaction, event_type)}
    doomed: list[bytes] = []
    digests: list[bytes] = []
    next_start, seen = b"", 0
    for stem, blocks in _by_user_and_day(transaction, start, keys.blocks_of_type(name)):
        if seen >= STRIDE:
            next_start = stem
            break
        seen += len(blocks)
        day, _ = keys.day_and_version(blocks[0][0])
        # Nearly every user has one block of the day, and it is shown: not worth the closer look.
        is_plain = day in shown and len(blocks) == 1 and blocks[0][1] != LEFT
        if is_plain or (day not in shown and day not in mine):
            continue
        user = keys.user_of(blocks[0][0], name)
        elsewhere = rolled.version_of(transaction, name, user, day) if day in is_rolled else None
        if day in shown:
            doomed += _superseded(blocks, shown[day], elsewhere)
        elif elsewhere is None:
            doomed += [key for key, _ in blocks]
            digests.append(keys.digests_of_day(name, day) + user)
    # In one transaction, or the next publisher would take a deleted block for an unchanged one.
    for key in (*doomed, *digests):
        transaction.delete(key)
    return len(doomed), next_start


def _by_user_and_day(
    transaction: Transaction, start: bytes, prefix: bytes
) -> Iterator[tuple[bytes, list[tuple[bytes, bytes]]]]:
    cursor = transaction.cursor()
    if cursor.set_range(start):
        for stem, blocks in groupby(cursor.iternext(), key=lambda entry: keys.stem(entry[0])):
            if not stem.startswith(prefix):
                return
            yield stem, list(blocks)


def _superseded(blocks: list[tuple[bytes, bytes]], shown: Collection[int], elsewhere: int | None) -> list[bytes]:
    """Keys of one user and day to delete; ``elsewhere`` is the version of rows that are rolled up."""
    by_version = {keys.day_and_version(key)[1]: (key, block) for key, block in blocks}
    stored = sorted({*by_version, elsewhere} - {None}) if elsewhere is not None else list(by_version)
    doomed = versions.superseded(stored, shown) - {stored[-1], elsewhere}
    kept = [version for version in stored if version not in doomed]
    while kept and kept[0] != elsewhere and by_version[kept[0]][1] == LEFT:
        doomed.add(kept.pop(0))  # nothing older is left for it to hide
    return [by_version[version][0] for version in by_version if version in doomed]


def _sweep_rolled(
    transaction: Transaction, event_type: str, start: bytes, deserted: Mapping[int, int]
) -> tuple[int, bytes]:
    """As ``_sweep``, of rolled up blocks all of whose days are deserted."""
    name = keys.type_bytes(event_type)
    prefix, mine = keys.rolled_of_type(name), _still_held(transaction, name, deserted)
    doomed, digests, next_start = list[bytes](), list[bytes](), b""
    for seen, (key, value) in enumerate(records.between(transaction, start, keys.past(prefix)) if mine else ()):
        if not key.startswith(prefix):
            break
        if seen >= STRIDE:
            next_start = key
            break
        days = rolled.record(transaction, key, value).days
        if days.keys() <= set(mine):
            doomed.append(key)
            digests += [keys.digests_of_day(name, day) + keys.user_of_rolled(key, name) for day in days]
    for key in (*doomed, *digests):
        transaction.delete(key)
    return len(doomed), next_start


def _still_held(transaction: Transaction, name: bytes, deserted: Mapping[int, int]) -> Collection[int]:
    """Deserted days that no publisher has taken over since."""
    return {day for day, version in deserted.items() if records.lease_holder(transaction, name, day) == version}


def _end_leases(transaction: Transaction, event_type: str, deserted: Mapping[int, int]) -> None:
    name = keys.type_bytes(event_type)
    held = set(_still_held(transaction, name, deserted))
    marked = {keys.ordinal(day) for day in rolled.days(transaction, event_type)}
    # Where a day of a span is still somebody's, blocks of all its days may have stayed.
    stayed = {day // SPAN_DAYS for day in marked - held}
    done = {day for day in held if day not in marked or day // SPAN_DAYS not in stayed}
    for day in done:
        transaction.delete(keys.lease(name, day))
    rolled.unmark(transaction, event_type, {keys.iso(day) for day in done})
