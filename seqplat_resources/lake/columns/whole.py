"""A table some of whose days have columns in files beside it, so that adding a column rewrites no other.

A file beside has some columns of the rows of exactly one file of the table, in its order, and is named by it. Where the
day is built again its files are others, and what is beside counts no more, in the same moment. Nothing else ties the
two: no order of commits, no clock.

>>> from sequence_defs.schema import Column
>>> columns = (Column(name="amount", dtype="int64"), Column(name="euros", dtype="float64"))
>>> beside = LakeTable(home, "lake/beside", columns)
>>> orders, day = WholeTable(home, "lake/orders", columns, beside=beside), {"day": days[0]}
>>> built = orders.replace(day, [FilePart(pl.DataFrame({"amount": [3, 4], "euros": [None, None]}, orders.schema))])
>>> file = orders.files()["path"][0]
>>> put = orders.put_beside([day], ["euros"], lambda: iter([(day, file, pl.DataFrame({"euros": [2.5, 3.0]}))]))
>>> orders.scan().select("amount", "euros").collect().rows(), orders.columns_beside()
([(3, 2.5), (4, 3.0)], {'2024-05-01': ('euros',)})
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import polars as pl
from deltalake import DeltaTable
from deltalake.transaction import RemoveAction

from seqplat_resources.lake.fence import ConcurrentWrite
from seqplat_resources.lake.files import FilePart, label_of, notes_of
from seqplat_resources.lake.table import Bucket, BucketCommit, LakeTable
from seqplat_resources.times import milliseconds

# A footer beside says which columns it has, and what the table's rows would mean had they been built then.
COLUMNS, MEANING = "columns", "meaning"
_ROW = "_row_of_files"
_DIGITS = 8


@dataclass
class WholeTable(LakeTable):
    """A table and what lies ``beside`` it. Reads give whole rows; writes replace a bucket as in any table."""

    beside: LakeTable | None = field(default=None, repr=False)

    def pinned(self, version: int | None = None, beside: int | None = None) -> "WholeTable":
        # NOTE: what is beside first: a file of the table that is newer than that was built with all columns.
        side = self.beside.pinned(beside) if self.beside is not None else None
        return replace(super().pinned(version), beside=side)  # type: ignore[return-value, call-arg]

    def scan(self, *, version: int | None = None) -> pl.LazyFrame:
        sides = self.sides()
        rows = super().scan(version=version)
        if not sides.height or version is not None:
            return rows
        # Not the fields of columns that were retyped: what is joined has the declared ones alone.
        declared = {*self.schema, *self.partition_by}
        names = [name for name in rows.collect_schema().names() if name in declared]
        days = sides["day"].unique().str.to_date().to_list()
        of_others = rows.filter(~pl.col("day").is_in(days)).select(names)
        joined = [self._joined(names, group) for _, group in sides.group_by("digest", maintain_order=True)]
        return pl.concat([of_others, *joined])

    def _joined(self, names: Sequence[str], sides: pl.DataFrame) -> pl.LazyFrame:
        """Rows of files that have the same columns beside, with these."""
        beside = self._beside_of(sides["beside"][0])
        mine = self.scan_paths(sides["path"].to_list(), number=_ROW)
        theirs = beside.scan_paths(sides["beside"].to_list(), number=_ROW)
        keys = [*self.partition_by, _ROW]
        kept = mine.drop(beside.schema, strict=False)
        return kept.join(theirs, on=keys, how="left", maintain_order="left").select(names)

    def read(self, paths: Sequence[str]) -> pl.DataFrame:
        by_path = dict(self.sides().select("path", "beside").iter_rows())
        if not by_path.keys() & set(paths):
            return super().read(paths)
        found = []
        for path in paths:
            rows = super().read([path])
            if path in by_path:
                rows = rows.with_columns(self._beside_of(by_path[path]).read([by_path[path]]))
            found.append(rows)
        return pl.concat(found)

    def notes(self, bucket: Bucket) -> dict[str, str]:
        day = self.text(bucket)["day"]
        return self.with_beside({day: super().notes(bucket)})[day]

    def with_beside(self, notes: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
        """The notes of days (text); what columns beside them mean is said by these."""
        said, sides = {day: dict(of) for day, of in notes.items()}, self.sides().unique("day")
        for day, path in sides.filter(pl.col("day").is_in(list(said))).select("day", "beside").iter_rows():
            theirs = self._notes_beside(path)
            if said[day].get(MEANING) and theirs.get(MEANING):
                said[day][MEANING] = _meant(said[day][MEANING], theirs[MEANING], json.loads(theirs[COLUMNS]))
        return said

    def sides(self) -> pl.DataFrame:
        """Files that have columns beside them, of days all of whose files have the same.

        Shapes:
            Out: ``day`` as text, ``path`` of the table's file, ``beside`` of the other, ``digest`` of the columns.
        """
        if self.beside is None or not self.beside.exists():
            return pl.DataFrame(schema=dict.fromkeys(("day", "path", "beside", "digest"), pl.String()))
        sides, files = self.beside.files(), self.files()
        labels = pl.Series([label_of(path) for path in sides["path"]], dtype=pl.String)
        sides = sides.select("day", "rows", beside="path").with_columns(
            of=labels.str.head(-_DIGITS - 1), digest=labels.str.tail(_DIGITS)
        )
        stems = pl.Series([stem_of(path) for path in files["path"]], dtype=pl.String)
        files = files.select("day", "path", "rows").with_columns(of=stems)
        found = files.join(sides, on=["day", "of", "rows"], how="left")
        is_whole = pl.col("digest").is_not_null().all() & (pl.col("digest").n_unique() == 1)
        return found.filter(is_whole.over("day")).select("day", "path", "beside", "digest").sort("day", "path")

    def columns_beside(self) -> dict[str, tuple[str, ...]]:
        """By day (text), the columns it has beside."""
        firsts = self.sides().group_by("digest").agg(pl.col("beside").first(), pl.col("day").unique())
        return {
            day: tuple(self._beside_of(path).schema)
            for path, days in firsts.select("beside", "day").iter_rows()
            for day in days
        }

    def put_beside(
        self,
        buckets: Sequence[Bucket],
        columns: Sequence[str],
        parts: Callable[[], Iterator[tuple[Bucket, str, pl.DataFrame]]],
        *,
        meaning: str = "",
    ) -> list[BucketCommit]:
        """Put ``columns`` beside days, all of them visible at once; what other columns lay beside them stays.

        ``parts`` gives, for every file of the buckets (its path), its rows in order: ``columns`` at least. It is asked
        once the leases are held. Buckets must lack, or all have, the same columns beside.

        Raises:
            As ``LakeTable.replace_many``.
        """
        assert self.beside is not None
        mine = self.sides().filter(pl.col("day").is_in([self.text(bucket)["day"] for bucket in buckets]))
        before = dict(mine.select("path", "beside").iter_rows())
        kept = list(self._beside_of(mine["beside"][0]).schema) if mine.height else []
        every = [column for column in self.columns if column.name in {*columns, *kept}]
        beside = replace(self.beside, columns=every)
        digest = _digest(column.name for column in every)

        def files() -> Iterator[tuple[Bucket, FilePart]]:
            for bucket, path, rows in parts():
                old = self._beside_of(before[path]).read([before[path]]) if path in before else pl.DataFrame()
                new = rows.select(columns)
                yield bucket, FilePart(old.with_columns(new) if old.width else new, label=f"{stem_of(path)}.{digest}")

        notes = {COLUMNS: json.dumps([column.name for column in every]), MEANING: meaning}
        return beside.replace_many(buckets, files(), notes=lambda: notes)

    def drop_beside(self) -> int:
        """Remove files beside days that were built again; how many. Reads do without them already."""
        if self.beside is None or not self.beside.exists():
            return 0
        beside, files = self.beside, self.beside.files()
        there = {stem_of(path) for path in self.files()["path"]}
        gone = files.filter(
            pl.Series([label_of(path)[: -_DIGITS - 1] not in there for path in files["path"]], dtype=pl.Boolean)
        )
        if not gone.height:
            return 0
        now_ms = milliseconds(self.clock.now())
        removed = [
            RemoveAction(path, True, now_ms, size, {"day": day})
            for path, size, day in gone.select("path", "bytes", "day").iter_rows()
        ]
        beside.commit(removed, check=partial(_still_there, beside, set(gone["path"])), written_ms=None)
        return gone.height

    def _beside_of(self, path: str) -> LakeTable:
        """The table beside, as if it had just the columns of one of its files."""
        assert self.beside is not None
        names = set(json.loads(self._notes_beside(path)[COLUMNS]))
        return replace(self.beside, columns=[column for column in self.columns if column.name in names])

    def _notes_beside(self, path: str) -> dict[str, str]:
        assert self.beside is not None
        return notes_of(f"{self.beside.uri}/{path}", self.home.storage_options)


def stem_of(path: str) -> str:
    """What no other file is called: the name without folder and ending."""
    return path.rsplit("/", 1)[-1].removesuffix(".parquet")


def _digest(names: Collection[str] | Iterator[str]) -> str:
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:_DIGITS]


def _meant(mine: str, theirs: str, names: Collection[str]) -> str:
    """A meaning as JSON, with those of some columns from another."""
    try:
        said: dict[str, Any] = json.loads(mine)
        other: dict[str, Any] = json.loads(theirs)
        columns = {**said["columns"], **{n: made for n, made in other["columns"].items() if n in names}}
        return json.dumps({**said, "columns": columns}, sort_keys=True, separators=(",", ":"))
    except (ValueError, KeyError, TypeError):
        return mine


def _still_there(table: LakeTable, paths: set[str], _: DeltaTable) -> None:
    if missing := paths - set(table.files()["path"]):
        raise ConcurrentWrite(f"{table.name}: {len(missing)} file(s) were replaced meanwhile")
