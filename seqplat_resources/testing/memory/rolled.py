"""Rolled up blocks of one user in the memory store. Pure.

The store keeps every day's block as it was published; a rolled block is laid over those that it was made from, and
counts for a day exactly as long as the day's block is still that one. Nothing can go wrong with that, which is what
makes this store the one that others are compared with.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from seqplat_resources.online_store.contract import HistoryBlock
from seqplat_resources.online_store.spans import Roll, Rollable, RollSource, RollSpan

Blocks = Mapping[str, bytes]
# Of one epoch: day -> user -> block.
Buckets = Mapping[str, Blocks]


@dataclass(frozen=True)
class MemoryRolled:
    """``days`` are the blocks it was made from."""

    days: Blocks
    payload: bytes

    def counting(self, mine: Blocks) -> list[str]:
        """Its days of which the user's blocks are those it was made from, oldest first."""
        return sorted(day for day, block in self.days.items() if mine.get(day) == block)


def blocks(mine: Blocks, rolled: Sequence[MemoryRolled], since: str, until: str) -> list[HistoryBlock]:
    """What a reader of the user's day blocks gets, newest day first."""
    found, covered = [], set[str]()
    for one in rolled:
        first, last, counting = min(one.days), max(one.days), one.counting(mine)
        covered.update(counting)
        if counting and first <= until and last >= since:
            found.append(HistoryBlock(last, one.payload, first, frozenset(one.days) - set(counting)))
    alone = [
        HistoryBlock(day, block, day) for day, block in mine.items() if day not in covered and since <= day <= until
    ]
    return sorted([*found, *alone], key=lambda block: block.day, reverse=True)


def rollable(user: str, span: RollSpan, epochs: Sequence[Buckets], rolled: Sequence[MemoryRolled]) -> Rollable | None:
    """See the contract."""
    days = _same_everywhere(user, span, epochs)
    in_span = [one for one in rolled if span.first_day <= min(one.days) <= span.last_day]
    sources, is_less = [], False
    for one in in_span:
        kept = {day: block for day, block in one.days.items() if _is_seen(day, user, block, epochs)}
        is_less |= len(kept) < len(one.days)
        days = {day: block for day, block in days.items() if day not in kept}
        if kept:
            sources.append(RollSource(_versions(kept), one.payload, is_rolled=True))
    fresh = [RollSource(_versions({day: block}), block, is_rolled=False) for day, block in days.items()]
    if not is_less and not (fresh and len(fresh) + len(sources) > 1):
        return None
    return Rollable(user, tuple(sorted([*sources, *fresh], key=lambda source: max(source.days), reverse=True)))


def rolled(
    roll: Roll, span: RollSpan, epochs: Sequence[Buckets], before: Sequence[MemoryRolled]
) -> tuple[MemoryRolled, ...] | None:
    """The user's rolled blocks after it; None where what it was made from has changed."""
    found = rollable(roll.user, span, epochs, before)
    wanted = {day: version for block in roll.blocks for day, version in block.days.items()}
    if found is None or wanted != {day: version for source in found.sources for day, version in source.days.items()}:
        return None
    of_days = {day: block for one in before for day, block in one.days.items()}
    of_days |= _same_everywhere(roll.user, span, epochs)
    others = [one for one in before if not span.first_day <= min(one.days) <= span.last_day]
    mine = [MemoryRolled({day: of_days[day] for day in block.days}, block.payload) for block in roll.blocks]
    return (*others, *mine)


def in_use(
    rolled: Mapping[str, tuple[MemoryRolled, ...]], epochs: Sequence[Buckets]
) -> Mapping[str, tuple[MemoryRolled, ...]]:
    """Without those of whose days nobody sees any."""

    def is_used(user: str, one: MemoryRolled) -> bool:
        return any(_is_seen(day, user, block, epochs) for day, block in one.days.items())

    kept = {user: tuple(one for one in found if is_used(user, one)) for user, found in rolled.items()}
    return {user: found for user, found in kept.items() if found}


def _same_everywhere(user: str, span: RollSpan, epochs: Sequence[Buckets]) -> dict[str, bytes]:
    """The user's blocks of days on which all epochs that have any have the same."""
    found: dict[str, set[bytes]] = {}
    for day, block in _all_of(user, epochs):
        if span.first_day <= day <= span.last_day:
            found.setdefault(day, set()).add(block)
    return {day: next(iter(blocks)) for day, blocks in found.items() if len(blocks) == 1}


def _all_of(user: str, epochs: Sequence[Buckets]) -> Iterator[tuple[str, bytes]]:
    return ((day, bucket[user]) for buckets in epochs for day, bucket in buckets.items() if user in bucket)


def _is_seen(day: str, user: str, block: bytes, epochs: Sequence[Buckets]) -> bool:
    return any(buckets.get(day, {}).get(user) == block for buckets in epochs)


def _versions(days: Blocks) -> Mapping[str, int]:
    """This store has no write versions of single users, so the blocks themselves tell: by 8 bytes of their hash."""
    return {day: int.from_bytes(hashlib.blake2b(block, digest_size=8).digest(), "big") for day, block in days.items()}
