"""The engine's ``Lookup`` for streams: versions from the online store, with a working set in this process."""

import datetime as dt

import numpy as np
import polars as pl

from seqplat_resources.engine.contract import Versions
from seqplat_resources.enrichment.table import ALL_DAYS, block_schema, covered_days, key_texts, online_name
from seqplat_resources.enrichment.working_set import MAX_BYTES, MAX_ROWS, WorkingSet
from seqplat_resources.online_store import Epoch, OnlineStore, StoreSnapshot, decode_blocks, row_count
from seqplat_resources.online_store.codec import schema_id
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.times import midnight
from sequence_defs.schema import Keyed


class OnlineLookup:
    """Versions of the keyed enrichments of a release. One per worker: not thread-safe.

    Every call sees one epoch of its table. Keys that were asked for under this epoch, there or not, are answered from
    memory; a new epoch empties it.
    """

    def __init__(
        self, runtime: Runtime, store: OnlineStore, *, max_rows: int = MAX_ROWS, max_bytes: int = MAX_BYTES
    ) -> None:
        self._runtime, self._store = runtime, store
        self._limits = {"max_rows": max_rows, "max_bytes": max_bytes}
        self._tables: dict[str, _Table] = {}

    def versions(self, enrichment: str, keys: pl.DataFrame) -> Versions | None:
        """See ``Lookup``. None while nothing is published, or while what is published has other columns or is of
        another definition of the enrichment.

        Cost:
            One pass over the working set and one over ``keys``; per key not seen before one read of the store.
        """
        if enrichment not in self._tables:
            definition = self._runtime.release.enrichments[enrichment]
            if not isinstance(definition, Keyed):
                raise TypeError(f"enrichment {enrichment!r} of kind {definition.kind} has no table to look up in")
            meaning = self._runtime.loaded.meaning_of(f"enrichments/{enrichment}")
            self._tables[enrichment] = _Table(definition, meaning, WorkingSet(definition.key, **self._limits))
        with self._store.snapshot() as view:
            return self._tables[enrichment].versions(keys, view)


class _Table:
    """One enrichment under its current epoch. The working set has a row without ``valid_from`` for each absent key."""

    def __init__(self, definition: Keyed, meaning: str, working: WorkingSet) -> None:
        self._meaning = meaning
        self._name, self._schema = online_name(definition.name), block_schema(definition)
        self._working = working
        self._epoch = ""
        self._is_readable = True
        self._known_from = dt.datetime.max

    def versions(self, keys: pl.DataFrame, view: StoreSnapshot) -> Versions | None:
        epoch = view.epoch(self._name)
        if epoch is None or ALL_DAYS not in epoch.buckets:
            return None
        if epoch.identity != self._epoch:
            self._move_to(epoch)
        if not self._is_readable:
            return None
        known, missing = self._working.split(keys)
        found = [known] if known is not None else []
        if missing.height or not found:
            if (new := self._read(missing, view)) is None:
                return None
            self._working.add(new)
            found.append(new)
        return Versions(_in_order(pl.concat(found)), self._known_from)

    def _move_to(self, epoch: Epoch) -> None:
        self._working.clear()
        # What another definition of the enrichment published would be taken for what this one finds.
        self._epoch, self._is_readable = epoch.identity, epoch.buckets[ALL_DAYS].meaning in ("", self._meaning)
        self._known_from = midnight(covered_days(epoch)[0])

    def _read(self, keys: pl.DataFrame, view: StoreSnapshot) -> pl.DataFrame | None:
        """The rows of distinct keys, or None where blocks have other columns than this release's.

        The release that declared these columns has not published the table yet; a block without a column must not
        look like a key without a value.
        """
        found = [next(view.blocks(self._name, text), None) for text in key_texts(keys).to_list()]
        blocks = [block.payload for block in found if block is not None]
        if blocks and schema_id(blocks[0]) != self._schema.schema_id:
            self._is_readable = False  # one is enough: the blocks of one epoch were encoded alike
            return None
        rows = decode_blocks(blocks, view.schema, self._schema.dtypes, where=self._name)
        counts = np.array([0 if block is None else row_count(block.payload) for block in found], np.int64)
        places = np.repeat(np.arange(keys.height), counts)
        begins = rows["valid_from"].fill_null(self._known_from)
        # Column by column: a query costs as much to plan as all of these to do.
        there = pl.DataFrame([keys[name].gather(places) for name in keys.columns]).hstack(rows)
        there = there.with_columns(begins)
        absent = keys.filter(pl.Series(counts == 0))
        return pl.concat([there, absent], how="diagonal") if absent.height else there


def _in_order(rows: pl.DataFrame) -> pl.DataFrame:
    """Without absent keys, by start. Most batches see nothing that began lately: looking is cheaper than sorting."""
    rows = rows.drop_nulls("valid_from") if rows["valid_from"].null_count() else rows
    return rows if rows["valid_from"].is_sorted() else rows.sort("valid_from")
