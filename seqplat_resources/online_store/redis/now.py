"""The now view: a stream's blocks and its positions; ``batch_list`` has its batches, by ``eviction`` they leave.

    1. begin    a sequence number, excluded from view; advances of these partitions that did not end are given up
    2. write    the list of the batch's users, so that a successor knows what to delete; that they should have blocks
                of it (``arrivals``); then the blocks
    3. commit   check the positions, then move them and show the number, in one step

A stream that dies before 3 leaves blocks of a number that stays excluded. The next stream of one of its partitions
deletes them. Should the dead one only have been asleep, what it still writes is excluded as well, and it cannot commit.
"""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from seqplat_resources.online_store import keys, rules
from seqplat_resources.online_store.errors import (
    AdvanceGivenUpError,
    FencedStreamError,
    StoreAwayError,
    StreamPositionError,
)
from seqplat_resources.online_store.now_view import (
    Advance,
    Fold,
    NowBlock,
    NowStats,
    NowWrite,
    Reach,
)
from seqplat_resources.online_store.redis import arrivals, batch_list
from seqplat_resources.online_store.redis.catalog import Catalog, clock_s
from seqplat_resources.online_store.redis.records import rosters
from seqplat_resources.online_store.redis.records.names import type_name
from seqplat_resources.online_store.redis.records.pins import Pin, paired, position_record
from seqplat_resources.online_store.redis.scripts import now
from seqplat_resources.online_store.redis.wire.pipeline import Command


@dataclass(frozen=True)
class _Batch:
    """A write ready to be made: users as they stand in keys, and their blocks."""

    event_type: str
    blocks: Mapping[bytes, bytes]
    reach: Reach

    @property
    def days(self) -> list[int]:
        return [keys.ordinal(day) for day in self.reach]

    def record(self, at_ms: int) -> str:
        plain = {day: {partition: int(offset) for partition, offset in of.items()} for day, of in self.reach.items()}
        return json.dumps({"at_ms": at_ms, "reach": plain}, separators=(",", ":"), ensure_ascii=False)


def advance(catalog: Catalog, writes: Sequence[NowWrite], partitions: Mapping[str, Advance]) -> None:
    """Everything an ``advance`` does."""
    batches = [batch for batch in map(_prepared, writes) if batch.blocks]
    for batch in batches:
        catalog.require(rules.schema_ids(batch.blocks.values()), batch.event_type)
    if not batches:
        _commit(catalog, 0, (), partitions)
        return
    sequence = _begin(catalog, batches, partitions)
    try:
        _write(catalog, sequence, batches, partitions)
        _commit(catalog, sequence, batches, partitions)
    except StoreAwayError:
        raise  # commands may still be under way to the server, so the number stays excluded; the next stream clears
    except Exception:
        _delete(catalog, sequence, {batch.event_type: list(batch.blocks) for batch in batches})
        catalog.link.one(*now.GIVE_UP([catalog.names.pin, catalog.names.open], sequence, 1))
        raise


def visible(fields: Mapping[bytes, bytes], pin: Pin, first: int) -> list[NowBlock]:
    """A user's blocks, numbered ``first`` or later, that were committed when the pin was read, oldest first.

    A block that was folded since may also hold rows of batches that were committed since.
    """
    blocks = []
    for name, payload in fields.items():
        if name[:1] != b"f" and int(name) >= first:
            folded = fields.get(b"f" + name)
            if pin.shows(int(name)) or (folded is not None and pin.shows(int(folded))):
                blocks.append(NowBlock(int(name), payload))
    return sorted(blocks, key=lambda block: block.sequence)


def stats(catalog: Catalog, event_type: str) -> NowStats:
    names = catalog.names
    totals, oldest = catalog.link.run(
        [("HGETALL", names.totals(event_type)), ("ZRANGE", names.batches(event_type), 0, 0)], repeatable=True
    )
    count = {name: int(number) for name, number in paired(totals).items()}
    at_ms = batch_list.parsed(oldest[0])[1]["at_ms"] if oldest else None
    return NowStats(count.get(b"batches", 0), count.get(b"blocks", 0), count.get(b"bytes", 0), at_ms)


def crowded(catalog: Catalog, event_type: str, more_than: int) -> list[str]:
    """Users with more than so many blocks. Folding left them fewer than batches, so those of as many are looked at."""
    names, link = catalog.names, catalog.link
    sequences = [
        batch_list.parsed(listed)[0] for listed in link.one("ZRANGE", names.batches(event_type), 0, -1, repeatable=True)
    ]
    asked = [("GET", names.users(event_type, sequence)) for sequence in sequences]
    count = Counter[bytes]()
    for packed in link.run(asked, repeatable=True):
        count.update(rosters.unpacked_users(packed) if packed else ())
    users = [user for user, times in count.items() if times > more_than]
    pin = catalog.pin()
    stored = link.run([("HKEYS", names.now(event_type, user)) for user in users], repeatable=True)
    return [
        user.decode()
        for user, fields in zip(users, stored, strict=True)
        if sum(name[:1] != b"f" and pin.shows(int(name)) for name in fields) > more_than
    ]


def fold(catalog: Catalog, event_type: str, folds: Sequence[Fold]) -> int:
    """Replace the blocks of these users whose expected ones are all there; how many."""
    names = catalog.names
    catalog.require(rules.schema_ids(item.payload for item in folds), event_type)
    wanted = [item for item in folds if item.expected]
    commands: list[Command] = [
        now.FOLD([names.now(event_type, keys.user_bytes(item.user))], item.payload, *sorted(set(item.expected)))
        for item in wanted
    ]
    sizes = catalog.link.run(commands)
    done = [(item, size) for item, size in zip(wanted, sizes, strict=True) if size >= 0]
    blocks = sum(1 - len(set(item.expected)) for item, _ in done)
    added = sum(len(item.payload) - size for item, size in done)
    if done:
        totals = names.totals(event_type)
        catalog.link.run([("HINCRBY", totals, "blocks", blocks), ("HINCRBY", totals, "bytes", added)])
    return len(done)


def _prepared(write: NowWrite) -> _Batch:
    """
    Raises:
        InvalidNowWriteError, InvalidKeyError: as the contract says.
    """
    type_name(write.event_type)
    blocks = {keys.user_bytes(user): block for user, block in rules.by_user(write).items()}
    return _Batch(write.event_type, blocks, write.reach)


def _begin(catalog: Catalog, batches: Sequence[_Batch], partitions: Mapping[str, Advance]) -> int:
    """Step 1."""
    names = catalog.names
    entry = json.dumps({"partitions": list(partitions), "types": [batch.event_type for batch in batches]})
    answer = catalog.link.one(
        *now.BEGIN([names.pin, names.open, names.live], entry, *_steps(partitions), 1000 * clock_s())
    )
    _refuse(answer, partitions)
    given_up = answer[2]
    for sequence, left in zip(given_up[::2], given_up[1::2], strict=True):
        asked = [(event_type, names.users(event_type, int(sequence))) for event_type in json.loads(left)["types"]]
        listed = catalog.link.run([("GET", key) for _, key in asked], repeatable=True)
        users = {of: rosters.unpacked_users(found) for (of, _), found in zip(asked, listed, strict=True) if found}
        _delete(catalog, int(sequence), users)
        catalog.link.one(*now.GIVE_UP([names.pin, names.open], sequence, 0))
    return int(answer[1])


def _write(catalog: Catalog, sequence: int, batches: Sequence[_Batch], partitions: Mapping[str, Advance]) -> None:
    """Step 2."""
    names, at_ms = catalog.names, _at_ms(partitions)
    listed: list[Command] = []
    for batch in batches:
        listed.append(("SET", names.users(batch.event_type, sequence), rosters.packed_users(batch.blocks)))
        listed.append(("SET", names.record(batch.event_type, sequence), batch.record(at_ms)))
    catalog.link.run(listed)
    for batch in batches:
        arrivals.enter(catalog, batch.event_type, sequence, batch.blocks)
    commands: list[Command] = [
        ("HSET", names.now(batch.event_type, user), sequence, block)
        for batch in batches
        for user, block in batch.blocks.items()
    ]
    for start in range(0, len(commands), batch_list.STRIDE):
        catalog.link.run(commands[start : start + batch_list.STRIDE])


def _commit(catalog: Catalog, sequence: int, batches: Sequence[_Batch], partitions: Mapping[str, Advance]) -> None:
    """Step 3."""
    names = catalog.names
    at_ms = _at_ms(partitions)
    where, what = [names.pin, names.open, names.live], list[object]()
    for batch in batches:
        where += [names.batches(batch.event_type), names.days(batch.event_type), names.totals(batch.event_type)]
        size = sum(map(len, batch.blocks.values()))
        what += [type_name(batch.event_type), batch.record(at_ms), len(batch.blocks), size, len(batch.reach)]
        what += batch.days
    answer = catalog.link.one(*now.COMMIT_ADVANCE(where, sequence, *_steps(partitions), *what))
    _refuse(answer, partitions)


def _at_ms(partitions: Mapping[str, Advance]) -> int:
    return max((step.at_ms for step in partitions.values()), default=0)


def _steps(partitions: Mapping[str, Advance]) -> list[object]:
    steps: list[object] = [len(partitions)]
    for partition, step in partitions.items():
        steps += [partition, step.start, step.token, int(step.resumes), position_record(partition, step.position)]
    return steps


def _refuse(answer: Sequence[bytes], partitions: Mapping[str, Advance]) -> None:
    """Raise what a script says against an advance, if anything."""
    if answer[0] == b"ok":
        return
    if answer[0] == b"lost":  # only a later stream of the partition gives an advance up
        partition, step = next(iter(partitions.items()))
        raise AdvanceGivenUpError(partition, start=step.start)
    partition, found = answer[1].decode(), answer[2]
    if answer[0] == b"fenced":
        raise FencedStreamError(partition, mine=partitions[partition].token, theirs=int(found))
    raise StreamPositionError(partition, stored=int(found) if found else None, start=partitions[partition].start)


def _delete(catalog: Catalog, sequence: int, users: Mapping[str, Collection[bytes]]) -> None:
    """Delete what an advance that did not end has written, by event type."""
    names = catalog.names
    for event_type, mine in users.items():
        arrivals.leave(catalog, event_type, sequence, mine)
    commands: list[Command] = [
        ("HDEL", names.now(event_type, user), sequence) for event_type, mine in users.items() for user in mine
    ]
    for event_type in users:
        commands += [("UNLINK", key) for key in batch_list.beside(catalog, event_type, sequence)]
    catalog.link.run(commands)
