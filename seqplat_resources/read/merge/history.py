"""Reading users' published days: newest first, as far as needed; and some days out of turn."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from seqplat_resources.clock import Deadline
from seqplat_resources.online_store import Block, HistoryBlock, NowBlock, StoreSnapshot
from seqplat_resources.online_store.codec import row_count
from seqplat_resources.online_store.errors import CorruptBlockError
from seqplat_resources.read.merge.published import Unread
from seqplat_resources.read.merge.rows import BlockPiece
from seqplat_resources.times import DAY_US, day_number, day_text

# Before all times that can be stored, in microseconds.
EARLIEST_US = int(np.iinfo(np.int64).min)
# What a block is left out by: its user and event type as numbers, and its name.
Identity = tuple[int, int, str]
_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Bounds:
    """Days to read, both inclusive; None is no bound."""

    since_day: str | None
    until_day: str | None

    def unread(self, newest: int | None, seen: Collection[int]) -> Unread:
        since, until = self.since_day, self.until_day
        return Unread(day_number(since) if since else None, day_number(until) if until else None, newest, seen)


@dataclass
class DamageLog:
    """Blocks that are left out because they cannot be read."""

    left_out: set[Identity] = field(default_factory=set)

    def published(self, user: int, kind: int, block: HistoryBlock) -> BlockPiece | None:
        """A block of the history; None where it is left out."""
        day, first_day = block.day, block.first_day
        name = day if first_day == day else f"{first_day} to {day}"
        return self._piece(user, kind, block.payload, True, name, block.superseded)

    def streamed(self, user: int, kind: int, block: NowBlock) -> BlockPiece | None:
        """A now block; None where it is left out."""
        return self._piece(user, kind, block.payload, False, f"now {block.sequence}", _NONE)

    def _piece(
        self, user: int, kind: int, payload: Block, from_batch: bool, name: str, superseded: frozenset[str]
    ) -> BlockPiece | None:
        if self.left_out and (user, kind, name) in self.left_out:
            return None
        try:
            return BlockPiece(user, kind, payload, row_count(payload), from_batch, name, superseded)
        except CorruptBlockError:
            self.left_out.add((user, kind, name))
            return None


class History:
    """A user's blocks of several event types, day by day. Useless after its snapshot."""

    def __init__(
        self,
        blocks: Mapping[int, Iterator[HistoryBlock]],
        user: int,
        damage: DamageLog,
        deadline: Deadline | None,
    ) -> None:
        self._user, self._damage, self._deadline = user, damage, deadline
        self._left = blocks
        # Per event type its next block: few, so that looking at all of them beats a heap.
        self._next = {kind: found for kind, left in blocks.items() if (found := next(left, None))}
        # A block of several days may overlap younger blocks of single days, which come after it.
        self._reaches = ""
        self._counted = set[tuple[int, str]]()
        self.is_stopped = False

    @property
    def unread(self) -> str | None:
        """The newest day that has blocks still to read; None when all are read."""
        return max([block.day for block in self._next.values()], default=None)

    def read(self, rows: int | None) -> list[BlockPiece]:
        """The blocks of whole days until they hold ``rows`` more, or until the end or the deadline; newest day first.

        Retractions count as rows, so the days may hold fewer events.
        """
        found: list[BlockPiece] = []
        count = 0
        while self._next:
            kind, block = next(iter(self._next.items())) if len(self._next) == 1 else max(self._next.items(), key=_day)
            if rows is not None and count >= rows and (not self._reaches or block.day < self._reaches):
                break
            if self._deadline and self._deadline.is_over:
                self.is_stopped = True
                break
            if piece := self._damage.published(self._user, kind, block):
                found.append(piece)
                # Days published again after they were rolled up: their rows take the place of some that are counted.
                count += 0 if (kind, block.day) in self._counted else piece.rows
            self._counted.update((kind, day) for day in block.superseded)
            if not self._reaches or block.first_day < self._reaches:
                self._reaches = block.first_day
            following = next(self._left[kind], None)
            if following:
                self._next[kind] = following
            else:
                del self._next[kind]
        return found


def _day(entry: tuple[int, HistoryBlock]) -> str:
    return entry[1].day


@dataclass
class Reader:
    """One user's part: what is streamed, the history as far as it is read, and which days were looked into besides.

    ``is_corrected``: there may be retractions or revisions among what is streamed.
    """

    number: int
    name: str
    now: Mapping[int, Sequence[NowBlock]]
    history: History
    pieces: list[BlockPiece] = field(default_factory=list)
    looked_at: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    is_corrected: bool = False

    @property
    def unread(self) -> int | None:
        """The newest day that has blocks still to read, as a number."""
        day = self.history.unread
        return day_number(day) if day else None

    @property
    def firm_us(self) -> int:
        """From this time on nothing is unread."""
        return EARLIEST_US if (unread := self.unread) is None else (unread + 1) * DAY_US

    def read(self, rows: int | None) -> list[BlockPiece]:
        found = self.history.read(rows)
        self.pieces += found
        return found


@dataclass(frozen=True)
class UserBlocks:
    """Users' blocks of the event types ``kinds``, as one snapshot shows them between two days, but for those that are
    left out. ``columns`` are all that may be decoded of them."""

    view: StoreSnapshot
    kinds: Sequence[str]
    columns: Sequence[str]
    bounds: Bounds
    damage: DamageLog

    def between(self, kind: int, user: str) -> Iterator[HistoryBlock]:
        """The published ones, newest first."""
        since, until = self.bounds.since_day, self.bounds.until_day
        return self.view.blocks(self.kinds[kind], user, since_day=since, until_day=until, columns=self.columns)

    def of_days(self, reader: Reader, kind: int, days: Collection[int]) -> list[BlockPiece]:
        """The published ones that hold some of these days, whether inside of the bounds or not."""
        if not days:
            return []
        since, until, name = day_text(min(days)), day_text(max(days)), self.kinds[kind]
        blocks = self.view.blocks(name, reader.name, since_day=since, until_day=until, columns=self.columns)
        holding = (b for b in blocks if any(day_number(b.first_day) <= day <= day_number(b.day) for day in days))
        return [piece for block in holding if (piece := self.damage.published(reader.number, kind, block))]
