"""Legacy's side of a sequence at the end of a day, by shard: files are read once and laid aside, a service is asked."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import polars as pl

from seqplat_resources.comparison.contract import USER
from seqplat_resources.comparison.sequences import IDS
from seqplat_resources.lake.layout import shard_of
from seqplat_resources.shadow.legacy.blobs import BlobSequences
from seqplat_resources.shadow.legacy.contract import PROBLEMS, LegacyRows, NoLegacyData
from seqplat_resources.shadow.legacy.http import AskedSequences
from seqplat_resources.shadow.sequences.ours import SequenceSides
from seqplat_resources.times import midnight
from sequence_defs.schema import Blobs

_SHARD = "_shard"


class Theirs(Protocol):
    """What legacy has of a day."""

    def shard(self, shard: int, users: pl.Series) -> LegacyRows:
        """``user_id`` and ``event_ids`` of those of a shard, ``users`` being ours; and who cannot be compared, why."""


@contextmanager
def theirs_of(sides: SequenceSides, day: dt.date, keep: pl.Expr | None = None) -> Iterator[Theirs]:
    """Legacy's side of a day, of users for whom ``keep`` is true.

    Memory:
        Some thousand users while files are read, then one shard. The ids of all are in a folder of the machine.
    Raises:
        NoLegacyData: there is nothing of the day. SourceUnreadable: a file cannot be read.
    """
    if isinstance(sides.legacy.at, Blobs):
        with TemporaryDirectory(prefix="seqplat-legacy-") as folder:
            yield _LaidAside.of(sides, day, keep, Path(folder))
        return
    service = AskedSequences.open(sides.runtime, sides.name, sides.runtime.home.environment)
    try:
        yield _Asked(sides, service, midnight(day) + dt.timedelta(days=1))
    finally:
        service.close()


@dataclass(frozen=True)
class _LaidAside:
    """Of files: their ids and problems, a file each by shard and chunk."""

    sides: SequenceSides
    folder: Path

    @classmethod
    def of(cls, sides: SequenceSides, day: dt.date, keep: pl.Expr | None, folder: Path) -> "_LaidAside":
        at = sides.legacy.at
        assert isinstance(at, Blobs)
        dated = "{day}" in at.location
        if not dated and day != sides.newest:
            why = f"{at.location!r} says no {{day}}, so it is as of now; only {sides.newest} can be compared with it"
            raise NoLegacyData(f"sequence {sides.name!r}", day, why)
        end = None if dated else midnight(day) + dt.timedelta(days=1)
        found = cls(sides, folder)
        for number, chunk in enumerate(BlobSequences.open(sides.runtime, sides.name, day, sides.legacy).chunks(keep)):
            found._lay(number, "rows", _ids_of(sides, chunk.rows, end), USER)
            found._lay(number, "problems", chunk.problems, "user")
        return found

    def shard(self, shard: int, users: pl.Series) -> LegacyRows:
        rows = self._read("rows", shard, self.sides.empty(users.dtype))
        return LegacyRows(_cut(self.sides, rows), self._read("problems", shard, pl.DataFrame(schema=PROBLEMS)))

    def _lay(self, number: int, what: str, rows: pl.DataFrame, user: str) -> None:
        # Of nobody are those of the first shard.
        shard = shard_of(user, self.sides.shards).fill_null(0).alias(_SHARD)
        for (at,), part in rows.with_columns(shard).partition_by(_SHARD, as_dict=True, include_key=False).items():
            part.write_parquet(self.folder / f"{what}-{at}-{number}.parquet")

    def _read(self, what: str, shard: int, empty: pl.DataFrame) -> pl.DataFrame:
        files = sorted(self.folder.glob(f"{what}-{shard}-*.parquet"))
        return pl.concat([empty, *(pl.read_parquet(file) for file in files)])


@dataclass(frozen=True)
class _Asked:
    """Of a service: nobody knows whom it has, so that those are asked for whom we have."""

    sides: SequenceSides
    service: AskedSequences
    as_of: dt.datetime

    def shard(self, shard: int, users: pl.Series) -> LegacyRows:
        found = self.service.of(users, self.as_of)
        return LegacyRows(_cut(self.sides, _ids_of(self.sides, found.rows, None)), found.problems)


def _cut(sides: SequenceSides, rows: pl.DataFrame) -> pl.DataFrame:
    """As ours are: where some events are expected to differ, those are left out first."""
    return rows if sides.legacy.explained else sides.cut(rows)


def _ids_of(sides: SequenceSides, rows: pl.DataFrame, end: dt.datetime | None) -> pl.DataFrame:
    """``user_id`` and ``event_ids``, with the event type where ids are told apart by it; those before ``end``.

    And what is compared beside; of what legacy does not say there are nulls.
    """
    if not sides.is_typed and end is None and not sides.beside.lists:
        return rows.select(USER, IDS)
    lists = [IDS, "event_times", "event_types", *sides.beside.met]
    events = rows.select(USER, *lists).filter(pl.col(IDS).list.len() > 0).explode(lists)
    events = events if end is None else events.filter(pl.col("event_times") < end)
    ids = pl.format("{} {}", "event_types", IDS) if sides.is_typed else pl.col(IDS)
    named = events.select(USER, ids.alias(IDS), *sides.beside.legacys())
    found = named.group_by(USER, maintain_order=True).agg(pl.all())
    return rows.select(USER).join(found, on=USER, how="left", maintain_order="left")
