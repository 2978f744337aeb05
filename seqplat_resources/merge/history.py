"""Reading one user's published days: newest first, as far as needed."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from seqplat_resources.clock import Deadline
from seqplat_resources.merge.published import Unread, day_number, day_text
from seqplat_resources.merge.rows import Piece
from seqplat_resources.online_store import HistoryBlock, Snapshot
from seqplat_resources.online_store.codec import row_count
from seqplat_resources.online_store.errors import CorruptBlockError

# What a block is left out by: its user and event type as numbers, and its name.
Identity = tuple[int, int, str]


@dataclass(frozen=True)
class Bounds:
    """Days to read, both inclusive; None is no bound."""

    since_day: str | None
    until_day: str | None

    def unread(self, newest: int | None, seen: Collection[int]) -> Unread:
        since, until = self.since_day, self.until_day
        return Unread(day_number(since) if since else None, day_number(until) if until else None, newest, seen)


@dataclass
class Damage:
    """Blocks that are left out because they cannot be read."""

    left_out: set[Identity] = field(default_factory=set)

    def piece(self, piece: Piece) -> Piece | None:
        """With as many rows as its block says it has; None where it is left out."""
        if self.left_out and piece.identity in self.left_out:
            return None
        try:
            return Piece(*piece[:3], row_count(piece.payload), *piece[4:])
        except CorruptBlockError:
            self.left_out.add(piece.identity)
            return None


class History:
    """A user's blocks of several event types, day by day. Useless after its snapshot."""

    def __init__(
        self,
        blocks: Mapping[int, Iterator[HistoryBlock]],
        user: int,
        damage: Damage,
        deadline: Deadline | None,
    ) -> None:
        self._user, self._damage, self._deadline = user, damage, deadline
        self._left = blocks
        # Per event type its next block: few, so that looking at all of them beats a heap.
        self._next = {kind: found for kind, left in blocks.items() if (found := next(left, None))}
        # A block of several days may overlap younger blocks of single days, which come after it.
        self._reaches = ""
        self.is_stopped = False

    @property
    def unread(self) -> str | None:
        """The newest day that has blocks still to read; None when all are read."""
        return max([block.day for block in self._next.values()], default=None)

    def read(self, rows: int | None) -> list[Piece]:
        """The blocks of whole days until they hold ``rows`` more, or until the end or the deadline; newest day first.

        Retractions count as rows, so the days may hold fewer events.
        """
        found: list[Piece] = []
        count = 0
        while self._next:
            kind, block = max(self._next.items(), key=_day) if len(self._next) > 1 else next(iter(self._next.items()))
            if rows is not None and count >= rows and (not self._reaches or block.day < self._reaches):
                break
            if self._deadline and self._deadline.is_over:
                self.is_stopped = True
                break
            if piece := self._piece(kind, block):
                found.append(piece)
                count += piece.rows
            self._reaches = min(self._reaches or block.first_day, block.first_day)
            following = next(self._left[kind], None)
            if following:
                self._next[kind] = following
            else:
                del self._next[kind]
        return found

    def _piece(self, kind: int, block: HistoryBlock) -> Piece | None:
        return self._damage.piece(Piece(self._user, kind, block.payload, 0, True, name_of(block), block.superseded))


def name_of(block: HistoryBlock) -> str:
    return block.day if block.first_day == block.day else f"{block.first_day} to {block.day}"


def _day(entry: tuple[int, HistoryBlock]) -> str:
    return entry[1].day


def overlapping(
    view: Snapshot, event_type: str, user: str, days: Sequence[int], columns: Sequence[str]
) -> Iterator[HistoryBlock]:
    """A user's blocks that hold some of these days."""
    if days:
        bounds = day_text(min(days)), day_text(max(days))
        for block in view.blocks(event_type, user, since_day=bounds[0], until_day=bounds[1], columns=columns):
            if any(day_number(block.first_day) <= day <= day_number(block.day) for day in days):
                yield block
