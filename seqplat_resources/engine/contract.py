"""The two things the engine is given: executors (business mapping) and lookups (enrichment values)."""

from collections.abc import Mapping
from typing import Protocol

import polars as pl

from sequence_defs.schema import EventType, Source


class Executor(Protocol):
    """Business mapping for one family of event types.

    Called once per batch of raw rows, from any thread, possibly again for the same rows after a failure. It must be
    pure: no I/O, no clock, no randomness, no dependence on which rows share a batch. If it raises, the engine looks
    for the rows that make it raise and rejects those.
    """

    def keep(self, event_type: EventType, source: Source) -> pl.Expr:
        """Which raw rows this event type is made from; null counts as false."""
        ...

    def normalize(self, raw: pl.LazyFrame, event_type: EventType, source: Source) -> pl.LazyFrame:
        """Map kept raw rows to events.

        Shapes:
            In: the source's columns and the positional columns, whose names start with an underscore.
            Out: every column of ``event_type.columns``, and the positional columns unchanged. A raw row may give
            none, one or several events.
        """
        ...


class Lookup(Protocol):
    """Where enrichment values are found. Batch reads a day of the lake, a stream reads an online table."""

    def versions(self, enrichment: str, keys: pl.DataFrame) -> pl.DataFrame | None:
        """Versions that may be current for some event of the batch, for at least the given ``keys``.

        Shapes:
            Out: key columns, ``valid_from`` and ``valid_to`` (UTC; null ``valid_to`` is open), then the value
            columns; sorted by ``valid_from``. More keys or older versions than asked for are harmless.
            None: the table is not there, so every cell is PENDING.
        """
        ...


class NoLookup:
    """Nothing is available: every looked-up cell is PENDING."""

    def versions(self, enrichment: str, keys: pl.DataFrame) -> pl.DataFrame | None:
        return None


class FrameLookup:
    """Values held in memory, for tests and examples."""

    def __init__(self, tables: Mapping[str, pl.DataFrame]) -> None:
        self._tables = {name: table.sort("valid_from") for name, table in tables.items()}

    def versions(self, enrichment: str, keys: pl.DataFrame) -> pl.DataFrame | None:
        return self._tables.get(enrichment)
