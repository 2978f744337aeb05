"""One event type's now view as a value: every change gives a new one, so that snapshots need no lock."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from seqplat_resources.online_store.now_view import Fold, NowBlock, NowStats, Reach


@dataclass(frozen=True)
class NowBatch:
    """One batch; ``users`` had a block in it, which a fold may have replaced since."""

    sequence: int
    at_ms: int
    reach: Reach
    users: tuple[str, ...]


@dataclass(frozen=True)
class MemoryNow:
    """``batches`` and each user's ``blocks`` are oldest first; no user has an empty tuple."""

    batches: tuple[NowBatch, ...] = ()
    blocks: Mapping[str, tuple[NowBlock, ...]] = field(default_factory=dict)

    def with_batch(self, batch: NowBatch, added: Mapping[str, bytes]) -> "MemoryNow":
        fresh = {user: (*self.of(user), NowBlock(batch.sequence, block)) for user, block in added.items()}
        return MemoryNow((*self.batches, batch), {**self.blocks, **fresh})

    def without_oldest(self) -> tuple["MemoryNow", int]:
        """The view after its oldest batch has left, and how many blocks that took away."""
        oldest, blocks = self.batches[0], dict(self.blocks)
        gone = 0
        for user in oldest.users:
            kept = tuple(block for block in self.of(user) if block.sequence != oldest.sequence)
            gone += len(self.of(user)) - len(kept)
            blocks[user] = kept
            if not kept:
                del blocks[user]
        return MemoryNow(self.batches[1:], blocks), gone

    def with_fold(self, fold: Fold) -> "MemoryNow | None":
        """None where one of the blocks is not there any more."""
        expected, mine = set(fold.expected), self.of(fold.user)
        if not expected or not expected <= {block.sequence for block in mine}:
            return None
        kept = [block for block in mine if block.sequence not in expected]
        folded = sorted([*kept, NowBlock(max(expected), fold.payload)], key=lambda block: block.sequence)
        return replace(self, blocks={**self.blocks, fold.user: tuple(folded)})

    def of(self, user: str) -> tuple[NowBlock, ...]:
        return self.blocks.get(user, ())

    def newest_day(self) -> str | None:
        return max((day for batch in self.batches for day in batch.reach), default=None)

    def stats(self) -> NowStats:
        sizes = [len(block.payload) for blocks in self.blocks.values() for block in blocks]
        oldest = self.batches[0].at_ms if self.batches else None
        return NowStats(len(self.batches), len(sizes), sum(sizes), oldest)
