"""Build ``enrichments/<name>`` day buckets: per day, exactly the versions that are current at some instant of it.

A day's bucket is complete in itself, so a day of events depends on that one bucket however long the history is.

>>> [(str(result.day), result.rows) for result in build(shop, "price", days)]
[('2024-05-01', 1), ('2024-05-02', 2), ('2024-05-03', 2)]
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
import polars as pl

from seqplat_resources.batch.builds.versions import bounded, versions_of
from seqplat_resources.batch.days.arrivals import awaited, made_of, noted
from seqplat_resources.batch.days.result import BucketResult, Stopwatch
from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.rejects import keep_rejects
from seqplat_resources.batch.inputs.rows import MEANING
from seqplat_resources.batch.inputs.spans import DAYS_AT_ONCE
from seqplat_resources.engine.outcome import WHOLE_FILE, no_rejects
from seqplat_resources.errors import Final
from seqplat_resources.lake.files import FilePart
from seqplat_resources.lake.layout import DAY, UNDATED
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.sources.decode import decode_files, decode_nothing
from seqplat_resources.sources.files import SourceFile, SourceUnreadable
from seqplat_resources.sources.joins import joined_files
from seqplat_resources.sources.locations import files_of
from seqplat_resources.times import end_us, midnight
from sequence_defs.compiler.sql import UTC_US
from sequence_defs.schema import Keyed, Snapshot, Source, Versioned


class EnrichmentUnknown(Final):
    """An enrichment that has no table of its own."""


def build(runtime: Runtime, name: str, days: Sequence[dt.date]) -> Iterator[BucketResult]:
    """Replace the enrichment buckets of ``days``.

    A day whose files are not there yet is reported as ``awaited`` and not written: events of that day get PENDING
    cells. One that may have none has no versions: cells of its events are NULL.
    """
    definition = runtime.release.enrichments[name]
    if not isinstance(definition, Versioned | Snapshot):
        raise EnrichmentUnknown(f"enrichment {name!r} is {definition.kind}: it is computed with the event, not by day")
    source, table = runtime.release.sources[definition.source], tables.enrichment(runtime, definition)
    find_files = partial(files_of, source, runtime.sources_root)
    always = None if "{day}" in source.location else find_files()
    timeline, joined = None, joined_files(source, runtime.sources_root)
    for start in range(0, len(days), DAYS_AT_ONCE):
        watch, keys = Stopwatch(), dict[dt.date, int]()
        files = {day: always or find_files(day=day) for day in days[start : start + DAYS_AT_ONCE]}
        there = [day for day, found in files.items() if found or not source.expects_file(day)]

        def parts(
            files: Mapping[dt.date, list[SourceFile]] = files,
            there: Sequence[dt.date] = there,
            keys: dict[dt.date, int] = keys,
        ) -> Iterator[tuple[Mapping[str, dt.date], FilePart]]:
            nonlocal timeline
            for day in there:
                if timeline is None or not always:
                    timeline = _Timeline(definition, _versions(runtime, definition, source, files[day]))
                content = timeline.during(day)
                keys[day] = content.keys
                yield {DAY: day}, FilePart(content.rows, label=content.label, copies=True)

        with watch("total"):
            notes = noted({day: made_of(files[day], joined) for day in there})
            notes[MEANING] = runtime.loaded.meaning_of(f"enrichments/{name}")
            buckets = [{DAY: day} for day in there]
            commits = table.replace_many(buckets, parts(), notes=partial(dict, notes)) if there else []
        written = dict(zip(there, commits, strict=True))
        for day in files:
            if day not in written:
                yield awaited(table, source, runtime.sources_root, day)
                continue
            commit, seconds = written[day], watch.share(len(written))
            yield BucketResult(
                commit.table, day, commit.rows, commit.bytes, commit.version, {"keys": keys[day]}, seconds
            )


def _versions(runtime: Runtime, definition: Keyed, source: Source, files: Sequence[SourceFile]) -> pl.DataFrame:
    """All versions of the files by start, each with the interval it holds for; refused rows are kept as rejects.

    Raises:
        SourceUnreadable: nothing of any file can be read; a table of nothing would take what the day before knew.
    """
    nothing = versions_of(decode_nothing(source, runtime.clock), definition, source)
    rejects, versions = [no_rejects()], [nothing.rows]
    for chunk in decode_files(source, files, runtime.sources_root, clock=runtime.clock):
        usable = versions_of(chunk, definition, source)
        rejects.append(usable.rejects)
        versions.append(usable.rows)
    refused = pl.concat(rejects).with_columns(pl.lit(UNDATED).alias(DAY))
    whole = refused.filter(pl.col("offset") == WHOLE_FILE)
    if files and whole.height >= len(files):
        raise SourceUnreadable(whole["reason"][0])
    keep_rejects(
        runtime, source.name, definition.name, (), refused, reads={file.partition for file in files}.__contains__
    )
    return bounded(pl.concat(versions), definition).sort("_from", maintain_order=True)


@dataclass(frozen=True)
class _Content:
    """The rows of a bucket."""

    rows: pl.DataFrame
    key: tuple[str, ...]

    @cached_property
    def label(self) -> str:
        """The same for the same content, so that it is stored once and read once however many days have it."""
        # NOTE: Polars' hash may change between its versions; equal content is then stored and read once more.
        return f"c{int(self.rows.hash_rows().to_numpy().sum(dtype=np.uint64)):016x}"

    @cached_property
    def keys(self) -> int:
        return self.rows.select(self.key).hash_rows().n_unique()  # by hash: a fact, not worth exactness


@dataclass
class _Timeline:
    """All versions by start, given out day by day. While days come in order, each costs what it holds."""

    definition: Keyed
    versions: pl.DataFrame
    _day: dt.date | None = field(default=None, init=False)  # the latest one given out
    _settled: pl.DataFrame = field(init=False)  # what each key had when the day began, in the order of the bucket
    _fresh: pl.DataFrame = field(init=False)  # what begins within the day
    _waiting: pl.DataFrame = field(init=False)  # what begins later
    _content: _Content = field(init=False)  # of the day

    def during(self, day: dt.date) -> _Content:
        """The versions that some instant of the UTC day sees, by ``valid_from`` and key.

        Those of a snapshot have no ``valid_from`` and no ``valid_to``: they hold on the bucket's day.
        """
        start = midnight(day)
        if not isinstance(self.definition, Snapshot):
            if self._move_to(day, start):
                self._content = self._stored(pl.concat([self._settled, self._fresh]))
        elif self.definition.day is not None or self._day is None:
            begins = pl.col("_from")
            today = self._ordered(self._one_each(self.versions.filter(begins.is_null() | (begins == start))))
            self._day, self._content = day, self._stored(today.with_columns(pl.lit(None, UTC_US).alias("_from")))
        return self._content

    def _stored(self, versions: pl.DataFrame) -> _Content:
        interval = pl.col("_from").alias("valid_from"), pl.col("_to").alias("valid_to")
        columns = [pl.col(column.name) for column in self.definition.columns]
        return _Content(versions.select(*self.definition.key, *interval, *columns), self.definition.key)

    def _move_to(self, day: dt.date, start: dt.datetime) -> bool:
        """Whether another day has other versions than the one before."""
        back = self._day is None or day < self._day
        if back:
            self._settled = self._fresh = self.versions.clear()
            self._waiting = self.versions
        begun = self._waiting["_from"].to_physical().search_sorted(end_us(day))
        fresh = pl.concat([self._fresh, self._one_each(self._waiting[:begun])])
        if fresh.height:
            settling = pl.col("_from") <= start
            self._settled = self._superseded(self._settled, fresh.filter(settling))
            self._fresh = self._ordered(fresh.filter(~settling))
        ended = self._settled["_to"] <= start
        if ended.any():
            self._settled = self._settled.filter(~ended.fill_null(False))
        self._waiting, self._day = self._waiting[begun:], day
        return back or bool(fresh.height or ended.any())

    def _superseded(self, older: pl.DataFrame, newer: pl.DataFrame) -> pl.DataFrame:
        """The newest version of each key. It decides even when it has ended: an older one must not show through."""
        if not newer.height:
            return older
        key = list(self.definition.key)
        if newer["_from"].n_unique() > 1:
            newer = newer.unique(key, keep="last", maintain_order=True)
        return self._ordered(pl.concat([older.join(newer, on=key, how="anti"), newer]))

    def _one_each(self, versions: pl.DataFrame) -> pl.DataFrame:
        """One row per key and start: which one a file lists first means nothing, so the smallest values win."""
        identity = [*self.definition.key, "_from"]
        # Sorting by values is dear and few keys repeat; two that only share a hash are sorted in vain.
        repeated = versions.select(pl.struct(identity).hash().is_duplicated()).to_series()
        if not repeated.any():
            return versions
        values = [column.name for column in self.definition.columns]
        copies = versions.filter(repeated).sort(*identity, *values, nulls_last=True)
        kept = copies.unique(identity, keep="first", maintain_order=True)
        return pl.concat([versions.filter(~repeated), kept]).sort("_from", maintain_order=True)

    def _ordered(self, versions: pl.DataFrame) -> pl.DataFrame:
        return versions.sort("_from", *self.definition.key, maintain_order=True)
