"""Users' rows from history and now view: published rows, and streamed rows that no bucket has read.

    1. read whole days, newest first, until they hold enough rows
    2. one row per event by precedence, then retracted ones dropped (``rules``)
    3. total order, window and conditions, and last of all the cut to the newest N

Steps 2 and 3 may take rows away, and streamed rows may be older than the days read so far, so only rows newer than
every unread day count towards N; where they are too few, more is read. Of a sequence that collapses, N are rows that no
unread event can be part of. All users take each step together: one decode and a fixed number of vector passes per step,
however many they are.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from seqplat_resources.online_store.codec import Range, row_count
from seqplat_resources.online_store.codec.layout import Flags, Ints, Words
from seqplat_resources.read.merge.copies import Copies
from seqplat_resources.read.merge.cut import collapsed, first_of_each, newest_first, whole_rows
from seqplat_resources.read.merge.history import EARLIEST_US, Reader, UserBlocks
from seqplat_resources.read.merge.published import KEYS, PublishedDays, is_covered
from seqplat_resources.read.merge.rows import BlockPiece, DecodedPieces, Decoder, Rows
from seqplat_resources.read.merge.selection import RowSelection
from seqplat_resources.read.merge.similarity import Scores
from seqplat_resources.read.past import PastBlocks
from seqplat_resources.rules.collapse import MOST_EVENTS
from seqplat_resources.rules.order import SOURCE_ORDER, TIES
from seqplat_resources.rules.precedence import winners
from seqplat_resources.times import DAY_US, day_number

_TIME = {"event_time": "timestamp"}
_CORRECTIONS = {**_TIME, "op": "string", "rev": "int64"}
_POSITION = {name: KEYS[name] for name in ("source_partition", "offset")}
_JUDGED_BY = {**_CORRECTIONS, **_POSITION}
_PLAIN = ("upsert", "upsert"), (0, 0)
_COPIES = {**{name: KEYS[name] for name in ("event_id", "ingest_time")}, **_POSITION}
KEYS_AS_OF = {**KEYS, "available_time": "timestamp"}
# What blocks of the past are called.
SUPERSEDED = "superseded rows"
_ID = {"event_id": "string"}
_MIXERS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F], np.uint64)


@dataclass
class Reading:
    """One request. ``since_us`` is the later of what is asked and where the window starts. ``past`` has what counted
    as of the time asked, and was superseded since.
    """

    blocks: UserBlocks
    published: PublishedDays
    selection: RowSelection
    decoder: Decoder
    since_us: int
    past: PastBlocks | None = None
    # By user number the day before which nothing was looked at, as an answer is put together from so many at most.
    bounded: dict[int, int] = field(default_factory=dict)
    copies: Copies = field(init=False)
    _changed: list[Rows] = field(default_factory=list)
    _known: list[Rows] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.copies = Copies(self.blocks, self.published, self.decoder)

    def newest(self, readers: Sequence[Reader]) -> Rows | None:
        """The rows that count of each user, by user and newest first; None where nobody has any.

        Raises:
            DamagedBlocks: some blocks cannot be decoded; nothing of this reading is to be used.
        """
        found, others = list[Rows](), list(readers)
        if self.selection.as_of_us is None:
            found, others = self._settled(readers, comparing=False)
        found += self._settled(others, comparing=True)[0]
        if len(found) < 2:
            return found[0] if found else None
        rows = found[0].uncompared()
        for more in found[1:]:
            rows = rows.and_then(more.uncompared())
        return rows.take(np.argsort(rows.user, kind="stable"))

    def lost(self) -> dict[str, int]:
        """By event type the events that changed after ``as_of`` and of which nothing is stored that was there then."""
        counts: dict[str, int] = {}
        for kind, name in () if self.selection.as_of_us is None else enumerate(self.decoder.kinds):
            changed, known = (_identities(rows, kind) for rows in (self._changed, self._known))
            if count := int((~np.isin(changed, known)).sum()):
                counts[name] = count
        return counts

    def _settled(self, readers: Sequence[Reader], *, comparing: bool) -> tuple[list[Rows], list[Reader]]:
        """The three steps, until nobody needs more.

        Without ``comparing`` every row is taken to be the only one of its event, and readers for whom that is wrong are
        given back: those with corrections or copies, and those of whom an unread day may correct what was read.
        """
        active, done, given_back = {reader.number: reader for reader in readers}, list[Rows](), list[Reader]()
        rows: Rows | None = None
        pieces = self._first_pieces(readers)
        if not comparing and (given_back := [reader for reader in readers if reader.is_corrected]):
            active = {reader.number: reader for reader in readers if not reader.is_corrected}
            pieces = [piece for piece in pieces if piece.user in active]
        while active:
            if pieces:
                fresh = self._decoded(pieces, comparing=comparing)
                if not comparing:
                    given_back += [active.pop(number) for number in _corrected(fresh) if number in active]
                    fresh = fresh.uncompared()
                rows = fresh if rows is None else rows.and_then(fresh)
            if rows is None:
                break
            if not comparing:
                doubtful = [*self.copies.streamed(rows), *self.copies.outranked(pieces)]
                given_back += [active.pop(number) for number in doubtful if number in active]
            rows = _of(active, rows) if given_back else rows
            live = newest_first(self._standing(rows) if comparing else rows, self._ties)
            chosen, counts = self._chosen(live, active)
            settled, ready, pieces = list[int](), list[Reader](), []
            for reader in list(active.values()):
                count = int(counts[reader.number]) if reader.number < counts.size else 0
                if self._is_short(count, reader):
                    pieces += reader.read(self._missing(count, reader))
                else:
                    ready.append(reader)
            copies = self.copies.unread(ready, chosen)
            for reader in ready:
                corrections = self._corrections(reader, chosen, copies.get(reader.number, ()))
                pieces += corrections if comparing else ()
                if not corrections or not comparing:
                    del active[reader.number]
                    given_back += [reader] if corrections else []
                    settled += [] if corrections else [reader.number]
            if settled:
                done.append(_of(settled, chosen) if active or given_back else chosen)
            rows = _of(active, rows) if settled and active else rows
        return done, given_back

    def _first_pieces(self, readers: Sequence[Reader]) -> list[BlockPiece]:
        """What is streamed, and as much history as may be enough; what was read already, if anything was."""
        fresh = [reader for reader in readers if not reader.pieces]
        # Newest first, as history comes: as a rule the rows are in order then.
        streamed = [
            (reader, piece)
            for reader in fresh
            for kind, blocks in reader.now.items()
            for block in reversed(blocks)
            if (piece := self.blocks.damage.streamed(reader.number, kind, block))
        ]
        told = self.decoder.ranges([piece for _, piece in streamed], _JUDGED_BY)
        for (reader, piece), (time, op, rev, partition, offset) in zip(streamed, told, strict=True):
            reader.is_corrected |= (op, rev) != _PLAIN
            reader.pieces.append(piece._replace(ahead=self._is_ahead(piece, time, partition, offset)))
        for reader in fresh:
            reader.pieces += self._of_the_past(reader)
            reader.read(self.selection.candidates)
        return [piece for reader in readers for piece in reader.pieces]

    def _of_the_past(self, reader: Reader) -> Iterator[BlockPiece]:
        """Read like what is streamed: all of it at first, whatever its days, and behind what batch says."""
        for kind, name in enumerate(self.decoder.kinds) if self.past else ():
            block = self.past.blocks.get((name, reader.name)) if self.past else None
            if block is not None:
                yield BlockPiece(reader.number, kind, block, row_count(block), False, SUPERSEDED, ahead=True)

    def _is_ahead(self, piece: BlockPiece, time: Range | None, partition: Range | None, offset: Range | None) -> bool:
        """Whether it is known that no bucket has read any of its rows."""
        if not (time and partition and offset):
            return False
        buckets = self.published.buckets[self.decoder.kinds[piece.kind]]
        day = time[0] // DAY_US
        return bool(day >= buckets.expired_before and offset[0] >= buckets.furthest(partition[0], day))

    def _chosen(self, live: Rows, active: Mapping[int, Reader]) -> tuple[Rows, Ints]:
        """The events, in order, that an answer is made of; and how many rows these are by user number."""
        counting, most = self._counting(live, active), self.selection.candidates
        if self.selection.collapse is None or most is None:
            places, counts = first_of_each(live.user, counting, most)
            return live.take(places), counts
        places, counts = first_of_each(live.user, counting, MOST_EVENTS)
        chosen = live.take(places)
        return chosen, self._whole_rows(chosen, np.bincount(live.user[counting]), counts, active)

    def _whole_rows(self, chosen: Rows, found: Ints, counts: Ints, active: Mapping[int, Reader]) -> Ints:
        """By user number how many rows the ``chosen`` events are together of which nothing is missing. ``found`` are
        there, and ``counts`` are chosen; where these are as many as there may be, it is as if all rows were whole.
        """
        collapse, most = self.selection.collapse, self.selection.candidates
        if collapse is None or most is None or not chosen.size:
            return counts
        since, ends = np.full(counts.size, EARLIEST_US, np.int64), np.cumsum(counts)
        bounded = dict[int, int]()
        for number, reader in active.items():
            self.bounded.pop(number, None)
            if number < counts.size and counts[number]:
                since[number] = reader.firm_us
                if counts[number] >= MOST_EVENTS and (found[number] > MOST_EVENTS or reader.unread is not None):
                    oldest = int(chosen.time[ends[number] - 1])
                    since[number], bounded[number] = oldest + 1, oldest // DAY_US
        whole = whole_rows(chosen, self.decoder.fetch(chosen.at, collapse.names), collapse, since)
        for number, day in bounded.items():
            if whole[number] < most:
                self.bounded[number], whole[number] = day, most
        return whole

    def collapsed(self, rows: Rows) -> tuple[Rows, pl.DataFrame | None]:
        """The rows that these events are together, and what each says of its events, where the sequence collapses."""
        selection = self.selection
        if selection.collapse is None:
            return rows, None
        events = self.decoder.fetch(rows.at, selection.collapse.names)
        return collapsed(rows, events, selection.collapse, selection.candidates)

    def _is_short(self, count: int, reader: Reader) -> bool:
        most, history = self.selection.candidates, reader.history
        return (most is None or count < most) and not history.is_stopped and history.unread is not None

    def _missing(self, count: int, reader: Reader) -> int | None:
        """How much more to read: where conditions take most rows away, twice as much each time."""
        most = self.selection.candidates
        return None if most is None else max(most - count, sum(piece.rows for piece in reader.pieces))

    def _keys(self, pieces: Sequence[BlockPiece], *, comparing: bool) -> Mapping[str, str]:
        """What to decode of them beside what is asked."""
        if comparing:
            return KEYS if self.selection.as_of_us is None else KEYS_AS_OF
        keys = _CORRECTIONS if self._are_corrected(pieces) else _TIME
        # What is streamed is compared with all of it by id; decoding ids later would be a pass of its own.
        return keys if all(piece.from_batch for piece in pieces) else {**keys, **_ID}

    def _are_corrected(self, pieces: Sequence[BlockPiece]) -> bool:
        """Whether retractions or revisions are among the published rows of these days, of whichever user."""
        buckets = [self.published.buckets[kind] for kind in self.decoder.kinds]
        if not any(found.is_corrected for found in buckets):
            return False
        published = (piece for piece in pieces if piece.from_batch)
        days = ((buckets[piece.kind], day_number(piece.name[:10]), day_number(piece.name[-10:])) for piece in published)
        return any(found.has_corrections(first_day, day) for found, first_day, day in days)

    def _decoded(self, pieces: Sequence[BlockPiece], *, comparing: bool) -> Rows:
        """The rows of some blocks that exist: not superseded, not read by a bucket, available as of the time asked."""
        chunk = self.decoder.add(pieces, self.selection.needed, self._keys(pieces, comparing=comparing))
        found, counts = chunk.keys, chunk.counts
        time = found["event_time"].cast(pl.Int64).to_numpy()
        user = _repeated([piece.user for piece in chunk.pieces], counts)
        kind = _repeated([piece.kind for piece in chunk.pieces], counts)
        from_batch = _repeated([piece.from_batch for piece in chunk.pieces], counts).astype(np.bool_, copy=False)
        fits, scores = self._fitting(chunk.frame, time)
        at = np.arange(chunk.first, chunk.first + chunk.rows)
        rows = Rows(at, user, kind, time, from_batch, fits, scores)
        if "rev" in found:
            retracts = (found["op"] == "retract").to_numpy()
            rows = rows._replace(rev=found["rev"].to_numpy(), retracts=retracts)
        if comparing:
            # Unequal events have unequal hashes as good as always; where they are equal the ids themselves decide.
            rows = rows._replace(identity=_hashes(found["event_id"]) ^ _salt(user, kind))
        return self._existing(rows, chunk)

    def _fitting(self, frame: pl.DataFrame, time: Ints) -> tuple[Flags, Scores | None]:
        selection = self.selection
        fits = np.ones(time.size, np.bool_)
        if self.since_us > EARLIEST_US:
            fits &= time >= self.since_us
        if selection.is_bounded:
            fits &= time < selection.until_us
        if selection.where:
            fits &= selection.where.matches(frame[list(selection.where.columns)], time.size)
        scores = selection.similar.scores(frame[selection.similar.column]) if selection.similar else None
        if scores is not None:
            fits &= ~np.isnan(scores)
        return fits, scores

    def _existing(self, rows: Rows, chunk: DecodedPieces) -> Rows:
        gone = np.zeros(rows.size, np.bool_)
        ends = np.cumsum(chunk.counts)
        for piece, end in zip(chunk.pieces, ends.tolist(), strict=True):
            if piece.superseded:
                days, mine = rows.time[end - piece.rows : end] // DAY_US, gone[end - piece.rows : end]
                for day in piece.superseded:
                    mine |= days == day_number(day)
        if not rows.from_batch.all():
            ahead = _repeated([piece.ahead for piece in chunk.pieces], chunk.counts).astype(np.bool_, copy=False)
            for kind, name in enumerate(self.decoder.kinds):
                buckets = self.published.buckets[name]
                # As a rule streamed days are newer than published ones, or streamed after these were read, and no
                # position needs to be decoded.
                may_be = ~ahead & (rows.time < buckets.end_day * DAY_US)
                here = np.flatnonzero(may_be & ~rows.from_batch & (rows.kind == kind))
                if here.size:
                    partitions, offsets = chunk.fetch_keys(self.decoder, here, _POSITION)
                    gone[here] |= is_covered(rows.time[here], partitions, offsets.to_numpy(), buckets)
        if self.past is not None:
            for kind, name in enumerate(self.decoder.kinds):
                gone |= (rows.kind == kind) & (rows.time // DAY_US < self.published.buckets[name].expired_before)
        if self.selection.as_of_us is not None:
            available = chunk.keys["available_time"].cast(pl.Int64).fill_null(EARLIEST_US).to_numpy()
            later = ~gone & (available > self.selection.as_of_us)
            if rows.rev is not None and rows.retracts is not None:
                self._changed.append(rows.take(later & ((rows.rev > 0) | rows.retracts) & ~self._is_kept(rows)))
                self._known.append(rows.take(~gone & ~later))
            gone |= later
        return rows.take(~gone) if gone.any() else rows

    def _is_kept(self, rows: Rows) -> Flags:
        """Of which rows it is known what was there before."""
        if self.past is None:
            return np.zeros(rows.size, np.bool_)
        kept = ~rows.from_batch
        for kind, name in enumerate(self.decoder.kinds):
            kept |= (rows.kind == kind) & self.published.buckets[name].keep_superseded(rows.time // DAY_US)
        return kept

    def _standing(self, rows: Rows) -> Rows:
        """One row per event, without those that are retracted."""
        if rows.identity is None or rows.retracts is None or rows.rev is None:
            raise TypeError("these rows were not decoded to be compared")
        copies, keep = _repeating(rows.identity), ~rows.retracts
        if copies.size:
            some = rows.take(copies)
            keys = [*self.decoder.fetch_keys(some.at, _COPIES)]
            keys += [pl.Series("user", some.user), pl.Series("kind", some.kind)]
            keys += [pl.Series("rev", some.rev), pl.Series("from_batch", some.from_batch)]
            keys += [pl.Series("event_time", some.time).cast(pl.Datetime("us", "UTC"))]
            frame = pl.DataFrame(keys)
            for kind in np.unique(some.kind).tolist():
                mine = np.flatnonzero(some.kind == kind)
                winner = winners(frame[mine], ["user", "event_id"], self.copies.horizon(kind)).to_numpy()
                keep[copies[mine[winner != np.arange(mine.size)]]] = False
        return rows if keep.all() else rows.take(keep)

    def _ties(self, at: Ints) -> pl.DataFrame:
        is_ordered = self.published.plan.is_ordered
        return self.decoder.fetch_keys(at, {key: TIES[key] for key in TIES if key != SOURCE_ORDER or is_ordered})

    def _counting(self, rows: Rows, active: Mapping[int, Reader]) -> Flags:
        """Rows that fit and are newer than every unread day of their user."""
        firm = {number: time for number, reader in active.items() if (time := reader.firm_us) > EARLIEST_US}
        if not firm:
            return rows.fits
        bounds = np.full(max(active) + 1, EARLIEST_US, np.int64)
        bounds[list(firm)] = list(firm.values())
        return rows.fits & (rows.time >= bounds[rows.user])

    def _corrections(self, reader: Reader, chosen: Rows, copies: Sequence[BlockPiece]) -> list[BlockPiece]:
        """Blocks of unread days that may outrank rows of ``chosen``: with revisions, or with copies of them."""
        found = list(copies)
        for kind, name in enumerate(self.decoder.kinds):
            if self.published.buckets[name].has_revisions:
                mine = chosen.take(np.flatnonzero((chosen.user == reader.number) & (chosen.kind == kind)))
                known = {piece.name for piece in copies if piece.kind == kind}
                found += [piece for piece in self._of_revisions(reader, kind, mine) if piece.name not in known]
        reader.pieces += found
        return found

    def _of_revisions(self, reader: Reader, kind: int, mine: Rows) -> list[BlockPiece]:
        """Those with revisions; each day is looked at once."""
        unread = self.blocks.bounds.unread(reader.unread, reader.looked_at[kind])
        is_any = self.selection.as_of_us is not None or not mine.from_batch.all()
        of_days = None if is_any else np.unique(mine.time // DAY_US)
        days = self.published.buckets[self.decoder.kinds[kind]].outranking(unread, of_days)
        reader.looked_at[kind].update(days)
        pieces = self.blocks.of_days(reader, kind, days)
        if not pieces:
            return []
        revs = self.decoder.decoded(pieces, [], {"rev": "int64"})[1]["rev"].to_numpy()
        starts = np.cumsum([0, *(piece.rows for piece in pieces[:-1])])
        return [piece for piece, rev in zip(pieces, np.maximum.reduceat(revs, starts), strict=True) if rev > 0]


def _corrected(rows: Rows) -> list[int]:
    """Users with a correction among their rows."""
    if rows.rev is None or rows.retracts is None:
        return []
    found: list[int] = np.unique(rows.user[(rows.rev > 0) | rows.retracts]).tolist()
    return found


def _hashes(ids: pl.Series) -> Words:
    # NOTE: ``Series.hash`` goes by way of a lazy query, which takes longer than hashing a few hundred texts.
    return ids.to_frame().hash_rows().to_numpy()


def _repeating(words: Words) -> Ints:
    """Where values are that come more than once, ascending."""
    order = np.argsort(words)
    alike = np.diff(words[order]) == 0
    if not alike.any():
        return order[:0]
    return np.sort(order[np.append(alike, False) | np.append(False, alike)])


def _of(numbers: Collection[int], rows: Rows) -> Rows:
    return rows.take(np.isin(rows.user, list(numbers)))


def _identities(rows: Sequence[Rows], kind: int) -> Words:
    found = [each.identity[each.kind == kind] for each in rows if each.identity is not None]
    return np.unique(np.concatenate(found)) if found else np.zeros(0, np.uint64)


def _repeated(values: Sequence[int], counts: Ints) -> Ints:
    if len(set(values)) == 1:  # of one user, as a rule
        return np.full(int(counts.sum()), values[0], np.int64)
    return np.repeat(np.array(values, np.int64), counts)


def _salt(user: Ints, kind: Ints) -> Words:
    """Sets apart the events of different users and event types."""
    return np.asarray(user.astype(np.uint64) * _MIXERS[0] ^ kind.astype(np.uint64) * _MIXERS[1], np.uint64)
