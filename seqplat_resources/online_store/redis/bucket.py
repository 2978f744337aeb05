"""Writing one bucket: steps 2 to 4 of a publication, and clearing up after it; see ``publication``."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from seqplat_resources.online_store import keys
from seqplat_resources.online_store.codec import schema_id
from seqplat_resources.online_store.contract import PublishResult
from seqplat_resources.online_store.errors import BucketTakenOverError
from seqplat_resources.online_store.redis import census, rolled
from seqplat_resources.online_store.redis.catalog import Catalog
from seqplat_resources.online_store.redis.records import entries, rosters
from seqplat_resources.online_store.redis.records.leases import Counting, LeaseRecord, listed
from seqplat_resources.online_store.redis.records.rosters import Roster
from seqplat_resources.online_store.redis.scripts import blocks as block_scripts
from seqplat_resources.online_store.redis.scripts import epochs
from seqplat_resources.online_store.redis.wire.pipeline import Command

# What is sent, and answered, at once: bounds what the server buffers of one publisher.
CHUNK_USERS = 1 << 12
CHUNK_BYTES = 8 << 20


@dataclass
class BucketWriter:
    """Writes under a lease that its publisher has taken. ``needed`` are the versions that readers of some epoch see, of
    those that count for any of them."""

    catalog: Catalog
    lease: LeaseRecord
    needed: frozenset[int]
    counting: Counting
    fresh: Roster = field(default_factory=dict)

    def write(self, blocks: Iterable[tuple[str, bytes]], result: PublishResult) -> PublishResult:
        self.delete_skipped()
        before = self._roster(self.lease.committed)
        for changed, unchanged in _changes(blocks, before, self.fresh):
            missing = self._missing(unchanged)
            changed |= {user: unchanged[user] for user in missing}
            self._put(changed)
            sizes = [len(block) for block in changed.values()]
            result = replace(
                result,
                users_written=result.users_written + len(sizes),
                users_unchanged=result.users_unchanged + len(unchanged) - len(missing),
                bytes_written=result.bytes_written + sum(sizes),
            )
        left = [user for user in before if user not in self.fresh]
        for start in range(0, len(left), CHUNK_USERS):
            self._put(dict.fromkeys(left[start : start + CHUNK_USERS], b""))
        if left and self.lease.day in rolled.days(self.catalog, self.lease.event_type):
            key = self.catalog.names.left(self.lease.event_type, self.lease.ordinal)
            self.catalog.link.one("RPUSH", key, rolled.left_record(self.lease.holder, left))
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
        if held is None or (found := LeaseRecord.parse(lease.event_type, lease.day, held)).holder != lease.holder:
            raise BucketTakenOverError(
                lease.event_type, day=lease.day, mine=lease.holder, theirs=found.holder if held else 0
            )
        put = link.run([self._command(user, block) for user, block in blocks.items()])
        born = [user for user, answer in zip(blocks, put, strict=True) if answer == 2]
        census.enter(self.catalog, lease.event_type, dict.fromkeys(born, b"%d" % lease.holder))

    def _command(self, user: bytes, block: bytes) -> Command:
        lease, names = self.lease, self.catalog.names
        name = entries.block_name(lease.ordinal, lease.holder)
        head, fields = b"0 0 0 -", list[bytes]()
        if block and (schema := self.catalog.schema(schema_id(block))):
            head, fields = entries.stored_form(name, block, schema)
        where = [names.index(lease.event_type, user), names.data(lease.event_type, user)]
        kind, since, skipped = b"" if block else b"x", self.counting.since, listed(self.counting.skipped)
        value = entries.value_of(name + kind, head)
        return block_scripts.PUT(
            where, lease.ordinal, lease.holder, kind, value, listed(self.needed), since, skipped, *fields
        )

    def _roster(self, version: int) -> Roster:
        """The users of a version, with digests; with none where the server has lost the roster."""
        if not version:
            return {}
        key = self.catalog.names.roster(self.lease.event_type, self.lease.ordinal, version)
        if chunks := self.catalog.link.one("HVALS", key, repeatable=True):
            return rosters.unpacked(chunks)
        everybody = sorted(census.everybody(self.catalog, self.lease.event_type))
        return dict.fromkeys({*everybody}.difference(self._missing(everybody)), b"")

    def _missing(self, users: Iterable[bytes]) -> list[bytes]:
        """Those of whom there is no block of the day: the server has lost what was written, or it never was."""
        lease, names = self.lease, self.catalog.names
        asked_of = list(users)
        where = [(names.index(lease.event_type, user), names.data(lease.event_type, user)) for user in asked_of]
        asked = (lease.ordinal, lease.since, listed(lease.skipped))
        there = self.catalog.link.run([block_scripts.HAS_DAY(list(keys), *asked) for keys in where])
        return [user for user, found in zip(asked_of, there, strict=True) if not found]

    def _keep_roster(self) -> None:
        key = self.catalog.names.roster(self.lease.event_type, self.lease.ordinal, self.lease.holder)
        chunks = [("HSET", key, number, chunk) for number, chunk in enumerate(rosters.packed(self.fresh))]
        self.catalog.link.run([("UNLINK", key), *chunks])

    def delete_skipped(self) -> None:
        """What publishers before left behind, as far as their journals say."""
        lease, names, link = self.lease, self.catalog.names, self.catalog.link
        for version in lease.skipped:
            journal = names.journal(lease.event_type, lease.ordinal, version)
            for chunk in link.one("LRANGE", journal, 0, -1, repeatable=True):
                name, users = entries.block_name(lease.ordinal, version), rosters.unpacked_users(chunk)
                link.run(
                    [
                        block_scripts.REMOVE(
                            [names.index(lease.event_type, user), names.data(lease.event_type, user)],
                            name,
                            name + b"x",
                        )
                        for user in users
                    ]
                )
                # Its publisher may have ended before it entered those whose indexes it had begun.
                births = link.run([("HGET", names.index(lease.event_type, user), entries.BIRTH) for user in users])
                there = {user: birth for user, birth in zip(users, births, strict=True) if birth}
                census.enter(self.catalog, lease.event_type, there)
            link.one("UNLINK", journal)
            link.one("UNLINK", names.roster(lease.event_type, lease.ordinal, version))


def clear(catalog: Catalog, lease: LeaseRecord, needed: Collection[int]) -> None:
    """Delete the journals of publishers that ended, and the rosters of versions that are not needed."""
    names, of = catalog.names, (lease.event_type, lease.ordinal)
    done = [version for version in lease.rosters if version not in needed]
    ended = {*lease.skipped, *lease.rosters, lease.committed} - {0}
    gone = [names.roster(*of, version) for version in (*done, *lease.skipped)]
    gone += [names.journal(*of, version) for version in ended]
    catalog.link.run([("UNLINK", key) for key in gone])
    if done:
        catalog.link.one(*epochs.FORGET_ROSTERS([names.leases(lease.event_type)], lease.ordinal, *done))


def _changes(
    blocks: Iterable[tuple[str, bytes]], before: Roster, fresh: Roster
) -> Iterator[tuple[dict[bytes, bytes], dict[bytes, bytes]]]:
    """Chunks of changed users and the unchanged ones that came between; ``fresh`` gets all of them."""
    changed: dict[bytes, bytes] = {}
    unchanged: dict[bytes, bytes] = {}
    size = 0
    for user, block in blocks:
        name, new = keys.user_bytes(user), rosters.digest(block)
        known = fresh.get(name, before.get(name))
        fresh[name] = new
        (unchanged if known == new and name not in changed else changed)[name] = block
        size += len(block)
        if size >= CHUNK_BYTES or len(changed) + len(unchanged) >= CHUNK_USERS:
            yield changed, unchanged
            changed, unchanged, size = {}, {}, 0
    yield changed, unchanged
