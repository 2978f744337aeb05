"""Deleting what no kept epoch shows, beside readers and publishers."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from seqplat_resources.online_store import keys, versions
from seqplat_resources.online_store.contract import ANY_EPOCH
from seqplat_resources.online_store.redis import census, publication, rolled
from seqplat_resources.online_store.redis.bucket import BucketWriter, clear
from seqplat_resources.online_store.redis.catalog import Catalog, clock_s
from seqplat_resources.online_store.redis.records import entries, rosters
from seqplat_resources.online_store.redis.records.entries import Index
from seqplat_resources.online_store.redis.records.leases import Counting, LeaseRecord
from seqplat_resources.online_store.redis.records.names import type_name
from seqplat_resources.online_store.redis.records.pins import paired
from seqplat_resources.online_store.redis.records.views import DayView, PinnedEpoch
from seqplat_resources.online_store.redis.scripts import blocks
from seqplat_resources.online_store.redis.scripts import epochs as epoch_scripts
from seqplat_resources.online_store.redis.wire.pipeline import Command

# Users whose indexes are looked at at once.
STRIDE = 1 << 12
# A publisher notes what it is about to write every few seconds; one that sleeps for longer finds its bucket taken over.
DEAD_AFTER_S = 3600


@dataclass(frozen=True)
class _Day:
    """What may be deleted of one day, of which nobody shows anything without ``counting``. Versions from ``open`` on
    belong to publishers that are at work."""

    counting: Counting | None
    needed: Collection[int]
    open: int

    def doomed(self, stored: Mapping[int, bool], rolled: Collection[int] = ()) -> set[int]:
        """Of a user's versions, with whether they say that the user left. Those ``rolled`` up cannot go alone, so what
        hides them stays."""
        mine = {version for version in stored if version < self.open}
        counting = {version for version in mine if self.counting and self.counting.counts(version)}
        gone = (mine - counting | versions.superseded(counting, self.needed)) - set(rolled)
        kept = sorted(counting - gone)
        while kept and stored[kept[0]]:
            gone.add(kept.pop(0))  # nothing older is left for it to hide
        return gone


def prune(catalog: Catalog, event_type: str, *, keep_epochs: int) -> int:
    """Forget old epochs, then delete the blocks that only they showed; returns how many.

    A day that no kept epoch shows (dropped, or never committed) is taken over and deleted whole. Of other days, the
    newest published block of each user stays even if no epoch shows it, because the roster describes it.
    """
    names = catalog.names
    _end_dead(catalog, event_type)
    while True:
        views, leases, last = _forget(catalog, event_type, keep_epochs)
        shown = _shown(views)
        deserted = [day for day in leases if day not in shown]
        head = max((view.epoch.epoch for view in views), default="")
        where = [names.pin, names.leases(event_type), names.versions]
        answer = catalog.link.one(*epoch_scripts.DESERT(where, type_name(event_type), head, clock_s(), *deserted))
        if answer[0] == b"ok":
            break
    taken = int(answer[1])
    days = {day: _day(leases.get(day), shown.get(day, ())) for day in {*leases, *shown}}
    days |= {day: _Day(None, (), taken) for day in deserted}
    count = 0
    users = sorted(_users(catalog, leases.values()))
    for start in range(0, len(users), STRIDE):
        count += _sweep(catalog, event_type, users[start : start + STRIDE], days, _Day(None, (), last + 1))
    _clear(catalog, [leases[day] for day in deserted])
    for day in shown.keys() & leases.keys():
        clear(catalog, leases[day], days[day].needed)
    if deserted:
        catalog.link.one(*epoch_scripts.END_LEASES([names.leases(event_type)], taken, *deserted))
    return count


def _end_dead(catalog: Catalog, event_type: str) -> None:
    """Delete what publishers wrote who began a bucket and have not been heard of since."""
    names = catalog.names
    found = paired(catalog.link.one("HGETALL", names.leases(event_type), repeatable=True))
    leases = [LeaseRecord.parse(event_type, keys.iso(int(day)), text) for day, text in found.items()]
    begun = [lease for lease in leases if lease.holder != lease.committed]
    journals = [names.journal(event_type, lease.ordinal, lease.holder) for lease in begun]
    there = catalog.link.run([("EXISTS", journal) for journal in journals], repeatable=True)
    for lease, journal, is_there in zip(begun, journals, there, strict=True):
        if is_there and (catalog.link.one("OBJECT", "IDLETIME", journal, repeatable=True) or 0) >= DEAD_AFTER_S:
            taken = publication.take(catalog, event_type, lease.day, [], ANY_EPOCH)
            BucketWriter(catalog, taken, *publication.needed(catalog, taken)).delete_skipped()


def _forget(
    catalog: Catalog, event_type: str, keep_epochs: int
) -> tuple[list[PinnedEpoch], dict[int, LeaseRecord], int]:
    """What is kept after older epochs were forgotten, the leases by day, and the last write version given out.

    Raises:
        StoreDamagedError: the current epoch is lost, so nobody knows what is of no use.
    """
    names = catalog.names
    where = [names.pin, names.epochs(event_type), names.leases(event_type), names.versions]
    answer = catalog.link.one(*epoch_scripts.FORGET(where, type_name(event_type), max(1, keep_epochs)))
    if answer[0] == b"lost":
        raise catalog.lost(event_type, int(answer[1]))
    _, last, epochs, found = answer
    leases = {int(day): LeaseRecord.parse(event_type, keys.iso(int(day)), text) for day, text in paired(found).items()}
    return list(map(PinnedEpoch.parse, paired(epochs).values())), leases, int(last)


def _shown(views: Iterable[PinnedEpoch]) -> Mapping[int, Sequence[DayView]]:
    """Day -> what kept epochs show of it."""
    shown = defaultdict[int, list[DayView]](list)
    for view in views:
        for day, here in view.shown.items():
            shown[day].append(here)
    return shown


def _day(lease: LeaseRecord | None, shown: Sequence[DayView]) -> _Day:
    needed = {*(here.version for here in shown), lease.committed if lease else 0} - {0}
    counting = Counting.of(lease, shown)
    if lease is None:  # lost, and whoever held it: what is newer than all that is shown may be at work
        return _Day(counting, needed, max(needed) + 1)
    return _Day(counting, needed, lease.holder if lease.holder != lease.committed else lease.holder + 1)


def _users(catalog: Catalog, leases: Iterable[LeaseRecord]) -> set[bytes]:
    """Everybody who may have a block, as rosters and the journals of publishers that failed say."""
    names, users = catalog.names, set[bytes]()
    for lease in leases:
        of = (lease.event_type, lease.ordinal)
        for version in lease.rosters:
            users |= rosters.unpacked(catalog.link.one("HVALS", names.roster(*of, version), repeatable=True)).keys()
        users |= rolled.left(catalog, lease.event_type, [lease.ordinal])
        for version in (*lease.skipped, lease.holder):
            for chunk in catalog.link.one("LRANGE", names.journal(*of, version), 0, -1, repeatable=True):
                users.update(rosters.unpacked_users(chunk))
    return users


def _sweep(catalog: Catalog, event_type: str, users: Sequence[bytes], days: Mapping[int, _Day], otherwise: _Day) -> int:
    """Delete what is doomed of these users; how many blocks. ``otherwise`` is of days that nobody holds a lease of."""
    names = catalog.names
    where = [[names.index(event_type, user), names.data(event_type, user)] for user in users]
    stored = catalog.link.run([("HGETALL", index) for index, _ in where], repeatable=True)
    commands, ended = list[Command](), dict[bytes, bytes]()
    for user, key, fields in zip(users, where, stored, strict=True):
        index = paired(fields)
        birth = index.pop(entries.BIRTH, None)
        doomed = _doomed(index, days, otherwise)
        if doomed:
            commands.append(blocks.REMOVE(key, *doomed))
        if birth is not None and len(doomed) == len(index):
            ended[user] = birth
    count = sum(catalog.link.run(commands)) if commands else 0
    if ended:
        census.leave(catalog, event_type, ended)
    return count


def _doomed(index: Index, days: Mapping[int, _Day], otherwise: _Day) -> list[bytes]:
    """Names of the blocks of a user that may go. Rolled up ones go when none of their days is of any use."""
    by_day, doomed = defaultdict[int, dict[int, bytes]](dict), list[bytes]()
    for name, value in index.items():
        if entries.is_rolled(name) and not entries.is_intact(name, value):
            covered: Collection[tuple[int, int]] = [(day, 0) for day in entries.possible_days(name, index)]
        else:
            covered = entries.covered(name, value)
        for day, version in covered:
            by_day[day][version] = name
        if entries.is_rolled(name) and all(
            days.get(day, otherwise).doomed({version: False}) and days.get(day, otherwise).counting is None
            for day, version in covered
        ):
            doomed.append(name)
    for day, found in by_day.items():
        says_left = {version: entries.has_left(name) for version, name in found.items()}
        in_rolled = [version for version, name in found.items() if entries.is_rolled(name)]
        doomed += [found[version] for version in days.get(day, otherwise).doomed(says_left, in_rolled)]
    return doomed


def _clear(catalog: Catalog, deserted: Iterable[LeaseRecord]) -> None:
    """Rosters and journals of deserted days."""
    names, commands = catalog.names, list[Command]()
    for lease in deserted:
        of = (lease.event_type, lease.ordinal)
        commands += [("UNLINK", names.roster(*of, version)) for version in lease.rosters]
        commands += [("UNLINK", names.journal(*of, version)) for version in (*lease.skipped, lease.holder)]
        commands += [("UNLINK", names.roster(*of, version)) for version in (*lease.skipped, lease.holder)]
        commands += [("UNLINK", names.left(*of)), ("HDEL", names.rolled(lease.event_type), lease.ordinal)]
    catalog.link.run(commands)
