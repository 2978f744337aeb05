"""What is made of what: the event types, columns, sequences and training sets that a change of something reaches."""

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from functools import cached_property

from sequence_defs.compiler.project import attached, labelled_by, read_for_labels, status_column
from sequence_defs.compiler.release import Release
from sequence_defs.evolution.change import DefinitionChange, Reach
from sequence_defs.evolution.decoding import reads
from sequence_defs.evolution.meaning import DECLARATIVE
from sequence_defs.schema import Derived, EventType, Keyed, Source, Time, TrainingSet


@dataclass(frozen=True)
class Reaching:
    """What is made of the objects of one release."""

    release: Release

    def of_source(self, name: str) -> Reach:
        """Everything that is made of a source."""
        fed = self._keyed_by_source.get(name, [])
        taken = self._whole(self._by_source.get(name, []))
        return _together(taken, *(self.of_enrichment(each) for each in fed))

    def of_source_column(self, name: str, column: str) -> Reach:
        """What reads one column of a source. Where it decides who, when or whether, every sequence."""
        source = self.release.sources[name]
        fed = _fed(source, column)
        found = []
        for each in self._by_source.get(name, []):
            event_type = self.release.event_types[each]
            if fed & {*deciding(source), *reads(event_type.filter, _names(source))}:
                found.append(self._whole([each]))
            found.append(self._columns(each, _reading(event_type, source, fed)))
        for each in self._keyed_by_source.get(name, []):
            keyed = self.release.enrichments[each]
            assert isinstance(keyed, Keyed)
            times = [getattr(keyed, field, None) for field in ("valid_from", "valid_to", "day")]
            decides = {*keyed.key, *reads(keyed.filter, _names(source)), *_read_by(times, source)}
            own = [c.name for c in keyed.columns if fed & {*reads(c.sql, _names(source)), *([] if c.sql else [c.name])}]
            found += [self.of_enrichment(each)] if fed & decides else [self.of_enrichment_column(each, c) for c in own]
        return _together(*found)

    def of_event_type(self, name: str) -> Reach:
        """The event type, and the sequences that take it."""
        return self._whole([name])

    def of_event_columns(self, name: str, columns: Iterable[str]) -> Reach:
        """Columns of an event type, the sequences that show them, and what is attached by them."""
        return self._columns(name, columns)

    def of_enrichment(self, name: str) -> Reach:
        """Every column that an enrichment gives to an event type, its status too."""
        return _together(*(self._attached(each, name, None) for each in self._by_enrichment.get(name, [])))

    def of_enrichment_column(self, name: str, column: str) -> Reach:
        """What one column of an enrichment gives to event types."""
        return _together(*(self._attached(each, name, column) for each in self._by_enrichment.get(name, [])))

    def of_sequence(self, name: str) -> Reach:
        """The sequence alone."""
        return Reach.of(sequences=[name])

    def of_executor(self, name: str) -> Reach:
        """The event types that are made by an executor."""
        return self._whole(n for n, each in self.release.event_types.items() if each.executor == name)

    def of_training(self, change: DefinitionChange) -> Reach:
        """That of a change, with the training sets that are made of what it reaches, be it by their labels."""
        layer, _, name = change.object.partition("/")
        if change.kind == "none":
            return change.reach
        sequences = {*change.reach.sequences, *([name] if layer == "sequences" else [])}
        found = (
            each.name
            for each in self.release.training.values()
            if each.sequence in sequences or any(self._is_labelled(each, *of, change) for of in labelled_by(each))
        )
        return replace(change.reach, training=tuple(sorted(found)))

    def _is_labelled(self, training: TrainingSet, layer: str, name: str, change: DefinitionChange) -> bool:
        """Whether labels are others, as these events or sessions of theirs are reached."""
        reach = change.reach
        if layer == "sessions":
            types = self.release.sessions[name].event_types
            return change.object == f"sessions/{name}" or not set(types).isdisjoint(reach.event_types)
        columns = {each.partition(".")[2] for each in reach.columns if each.startswith(f"{name}.")}
        # A source reaches some of its events by a column, and others as a whole; which, nobody says here.
        is_whole = not columns or change.object.startswith("sources/")
        return name in reach.event_types and (is_whole or not columns.isdisjoint(read_for_labels(training, name)))

    def identity_columns(self, source: str, column: str) -> bool:
        """Whether a column of a source is what identifies the events of some type that is made of it."""
        definition = self.release.sources[source]
        fed = _fed(definition, column)
        return any(
            {*_reading(event_type, definition, fed)} & {*identity(event_type)}
            for event_type in map(self.release.event_types.__getitem__, self._by_source.get(source, []))
        )

    def _attached(self, event_type: str, enrichment: str, column: str | None) -> Reach:
        use = next(u for u in self.release.event_types[event_type].enrichments if u.enrichment == enrichment)
        given = attached(use, self.release.enrichments[enrichment])
        outs = [out for out, taken in given.items() if column is None or taken.name == column]
        return self._columns(event_type, [*outs, *([status_column(enrichment)] if column is None else [])])

    def _columns(self, event_type: str, columns: Iterable[str]) -> Reach:
        columns = {*columns, *self._looked_up_by(event_type, {*columns})}
        if not columns:
            return Reach()
        showing = [s for s in self._sequences_of(event_type) if columns & self._shown(s, event_type)]
        return Reach.of([event_type], [f"{event_type}.{column}" for column in columns], showing)

    def _looked_up_by(self, event_type: str, columns: Set[str]) -> Iterator[str]:
        """What enrichments give that are looked up by, or computed from, some of the columns."""
        known = set(columns)
        for use in self.release.event_types[event_type].enrichments:
            enrichment = self.release.enrichments[use.enrichment]
            if isinstance(enrichment, Derived):
                given = [c.name for c in enrichment.columns if {*reads(c.sql, known)} & known]
                outs = [out for out, taken in attached(use, enrichment).items() if taken.name in given]
            else:
                hit = known & {use.on.get(key, key) for key in enrichment.key}
                outs = [*attached(use, enrichment), status_column(use.enrichment)] if hit else []
            known |= {*outs}
            yield from outs

    def _whole(self, event_types: Iterable[str]) -> Reach:
        names = list(event_types)
        return Reach.of(names, sequences=[s for name in names for s in self._sequences_of(name)])

    def _sequences_of(self, event_type: str) -> list[str]:
        return [name for name, sequence in self.release.sequences.items() if event_type in sequence.event_types]

    def _shown(self, sequence: str, event_type: str) -> set[str]:
        columns = self.release.sequence_columns(sequence)
        return {by_type[event_type].name for by_type in columns.values() if event_type in by_type}

    @cached_property
    def _by_source(self) -> Mapping[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name, event_type in self.release.event_types.items():
            found.setdefault(event_type.source, []).append(name)
        return found

    @cached_property
    def _keyed_by_source(self) -> Mapping[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name, enrichment in self.release.enrichments.items():
            if isinstance(enrichment, Keyed):
                found.setdefault(enrichment.source, []).append(name)
        return found

    @cached_property
    def _by_enrichment(self) -> Mapping[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name, event_type in self.release.event_types.items():
            for use in event_type.enrichments:
                found.setdefault(use.enrichment, []).append(name)
        return found


def deciding(source: Source) -> set[str]:
    """Columns of a source that decide which rows there are, whose, when, and in which order."""
    named = {name for name in (source.user_id, source.rev, source.op, source.order) if name}
    times = (source.event_time, source.ingest_time)
    return named | _read_by(times, source) | {*reads(source.filter, _names(source))}


def when(source: Source) -> set[str]:
    """Columns of a source that its event time is read from."""
    return _read_by([source.event_time], source)


def identity(event_type: EventType) -> tuple[str, ...]:
    """The event columns that identify an event within its user."""
    return (event_type.id_field,) if event_type.id_field else event_type.natural_key


def fed_by(source: Source, column: str) -> set[str]:
    """The column, and those of the source that are computed from it or joined by it."""
    return _fed(source, column)


def _reading(event_type: EventType, source: Source, fed: Set[str]) -> list[str]:
    """The event columns that read some of a source's. What code reads of them nobody knows, so it is all."""
    if event_type.executor != DECLARATIVE:
        return [column.name for column in event_type.columns]
    known = _names(source)
    return [c.name for c in event_type.columns if fed & {*(reads(c.sql, known) if c.sql else [c.name])}]


def _fed(source: Source, column: str) -> set[str]:
    joined = {name for join in source.joins if column in join.keys for name in join.columns}
    fed = {column, *joined}
    return fed | {c.name for c in source.columns if fed & {*reads(c.sql, _names(source))}}


def _read_by(times: Iterable[Time | None], source: Source) -> set[str]:
    said = [time for time in times if time is not None]
    found = {name for time in said for name in reads(time.sql, _names(source))}
    return found | {time.timezone_column for time in said if time.timezone_column}


def _names(source: Source) -> list[str]:
    return [column.name for column in source.columns]


def _together(*reaches: Reach) -> Reach:
    return Reach.of(
        (name for each in reaches for name in each.event_types),
        (name for each in reaches for name in each.columns),
        (name for each in reaches for name in each.sequences),
    )
