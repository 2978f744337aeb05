"""Rolled up blocks as they lie in Redis, and rolling up.

The versions of a rolled up block stand beside those of the day's own entries, as if its rows were one of them, so
publishing and reading need no other rules. Its name is never used twice, so a reader who knows an older index finds the
block it chose or none, and then looks again. Days stand in ``rolled`` marks before the first block that has them.
"""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from seqplat_resources.online_store import keys
from seqplat_resources.online_store.codec import schema_id
from seqplat_resources.online_store.redis.catalog import Catalog, clock_s
from seqplat_resources.online_store.redis.records import entries, rosters
from seqplat_resources.online_store.redis.records.entries import Choice, Index
from seqplat_resources.online_store.redis.records.leases import Counting, LeaseRecord
from seqplat_resources.online_store.redis.records.names import type_name
from seqplat_resources.online_store.redis.records.pins import paired
from seqplat_resources.online_store.redis.records.views import DayView, PinnedEpoch
from seqplat_resources.online_store.redis.scripts import blocks as block_scripts
from seqplat_resources.online_store.redis.scripts.epochs import NEXT_VERSION
from seqplat_resources.online_store.redis.wire.pipeline import Command
from seqplat_resources.online_store.spans import SPAN_DAYS, Roll, Rollable, RollSource, RollSpan
from seqplat_resources.online_store.versions import RolledDay, rolled_day

# Users looked at, or changed, at once: some 10 MB where each has 20 KB in a span.
STRIDE = 1 << 9

_log = logging.getLogger(__name__)


def days(catalog: Catalog, event_type: str) -> dict[str, int]:
    """See the contract."""
    found = catalog.link.one("HGETALL", catalog.names.rolled(event_type), repeatable=True)
    return {keys.iso(int(day)): int(version) for day, version in paired(found).items()}


def mark(catalog: Catalog, event_type: str, changed: Mapping[str, int]) -> None:
    if changed:
        pairs = [part for day, version in changed.items() for part in (keys.ordinal(day), version)]
        catalog.link.one("HSET", catalog.names.rolled(event_type), *pairs)
        _forget_left(catalog, event_type, {keys.ordinal(day): version for day, version in changed.items()})


def rollable(catalog: Catalog, event_type: str, span: RollSpan) -> Iterator[Sequence[Rollable]]:
    """See the contract; ``STRIDE`` users are looked at at once."""
    users = _users(catalog, _ShownDays.read(catalog, event_type, span))
    for start in range(0, len(users), STRIDE):
        shown = _ShownDays.read(catalog, event_type, span)
        stored = _stored(catalog, shown, users[start : start + STRIDE])
        plans = [(one, plan) for one in stored if (plan := one.plan(shown))]
        blocks = _payloads(catalog, event_type, [(one, plan.names) for one, plan in plans])
        # A user of whom a block has gone meanwhile is left for the next time.
        found = [plan.rollable(one.user, mine) for (one, plan), mine in zip(plans, blocks, strict=True) if all(mine)]
        if found:
            yield found


def roll(catalog: Catalog, event_type: str, span: RollSpan, rolls: Sequence[Roll]) -> int:
    """Everything ``roll_many`` does for some users."""
    names = catalog.names
    catalog.require({schema_id(block.payload) for item in rolls for block in item.blocks}, event_type)
    fresh = {keys.ordinal(day) for item in rolls for block in item.blocks for day in block.days}
    answer, *_ = catalog.link.run(
        [
            NEXT_VERSION([names.pin, names.versions], type_name(event_type), clock_s()),
            *(("HSETNX", names.rolled(event_type), day, 0) for day in sorted(fresh)),
        ]
    )
    number, shown = int(answer), _ShownDays.read(catalog, event_type, span)
    stored = _stored(catalog, shown, [keys.user_bytes(item.user) for item in rolls])
    commands = [
        command
        for item, one in zip(rolls, stored, strict=True)
        if (command := _roll_command(catalog, shown, one, item, number))
    ]
    return sum(catalog.link.run(commands))


@dataclass(frozen=True)
class _ShownDays:
    """What is shown of a span's days: by day number what kept epochs show, and the lease (none where it is lost)."""

    event_type: str
    first: int
    last: int
    views: Mapping[int, Sequence[DayView]]
    leases: Mapping[int, LeaseRecord]

    @classmethod
    def read(cls, catalog: Catalog, event_type: str, span: RollSpan) -> "_ShownDays":
        # Leases first: what is committed between the two is then of a version that does not count here yet.
        found = paired(catalog.link.one("HGETALL", catalog.names.leases(event_type), repeatable=True))
        first, last = keys.ordinal(span.first_day), keys.ordinal(span.last_day)
        leases = {
            int(day): LeaseRecord.parse(event_type, keys.iso(int(day)), record)
            for day, record in found.items()
            if first <= int(day) <= last
        }
        return cls(event_type, first, last, _views(catalog.kept_views(event_type), first, last), leases)

    @cached_property
    def versions(self) -> Mapping[int, Collection[int]]:
        """By day, those that some epoch shows."""
        return {day: {view.version for view in views} for day, views in self.views.items()}

    @cached_property
    def _counting(self) -> Mapping[int, tuple[int, Counting]]:
        """By day, the newest version that was published, and which count."""
        found = {}
        for day in {*self.views, *self.leases}:
            lease, views = self.leases.get(day), self.views.get(day, ())
            newest = max([*(view.version for view in views), lease.committed if lease else 0])
            found[day] = newest, Counting.of(lease, views)
        return found

    def counts(self, day: int, version: int) -> bool:
        """Whether a version was published, and still counts for whoever comes."""
        newest, counting = self._counting.get(day, (0, None))
        return counting is not None and version <= newest and counting.counts(version)


@dataclass(frozen=True)
class _Plan:
    """What a user's days can be rolled up from: the names of blocks, with the days that each gives."""

    given: Sequence[tuple[bytes, Mapping[int, int]]]

    @property
    def names(self) -> list[bytes]:
        return [name for name, _ in self.given]

    def rollable(self, user: bytes, payloads: Sequence[bytes]) -> Rollable:
        sources = [
            RollSource({keys.iso(day): version for day, version in of.items()}, payload, entries.is_rolled(name))
            for (name, of), payload in zip(self.given, payloads, strict=True)
        ]
        newest_first = sorted(sources, key=lambda source: max(source.days), reverse=True)
        return Rollable(user.decode(), tuple(newest_first))


@dataclass(frozen=True)
class _UserIndex:
    """A user's index, and of the span's days the entries (day -> version -> name) and rolled up blocks that count; and
    one of their fields that is damaged, if any."""

    user: bytes
    index: Index
    entries: Mapping[int, Mapping[int, bytes]]
    rolled: Mapping[bytes, Mapping[int, int]]
    damaged: bytes | None = None

    def decided(self, shown: _ShownDays) -> Mapping[int, RolledDay]:
        rolled = {
            day: version for of in self.rolled.values() for day, version in of.items() if shown.counts(day, version)
        }
        return {
            day: rolled_day(
                {version: entries.has_left(name) for version, name in self.entries.get(day, {}).items()},
                rolled.get(day),
                shown.versions.get(day, ()),
            )
            for day in {*self.entries, *rolled}
        }

    def plan(self, shown: _ShownDays) -> _Plan | None:
        """None where rolling would change nothing, or has to leave the user as he is."""
        if self.damaged:
            _log.warning(
                "events of %s are not rolled up: the entry of block %s of user %r does not match its checksum",
                shown.event_type,
                self.damaged.decode(),
                self.user.decode(),
            )
            return None
        decided = self.decided(shown)
        given: list[tuple[bytes, Mapping[int, int]]] = [
            (self.entries[day][result.version], {day: result.version})
            for day, result in decided.items()
            if result.is_taken and result.version is not None
        ]
        has_new, is_less = bool(given), False
        for name, of in self.rolled.items():
            kept = {day: version for day, version in of.items() if day in decided and decided[day].version == version}
            is_less |= len(kept) < len(of)
            if kept:
                given.append((name, kept))
        return _Plan(given) if is_less or (has_new and len(given) > 1) else None


def _roll_command(catalog: Catalog, shown: _ShownDays, stored: _UserIndex, item: Roll, number: int) -> Command | None:
    """None where the user's days are not what the roll was made from."""
    if stored.damaged:
        return None
    decided = stored.decided(shown)
    wanted = {keys.ordinal(day): version for block in item.blocks for day, version in block.days.items()}
    if wanted != {day: result.version for day, result in decided.items() if result.version is not None}:
        return None
    gone = [stored.entries[day][version] for day, result in decided.items() for version in result.deleted]
    gone += stored.rolled
    new: list[object] = []
    for block in item.blocks:
        of = {keys.ordinal(day): version for day, version in block.days.items()}
        name = entries.rolled_name(max(of), number)
        schema = catalog.schema(schema_id(block.payload))
        if schema is not None:  # ``require`` has refused blocks of an unknown one
            head, fields = entries.stored_form(name, block.payload, schema)
            new += [name, entries.value_of(name, head, of), len(fields), *fields]
    where = [catalog.names.index(shown.event_type, stored.user), catalog.names.data(shown.event_type, stored.user)]
    return block_scripts.ROLL(where, len(stored.index), *stored.index, len(gone), *gone, *new)


def _stored(catalog: Catalog, shown: _ShownDays, users: Sequence[bytes]) -> list[_UserIndex]:
    asked = [("HGETALL", catalog.names.index(shown.event_type, user)) for user in users]
    found = []
    for user, answer in zip(users, catalog.link.run(asked, repeatable=True), strict=True):
        index, rolled = paired(answer), dict[bytes, Mapping[int, int]]()
        by_day: dict[int, dict[int, bytes]] = {}
        damaged = None
        for name, value in index.items():
            if name == entries.BIRTH:
                continue
            if not entries.is_intact(name, value):
                day = entries.newest_day(name) if entries.is_rolled(name) else entries.days_and_versions(name)[0]
                damaged = name if shown.first <= day < shown.first + SPAN_DAYS else damaged
                continue
            if entries.is_rolled(name):
                of = entries.rolled_days(value)
                if shown.first <= min(of) <= shown.last:
                    rolled[name] = of
                continue
            day, version = entries.days_and_versions(name)
            if shown.first <= day <= shown.last and shown.counts(day, version):
                by_day.setdefault(day, {})[version] = name
        found.append(_UserIndex(user, index, by_day, rolled, damaged))
    return found


def _payloads(
    catalog: Catalog, event_type: str, wanted: Sequence[tuple[_UserIndex, Sequence[bytes]]]
) -> list[list[bytes]]:
    """Of each user the blocks of these names, whole; an empty one has gone since the index was read."""
    asked: list[Command] = []
    for stored, mine in wanted:
        key = catalog.names.data(event_type, stored.user)
        for name in mine:
            choice = Choice(name, stored.index[name], 0, 0)
            asked.append(("HMGET", key, *entries.fields_of(choice, None, None)))
    answers = iter(catalog.link.run(asked, repeatable=True))
    return [
        [b"" if None in parts else b"".join(parts) for _, parts in zip(mine, answers, strict=False)]
        for _, mine in wanted
    ]


def _users(catalog: Catalog, shown: _ShownDays) -> list[bytes]:
    """Everybody who is in a bucket of the span that is shown, or left one after it was rolled up."""
    names, users = catalog.names, set[bytes]()
    asked = [
        ("HVALS", names.roster(shown.event_type, day, version))
        for day, versions in shown.versions.items()
        for version in sorted(versions)
    ]
    for chunks in catalog.link.run(asked, repeatable=True):
        users |= rosters.unpacked(chunks).keys()
    return sorted(users | left(catalog, shown.event_type, shown.leases))


def left(catalog: Catalog, event_type: str, of_days: Collection[int]) -> set[bytes]:
    """Users who left a bucket after it was rolled up."""
    asked = [("LRANGE", catalog.names.left(event_type, day), 0, -1) for day in of_days]
    found = catalog.link.run(asked, repeatable=True)
    return {user for chunks in found for chunk in chunks for user in rosters.unpacked_users(chunk.partition(b" ")[2])}


def left_record(version: int, users: Collection[bytes]) -> bytes:
    """Users who left a bucket when this version of it was written."""
    return b"%d %s" % (version, rosters.packed_users(users))


def _forget_left(catalog: Catalog, event_type: str, versions: Mapping[int, int]) -> None:
    """Those whose rows are in no rolled up block any more, because all were rolled up at these bucket versions."""
    where = [catalog.names.left(event_type, day) for day in versions]
    listed = catalog.link.run([("LRANGE", key, 0, -1) for key in where], repeatable=True)
    catalog.link.run(
        [
            ("LREM", key, 0, record)
            for key, records, version in zip(where, listed, versions.values(), strict=True)
            for record in records
            if int(record.partition(b" ")[0]) <= version
        ]
    )


def _views(views: Sequence[PinnedEpoch], first: int, last: int) -> Mapping[int, Sequence[DayView]]:
    shown: dict[int, list[DayView]] = {}
    for view in views:
        for day, here in view.shown.items():
            if first <= day <= last:
                shown.setdefault(day, []).append(here)
    return shown
