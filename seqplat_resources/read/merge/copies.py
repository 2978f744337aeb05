"""Copies of events: rows of one id, of which all but one may not count.

Published rows of one event type are unique, but for days that hold rows which those of another day outrank. So a copy
is of a streamed row, or of one of such a day; and it is no further away than the horizon of identities. Ids are texts
in sets here, not hashes in arrays: as a rule they are few, and nothing else is needed of the days that hold them.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from seqplat_resources.online_store.codec.layout import Flags, Ints
from seqplat_resources.read.merge.history import Reader, UserBlocks
from seqplat_resources.read.merge.published import Buckets, PublishedDays
from seqplat_resources.read.merge.rows import BlockPiece, Decoder, Rows
from seqplat_resources.times import DAY_US, day_number

_DAY, _US = dt.timedelta(days=1), dt.timedelta(microseconds=1)


@dataclass(frozen=True)
class Copies:
    """Where copies may be of what one request reads."""

    blocks: UserBlocks
    published: PublishedDays
    decoder: Decoder

    def streamed(self, rows: Rows) -> list[int]:
        """Users of whom a streamed row may not be the only one of its event among ``rows``."""
        if rows.from_batch.all():
            return []
        ids, streamed = self.decoder.ids(rows.at), np.flatnonzero(~rows.from_batch).tolist()
        known = {ids[place] for place in streamed}
        places = [place for place, id_ in enumerate(ids) if id_ in known]
        if len(places) == len(known):  # as a rule: each is the id of one row, whoever's it is
            return []
        owners = self._owners(rows).tolist()
        names = {(owners[place], ids[place]) for place in streamed}
        places = [place for place in places if (owners[place], ids[place]) in names]
        return self._close(rows.take(np.array(places)), [(owners[place], ids[place]) for place in places])

    def unread(self, readers: Sequence[Reader], chosen: Rows) -> Mapping[int, Sequence[BlockPiece]]:
        """By user, blocks of unread days with copies of rows of ``chosen``."""
        found: dict[int, list[BlockPiece]] = defaultdict(list)
        if chosen.from_batch.all() and not self.published.is_outranked:
            return found
        some = chosen.take(np.flatnonzero(self._are_doubtful(chosen)))
        ids: dict[int, set[str]] = defaultdict(set)
        days: dict[int, set[int]] = defaultdict(set)
        owners = self._owners(some).tolist()
        for owner, id_, day in zip(owners, self.decoder.ids(some.at), (some.time // DAY_US).tolist(), strict=True):
            ids[owner].add(id_)
            days[owner].add(day)
        pieces = self.decoder.sorted([piece for reader in readers for piece in self._near(reader, days)])
        theirs, end = self.decoder.ids_of(pieces), 0
        for piece in pieces:
            begin, end = end, end + piece.rows
            if not ids[self._owner(piece.user, piece.kind)].isdisjoint(theirs[begin:end]):
                found[piece.user].append(piece)
        return found

    def outranked(self, pieces: Iterable[BlockPiece]) -> list[int]:
        """Users with rows of days that hold rows which those of another day outrank."""
        found: list[int] = []
        for piece in pieces if self.published.is_outranked else ():
            days = self._buckets(piece.kind).outranked if piece.from_batch else ()
            if days and any(day_number(piece.name[:10]) <= day <= day_number(piece.name[-10:]) for day in days):
                found.append(piece.user)
        return found

    def horizon(self, kind: int) -> dt.timedelta:
        return self.published.plan.horizons[self.decoder.kinds[kind]]

    def _are_doubtful(self, rows: Rows) -> Flags:
        """Which rows may have copies in other days."""
        doubtful = ~rows.from_batch
        for kind in range(len(self.decoder.kinds)):
            if outranked := self._buckets(kind).outranked:
                doubtful |= (rows.kind == kind) & np.isin(rows.time // DAY_US, list(outranked))
        return doubtful

    def _close(self, rows: Rows, names: Sequence[tuple[int, str]]) -> list[int]:
        """Users with two rows of one name that are of one day, or no further apart than the horizon."""
        times = sorted(zip(names, rows.time.tolist(), rows.user.tolist(), rows.kind.tolist(), strict=True))
        found = set()
        for (name, time, user, kind), (other, later, *_) in pairwise(times):
            if name == other and later - time <= max(self.horizon(kind), _DAY) // _US:
                found.add(user)
        return sorted(found)

    def _near(self, reader: Reader, days: Mapping[int, Iterable[int]]) -> list[BlockPiece]:
        """Blocks of unread days within the horizon of ``days`` (by owner)."""
        found: list[BlockPiece] = []
        for kind in range(len(self.decoder.kinds)):
            if not (of_days := days.get(self._owner(reader.number, kind))):
                continue
            reach = -(-self.horizon(kind) // _DAY)
            around = {day for of_day in of_days for day in self._buckets(kind).between(of_day - reach, of_day + reach)}
            near = np.array([*around], np.int64)
            near = near[self.blocks.bounds.unread(reader.unread, ()).among(near)]
            read = {piece.name for piece in reader.pieces if piece.kind == kind}
            found += [piece for piece in self.blocks.of_days(reader, kind, near.tolist()) if piece.name not in read]
        return found

    def _buckets(self, kind: int) -> Buckets:
        return self.published.buckets[self.decoder.kinds[kind]]

    def _owners(self, rows: Rows) -> Ints:
        """By row a number of its user and event type."""
        return rows.user * len(self.decoder.kinds) + rows.kind

    def _owner(self, user: int, kind: int) -> int:
        return user * len(self.decoder.kinds) + kind
