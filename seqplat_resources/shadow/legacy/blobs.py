"""Files with a row per user and all events of the user in it, as sequences; some thousand users at a time.

>>> blobs = BlobSequences.open(shop, "basket", days[1])
>>> [chunk.rows.select("user_id", "event_ids").rows() for chunk in blobs.chunks()]
[[('ann', ['3', '1']), ('bob', ['2'])]]
"""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.legacy.contract import LegacyRows, NoLegacyData
from seqplat_resources.shadow.legacy.fitting import PLACE
from seqplat_resources.shadow.legacy.packed import json_objects, packed_objects
from seqplat_resources.shadow.legacy.sequences import LegacySequenceReader, NoLegacySequence, problem_of
from seqplat_resources.sources.chunks import read
from seqplat_resources.sources.files import SourceFile, SourceUnreadable, find
from seqplat_resources.sources.formats.fields import located
from seqplat_resources.values.typing import typed
from sequence_defs.compiler.sql import storage_dtype
from sequence_defs.schema import Blobs, Column, LegacySequence, Source

# Users at a time: with 200 events of twenty fields each some 500 MB.
USERS_AT_ONCE = 5_000
# No field begins so.
_USER, _EVENTS = "@user", "@events"


@dataclass(frozen=True)
class BlobSequences:
    """The sequences that legacy's files have for a day."""

    reader: LegacySequenceReader
    at: Blobs
    files: Sequence[SourceFile]
    _seen: list[pl.Series] = field(default_factory=list)

    @classmethod
    def open(
        cls, runtime: Runtime, sequence: str, day: dt.date, legacy: LegacySequence | None = None
    ) -> "BlobSequences":
        """Look for the files of a day; by ``legacy``, where they are others than the definition's.

        Raises:
            NoLegacySequence: it has no blobs. NoLegacyData: there is no file for the day.
        """
        reader = LegacySequenceReader.of(runtime, sequence)
        reader = reader if legacy is None else replace(reader, legacy=legacy)
        if not isinstance(at := reader.legacy.at, Blobs):
            raise NoLegacySequence(f"legacy of sequence {sequence!r} is asked over HTTP; it has no files")
        what, where = f"sequence {sequence!r}", at.location.replace("{day}", str(day))
        try:
            files = find(at.location, runtime.sources_root, source=sequence, day=day)
        except SourceUnreadable as error:
            raise NoLegacyData(what, day, str(error)) from error
        if not files:
            raise NoLegacyData(what, day, f"no file matches {where!r} below {runtime.sources_root}")
        return cls(reader, at, files)

    def chunks(self, keep: pl.Expr | None = None) -> Iterator[LegacyRows]:
        """All users, or those for whom ``keep``, of the column ``user_id``, is true; as of its reader's ``of_frame``.

        Of a user who stands there more than once the first counts, and the others are problems.

        Raises:
            SourceUnreadable: a file cannot be read, or has not the users or the events.
        """
        self._seen.clear()
        for file in self.files:
            for chunk in read(self._as_source, file, rows_at_once=USERS_AT_ONCE):
                if chunk.rejects.height:
                    place = pl.format("{} row {}", "source_partition", "offset")
                    none = chunk.rejects.with_columns(place.alias(PLACE), user_id=pl.lit(None, pl.String))
                    yield LegacyRows(self._none().rows, none.select(problem_of(pl.col("reason"))))
                for start in range(0, chunk.rows.height, USERS_AT_ONCE):
                    yield self._sequences(file, chunk.rows.slice(start, USERS_AT_ONCE), keep)

    @property
    def _as_source(self) -> Source:
        """The file as one whose rows are users."""
        user = Column(name="user", dtype="string", field=self.at.user_id).model_copy(update={"name": _USER})
        events = [Column(name="events", dtype="string", field=self.at.events)] if self.at.events else []
        columns = (user, *(column.model_copy(update={"name": _EVENTS}) for column in events))
        source = Source(
            name=self.reader.source.name, tenant="legacy", format=self.at.format, csv=self.at.csv, columns=()
        )
        return source.model_copy(update={"columns": columns})

    def _sequences(self, file: SourceFile, rows: pl.DataFrame, keep: pl.Expr | None) -> LegacyRows:
        for name, path in ((_USER, self.at.user_id), (_EVENTS, self.at.events)):
            if path and name not in rows.columns:
                raise SourceUnreadable(
                    f"legacy of sequence {self.reader.source.name!r}: {file.partition} has no field {path!r}"
                )
        rows, unknown = self._with_users(file, rows)
        if keep is not None:
            rows = rows.filter(keep)
        again = ~rows["user_id"].is_first_distinct()
        for seen in self._seen:
            again |= rows["user_id"].is_in(seen.implode())
        twice = rows.filter(again).select(problem_of(pl.lit("the user stands in the files more than once")))
        rows = rows.filter(~again)
        self._seen.append(rows["user_id"])
        found = self._read(rows)
        return replace(found, problems=pl.concat([unknown, twice, found.problems]))

    def _with_users(self, file: SourceFile, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The rows with ``user_id`` and their place; and the problems of those whose user is none."""
        dtype = self.reader.user.dtype
        user = typed(self.reader.user.model_copy(update={"name": _USER}), rows.schema[_USER]).alias("user_id")
        place = pl.format("{} row {}", pl.lit(file.partition), "_offset").alias(PLACE)
        rows = rows.with_columns(user, place)
        bad = rows.filter(pl.col("user_id").is_null()).with_columns(user_id=pl.col(_USER))
        reason = pl.when(pl.col(_USER).is_null()).then(pl.lit("user: null"))
        said = pl.format("user: {} is not {}", pl.col(_USER).cast(pl.String, strict=False), pl.lit(dtype))
        return rows.filter(pl.col("user_id").is_not_null()), bad.select(problem_of(reason.otherwise(said)))

    def _read(self, rows: pl.DataFrame) -> LegacyRows:
        if not self.at.events:
            return self._side_by_side(rows)
        dtype = rows.schema[_EVENTS]
        if isinstance(dtype, pl.Array):
            rows, dtype = rows.with_columns(pl.col(_EVENTS).arr.to_list()), pl.List(dtype.inner)
        absent = rows.filter(pl.col(_EVENTS).is_null()).select(problem_of(pl.lit("events: null")))
        rows = rows.filter(pl.col(_EVENTS).is_not_null())
        if isinstance(dtype, pl.List) and isinstance(dtype.inner, pl.Struct):
            found = self._lists(rows)
        elif isinstance(dtype, pl.String | pl.Binary):
            found = self._texts(rows)
        elif not rows.height:
            found = self._none()
        else:
            raise SourceUnreadable(
                f"legacy of sequence {self.reader.source.name!r}: field {self.at.events!r} is {dtype}, no list of "
                f"events and no {self.at.encoding}"
            )
        return replace(found, problems=pl.concat([absent, found.problems]))

    def _lists(self, rows: pl.DataFrame) -> LegacyRows:
        counts = rows[_EVENTS].list.len().to_list()
        events = rows.select(_EVENTS).filter(pl.col(_EVENTS).list.len() > 0).explode(_EVENTS).unnest(_EVENTS)
        return self.reader.of_frame(rows.select("user_id", PLACE), counts, events)

    def _texts(self, rows: pl.DataFrame) -> LegacyRows:
        unpack: Callable[[bytes], list[bytes]] = packed_objects if self.at.encoding == "msgpack" else json_objects
        records, reasons = list[list[bytes]](), list[str | None]()
        for blob in rows[_EVENTS].cast(pl.Binary):
            try:
                records.append(unpack(blob))
                reasons.append(None)
            except (ValueError, RecursionError) as error:
                reasons.append(f"events: no array of {self.at.encoding}: {error}")
        rows = rows.with_columns(pl.Series("_reason", reasons, dtype=pl.String()))
        good, bad = rows.filter(pl.col("_reason").is_null()), rows.filter(pl.col("_reason").is_not_null())
        found = self.reader.of_records(good.select("user_id", PLACE), records)
        return replace(found, problems=pl.concat([bad.select(problem_of(pl.col("_reason"))), found.problems]))

    def _side_by_side(self, rows: pl.DataFrame) -> LegacyRows:
        """Users whose events are one list per field."""
        fields, _ = located(rows, self.reader.fields)
        names = [column.name for column in self.reader.fields if column.sql is None]
        lists = [name for name in names if name in fields.columns and isinstance(fields.schema[name], pl.List)]
        if missing := sorted(set(names) - set(lists)):
            raise SourceUnreadable(
                f"legacy of sequence {self.reader.source.name!r}: {missing} are no lists of the file"
            )
        rows = rows.with_columns(fields.select(lists).rename(lambda name: f"@{name}"))
        lengths = [pl.col(f"@{name}").list.len() for name in lists]
        uneven = pl.any_horizontal(length.ne_missing(lengths[0]) for length in lengths) | lengths[0].is_null()
        problems = rows.filter(uneven).select(problem_of(pl.lit("events: lists that are null, or not of one length")))
        even = rows.filter(~uneven)
        some = even.filter(lengths[0] > 0).select(pl.col(f"@{name}").alias(name) for name in lists)
        plain = [column.model_copy(update={"field": None}) for column in self.reader.fields]
        reader = replace(
            self.reader,
            source=self.reader.source.model_copy(update={"columns": (*plain, self.reader.source.columns[-1])}),
        )
        found = reader.of_frame(
            even.select("user_id", PLACE), even.select(lengths[0]).to_series().to_list(), some.explode(lists)
        )
        return replace(found, problems=pl.concat([problems, found.problems]))

    def _none(self) -> LegacyRows:
        users = pl.DataFrame(schema={"user_id": storage_dtype(self.reader.user.dtype), PLACE: pl.String()})
        return self.reader.of_records(users, [])
