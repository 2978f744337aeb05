"""Blocks of many users and event types -> rows under a sequence's names; columns are decoded when first needed."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

import numpy as np
import polars as pl

from seqplat_resources.online_store import Block, decode_blocks
from seqplat_resources.online_store.codec import Range, SchemaLookup, ranges, schema_id, texts
from seqplat_resources.online_store.codec.layout import Flags, Ints, Words
from seqplat_resources.online_store.errors import CorruptBlockError
from seqplat_resources.read.merge.similarity import Scores
from seqplat_resources.read.stored import FittedSchemas
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.values.defaults import with_default
from sequence_defs.schema import Column

_ID = "event_id"


class BlockPiece(NamedTuple):
    """One block of one user, and where it is from: ``name`` are its days, or its number in the now view.

    ``user`` is the place among the users read, ``kind`` the event type's among those read. Rows of the days
    ``superseded`` do not exist. Streamed ones are ``ahead`` where it is known that no bucket has read any of their
    rows.
    """

    user: int
    kind: int
    payload: Block
    rows: int
    from_batch: bool
    name: str
    superseded: frozenset[str] = frozenset()
    ahead: bool = False

    @property
    def identity(self) -> tuple[int, int, str]:
        return self.user, self.kind, self.name


class DamagedBlocks(Exception):
    """Some blocks cannot be decoded."""

    def __init__(self, pieces: Collection[BlockPiece]) -> None:
        self.pieces = pieces
        super().__init__(f"{len(pieces)} damaged blocks")


class Rows(NamedTuple):
    """Rows by what is compared, one array each. ``at`` is where a row's columns are; times in microseconds.

    ``fits`` are those inside the time bounds for which the condition is true. ``scores`` only with a query vector.
    ``row`` only of events that are rows already: which of them each is. The others only of rows that must be compared
    with their copies; ``identity`` is a hash.
    """

    at: Ints
    user: Ints
    kind: Ints
    time: Ints
    from_batch: Flags
    fits: Flags
    scores: Scores | None = None
    rev: Ints | None = None
    retracts: Flags | None = None
    identity: Words | None = None
    row: Ints | None = None

    @property
    def size(self) -> int:
        return self.at.size

    def take(self, which: Ints | Flags) -> "Rows":
        if which.size == self.size and which.dtype == np.int64 and (which[1:] > which[:-1]).all():
            return self
        return Rows(*(None if column is None else column[which] for column in self))  # type: ignore[arg-type]

    def uncompared(self) -> "Rows":
        """Without what only comparing needs."""
        return self._replace(rev=None, retracts=None, identity=None)

    def and_then(self, others: "Rows") -> "Rows":
        pairs = zip(self, others, strict=True)
        return Rows(*(None if a is None or b is None else np.concatenate([a, b]) for a, b in pairs))  # type: ignore[arg-type]


class Unfit(NamedTuple):
    """A column of an answer that is stored with another type, and so null."""

    event_type: str
    out: str
    stored: str
    asked: str


class Decoder:
    """Blocks decoded so far, and what of them. Rows are numbered in the order they came.

    ``unfit`` says in which blocks a column cannot be read for its type; ``made_by`` by which meanings, as text,
    streamed rows of each event type were made, where that is not the plan's.
    """

    def __init__(self, plan: SequencePlan, schemas: SchemaLookup, kinds: Sequence[str]) -> None:
        self._plan, self._schemas, self.kinds = plan, schemas, kinds
        groups = {name: number for number, group in enumerate(plan.decodable_together) for name in group}
        self._groups = [groups[name] for name in kinds]
        self._fitted = _fitted_of(plan)
        self.unfit: dict[Unfit, set[str]] = defaultdict(set)
        self.made_by: dict[str, set[str]] = defaultdict(set)
        self._chunks: list[DecodedPieces] = []
        self._size = 0

    @property
    def rows(self) -> int:
        """How many are decoded."""
        return self._size

    def add(self, pieces: Sequence[BlockPiece], outs: Collection[str], keys: Mapping[str, str]) -> "DecodedPieces":
        """Decode blocks: the columns ``outs`` of an answer, and ``keys`` (stored column -> type).

        Raises:
            DamagedBlocks: some of them cannot be.
        """
        pieces = self.sorted(pieces)
        chunk = DecodedPieces(self._size, pieces, *self.decoded(pieces, outs, keys))
        self._chunks.append(chunk)
        self._size += chunk.rows
        return chunk

    def sorted(self, pieces: Sequence[BlockPiece]) -> Sequence[BlockPiece]:
        """By group and kind, as they are decoded."""
        if len(self.kinds) < 2:
            return pieces
        return sorted(pieces, key=lambda piece: (self._groups[piece.kind], piece.kind))

    def fetch(self, at: Ints, outs: Sequence[str]) -> pl.DataFrame:
        """These columns of an answer, of the rows ``at`` in their order. What is not decoded yet is decoded for them.

        Raises:
            DamagedBlocks: as ``add``.
        """
        frames = [chunk.frame for chunk in self._chunks]
        if len(frames) > 1 and all(frame.columns == list(outs) for frame in frames):
            return _rows_of(_stacked(frames), at)
        return self._fetched(at, lambda chunk, local: chunk.fetch(self, local, outs))

    def fetch_keys(self, at: Ints, keys: Mapping[str, str]) -> pl.DataFrame:
        """As ``fetch``, of stored columns."""
        return self._fetched(at, lambda chunk, local: chunk.fetch_keys(self, local, keys))

    def ids(self, at: Ints) -> list[str]:
        """Of the rows ``at``. Cheapest of chunks that were decoded with the key ``event_id``."""
        places = at.tolist()
        if len(self._chunks) == 1:
            [chunk] = self._chunks
            first, known = chunk.first, chunk.ids(self)
            return [known[place - first] for place in places]
        starts = [chunk.first for chunk in self._chunks]
        chunks = [self._chunks[bisect_right(starts, place) - 1] for place in places]
        return [chunk.ids(self)[place - chunk.first] for chunk, place in zip(chunks, places, strict=True)]

    def ids_of(self, pieces: Sequence[BlockPiece]) -> list[str]:
        """As ``ids``, of all rows of blocks.

        Raises:
            DamagedBlocks: as ``add``.
        """
        try:
            found = texts([piece.payload for piece in pieces], self._schemas, _ID)
        except CorruptBlockError as error:
            raise DamagedBlocks(self._damaged(list(pieces), error, {_ID: "string"})) from error
        return [id_ or "" for id_ in found]

    def _fetched(self, at: Ints, fetch: Callable[["DecodedPieces", Ints], pl.DataFrame]) -> pl.DataFrame:
        if len(self._chunks) == 1:
            return fetch(self._chunks[0], at - self._chunks[0].first)
        parts, places = [], []
        for chunk in self._chunks:
            here = np.flatnonzero((at >= chunk.first) & (at < chunk.first + chunk.rows))
            if here.size:
                parts.append(fetch(chunk, at[here] - chunk.first))
                places.append(here)
        return _rows_of(_stacked(parts), np.argsort(np.concatenate(places))) if len(parts) > 1 else parts[0]

    def decoded(
        self, pieces: Sequence[BlockPiece], outs: Collection[str], keys: Mapping[str, str], rows: Ints | None = None
    ) -> tuple[pl.DataFrame, Mapping[str, pl.Series]]:
        """Columns of the pieces, sorted by group and kind: of all their rows, or of those at ``rows`` (ascending)."""
        parts: list[tuple[pl.DataFrame, dict[str, pl.Series]]] = []
        begin = 0
        for _, found in groupby(pieces, key=lambda piece: self._groups[piece.kind]):
            group = list(found)
            end = begin + sum(piece.rows for piece in group)
            some = rows if rows is None else rows[np.searchsorted(rows, begin) : np.searchsorted(rows, end)] - begin
            parts += self._group(group, outs, keys, some)
            begin = end
        if len(parts) == 1:
            return parts[0]
        return _stacked([part[0] for part in parts]), {
            key: _end_to_end([part[1][key] for part in parts]) for key in keys
        }

    def ranges(self, pieces: Sequence[BlockPiece], keys: Mapping[str, str]) -> Sequence[Sequence[Range | None]]:
        """Of each piece the least and the greatest value of stored columns, as far as that is cheap to tell. Where one
        is damaged nothing is told of any, and ``add`` will refuse that one."""
        if not pieces:
            return []
        try:
            return ranges([piece.payload for piece in pieces], self._schemas, keys)
        except CorruptBlockError:
            return [[None] * len(keys)] * len(pieces)

    def _group(
        self, pieces: list[BlockPiece], outs: Collection[str], keys: Mapping[str, str], rows: Ints | None
    ) -> Iterator[tuple[pl.DataFrame, dict[str, pl.Series]]]:
        """Of event types that are decoded together, one after the other."""
        present = sorted({piece.kind for piece in pieces})
        picked = {kind: self._plan.picked(self.kinds[kind], outs) for kind in present}
        wanted = {column.name: column.dtype for columns in picked.values() for column in columns.values()}
        where = f"online/{' and '.join(self.kinds[kind] for kind in present)}"
        fitted = self._fitted[self._groups[pieces[0].kind]]
        # Where only the event type is asked for, a column is needed all the same: it says how many rows there are.
        columns = {**keys, **wanted} or {"event_time": "timestamp"}
        payloads = [piece.payload for piece in pieces]
        try:
            frame = decode_blocks(payloads, fitted.lookup(self._schemas), columns, where=where, arrays=True, rows=rows)
        except CorruptBlockError as error:
            raise DamagedBlocks(self._damaged(pieces, error, columns)) from error
        unread: dict[str, Flags] = {}
        if fitted.odd:
            self._note_odd(pieces, picked, fitted)
            filled = {c.name for each in picked.values() for c in each.values() if c.default is not None}
            unread = _unread(pieces, filled, fitted, rows)
        start = end = 0
        for kind in present:
            part, here = frame, slice(None)
            if len(present) > 1:
                end += sum(piece.rows for piece in pieces if piece.kind == kind)
                stop = end if rows is None else int(np.searchsorted(rows, end))
                part, here, start = frame.slice(start, stop - start), slice(start, stop), stop
            flags = {name: of[here] for name, of in unread.items()}
            named = pl.DataFrame(list(self._named(part, picked[kind], kind, outs, flags)))
            yield named, {key: part.get_column(key) for key in keys}

    def _note_odd(
        self, pieces: Sequence[BlockPiece], picked: Mapping[int, Mapping[str, Column]], fitted: FittedSchemas
    ) -> None:
        """Remember what of decoded blocks is not as the plan would have it."""
        for piece in pieces:
            if (number := schema_id(piece.payload)) not in fitted.odd:
                continue
            schema, name = fitted.known[number], self.kinds[piece.kind]
            for out, column in picked[piece.kind].items():
                if column.name in schema.hidden:
                    unfit = Unfit(name, out, dict(schema.columns)[column.name], column.dtype)
                    self.unfit[unfit].add(piece.name)
            if schema.meaning:
                self.made_by[name].add(schema.meaning)

    def _named(
        self,
        events: pl.DataFrame,
        picked: Mapping[str, Column],
        kind: int,
        outs: Collection[str],
        unread: Mapping[str, Flags],
    ) -> Iterator[pl.Series]:
        # Series by series: a sequence is a small frame, and planning a query over it costs more than running it.
        for out in outs:
            if out in picked and picked[out].default is None:
                yield events.get_column(picked[out].name).alias(out)
            elif out in picked:
                column = picked[out]
                flags = [pl.lit(pl.Series(unread[column.name]))] if column.name in unread else []
                yield events.select(with_default(pl.col(column.name), column, unread=flags).alias(out)).get_column(out)
            else:
                value = self.kinds[kind] if out == "event_type" else None
                dtype = self._plan.read_types[out]
                yield _single(out, value, dtype).new_from_index(0, events.height)

    def _damaged(
        self, pieces: list[BlockPiece], error: CorruptBlockError, columns: Mapping[str, str]
    ) -> list[BlockPiece]:
        """All of them where one is: looked at one by one, so that a reader need not come back for each."""
        found = [piece for piece in pieces if not self._is_sound(piece, columns)]
        if not found:  # only together they cannot be decoded, which no block can be blamed for
            raise error
        return found

    def _is_sound(self, piece: BlockPiece, columns: Mapping[str, str]) -> bool:
        try:
            decode_blocks([piece.payload], self._fitted[self._groups[piece.kind]].lookup(self._schemas), columns)
        except CorruptBlockError:
            return False
        return True


class DecodedPieces:
    """Pieces decoded at once: ``frame`` has columns of an answer, ``keys`` stored ones.

    Its row n has the number ``first`` + n among all rows.
    """

    def __init__(
        self, first: int, pieces: Sequence[BlockPiece], frame: pl.DataFrame, keys: Mapping[str, pl.Series]
    ) -> None:
        self.first, self.pieces, self.frame, self.keys = first, pieces, frame, keys
        self.counts: Ints = np.array([piece.rows for piece in pieces], np.int64)
        self.rows = int(self.counts.sum())
        self._ids: list[str] | None = None

    def ids(self, decoder: Decoder) -> list[str]:
        """Of its rows."""
        if self._ids is None:
            self._ids = self.keys[_ID].to_list() if _ID in self.keys else decoder.ids_of(self.pieces)
        return self._ids

    def fetch(self, decoder: Decoder, at: Ints, outs: Sequence[str]) -> pl.DataFrame:
        columns = self.frame.columns
        if columns == list(outs):
            return _rows_of(self.frame, at)
        missing = [out for out in outs if out not in columns]
        late = self._late(decoder, at, missing, {})[0] if missing else pl.DataFrame()
        if len(missing) == len(outs):
            return late
        here = _rows_of(self.frame[[out for out in outs if out in columns]], at)
        return pl.DataFrame([late.get_column(out) if out in missing else here.get_column(out) for out in outs])

    def fetch_keys(self, decoder: Decoder, at: Ints, keys: Mapping[str, str]) -> pl.DataFrame:
        missing = {key: dtype for key, dtype in keys.items() if key not in self.keys}
        late = self._late(decoder, at, [], missing)[1] if missing else {}
        places = _places(at)
        return pl.DataFrame([late[key] if key in late else self.keys[key][places].alias(key) for key in keys])

    def _late(
        self, decoder: Decoder, at: Ints, outs: Sequence[str], keys: Mapping[str, str]
    ) -> tuple[pl.DataFrame, Mapping[str, pl.Series]]:
        """What is not decoded yet, of the blocks that hold these rows."""
        ends = np.cumsum(self.counts)
        piece_of = np.searchsorted(ends, at, "right")
        used = np.unique(piece_of)
        starts = np.cumsum(self.counts[used]) - self.counts[used]
        shift = (ends - self.counts)[used] - starts
        rows, order = np.unique(at - shift[np.searchsorted(used, piece_of)], return_inverse=True)
        frame, series = decoder.decoded([self.pieces[number] for number in used], outs, keys, rows)
        places = _places(order)
        return _rows_of(frame, order) if outs else frame, {key: found[places] for key, found in series.items()}


def _fitted_of(plan: SequencePlan) -> Sequence[FittedSchemas]:
    """By group of event types that are decoded together; kept with the plan."""
    found = plan.latest.get("fitted")
    if found is None:
        found = plan.latest["fitted"] = [FittedSchemas.of(plan, group) for group in plan.decodable_together]
    if not isinstance(found, list):
        raise TypeError("a plan keeps something else where its schemas are")
    return found


def _unread(
    pieces: Sequence[BlockPiece], names: Iterable[str], fitted: FittedSchemas, rows: Ints | None
) -> dict[str, Flags]:
    """By column whether a row is of a block that has it in another type; of columns that some block has so."""
    schemas = [schema_id(piece.payload) for piece in pieces]
    counts, found = [piece.rows for piece in pieces], dict[str, Flags]()
    for name in names:
        hides = [number in fitted.odd and name in fitted.known[number].hidden for number in schemas]
        if any(hides):
            flags = np.repeat(np.array(hides), counts)
            found[name] = flags if rows is None else flags[rows]
    return found


def _places(at: Ints) -> pl.Series:
    return pl.Series(at.astype(np.uint32))


@lru_cache(maxsize=1024)
def _single(name: str, value: str | None, dtype: pl.DataType) -> pl.Series:
    """Of one row. Building it from Python takes longer than repeating it."""
    return pl.Series(name, [value], dtype=dtype)


def _stacked(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    # Column by column, as below: ``pl.concat`` of three short columns takes 100 us, this 12.
    return pl.DataFrame([_end_to_end(columns) for columns in zip(*frames, strict=True)])


def _end_to_end(parts: Sequence[pl.Series]) -> pl.Series:
    whole = parts[0].clone()
    for part in parts[1:]:
        whole.append(part)
    return whole


def _rows_of(frame: pl.DataFrame, at: Ints) -> pl.DataFrame:
    if not at.size or (at[-1] - at[0] + 1 == at.size and (at[1:] > at[:-1]).all()):
        return frame.slice(int(at[0]) if at.size else 0, at.size)
    # Column by column: a gather of the frame goes through a thread pool, and there are a few short columns.
    places = _places(at)
    return pl.DataFrame([column[places] for column in frame])
