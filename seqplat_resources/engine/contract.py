"""The two things the engine is given: executors (business mapping) and lookups (enrichment values)."""

import datetime as dt
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

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


@dataclass(frozen=True)
class Versions:
    """Versions as ``Lookup.versions`` describes them, of a table that has forgotten its past.

    Which version held before ``known_from`` (UTC) is not known any more: earlier events get PENDING cells.
    """

    frame: pl.DataFrame
    known_from: dt.datetime


class Lookup(Protocol):
    """Where enrichment values are found. Batch reads a day of the lake, a stream reads an online table.

    Called once per batch of events and attached enrichment, by one thread at a time.
    """

    def versions(self, enrichment: str, keys: pl.DataFrame) -> pl.DataFrame | Versions | None:
        """Versions that may be current for some event of the batch, for at least the given ``keys``.

        Shapes:
            In: the key columns, one row per event, with repeats and nulls.
            Out: key columns, ``valid_from`` and ``valid_to`` (UTC; null ``valid_to`` is open), then the value
            columns; sorted by ``valid_from``. More keys or older versions than asked for are harmless.
            None: the table is not there, so every cell is PENDING.
        """
        ...


@runtime_checkable
class Fetcher(Protocol):
    """A lookup that also asks services. Cells of services stay PENDING with a lookup that has no ``fetch``."""

    def fetch(self, service: str, keys: pl.DataFrame) -> pl.DataFrame:
        """What the service says of each key, within the time it is given. Never raises because a service failed.

        Shapes:
            In: as ``Lookup.versions``.
            Out: key columns, the value columns in their storage types, and ``_status`` (int8, ``CellStatus``); one row
            per distinct key without nulls. Values are null unless the status is VALUE.
        """
        ...


class NoLookup:
    """Nothing is available: every looked-up cell is PENDING."""

    def versions(self, enrichment: str, keys: pl.DataFrame) -> pl.DataFrame | None:
        return None
