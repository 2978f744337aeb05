"""Who has an index, kept apart from the indexes: a server that lost one must not make its user look like nobody.

An index says under which write version it came into being; so does the census, which is written before the publication
commits and after the index. A user whose two differ lost blocks. He is noted as lost until all days that rosters have
him in are in his index again: then the census takes over what the index says.
"""

import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence

from seqplat_resources.online_store.redis.catalog import Catalog
from seqplat_resources.online_store.redis.records import entries, rosters
from seqplat_resources.online_store.redis.records.names import type_name
from seqplat_resources.online_store.redis.records.pins import paired
from seqplat_resources.online_store.redis.records.rosters import Roster
from seqplat_resources.online_store.redis.records.views import DayView
from seqplat_resources.online_store.redis.scripts import blocks
from seqplat_resources.online_store.redis.wire.pipeline import Command

# Parts that a type's census lies in. Each has a field that says it is there, which no user can be called.
SHARDS = 16
THERE = b""
# How fields of a part begin that are about now blocks; see ``arrivals``. No user id does, as no UTF-8 text does.
NOW = b"\xff"
# Users looked at at once.
STRIDE = 1 << 12

# Of nobody's index.
_UNKNOWN = b"0"


def shard(user: bytes) -> int:
    return zlib.crc32(user) % SHARDS


def asked(catalog: Catalog, event_type: str, user: bytes) -> Command:
    """Whose answer ``is_lost`` understands. To be read before the index."""
    return ("HMGET", catalog.names.census(event_type, shard(user)), user, THERE)


def is_lost(found: Sequence[bytes | None], birth: bytes | None, *, is_made: bool) -> bool:
    """Whether the user's index lacks what was written; ``is_made``: the type has a census, so all parts were there."""
    known, there = found
    return (known is not None and known != birth) or (there is None and is_made)


def prepare(catalog: Catalog, event_type: str) -> None:
    """Have all parts. Of the users of one that was lost nothing is known: they are taken for lost until looked at."""
    names, link = catalog.names, catalog.link
    parts = [names.census(event_type, number) for number in range(SHARDS)]
    made: Command = ("HEXISTS", names.pin, b"n" + type_name(event_type))
    is_made, *there = link.run([made, *(("HEXISTS", part, THERE) for part in parts)], repeatable=True)
    missing = {number for number, found in enumerate(there) if not found}
    if is_made and not missing:
        return
    if is_made or len(missing) < SHARDS:
        listed = {user for roster in _rosters(catalog, event_type).values() for user in roster or ()}
        _doubt(catalog, event_type, [user for user in listed if shard(user) in missing])
    link.run([("HSET", parts[number], THERE, 1) for number in sorted(missing)])
    pin = catalog.pin()
    if pin.has_arrivals(event_type):  # of the now blocks that were listed there, too, nothing is known
        link.run([("HSETNX", parts[number], NOW, pin.last + 1) for number in sorted(missing)], repeatable=True)
    link.one("HSET", names.pin, b"n" + type_name(event_type), 1)


def enter(catalog: Catalog, event_type: str, births: Mapping[bytes, bytes]) -> None:
    """Users whose indexes came into being. Those who had one before have lost it."""
    users, names = list(births), catalog.names
    where = {user: names.census(event_type, shard(user)) for user in users}
    entered = catalog.link.run([("HSETNX", where[user], user, births[user]) for user in users])
    new = [user for user, is_new in zip(users, entered, strict=True) if is_new]
    known = [user for user, is_new in zip(users, entered, strict=True) if not is_new]
    # A publisher that was overtaken may come too late: pruning has deleted the index and taken its user out.
    asked_again = [("HGET", names.index(event_type, user), entries.BIRTH) for user in new]
    stored = dict(zip(new, catalog.link.run(asked_again, repeatable=True), strict=True))
    gone = [user for user, birth in stored.items() if birth is None]
    catalog.link.run([blocks.TAKE_OUT([where[user]], user, births[user]) for user in gone])
    _note(catalog, event_type, [user for user, birth in stored.items() if birth not in (None, births[user])])
    if known:
        kept = catalog.link.run([asked(catalog, event_type, user)[:3] for user in known], repeatable=True)
        lost = [user for user, found in zip(known, kept, strict=True) if found[0] != births[user]]
        _note(catalog, event_type, lost)


def leave(catalog: Catalog, event_type: str, births: Mapping[bytes, bytes]) -> None:
    """Users whose indexes have nothing but their birth; those who got blocks meanwhile stay."""
    users = list(births)
    where = {user: [catalog.names.census(event_type, shard(user))] for user in users}
    taken_out = catalog.link.run([blocks.TAKE_OUT(where[user], user, births[user]) for user in users])
    mine = [user for user, was_mine in zip(users, taken_out, strict=True) if was_mine]
    ended = catalog.link.run([blocks.END([catalog.names.index(event_type, user)], entries.BIRTH) for user in mine])
    enter(catalog, event_type, {user: births[user] for user, gone in zip(mine, ended, strict=True) if not gone})


def everybody(catalog: Catalog, event_type: str) -> set[bytes]:
    """All users who have an index, or had one."""
    found = catalog.link.run([("HKEYS", catalog.names.census(event_type, n)) for n in range(SHARDS)], repeatable=True)
    return {field for part in found for field in part if field != THERE and not field.startswith(NOW)}


def settle(catalog: Catalog, event_type: str) -> None:
    """Let go of users who were lost and have everything again that the current epoch shows of them."""
    users = sorted(catalog.link.one("HKEYS", catalog.names.lost(event_type), repeatable=True))
    if not users:
        return
    views = catalog.kept_views(event_type)
    shown, listed = views[-1].shown if views else {}, _rosters(catalog, event_type)
    if None in listed.values():  # nobody knows who was in it
        return
    for start in range(0, len(users), STRIDE):
        mine = users[start : start + STRIDE]
        found = catalog.link.run([("HGETALL", catalog.names.index(event_type, user)) for user in mine], repeatable=True)
        whole: dict[bytes, bytes] = {}
        for user, answer in zip(mine, found, strict=True):
            index = paired(answer)
            birth = index.pop(entries.BIRTH, None)
            days = {day for day, roster in listed.items() if roster and user in roster}
            if birth is not None and days <= _days(index, shown):
                whole[user] = birth
        commands: list[Command] = [
            ("HSET", catalog.names.census(event_type, shard(user)), user, birth) for user, birth in whole.items()
        ]
        catalog.link.run([*commands, *(("HDEL", catalog.names.lost(event_type), user) for user in whole)])


def _days(index: entries.Index, shown: Mapping[int, DayView]) -> set[int]:
    """The days of which an index has a block that is shown."""
    return {
        day
        for name, value in index.items()
        if entries.is_intact(name, value) and not entries.has_left(name)
        for day, version in entries.covered(name, value)
        if day in shown and shown[day].counts(version)
    }


def _rosters(catalog: Catalog, event_type: str) -> dict[int, Roster | None]:
    """Of the days that the current epoch shows; None where one is lost."""
    views = catalog.kept_views(event_type)
    shown = views[-1].shown if views else {}
    asked = [("HVALS", catalog.names.roster(event_type, day, here.version)) for day, here in shown.items()]
    found = catalog.link.run(asked, repeatable=True)
    return {day: rosters.unpacked(chunks) if chunks else None for day, chunks in zip(shown, found, strict=True)}


def _doubt(catalog: Catalog, event_type: str, users: Collection[bytes]) -> None:
    _note(catalog, event_type, users)
    catalog.link.run([("HSETNX", catalog.names.census(event_type, shard(user)), user, _UNKNOWN) for user in users])


def _note(catalog: Catalog, event_type: str, users: Iterable[bytes]) -> None:
    catalog.link.run([("HSET", catalog.names.lost(event_type), user, 1) for user in users])
