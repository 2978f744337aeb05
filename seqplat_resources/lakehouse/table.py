"""One Delta table: its declared columns, its scan, and the atomic replacement of one bucket.

Writes go through steps that are numbered the same here, in ARCHITECTURE.md and in the crash tests:
1 lease taken, 2 files written (invisible), 3 files verified, 4 committed (visible at once), 5 lease released.
A crash before 4 leaves the old bucket and orphan files for vacuum; after 4 the new bucket.
"""

import datetime as dt
import json
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import deltalake
import polars as pl
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction
from deltalake.exceptions import CommitFailedError, TableNotFoundError
from deltalake.transaction import AddAction

from seqplat_resources.clock import Clock, SystemClock
from seqplat_resources.errors import Final, Retryable
from seqplat_resources.home import Home
from seqplat_resources.lakehouse.lease import Lease, hold
from sequence_defs.compiler.sql import storage_dtype
from sequence_defs.schema import Column

# Small enough that one user's rows cost one or two groups, large enough to compress well.
ROW_GROUP_ROWS = 64 * 1024
# Each refusal means that another writer's commit went through, a matter of 10 ms: so many in a row are a traffic jam.
COMMIT_ATTEMPTS = 50


class SchemaMismatch(Final):
    """Rows or a definition that do not have the table's exact types."""


class Fenced(Final):
    """The bucket was written by a later lease holder while this one was paused."""


class ConcurrentWrite(Retryable):
    """Somebody else committed the bucket while it was written, or the table all the time."""


@dataclass(frozen=True)
class Part:
    """Rows of one file. ``stats`` columns get min/max statistics, by which readers skip the file."""

    rows: pl.DataFrame
    label: str = "part"
    row_group_rows: int = ROW_GROUP_ROWS


@dataclass(frozen=True)
class BucketCommit:
    """What one replacement wrote: ``bytes`` on storage, Delta ``version`` at which it became visible."""

    table: str
    bucket: Mapping[str, str]
    version: int
    rows: int
    bytes: int
    files: int


@dataclass
class LakeTable:
    """A Delta table below a home.

    ``columns`` are the declared columns without partition columns; ``partition_by`` are strings or the date ``day``.
    ``stats`` names columns whose per-file minimum and maximum are recorded.
    """

    home: Home
    name: str
    columns: Sequence[Column]
    partition_by: tuple[str, ...] = ("day",)
    stats: tuple[str, ...] = ()
    clock: Clock = field(default_factory=SystemClock)
    _delta: DeltaTable | None = field(default=None, repr=False)

    @property
    def uri(self) -> str:
        return self.home.uri(self.name)

    @property
    def schema(self) -> dict[str, pl.DataType]:
        """Polars types of ``columns``, in order."""
        return {column.name: storage_dtype(column.dtype) for column in self.columns}

    def exists(self) -> bool:
        """Whether anything was ever committed."""
        return self._delta is not None or DeltaTable.is_deltatable(self.uri, self.home.storage_options)

    def delta(self) -> DeltaTable:
        """The newest snapshot.

        Raises:
            TableNotFoundError: nothing was committed yet.
        """
        if self._delta is None:
            self._delta = DeltaTable(self.uri, storage_options=self.home.storage_options)
        else:
            self._delta.update_incremental()
        return self._delta

    def scan(self, *, version: int | None = None) -> pl.LazyFrame:
        """All rows, lazily; filters on partition and statistics columns skip files. No rows before the first commit.

        A column declared after the last write is there, and null.
        """
        if not self.exists():
            return pl.LazyFrame(schema={**self.schema, **{key: _partition_dtype(key) for key in self.partition_by}})
        of = self.delta() if version is None else self.uri
        scan = pl.scan_delta(of, version=version, storage_options=self.home.storage_options or None)
        present = scan.collect_schema()
        newer = [pl.lit(None, dtype).alias(name) for name, dtype in self.schema.items() if name not in present]
        return scan.with_columns(newer) if newer else scan

    def buckets(self) -> set[tuple[str, ...]]:
        """Partition values, in ``partition_by`` order, that hold at least one file."""
        if not self.exists():
            return set()
        actions = pl.DataFrame(self.delta().get_add_actions(flatten=True))
        keys = [pl.col(f"partition.{key}").cast(pl.String) for key in self.partition_by]
        return set(actions.select(keys).iter_rows()) if actions.height else set()

    def replace(
        self,
        bucket: Mapping[str, str | dt.date],
        parts: Iterable[Part],
        *,
        before_commit: Callable[[], Mapping[str, object]] = dict,
        step: Callable[[int], None] = lambda _: None,
    ) -> BucketCommit:
        """Replace every row of one bucket, atomically.

        Shapes:
            Each part holds exactly ``columns``, in any order; no parts or no rows leaves a bucket that is empty but
            present. ``before_commit`` is called once, when all files are written and none is visible; what it
            returns is stored in the Delta commit.

        Raises:
            LeaseHeld: another writer is on it. SchemaMismatch: types differ from the declaration or the table.
            Fenced, ConcurrentWrite: somebody else committed the bucket meanwhile; nothing of this call is visible.
        """
        values = {key: str(bucket[key]) for key in self.partition_by}
        with hold(self.home, f"{self.name}/{'/'.join(values.values())}", clock=self.clock) as lease:
            fence = _fence(self.delta(), values) if self.exists() else 0
            step(1)
            adds = [self._write(values, part, lease) for part in self._at_least_one(parts)]
            step(2)
            self._verify(adds)
            metadata = before_commit()
            step(3)
            version = self._commit(values, adds, lease, fence, metadata)
            step(4)
        step(5)
        rows = sum(json.loads(add.stats)["numRecords"] for add in adds)
        return BucketCommit(self.name, values, version, rows, sum(add.size for add in adds), len(adds))

    def _at_least_one(self, parts: Iterable[Part]) -> Iterable[Part]:
        # An empty file marks the bucket as written: "nothing happened that day" is not "not computed".
        empty = True
        for part in parts:
            empty = False
            yield part
        if empty:
            yield Part(pl.DataFrame(schema=self.schema))

    def _write(self, values: Mapping[str, str], part: Part, lease: Lease) -> AddAction:
        rows = part.rows
        if missing := [name for name in self.schema if name not in rows.columns]:
            raise SchemaMismatch(f"{self.name}: rows lack column(s) {missing}; have {rows.columns}")
        rows = rows.select(list(self.schema))
        if wrong := {n: (str(rows.schema[n]), str(t)) for n, t in self.schema.items() if rows.schema[n] != t}:
            listed = ", ".join(f"{name} is {got}, declared {want}" for name, (got, want) in wrong.items())
            raise SchemaMismatch(f"{self.name} {dict(values)}: {listed}; Delta would narrow silently, so it is refused")
        folder = "/".join(f"{key}={value}" for key, value in values.items())
        path = f"{folder}/{part.label}-{lease.token}-{uuid.uuid4().hex[:12]}.parquet"
        target = self.home.uri(f"{self.name}/{path}")
        if self.home.is_local:
            Path(target).parent.mkdir(parents=True, exist_ok=True)
        rows.write_parquet(
            target,
            compression_level=1,
            row_group_size=part.row_group_rows,
            statistics=True,
            storage_options=self.home.storage_options or None,
        )
        size = self.home.objects.head(f"{self.name}/{path}")["size"]
        return AddAction(path, size, dict(values), int(time.time() * 1000), True, json.dumps(_stats(rows, self.stats)))

    def _verify(self, adds: Sequence[AddAction]) -> None:
        for add in adds:
            # Delta accepts an add of a file that is not there, so look before making it visible.
            if self.home.objects.head(f"{self.name}/{add.path}")["size"] != add.size:
                raise Final(f"{self.name}/{add.path} changed size while it was written; write the bucket again")

    def _commit(
        self,
        values: Mapping[str, str],
        adds: list[AddAction],
        lease: Lease,
        fence: int,
        metadata: Mapping[str, object],
    ) -> int:
        for _ in range(COMMIT_ATTEMPTS):
            try:
                return self._commit_once(values, adds, lease, fence, metadata)
            except CommitFailedError as error:
                # Delta takes an overwrite for a read of the whole table, so a commit to any other bucket refuses it.
                # Whether it was this bucket, the fence tells on the next snapshot.
                refused = error
        raise ConcurrentWrite(
            f"{self.name} {dict(values)}: {COMMIT_ATTEMPTS} attempts to commit met other commits to the table; "
            f"run it again ({refused})"
        )

    def _commit_once(
        self,
        values: Mapping[str, str],
        adds: list[AddAction],
        lease: Lease,
        fence: int,
        metadata: Mapping[str, object],
    ) -> int:
        delta = self._prepared()
        seen = _fence(delta, values)
        if seen > lease.token:
            raise Fenced(
                f"{self.name} {dict(values)}: lease {lease.token} was overtaken by {seen}; nothing was written"
            )
        if seen != fence:
            raise ConcurrentWrite(
                f"{self.name} {dict(values)}: a writer whose lease ({seen}) had expired committed it meanwhile; "
                "run it again"
            )
        delta.create_write_transaction(
            list(adds),
            "overwrite",
            delta.schema(),
            list(self.partition_by),
            [(key, "=", value) for key, value in values.items()],
            commit_properties=CommitProperties(
                custom_metadata={"seqplat": json.dumps(metadata, sort_keys=True, default=str)},
                app_transactions=[Transaction(_fence_id(values), lease.token)],
            ),
            post_commithook_properties=PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False),
        )
        delta.update_incremental()
        return delta.version()

    def _prepared(self) -> DeltaTable:
        """The table, created or widened to the declared columns.

        Raises:
            SchemaMismatch: a declared column has another type in the table.
        """
        try:
            delta = self.delta()
        except TableNotFoundError:
            fields = [_field(column) for column in self.columns]
            keys = [deltalake.Field(key, _partition_field_type(key), nullable=False) for key in self.partition_by]
            self._delta = DeltaTable.create(
                self.uri,
                deltalake.Schema([*fields, *keys]),
                mode="ignore",  # somebody may create it at the same moment
                partition_by=list(self.partition_by),
                storage_options=self.home.storage_options or None,
            )
            delta = self.delta()
        present = {f.name: f for f in delta.schema().fields}
        declared = {column.name: _field(column) for column in self.columns}
        if wrong := [n for n, f in declared.items() if n in present and present[n].type != f.type]:
            listed = ", ".join(
                f"{n} is {present[n].type} in the table, {declared[n].type} in the release" for n in wrong
            )
            raise SchemaMismatch(
                f"{self.name}: {listed}. A column's type never changes in place: declare a new column (name@2)"
            )
        if added := [f for n, f in declared.items() if n not in present]:
            delta.alter.add_columns(added)  # refused, like any commit, if somebody else changes the schema just now
            delta.update_incremental()
        return delta


def _fence_id(values: Mapping[str, str]) -> str:
    return f"lease:{'/'.join(values.values())}"


def _fence(delta: DeltaTable, values: Mapping[str, str]) -> int:
    """Token of the lease under which the bucket was last committed, 0 if it never was."""
    return delta.transaction_version(_fence_id(values)) or 0


def _partition_dtype(key: str) -> pl.DataType:
    return pl.Date() if key == "day" else pl.String()


def _partition_field_type(key: str) -> deltalake.schema.PrimitiveType:
    return deltalake.schema.PrimitiveType("date" if key == "day" else "string")


def _field(column: Column) -> deltalake.Field:
    arrow = deltalake.Schema.from_arrow(pl.Schema({column.name: storage_dtype(column.dtype)})).fields[0]
    notes = {
        "seqplat.dtype": column.dtype,
        "seqplat.unit": column.unit,
        "seqplat.model": column.model,
        "comment": column.description,
    }
    return deltalake.Field(column.name, arrow.type, nullable=True, metadata={k: v for k, v in notes.items() if v})


def _stats(rows: pl.DataFrame, columns: Sequence[str]) -> dict[str, object]:
    stats: dict[str, dict[str, object]] = {"minValues": {}, "maxValues": {}, "nullCount": {}}
    for name in columns if rows.height else ():
        stats["minValues"][name] = rows[name].min()
        stats["maxValues"][name] = rows[name].max()
        stats["nullCount"][name] = rows[name].null_count()
    return {"numRecords": rows.height, **stats}
