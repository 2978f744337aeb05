"""What a format gives back: rows with their places, the pieces that are no row of it, and the bytes of each row."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import polars as pl

# What the reader of a file or of a log adds to each row.
PLACE = ("_partition", "_offset", "_received")
# The bytes of rows as they were sent, by their numbers (u32) among the rows.
Sent = Callable[[pl.Series], pl.Series]


@dataclass(frozen=True)
class BrokenPiece:
    """A line or record that could not be read: its place, its bytes, and why."""

    offset: int
    payload: bytes
    reason: str


@dataclass(frozen=True)
class Origin:
    """What is known of rows besides their fields: their bytes, and what their source does not declare.

    ``extras`` holds the latter as one JSON object per row, or null; ``unknown`` names what is in them.
    """

    sent: Sent
    extras: pl.Series | None = None
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class ParsedRows:
    """``offsets`` holds the place in the file of each row of ``rows``."""

    rows: pl.DataFrame
    offsets: pl.Series
    origin: Origin
    broken: tuple[BrokenPiece, ...] = ()

    def sent_as(self, original: Callable[[bytes], bytes]) -> "ParsedRows":
        """With what ``original`` makes of them as the bytes of rows and of broken pieces."""

        def sent(numbers: pl.Series) -> pl.Series:
            return pl.Series(map(original, self.origin.sent(numbers)), dtype=pl.Binary())

        broken = (replace(piece, payload=original(piece.payload)) for piece in self.broken)
        return replace(self, origin=replace(self.origin, sent=sent), broken=tuple(broken))

    def only(self, kept: pl.Series) -> "ParsedRows":
        """The rows for which ``kept`` is true."""
        if kept.all():
            return self
        sent, numbers = self.origin.sent, kept.arg_true()
        extras = None if self.origin.extras is None else self.origin.extras.filter(kept)
        origin = replace(self.origin, sent=lambda some: sent(numbers[some]), extras=extras)
        return replace(self, rows=self.rows.filter(kept), offsets=self.offsets.filter(kept), origin=origin)

    def without(self, faults: Mapping[int, str]) -> "ParsedRows":
        """Without the rows of these numbers, which are broken for the reasons given."""
        if not faults:
            return self
        numbers = pl.Series(list(faults), dtype=pl.UInt32())
        payloads = self.origin.sent(numbers)
        broken = [BrokenPiece(self.offsets[n], payload, faults[n]) for n, payload in zip(faults, payloads, strict=True)]
        kept = ~pl.int_range(self.rows.height, dtype=pl.UInt32(), eager=True).is_in(numbers.implode())
        return replace(self.only(kept), broken=(*self.broken, *broken))


def no_rows() -> ParsedRows:
    """What is in nothing: not even columns."""
    return ParsedRows(pl.DataFrame(), pl.Series(dtype=pl.Int64()), Origin(sent_of(lambda _: b"")))


def sent_of(payloads: Callable[[int], bytes]) -> Sent:
    """``payloads``, which gives the bytes of one row, for many."""
    return lambda numbers: pl.Series([payloads(number) for number in numbers], dtype=pl.Binary())


def beside(rows: pl.DataFrame, taken: Iterable[str]) -> pl.DataFrame:
    """Fields that somebody happened to name like one of ``taken`` get another name: they are kept, not overwritten."""
    renamed: dict[str, str] = {}
    names = set(taken)
    for name in names & set(rows.columns):
        free = name
        while free in rows.columns or free in names:
            free += "_"
        renamed[name] = free
    return rows.rename(renamed) if renamed else rows
