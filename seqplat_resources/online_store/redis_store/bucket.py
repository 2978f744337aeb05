"""Writing one bucket: steps 2 to 4 of a publication, and clearing up after it; see ``publication``."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from seqplat_resources.online_store import keys
from seqplat_resources.online_store.codec import schema_id
from seqplat_resources.online_store.contract import PublishResult
from seqplat_resources.online_store.errors import BucketTakenOverError
from seqplat_resources.online_store.redis_store import block_scripts, entries, epoch_scripts, rolled, rosters
from seqplat_resources.online_store.redis_store.catalog import Catalog
from seqplat_resources.online_store.redis_store.leases import Lease, listed
from seqplat_resources.online_store.redis_store.rosters import Roster
from seqplat_resources.online_store.redis_store.wire import Command

# What is sent, and answered, at once: bounds what the server buffers of one publisher.
CHUNK_USERS = 1 << 12
CHUNK_BYTES = 8 << 20


@dataclass
class BucketWriter:
    """Writes under a lease that its publisher has taken. ``needed`` are the versions that readers of some epoch see."""

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
        head, fields = b"0 0 0 -", list[bytes]()
        if block and (schema := self.catalog.schema(schema_id(block))):
            head, fields = entries.stored_form(name, block, schema)
        where = [names.index(lease.event_type, user), names.data(lease.event_type, user)]
        kind, since, skipped = b"" if block else b"x", lease.since, listed(lease.skipped)
        value = entries.value_of(name + kind, head)
        return block_scripts.PUT(
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
                        block_scripts.REMOVE(
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
        catalog.link.one(*epoch_scripts.FORGET_ROSTERS([names.leases(lease.event_type)], lease.ordinal, *done))


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
