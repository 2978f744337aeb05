"""What stored rows mean: a digest of all that decides which rows there are, and one of each column's value.

Two releases whose meanings of an event type are equal give the same rows of the same raw input. Text, owners, stages,
retention and who may read have no part in it. That a column may be null now, and might not before, makes nothing that
is stored wrong; the other way round, rows stand there that would be refused.

>>> meaning = Meaning.of(shop.release, "purchase")
>>> sorted(meaning.columns)
['amount', 'number', 'price', 'price__status', 'product']
>>> fresher = shop.release.enrichments["price"].model_copy(update={"max_age_days": 9})
>>> after = shop.release.model_copy(update={"enrichments": {"price": fresher}})
>>> Meaning.of(after, "purchase").differs_from(meaning)
MeaningMoved(rows=False, columns=('price', 'price__status'), missing=())
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, NamedTuple

from sequence_defs.compiler.project import attached, status_column
from sequence_defs.compiler.release import Release, canonical, digest
from sequence_defs.evolution.decoding import TEXT, SourceReading, pruned, reads, shape
from sequence_defs.schema import Column, Derived, Enrich, EventType, Keyed, Service

DECLARATIVE: Final = "declarative"

# How a service is asked, and not what it says.
_STILL_OF_SERVICE: Final = TEXT | {"batch_size", "deadline_ms", "cache_ttl_s", "secret_env", "secret_header"}


class MeaningMoved(NamedTuple):
    """What of one meaning is not as in another; an earlier one's columns that are no more are no difference.

    ``rows``: other rows, or of other users or times, or in another order. ``columns`` have another value or another
    type; ``missing`` are those that the earlier meaning did not have. Both are sorted.
    """

    rows: bool
    columns: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def is_stale(self) -> bool:
        """Whether something stored says what it would not say today. A column that is not there says nothing."""
        return self.rows or bool(self.columns)


@dataclass(frozen=True)
class Meaning:
    """``rows``: digest of what decides which rows there are, whose, when and in which order. ``columns``: by visible
    column, the digest of its type and of everything that its value is made from. ``required``: what a row must have, or
    is refused; columns of the source as ``source.<name>``. ``asked`` is the digest of the meaning that the rows were
    built by, where they came out otherwise; it has no part in what they mean.
    """

    rows: str
    columns: Mapping[str, str] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    asked: str = ""

    @classmethod
    def of(cls, release: Release, event_type: str) -> "Meaning":
        """The meaning of the events of one type.

        Raises:
            KeyError: the release has no such event type, or lacks what it is made from.
        """
        return cls._of(release, event_type, ())

    @classmethod
    def _of(cls, release: Release, event_type: str, otherwise: Collection[str]) -> "Meaning":
        definition = release.event_types[event_type]
        reading = SourceReading(release.sources[definition.source], otherwise)
        code = [definition.executor, release.executors.get(definition.executor, "")]
        own = _own_columns(definition, reading, code)
        # Events from before a column with a default stand, whether or not their rows would be refused today.
        required = frozenset(each.name for each in definition.columns if not each.nullable and each.default is None)
        columns = _with_enrichments(own, definition, release)
        return cls(_rows(definition, reading, code, own), columns, required | reading.required)

    @classmethod
    def of_enrichment(cls, release: Release, name: str) -> "Meaning":
        """The meaning of the table of a keyed enrichment: its rows are versions of keys.

        Raises:
            KeyError: the release has no such enrichment, or lacks its source. TypeError: it has no table.
        """
        enrichment = release.enrichments[name]
        if not isinstance(enrichment, Keyed):
            raise TypeError(f"enrichment {name!r} is {enrichment.kind}: it has no table")
        reading = SourceReading(release.sources[enrichment.source])
        columns = {column.name: _taken(column, reading) for column in enrichment.columns}
        return cls(_versions(enrichment, reading), columns, reading.required)

    @classmethod
    def of_source(cls, release: Release, name: str) -> "Meaning":
        """The meaning of the raw rows of a source, as they are decoded.

        Raises:
            KeyError: the release has no such source.
        """
        source = release.sources[name]
        reading = SourceReading(source)
        columns = {column.name: digest(reading.decoding(column.name)) for column in source.columns}
        return cls(digest(reading.rows), columns, reading.required)

    @classmethod
    def of_messages(cls, release: Release, name: str) -> "Meaning":
        """The meaning of a source's messages as a stream decoded and kept them. Whose they are, which revision and in
        which unit is read of them later, and a number of another width is the same number.

        Raises:
            KeyError: the release has no such source.
        """
        source = release.sources[name]
        reading = SourceReading(source)
        columns = {column.name: digest(reading.kept(column.name)) for column in source.columns}
        return cls(digest(reading.kept_rows), columns, reading.required)

    def made_of(self, release: Release, event_type: str, raw: Collection[MeaningMoved]) -> "Meaning":
        """The meaning of events of this one that were made of raw rows some of which were not as the release has them:
        ``raw`` says in what.

        Raw columns that were not there leave the columns that read them unmade; those that were others make others of
        whatever hangs on them. Of other raw rows nobody tells what came of them, so the events are others, too.
        """
        others = {name for each in raw for name in each.columns}
        missing = {name for each in raw for name in each.missing}
        if not (others or missing or any(each.rows for each in raw)):
            return self
        definition = release.event_types[event_type]
        reading = SourceReading(release.sources[definition.source])
        unmade = {
            column.name
            for column in definition.columns
            if not reading.leaves(_read_by(column, definition, reading)).isdisjoint(missing)
        }
        found = Meaning._of(release, event_type, others)
        columns = {name: made for name, made in found.columns.items() if name not in unmade}
        rows = digest([found.rows, "of others"]) if any(each.rows for each in raw) else found.rows
        return Meaning(rows, columns, self.required, self.digest)

    @cached_property
    def digest(self) -> str:
        """16 hexadecimal digits; equal for equal meanings."""
        return digest(self._said)

    def differs_from(self, earlier: "Meaning") -> MeaningMoved:
        """What of rows that were made by ``earlier`` is not as this meaning would have it."""
        both = self.columns.keys() & earlier.columns.keys()
        moved = sorted(name for name in both if self.columns[name] != earlier.columns[name])
        missing = sorted(self.columns.keys() - earlier.columns.keys())
        others = self.rows != earlier.rows or bool(self.required - earlier.required)
        return MeaningMoved(others, tuple(moved), tuple(missing))

    def to_json(self) -> str:
        """Canonical: equal meanings have equal texts."""
        return canonical({**self._said, **({"asked": self.asked} if self.asked else {})}).decode()

    @property
    def _said(self) -> dict[str, Any]:
        return {"rows": self.rows, "columns": dict(self.columns), "required": sorted(self.required)}

    @classmethod
    def from_json(cls, text: str | bytes) -> "Meaning":
        """
        Raises:
            ValueError: the text is not that of a meaning.
        """
        try:
            found = json.loads(text)
            columns = {str(name): str(made) for name, made in found["columns"].items()}
            required = frozenset(map(str, found.get("required", ())))
            return cls(str(found["rows"]), columns, required, str(found.get("asked", "")))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{text!r} says no meaning of rows") from error


def _own_columns(event_type: EventType, reading: SourceReading, code: list[str]) -> dict[str, str]:
    """Each own column of an event type. Code that is not ours may read whatever there is for any of them."""

    def inputs(column: Column) -> Any:
        params = event_type.params if event_type.executor != DECLARATIVE else {}
        return [params, reading.of_names(_read_by(column, event_type, reading))]

    return {
        column.name: digest({**shape(column), "sql": column.sql or "", "code": code, "reads": inputs(column)})
        for column in event_type.columns
    }


def _read_by(column: Column, event_type: EventType, reading: SourceReading) -> list[str]:
    """The source's columns that one of an event is made from: of code that is not ours, whatever there is."""
    if event_type.executor != DECLARATIVE:
        return sorted(reading.names)
    return reads(column.sql, reading.names) if column.sql else [column.name]


def _rows(event_type: EventType, reading: SourceReading, code: list[str], own: Mapping[str, str]) -> str:
    identity = [event_type.id_field] if event_type.id_field else list(event_type.natural_key)
    return digest(
        {
            "source": reading.rows,
            "code": [*code, event_type.params],
            # Code may drop a row, or make two of it, by whatever it reads.
            "code_reads": reading.everything if event_type.executor != DECLARATIVE else {},
            "filter": [event_type.filter, reading.of_names(reads(event_type.filter, reading.names))],
            "identity": [[name, own.get(name, "")] for name in identity],
            "horizon_h": event_type.identity_horizon_h,
        }
    )


def _with_enrichments(own: Mapping[str, str], event_type: EventType, release: Release) -> dict[str, str]:
    found = dict(own)
    for use in event_type.enrichments:
        enrichment = release.enrichments[use.enrichment]
        if isinstance(enrichment, Derived):
            found |= _derived(use, enrichment, found)
        else:
            found |= _looked_up(use, enrichment, found, release)
    return found


def _derived(use: Enrich, enrichment: Derived, event: Mapping[str, str]) -> dict[str, str]:
    """Each expression sees the event so far, and the columns before it under the names that it gave them."""
    work = dict(event)
    for column in enrichment.columns:
        read = {name: work[name] for name in reads(column.sql or column.name, work)}
        work[column.name] = digest({**shape(column), "sql": column.sql or "", "reads": read})
    found = {out: work[column.name] for out, column in attached(use, enrichment).items()}
    return found | {status_column(enrichment.name): digest([work[column.name] for column in enrichment.columns])}


def _looked_up(use: Enrich, enrichment: Keyed | Service, event: Mapping[str, str], release: Release) -> dict[str, str]:
    keys = {key: use.on.get(key, key) for key in enrichment.key}
    lookup: dict[str, Any] = {"on": [[key, column, event.get(column, "")] for key, column in keys.items()]}
    if isinstance(enrichment, Service):
        lookup["service"] = pruned(enrichment, _STILL_OF_SERVICE)
        values = {column.name: digest(shape(column)) for column in enrichment.columns}
    else:
        reading = SourceReading(release.sources[enrichment.source])
        lookup["table"] = _versions(enrichment, reading)
        values = {
            column.name: digest([_taken(column, reading), enrichment.missing.get(column.name)])
            for column in enrichment.columns
        }
    found = {out: digest([lookup, values[column.name]]) for out, column in attached(use, enrichment).items()}
    return found | {status_column(enrichment.name): digest(lookup)}


def _versions(enrichment: Keyed, reading: SourceReading) -> str:
    """What decides which versions a table has, of which keys, and when each holds."""
    times = [getattr(enrichment, name, None) for name in ("valid_from", "valid_to", "day")]
    read = {name for time in times if time is not None for name in reads(time.sql, reading.names)}
    read |= {time.timezone_column for time in times if time is not None and time.timezone_column}
    read |= {*enrichment.key, *reads(enrichment.filter, reading.names)}
    body = pruned(enrichment, TEXT | {"missing", "source"})  # not what the source is called, but how it is read
    return digest({**body, "kind": enrichment.kind, "source": reading.rows, "reads": reading.of_names(sorted(read))})


def _taken(column: Column, reading: SourceReading) -> str:
    """The value that an enrichment's table takes from its source."""
    read = reads(column.sql, reading.names) if column.sql else [column.name]
    return digest({**shape(column), "sql": column.sql or "", "reads": reading.of_names(read)})
