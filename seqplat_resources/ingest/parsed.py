"""What a text format gives back: rows with their places, and the pieces that are no row of it."""

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class Broken:
    """A line or record that could not be read: its place, its bytes, and why."""

    offset: int
    payload: bytes
    reason: str


@dataclass(frozen=True)
class Parsed:
    """``offsets`` holds the place in the file of each row of ``rows``."""

    rows: pl.DataFrame
    offsets: pl.Series
    broken: tuple[Broken, ...] = ()
