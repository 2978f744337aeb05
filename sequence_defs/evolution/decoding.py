"""What a source's definition makes of its bytes: of each column, and of which rows there are."""

from collections.abc import Collection, Iterable, Mapping, Set
from functools import cached_property
from typing import Any, Final

from sequence_defs.compiler.sql import SqlError, names
from sequence_defs.schema import Column, Source
from sequence_defs.schema.base import Part

# What a definition says of itself, and not of a value.
TEXT: Final = frozenset(
    ["name", "tenant", "owner", "description", "lifecycle", "tags", "shared_with", "retention_days", "columns"]
)
# When files are due, how days are split, and how many refused rows are too many.
_STILL: Final = TEXT | {"no_file_on", "start", "end", "shards", "max_rejected_share", "ready_at"}
# What of a column its value does not hang on.
_TEXT_OF_COLUMN: Final = frozenset(["description", "nullable", "pii", "shared_with", "name", "sql", "field", "default"])


def pruned(part: Part, still: Set[str]) -> dict[str, Any]:
    """The fields of a part that are said and are not ``still``. A field that a model gets one day counts until it is
    named, and one that is left at its default does not, so that it moves nothing by being there.
    """
    return part.model_dump(mode="json", exclude_defaults=True, exclude=set(still))


def shape(column: Column) -> dict[str, Any]:
    """What a column's value is: its type, its unit, the space of its vectors."""
    return pruned(column, _TEXT_OF_COLUMN)


def reads(sql: str | None, known: Iterable[str]) -> list[str]:
    """Those of the ``known`` columns that an expression reads, sorted; all of them where it cannot be read."""
    if sql is None:
        return []
    try:
        return sorted(set(names(sql)) & set(known))
    except SqlError:  # a release of earlier days may hold what the language has no more
        return sorted(known)


class SourceReading:
    """How one source is read."""

    def __init__(self, source: Source, otherwise: Collection[str] = ()) -> None:
        """``otherwise`` are columns of which some rows were read by another definition."""
        self._source, self._otherwise = source, frozenset(otherwise)
        self._columns = {column.name: column for column in source.columns}
        self._brought = {name: join for join in source.joins for name in join.columns}

    @property
    def names(self) -> Set[str]:
        """The columns of the source."""
        return self._columns.keys()

    @property
    def required(self) -> frozenset[str]:
        """The columns that a row must have, as ``source.<name>``."""
        return frozenset(f"source.{name}" for name, column in self._columns.items() if not column.nullable)

    def decoding(self, name: str) -> Any:
        """Everything that one column's value is made from; its name alone where there is no such column."""
        column = self._columns.get(name)
        if name in self._otherwise:
            return [name, "read otherwise"]
        if column is None:
            return name
        if column.sql is not None:
            plain = [n for n, c in self._columns.items() if c.sql is None and n != name]
            return {**shape(column), "sql": column.sql, "reads": self.of_names(reads(column.sql, plain))}
        found = {**shape(column), "field": column.field or name}
        if (join := self._brought.get(name)) is not None:
            keys = [key for key in join.keys if key not in self._brought]
            found["join"] = [join.location, join.keys, self.of_names(keys)]
        return found

    def of_names(self, wanted: Iterable[str]) -> dict[str, Any]:
        """``decoding`` by name."""
        return {name: self.decoding(name) for name in wanted}

    def leaves(self, wanted: Iterable[str]) -> set[str]:
        """These columns, and those that they are computed from."""
        found = set(wanted)
        for name in list(found):
            column = self._columns.get(name)
            found |= set(reads(column.sql, self._columns)) if column is not None else set()
        return found

    @cached_property
    def everything(self) -> Mapping[str, Any]:
        """``decoding`` of all columns."""
        return self.of_names(self._columns)

    def kept(self, name: str) -> Any:
        """Of ``decoding`` what can be seen in a value that is kept as it was decoded."""
        found = dict(self.decoding(name))
        return {**found, "dtype": found["dtype"].rstrip("0123456789"), "unit": "", "model": ""}

    @cached_property
    def kept_rows(self) -> dict[str, Any]:
        """Of ``rows`` what decides which of them there are, and when."""
        source = self._source
        times = {"event_time": source.event_time, "ingest_time": source.ingest_time}
        said = {name: pruned(time, frozenset()) if time else None for name, time in times.items()}
        read = {name for time in times.values() if time for name in reads(time.sql, self._columns)}
        read |= {time.timezone_column for time in times.values() if time and time.timezone_column}
        read |= set(reads(source.filter, self._columns))
        kept = {name: self.kept(name) for name in sorted(read)}
        return {**said, "filter": source.filter, "max_lead_s": source.max_lead_s, "topic": source.topic, "reads": kept}

    @cached_property
    def rows(self) -> dict[str, Any]:
        """What decides which raw rows there are, whose they are, when, and in which order."""
        source = self._source
        times = [time for time in (source.event_time, source.ingest_time) if time is not None]
        read = {name for time in times for name in reads(time.sql, self._columns)}
        read |= {time.timezone_column for time in times if time.timezone_column}
        read |= {name for name in (source.user_id, source.rev, source.op, source.order) if name}
        read |= set(reads(source.filter, self._columns))
        body = pruned(source, _STILL | {"joins"})
        return {**body, "reads": self.of_names(sorted(read))}
