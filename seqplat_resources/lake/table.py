"""One Delta table: its declared columns, its scan, and the atomic replacement of one bucket.

Writes go through steps that are numbered the same here, in ARCHITECTURE.md and in the crash tests:
1 lease taken, 2 files written (invisible), 3 files verified, 4 committed (visible at once), 5 lease released.
A crash before 4 leaves the old bucket and orphan files for vacuum; after 4 the new bucket.

>>> visits = LakeTable(home, "lake/visits", (Column(name="page", dtype="string"),))
>>> first_of_may = {"day": days[0]}
>>> commit = visits.replace(first_of_may, [FilePart(pl.DataFrame({"page": ["home", "cart"]}))])
>>> commit = visits.replace(first_of_may, [FilePart(pl.DataFrame({"page": ["home"]}))])
>>> visits.scan().collect().rows()
[('home', datetime.date(2024, 5, 1))]
>>> commit.rows, visits.buckets()
(1, {('2024-05-01',)})
"""

import datetime as dt
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import TypeAlias

import polars as pl
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction

from seqplat_resources.clock import Clock, SystemClock
from seqplat_resources.errors import Final
from seqplat_resources.home import Home
from seqplat_resources.lake.damage import damaged_log, first_commit_read, refuse_emptied
from seqplat_resources.lake.fence import ConcurrentWrite, refuse_vacuumed
from seqplat_resources.lake.files import FilePart, FileWriter, fields_in, notes_of, rows_in, token_of
from seqplat_resources.lake.schema import (
    SchemaMismatch,
    StoredFields,
    missing_fields,
    partition_dtype,
    stored_columns,
    stored_fields,
    table_schema,
)
from seqplat_resources.records.lease import hold
from sequence_defs.compiler.sql import storage_dtype
from sequence_defs.schema import Column

# Partition column -> value: what names a bucket.
Bucket: TypeAlias = Mapping[str, str | dt.date]

# Each refusal means that another writer's commit went through, a matter of 10 ms: so many in a row are a traffic jam.
COMMIT_ATTEMPTS = 50


class VersionGone(Final):
    """A version of a table whose log or files are not there any more."""


class Fenced(ConcurrentWrite):
    """The bucket was written by a later lease holder while this one was paused."""


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
    _pinned: bool = field(default=False, repr=False)
    _written: StoredFields | None = field(default=None, repr=False)  # under which names files were written last
    # Where columns lie in a version: asked of every file, while the schema is only another one in another version.
    _lies: tuple[int, StoredFields] | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def uri(self) -> str:
        return self.home.uri(self.name)

    @cached_property
    def schema(self) -> dict[str, pl.DataType]:
        """Polars types of ``columns``, in order."""
        return {column.name: storage_dtype(column.dtype) for column in self.columns}

    def exists(self) -> bool:
        """Whether anything was ever committed."""
        if self._pinned:
            return self._delta is not None
        return self._delta is not None or DeltaTable.is_deltatable(self.uri, self.home.storage_options)

    def delta(self) -> DeltaTable:
        """The newest snapshot.

        Raises:
            TableNotFoundError: nothing was committed yet. LogDamaged: what was cannot be known.
        """
        if self._pinned and self._delta is not None:
            return self._delta
        if self._pinned:
            raise TableNotFoundError(f"{self.name} was not there when it was pinned")
        if self._delta is None:
            self._delta = self._opened()
        else:
            before = int(self._delta.version())
            with self._damage_named():
                self._delta.update_incremental()
            refuse_emptied(self.home, self.name, before + 1, int(self._delta.version()))
        return self._delta

    def _opened(self) -> DeltaTable:
        first = first_commit_read(self.home, self.name)
        with self._damage_named():
            delta = DeltaTable(self.uri, storage_options=self.home.storage_options)
        refuse_emptied(self.home, self.name, first, int(delta.version()))
        return delta

    @contextmanager
    def _damage_named(self) -> Iterator[None]:
        try:
            yield
        except TableNotFoundError:
            raise
        except DeltaError as error:
            if (damage := damaged_log(self.home, self.name)) is not None:
                raise damage from error
            raise

    def version(self) -> int:
        """Number of the newest snapshot; -1 before the first commit."""
        return int(self.delta().version()) if self.exists() else -1

    def pinned(self, version: int | None = None) -> "LakeTable":
        """The table as it is now, for reads that must agree with each other while others commit; or as it was at a
        version (-1: not there yet).

        Raises:
            VersionGone: the log does not say any more what that version had.
        """
        if version == -1 or not self.exists():
            return replace(self, _delta=None, _pinned=True)
        return replace(self, _delta=self._opened() if version is None else self._at(version), _pinned=True)

    def require_files(self) -> None:
        """
        Raises:
            VersionGone: vacuum deleted a file that this version has.
        """
        there = {item["path"] for item in self.home.objects.list(self.name).collect()}
        if gone := [path for path in self.files()["path"] if f"{self.name}/{path}" not in there]:
            raise VersionGone(
                f"version {self.version()} of {self.name} lacks {len(gone)} file(s) that vacuum deleted; "
                "`seqplat pin` keeps what is needed again"
            )

    def _at(self, version: int) -> DeltaTable:
        try:
            return DeltaTable(self.uri, version=version, storage_options=self.home.storage_options)
        except DeltaError as error:
            raise VersionGone(
                f"version {version} of {self.name} is not there any more ({error}); what it had can only be made of "
                "the table as it is now"
            ) from error

    def scan(self, *, version: int | None = None) -> pl.LazyFrame:
        """All rows, lazily; filters on partition and statistics columns skip files. No rows before the first commit.

        A column declared after the last write is there, null or its default; what was written under another type is
        read as far as that can be (``StoredFields.read``).
        """
        if not self.exists():
            return pl.LazyFrame(schema={**self.schema, **{key: partition_dtype(key) for key in self.partition_by}})
        of = self.delta() if version is None else self.uri
        scan = pl.scan_delta(of, version=version, storage_options=self.home.storage_options or None)
        present = scan.collect_schema()
        stored = self._stored()
        newer = [
            stored.read(column, present)
            for column in self.columns
            if column.name not in present or column.name in stored.others or column.default is not None
        ]
        return scan.with_columns(newer) if newer else scan

    def read(self, paths: Sequence[str]) -> pl.DataFrame:
        """The rows of some files of a snapshot, without partition columns; a column they are older than is null.

        Quicker than ``scan`` for who has chosen files by their path already.
        """
        uris = [f"{self.uri}/{path}" for path in paths]
        options = self.home.storage_options or None
        found = [pl.read_parquet(uri, hive_partitioning=False, storage_options=options) for uri in uris]
        rows = pl.concat(found, how="diagonal") if len(found) > 1 else found[0]
        return rows.select(self._declared(rows.schema))

    def with_all_fields(self) -> "LakeTable":
        """The table as if each of its fields were declared as it is: for who rewrites files and must lose nothing."""
        found = stored_columns(self.delta().schema(), self.partition_by)
        names = {column.name for column in found}
        # Without defaults: what is written anew says no more than it did.
        declared = (c.model_copy(update={"default": None}) for c in self.columns if c.name not in names)
        return replace(self, columns=(*found, *declared))

    def fields_of(self, path: str) -> dict[str, pl.DataType]:
        """What a file has, from its footer, under the names that columns are declared by."""
        stored = self._stored()
        declared = {stored.field(column.name): column.name for column in self.columns}
        found = fields_in(f"{self.uri}/{path}", tuple(self.home.storage_options.items()))
        return {declared.get(name, name): dtype for name, dtype in found.items()}

    def _stored(self) -> StoredFields:
        """Where the declared columns lie, in the snapshot that was looked at last."""
        delta = self._delta if self._delta is not None or not self.exists() else self.delta()
        if delta is None:
            return stored_fields(self.columns, None)
        version = int(delta.version())
        if self._lies is None or self._lies[0] != version:
            self._lies = version, stored_fields(self.columns, delta.schema())
        return self._lies[1]

    def scan_paths(self, paths: Sequence[str], *, number: str) -> pl.LazyFrame:
        """The rows of some files of a snapshot, lazily, one file after the other in the order of ``paths``.

        Shapes:
            Out: the declared columns, null where a file is older; the partition columns, by which files are skipped;
            ``number`` counts the rows of all of them from 0.
        """
        of = pl.scan_delta(self.delta(), storage_options=self.home.storage_options or None).collect_schema()
        keys = {key: partition_dtype(key) for key in self.partition_by}
        physical = pl.Schema({name: dtype for name, dtype in of.items() if name not in keys})
        rows = pl.scan_parquet(
            [f"{self.uri}/{path}" for path in paths],
            schema=physical,
            hive_partitioning=True,
            hive_schema=keys,
            row_index_name=number,
            missing_columns="insert",
            extra_columns="ignore",
            storage_options=self.home.storage_options or None,
        )
        return rows.select(*self._declared(physical), *keys, number)

    def _declared(self, present: pl.Schema) -> list[pl.Expr]:
        """The declared columns of rows with the fields ``present``."""
        stored = self._stored()
        return [stored.read(column, present) for column in self.columns]

    def files(self, *, stats: Sequence[str] = ()) -> pl.DataFrame:
        """The files of the newest snapshot, from the Delta log alone.

        Shapes:
            Out: the ``partition_by`` columns as text, ``path`` below the table, ``rows``, ``bytes`` and
            ``written_ms`` (UTC milliseconds since 1970); for each column of ``stats`` also ``min.<column>`` and
            ``max.<column>``, null where a file does not say.
        """
        keys = [pl.col(f"partition.{key}").cast(pl.String).alias(key) for key in self.partition_by]
        facts = [
            pl.col("num_records").cast(pl.Int64).alias("rows"),
            pl.col("size_bytes").alias("bytes"),
            pl.col("modification_time").cast(pl.Int64).alias("written_ms"),
        ]
        stored = self._stored()
        bounds = {f"{side}.{name}": self.schema[name] for name in stats for side in ("min", "max")}
        actions = pl.DataFrame(self.delta().get_add_actions(flatten=True)) if self.exists() else pl.DataFrame()
        if not actions.height:
            numbers = dict.fromkeys(("rows", "bytes", "written_ms"), pl.Int64())
            types = {**dict.fromkeys((*self.partition_by, "path"), pl.String()), **numbers, **bounds}
            return pl.DataFrame(schema=types)
        lies = {f"{side}.{name}": f"{side}.{stored.field(name)}" for name in stats for side in ("min", "max")}
        said = [
            (pl.col(lies[n]).cast(t) if lies[n] in actions.columns else pl.lit(None, t)).alias(n)
            for n, t in bounds.items()
        ]
        return actions.select(*keys, "path", *facts, *said)

    def buckets(self) -> set[tuple[str, ...]]:
        """Partition values, in ``partition_by`` order, that hold at least one file."""
        return set(self.files().select(self.partition_by).iter_rows())

    def notes(self, bucket: Bucket) -> dict[str, str]:
        """The notes of a bucket's files; none for a bucket that is not there. All files of a build carry the same."""
        files = self.files()
        for key, value in self.text(bucket).items():
            files = files.filter(pl.col(key) == value)
        return notes_of(f"{self.uri}/{files['path'][0]}", self.home.storage_options) if files.height else {}

    def replace(
        self,
        bucket: Bucket,
        parts: Iterable[FilePart],
        *,
        before_commit: Callable[[], Mapping[str, object]] = dict,
        notes: Callable[[], Mapping[str, str]] = dict,
        step: Callable[[int], None] = lambda _: None,
    ) -> BucketCommit:
        """Replace every row of one bucket, atomically.

        Shapes:
            Each part holds exactly ``columns``, in any order; no parts or no rows leaves a bucket that is empty but
            present. ``before_commit`` is called once, when all files are written and none is visible; what it
            returns is stored in the Delta commit. What ``notes`` says, once the lease is held, is kept in the footer
            of every file.

        Raises:
            LeaseHeld: another writer is on it. SchemaMismatch: types differ from the declaration or the table.
            Fenced, ConcurrentWrite: somebody else committed the bucket meanwhile; nothing of this call is visible.
        """
        keyed = ((bucket, part) for part in parts)
        (commit,) = self.replace_many([bucket], keyed, before_commit=before_commit, notes=notes, step=step)
        return commit

    def replace_many(
        self,
        buckets: Sequence[Bucket],
        parts: Iterable[tuple[Bucket, FilePart]],
        *,
        before_commit: Callable[[], Mapping[str, object]] = dict,
        notes: Callable[[], Mapping[str, str]] = dict,
        step: Callable[[int], None] = lambda _: None,
    ) -> list[BucketCommit]:
        """Replace several buckets in one commit, so that readers see all of them or none; otherwise as ``replace``.

        ``parts`` come with their bucket, in any order, and are made after the leases of all buckets are held.
        Buckets may differ in one partition column only.
        """
        wanted = {_key(values): values for bucket in buckets if (values := self.text(bucket))}
        with ExitStack() as held:
            tokens = {
                key: held.enter_context(hold(self.home, f"{self.name}/{'/'.join(key)}", clock=self.clock)).token
                for key in wanted
            }
            seen = self._paths(wanted)
            step(1)
            writer = self.writer(notes())
            adds: dict[tuple[str, ...], list[AddAction]] = {key: [] for key in wanted}
            texts = ((self.text(bucket), part) for bucket, part in parts)
            checked = ((values, self.checked(values, part), tokens[_key(values)]) for values, part in texts)
            for of, added in writer.write_all(checked):
                adds[_key(of)].append(added)
            for key, values in wanted.items():
                if not adds[key]:
                    # An empty file marks the bucket as written: "nothing happened that day" is not "not computed".
                    empty = FilePart(pl.DataFrame(schema=self.schema), label="none", copies=True)
                    adds[key].append(writer.write(values, self.checked(values, empty), tokens[key]))
            step(2)
            every = [add for added in adds.values() for add in added]
            written_ms = writer.verify(every)
            metadata = before_commit()
            step(3)
            version = self.commit(
                every,
                check=lambda _: self._check_unchanged(tokens, seen),
                written_ms=written_ms,
                replacing=list(wanted.values()),
                metadata=metadata,
            )
            step(4)
        step(5)
        return [
            BucketCommit(self.name, wanted[k], version, sum(map(rows_in, a)), sum(add.size for add in a), len(a))
            for k, a in adds.items()
        ]

    def text(self, bucket: Bucket) -> dict[str, str]:
        """A bucket's partition values as Delta writes them."""
        return {key: str(bucket[key]) for key in self.partition_by}

    def writer(self, notes: Mapping[str, str] = MappingProxyType({})) -> FileWriter:
        """What writes ``checked`` parts."""
        stored = self._stored()
        return FileWriter(self.home, self.name, tuple(map(stored.field, self.stats)), notes)

    def checked(self, values: Mapping[str, str], part: FilePart) -> FilePart:
        """A part with the fields of the declared columns, in order, if its rows have exactly the declared types.

        Raises:
            SchemaMismatch: they do not.
        """
        schema, present = self.schema, part.rows.schema
        if missing := [name for name in schema if name not in present]:
            raise SchemaMismatch(f"{self.name}: rows lack column(s) {missing}; have {part.rows.columns}")
        if wrong := {n: (str(present[n]), str(t)) for n, t in schema.items() if present[n] != t}:
            listed = ", ".join(f"{name} is {got}, declared {want}" for name, (got, want) in wrong.items())
            raise SchemaMismatch(f"{self.name} {dict(values)}: {listed}; Delta would narrow silently, so it is refused")
        self._written = self._stored()
        return replace(part, rows=self._written.written(part.rows.select(list(schema))))

    def _paths(self, wanted: Iterable[tuple[str, ...]]) -> dict[tuple[str, ...], set[str]]:
        """The files of each bucket now."""
        found: dict[tuple[str, ...], set[str]] = {key: set() for key in wanted}
        for *key, path in self.files().select(*self.partition_by, "path").iter_rows():
            if tuple(key) in found:
                found[tuple(key)].add(path)
        return found

    def commit(
        self,
        actions: Sequence[AddAction | RemoveAction],
        *,
        check: Callable[[DeltaTable], None],
        written_ms: int | None,
        replacing: Sequence[Mapping[str, str]] = (),
        metadata: Mapping[str, object] | None = None,
        transactions: Sequence[Transaction] = (),
    ) -> int:
        """Commit ``actions`` onto the very snapshot that ``check`` let pass; its version.

        ``written_ms`` is when the oldest file that is added was written, by the storage's clock; None without any.
        ``replacing`` buckets lose all other files. Whatever ``check`` raises passes, and nothing is committed.

        Raises:
            ConcurrentWrite: others committed all the time, or vacuum came between writing the files and this.
        """
        said = None if metadata is None else {"seqplat": json.dumps(metadata, sort_keys=True, default=str)}
        for _ in range(COMMIT_ATTEMPTS):
            # NOTE: Delta would retry by itself, onto a snapshot that nobody checked.
            properties = CommitProperties(said, max_commit_retries=0, app_transactions=list(transactions) or None)
            try:
                delta = self.prepared()
                check(delta)
                refuse_vacuumed(self.name, delta, written_ms)
                delta.create_write_transaction(
                    list(actions),
                    "overwrite" if replacing else "append",
                    delta.schema(),
                    list(self.partition_by),
                    _within(replacing) if replacing else None,
                    commit_properties=properties,
                    post_commithook_properties=PostCommitHookProperties(
                        create_checkpoint=True, cleanup_expired_logs=False
                    ),
                )
            except CommitFailedError as error:
                refused = error
                continue
            delta.update_incremental()
            return int(delta.version())
        raise ConcurrentWrite(
            f"{self.name}: {COMMIT_ATTEMPTS} attempts to commit met other commits to the table; run it again "
            f"({refused})"
        )

    def _check_unchanged(self, tokens: Mapping[tuple[str, ...], int], seen: Mapping[tuple[str, ...], set[str]]) -> None:
        """Raises Fenced, ConcurrentWrite: somebody else committed one of the buckets since it was ``seen``."""
        for key, now in self._paths(tokens).items():
            bucket = dict(zip(self.partition_by, key, strict=True))
            newest = max(map(token_of, now), default=0)
            if newest > tokens[key]:
                raise Fenced(
                    f"{self.name} {bucket}: lease {tokens[key]} was overtaken by {newest}; nothing was written, run it "
                    "again"
                )
            if now != seen[key]:
                who = f"a writer whose lease ({newest}) had expired committed it" if newest else "rows were appended"
                raise ConcurrentWrite(f"{self.name} {bucket}: {who} meanwhile; run it again")

    def prepared(self) -> DeltaTable:
        """The table, created or widened to the declared columns.

        Raises:
            ConcurrentWrite: another release has given a column another type since files were written.
        """
        try:
            delta = self.delta()
        except TableNotFoundError:
            self._delta = DeltaTable.create(
                self.uri,
                table_schema(self.columns, self.partition_by),
                mode="ignore",  # somebody may create it at the same moment
                partition_by=list(self.partition_by),
                storage_options=self.home.storage_options or None,
            )
            delta = self.delta()
        if added := missing_fields(self.columns, delta.schema()):
            delta.alter.add_columns(added)  # refused, like any commit, if somebody else changes the schema just now
            delta.update_incremental()
        if self._written is not None and stored_fields(self.columns, delta.schema()).names != self._written.names:
            raise ConcurrentWrite(f"{self.name}: a column got another type by another release meanwhile; run it again")
        return delta


def _key(values: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(values.values())


def _within(buckets: Sequence[Mapping[str, str]]) -> list[tuple[str, str, str | list[str]]]:
    """The partition filter that selects exactly ``buckets``.

    Raises:
        ValueError: they differ in more than one column, so that a filter would select others as well.
    """
    values = {key: sorted({bucket[key] for bucket in buckets}) for key in buckets[0]}
    if sum(len(found) > 1 for found in values.values()) > 1:
        raise ValueError(f"buckets of one commit may differ in one partition column only, these differ in {values}")
    return [(k, "=", found[0]) if len(found) == 1 else (k, "in", found) for k, found in values.items()]
