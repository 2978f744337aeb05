"""What reading one sequence needs to know, resolved once from a release. Reads nothing itself.

>>> plan = SequencePlan.of(shop.loaded, "basket")
>>> list(plan.columns)
['event_time', 'event_type', 'event_id', 'product', 'amount']
>>> plan.asked(["amount"]), plan.definition.length
(['amount'], 10)
"""

import datetime as dt
import hashlib
from collections.abc import Collection, Mapping
from collections.abc import Sequence as Ordered
from dataclasses import dataclass, field, replace
from functools import cached_property

import polars as pl

from seqplat_resources.errors import Final
from seqplat_resources.release.collapse_plan import CollapsePlan
from seqplat_resources.release.store import LoadedRelease
from sequence_defs.compiler.arms import arm_name
from sequence_defs.compiler.project import not_given
from sequence_defs.compiler.release import Release
from sequence_defs.compiler.sql import storage_dtype
from sequence_defs.compiler.views import COLLAPSED
from sequence_defs.schema import Column, EventType, Sequence, Source, parse_dtype

# In every sequence, before its declared columns.
ALWAYS = {
    column.name: column
    for column in (
        Column(name="event_time", dtype="timestamp", nullable=False, description="when it happened"),
        Column(name="event_type", dtype="string", nullable=False, description="what happened"),
        Column(name="event_id", dtype="string", nullable=False, description="identity within the user and event type"),
    )
}

_STORED = {out: ALWAYS[out] for out in ("event_time", "event_id")}


class UnknownSequence(Final):
    """No sequence of that name in the release; ``known`` are those there are."""

    def __init__(self, sequence: str, known: Ordered[str]) -> None:
        self.sequence, self.known = sequence, tuple(known)
        super().__init__(f"there is no sequence {sequence!r}; there are {', '.join(known) or 'none'}")


class UnknownSequenceColumn(Final):
    """A column the sequence does not have; ``column`` and ``known`` are kept for the caller's answer."""

    def __init__(self, sequence: str, column: str, known: Ordered[str]) -> None:
        self.sequence, self.column, self.known = sequence, column, tuple(known)
        super().__init__(f"sequence {sequence!r} has no column {column!r}; it has {', '.join(known)}")


class NotShared(Final):
    """A sequence takes events that their owner does not share with the sequence's tenant, or with who reads it."""

    def __init__(self, sequence: str, event_type: EventType, tenant: str) -> None:
        self.sequence = sequence
        super().__init__(
            f"sequence {sequence!r} takes events of type {event_type.name!r}, which tenant {event_type.tenant!r} does "
            f"not share with {tenant!r}; its owner writes shared_with=({tenant!r},) in the event type and publishes it"
        )


@dataclass(frozen=True)
class SequencePlan:
    """One sequence of one release.

    ``columns`` are those of an answer, in order. ``sources`` says by event type which of the event's columns each is
    taken from. Event types are ``decodable_together`` where a stored name means one type in all of them. ``promised``
    are the first and one past the last day an event type should have, None where open; retired ones should have none.
    ``topics`` are those of the event types that are streamed. ``horizons`` say how far apart the times of copies of one
    event may be. A plan ``is_ordered`` where a source declares the order of events of one time.
    ``arms`` are by event type what differs where a user's events of it are legacy's (``in_arms``); ``stored_as`` says
    under which name the store has such an event type. ``meanings`` are what its events mean, as text, by event type.
    With ``collapse``, events of one item are one row; ``sources`` has the columns that it reads as well.
    """

    release: str
    definition: Sequence
    columns: Mapping[str, Column]
    sources: Mapping[str, Mapping[str, Column]]
    decodable_together: Ordered[Ordered[str]]
    promised: Mapping[str, tuple[dt.date | None, dt.date | None]]
    topics: Mapping[str, str]
    horizons: Mapping[str, dt.timedelta]
    is_ordered: bool
    arms: Mapping[str, "_Arm"] = field(default_factory=dict)
    stored_as: Mapping[str, str] = field(default_factory=dict)
    meanings: Mapping[str, str] = field(default_factory=dict)
    collapse: CollapsePlan | None = None

    @classmethod
    def of(
        cls, loaded: LoadedRelease, name: str, *, pii: Collection[str] = (), reader: str | None = None
    ) -> "SequencePlan":
        """Resolve a sequence.

        ``pii`` are the PII columns granted to whoever asks, ``*`` grants all; others are left out as if they were not
        there. A sequence that drops its PII gives it to nobody. What belongs to other tenants is there as far as they
        share it with the sequence's tenant, and with that of the ``reader``, if it is another.

        Raises:
            UnknownSequence: the release has none of that name.
            NotShared: an event type of it is not shared.
        """
        release = loaded.release
        if name not in release.sequences:
            raise UnknownSequence(name, list(release.sequences))
        definition = release.sequences[name]
        kept_back, declared = _withheld_columns(release, definition, reader), release.sequence_columns(name)
        collapse = CollapsePlan.of(definition.collapse, declared) if definition.collapse else None
        served = {
            out: by_type
            for out, by_type in declared.items()
            if out not in ALWAYS
            and out not in kept_back
            and (not _is_pii(by_type) or _is_granted(out, definition, pii))
        }
        read = {**served, **(collapse.columns if collapse else {})}
        outputs = {out: _output(out, by_type, definition) for out, by_type in served.items()}
        return cls(
            loaded.id,
            definition,
            {**ALWAYS, **outputs, **(COLLAPSED if collapse else {})},
            {
                event_type: {**_STORED, **{out: by[event_type] for out, by in read.items() if event_type in by}}
                for event_type in definition.event_types
            },
            _decodable_together({name: release.event_columns(name) for name in definition.event_types}),
            {
                event_type: promised_days(release, event_type)
                for event_type in definition.event_types
                if release.event_types[event_type].lifecycle != "retired"  # nothing more is built of it
            },
            {name: topic for name in definition.event_types if (topic := _source(release, name).topic)},
            {name: dt.timedelta(hours=release.event_types[name].identity_horizon_h) for name in definition.event_types},
            any(_source(release, name).order for name in definition.event_types),
            {name: arm for name in definition.event_types if (arm := _Arm.of(loaded, name, read))},
            meanings={name: loaded.meaning(name) for name in definition.event_types},
            collapse=collapse,
        )

    def in_arms(self, legacy: frozenset[str]) -> "SequencePlan":
        """The plan for users whose events of the types ``legacy``, all of which have ``arms``, are legacy's."""
        if not legacy:
            return self
        found = self._in_arms.get(legacy)
        if found is None:
            found = self._in_arms[legacy] = self._made_in_arms(legacy)
        return found

    @cached_property
    def _in_arms(self) -> dict[frozenset[str], "SequencePlan"]:
        return {}

    def _made_in_arms(self, legacy: frozenset[str]) -> "SequencePlan":
        arms = {name: self.arms[name] for name in sorted(legacy)}
        topics = {name: topic for name, topic in self.topics.items() if name not in arms}
        return replace(
            self,
            sources={**self.sources, **{name: self._seen(name, arm) for name, arm in arms.items()}},
            promised={**self.promised, **{name: arm.promised for name, arm in arms.items() if name in self.promised}},
            topics={**topics, **{name: arm.topic for name, arm in arms.items() if arm.topic}},
            is_ordered=self.is_ordered or any(arm.is_ordered for arm in arms.values()),
            stored_as={name: arm.stored_as for name, arm in arms.items()},
            meanings={**self.meanings, **{name: arm.meaning for name, arm in arms.items()}},
        )

    @cached_property
    def arm_of_each(self) -> Mapping[str, str]:
        """``legacy`` or ``ours``, of the event types that have arms."""
        return {name: "legacy" if name in self.stored_as else "ours" for name in self.arms}

    def _seen(self, event_type: str, arm: "_Arm") -> dict[str, Column]:
        """Of an arm those columns that this plan shows."""
        return {out: column for out, column in arm.sources.items() if out in self.sources[event_type]}

    def restricted(self, columns: Collection[str] | None) -> "SequencePlan":
        """The plan as if it had only these ``columns``, and those every sequence has; None restricts nothing.

        Names it does not have are passed over: what a caller may see outlives the columns of a release.
        """
        if columns is None:
            return self
        seen = {*ALWAYS, *columns}
        read = {*seen, *(self.collapse.columns if self.collapse else ())}
        sources = {name: {out: c for out, c in by.items() if out in read} for name, by in self.sources.items()}
        return replace(self, columns={out: c for out, c in self.columns.items() if out in seen}, sources=sources)

    @cached_property
    def empty(self) -> pl.DataFrame:
        """An answer without events. Vectors are fixed-size arrays; float16 widens, as few clients can read it."""
        return pl.DataFrame(schema={name: _answer_dtype(column.dtype) for name, column in self.columns.items()})

    @cached_property
    def answer_types(self) -> Mapping[str, pl.DataType]:
        """The columns of an answer and their types."""
        return dict(self.empty.schema)

    @cached_property
    def read_columns(self) -> Mapping[str, Column]:
        """The columns that are read of events, whether they are answered or not."""
        inside = self.collapse.columns if self.collapse else {}
        of_events = {name: column for name, column in self.columns.items() if not self.is_made(name)}
        return {**of_events, **{name: next(iter(by_type.values())) for name, by_type in inside.items()}}

    @cached_property
    def read_types(self) -> Mapping[str, pl.DataType]:
        """Those of ``read_columns`` as an answer has them."""
        return {name: _answer_dtype(column.dtype) for name, column in self.read_columns.items()}

    def is_made(self, column: str) -> bool:
        """Whether a column of an answer is none of events, but says what rows stand for."""
        return self.collapse is not None and column in COLLAPSED

    @cached_property
    def latest(self) -> dict[str, object]:
        """Where readers keep what follows from this plan and the latest epochs, by a name of their own."""
        return {}

    @cached_property
    def fingerprint(self) -> str:
        """Of the release and of what may be seen of it: plans that answer differently differ in it."""
        text = "\n".join([self.release, self.definition.name, *self.columns, *self.stored_as.values()])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def asked(self, columns: Ordered[str] | None) -> list[str]:
        """The columns of an answer to a request, each once; all of them for None.

        Raises:
            UnknownSequenceColumn: the sequence has none of that name.
        """
        asked = list(dict.fromkeys(self.columns if columns is None else columns))
        if unknown := [column for column in asked if column not in self.columns]:
            raise UnknownSequenceColumn(self.definition.name, unknown[0], list(self.columns))
        return asked

    def picked(self, event_type: str, asked: Collection[str]) -> dict[str, Column]:
        """Of the ``asked`` columns those that the event type has: name in the answer -> the event's column."""
        sources = self.sources[event_type]
        return {out: sources[out] for out in asked if out in sources}


@dataclass(frozen=True)
class _Arm:
    """What a plan knows of an event type whose events are legacy's."""

    stored_as: str
    sources: Mapping[str, Column]
    promised: tuple[dt.date | None, dt.date | None]
    topic: str
    is_ordered: bool
    meaning: str

    @classmethod
    def of(cls, loaded: LoadedRelease, event_type: str, served: Mapping[str, Mapping[str, Column]]) -> "_Arm | None":
        release, name = loaded.release, arm_name(event_type)
        if name not in release.event_types:
            return None
        theirs, source = release.event_columns(name), _source(release, name)
        ours = {out: by_type[event_type].name for out, by_type in served.items() if event_type in by_type}
        return cls(
            name,
            {**_STORED, **{out: theirs[column] for out, column in ours.items() if column in theirs}},
            promised_days(release, name),
            source.topic,
            bool(source.order),
            loaded.meaning(name),
        )


def _withheld_columns(release: Release, definition: Sequence, reader: str | None) -> set[str]:
    """Columns that are not shared."""
    found: set[str] = set()
    for tenant in dict.fromkeys([definition.tenant, reader or definition.tenant]):
        for each in not_given(definition, tenant, release.event_types, release.enrichments):
            if each.event_type.tenant == definition.tenant:
                continue  # its owner's own to grant
            if not each.out:
                raise NotShared(definition.name, each.event_type, tenant)
            found.add(each.out)
    return found


def _is_pii(by_type: Mapping[str, Column]) -> bool:
    return any(column.pii for column in by_type.values())


def _is_granted(out: str, definition: Sequence, pii: Collection[str]) -> bool:
    return definition.pii == "granted" and (out in pii or "*" in pii)


def _output(out: str, by_type: Mapping[str, Column], definition: Sequence) -> Column:
    """The column of an answer: null where an event type has no such column, whatever the others promise."""
    everywhere = by_type.keys() == set(definition.event_types)
    nullable = not everywhere or any(column.nullable for column in by_type.values())
    return next(iter(by_type.values())).model_copy(update={"name": out, "nullable": nullable})


def _decodable_together(columns: Mapping[str, Mapping[str, Column]]) -> list[list[str]]:
    """Event types in as few groups as go without one column name having two types in a group."""
    groups: list[tuple[list[str], dict[str, str]]] = []
    for event_type, found in columns.items():
        dtypes = {name: column.dtype for name, column in found.items()}
        for members, known in groups:
            if all(known.get(name, dtype) == dtype for name, dtype in dtypes.items()):
                members.append(event_type)
                known.update(dtypes)
                break
        else:
            groups.append(([event_type], dtypes))
    return [members for members, _ in groups]


def promised_days(release: Release, event_type: str) -> tuple[dt.date | None, dt.date | None]:
    """The first day of an event type, and the day after its last; None where there is none."""
    definition, source = release.event_types[event_type], _source(release, event_type)
    return definition.start or source.start, definition.end or source.end


def _source(release: Release, event_type: str) -> Source:
    return release.sources[release.event_types[event_type].source]


def _answer_dtype(dtype: str) -> pl.DataType:
    parsed = parse_dtype(dtype)
    if parsed.kind != "vector":
        return storage_dtype(dtype)
    return pl.Array(pl.Int8() if parsed.item == "int8" else pl.Float32(), parsed.dim)
