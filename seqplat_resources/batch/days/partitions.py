"""Which days each object of a release has: pure arithmetic over its starts and ends, for scheduler and command line.

>>> Partitions.of(shop.release).event_types["purchase"]
DayRange(start=datetime.date(2024, 5, 1), end=None, lag=0)
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from seqplat_resources.release.sequence_plan import promised_days
from sequence_defs.compiler.project import labelled_by
from sequence_defs.compiler.release import Release
from sequence_defs.schema import (
    Definition,
    Enrichment,
    EventType,
    ObjectView,
    Sequence,
    SessionView,
    Snapshot,
    TrainingSet,
    Versioned,
)


@dataclass(frozen=True)
class DayRange:
    """UTC days from ``start`` up to and excluding ``end``; open without one. Nothing of a day is there before ``lag``
    days after it are over.
    """

    start: dt.date
    end: dt.date | None = None
    lag: int = 0

    def __contains__(self, day: dt.date) -> bool:
        return day >= self.start and (self.end is None or day < self.end)

    def clipped(self, first: dt.date, last: dt.date, *, today: dt.date | None = None) -> tuple[dt.date, dt.date] | None:
        """First and last day, both included, that this range shares with ``first`` to ``last``; None without any. With
        ``today``, none whose lag is not over by then.
        """
        if self.lag and today is not None:
            last = min(last, today - dt.timedelta(days=self.lag + 1))
        stop = last if self.end is None else min(last, self.end - dt.timedelta(days=1))
        start = max(first, self.start)
        return (start, stop) if start <= stop else None


@dataclass(frozen=True)
class Partitions:
    """The day ranges of a release by name. An object without a range has no buckets and nothing to build.

    Retired definitions, enrichments computed with the event and sources that are a log and no files have none. Any
    other enrichment has the days of the event types that attach it, a sequence those of the event types it is made of.
    ``sessions`` and ``objects`` are views, and have the days of their event types as well.
    ``shadow`` are by event type the days that legacy has as well, ``shadow_sequences`` those of sequences with legacy;
    ``readout`` those that an event type with an experiment shares with all that are counted. ``training`` are days of
    labels: as long after them as outcomes take, there have to be days of all that labels are made of.
    """

    raw: dict[str, DayRange]
    enrichments: dict[str, DayRange]
    event_types: dict[str, DayRange]
    sequences: dict[str, DayRange]
    sessions: dict[str, DayRange] = field(default_factory=dict)
    objects: dict[str, DayRange] = field(default_factory=dict)
    shadow: dict[str, DayRange] = field(default_factory=dict)
    shadow_sequences: dict[str, DayRange] = field(default_factory=dict)
    readout: dict[str, DayRange] = field(default_factory=dict)
    training: dict[str, DayRange] = field(default_factory=dict)

    @classmethod
    def of(cls, release: Release) -> "Partitions":
        """Derive all ranges; event types without any start are left out (rule SP251 refuses them)."""
        live = {name: e for name, e in release.event_types.items() if is_built(e)}
        events = {name: found for name, e in live.items() if (found := _of_event_type(release, e))}
        used: dict[str, list[DayRange]] = {}
        for name, days in events.items():
            for use in live[name].enrichments:
                used.setdefault(use.enrichment, []).append(days)
        sequences = _of_takers(release.sequences, events)
        sessions = _of_takers(release.sessions, events)
        return cls(
            raw=_of_sources(release, events),
            enrichments={n: _span(r) for n, r in used.items() if _has_table(release.enrichments[n])},
            event_types=events,
            sequences=sequences,
            sessions=sessions,
            objects=_of_takers(release.objects, events),
            shadow={n: found for n, days in events.items() if (found := _compared(release, live[n], days))},
            shadow_sequences={n: days for n, days in sequences.items() if release.sequences[n].legacy is not None},
            readout={n: found for n, days in events.items() if (found := _read_out(live[n], days, events))},
            training={
                n: found
                for n, each in release.training.items()
                if each.sequence in sequences and (found := days_of_labels(each, events, sessions))
            },
        )


def is_built(definition: Definition) -> bool:
    """Whether batch still builds it: everything but what is retired."""
    return definition.lifecycle != "retired"


def _of_takers(
    takers: Mapping[str, Sequence] | Mapping[str, SessionView] | Mapping[str, ObjectView], events: dict[str, DayRange]
) -> dict[str, DayRange]:
    """The days of what is made of several event types; what has none of them is not there."""
    made_of = {n: [events[t] for t in each.event_types if t in events] for n, each in takers.items() if is_built(each)}
    return {name: _span(ranges) for name, ranges in made_of.items() if ranges}


def _has_table(enrichment: Enrichment) -> bool:
    return isinstance(enrichment, Versioned | Snapshot) and is_built(enrichment)


def _of_event_type(release: Release, event_type: EventType) -> DayRange | None:
    start, end = promised_days(release, event_type.name)
    return DayRange(start, end) if start else None


def _of_sources(release: Release, events: dict[str, DayRange]) -> dict[str, DayRange]:
    """A source's own range; one that leaves its start to the event types made from it, or compared with it, covers all
    of theirs."""
    found = {}
    for name, source in release.sources.items():
        fed = [days for t, days in events.items() if name in _sources_of(release.event_types[t])]
        if source.event_time is None or not source.location or not is_built(source) or not (source.start or fed):
            continue
        found[name] = DayRange(source.start, source.end) if source.start else _span(fed)
    return found


def _sources_of(event_type: EventType) -> tuple[str, ...]:
    legacy = event_type.legacy
    compared = (legacy.source, legacy.replay) if legacy else ()
    return (event_type.source, *(name for name in compared if name))


def _compared(release: Release, event_type: EventType, days: DayRange) -> DayRange | None:
    """The days that both sides have."""
    if event_type.legacy is None:
        return None
    source = release.sources[event_type.legacy.source]
    start = max(days.start, source.start or days.start)
    end = min((end for end in (days.end, source.end) if end is not None), default=None)
    return DayRange(start, end) if end is None or start < end else None


def _read_out(event_type: EventType, days: DayRange, events: dict[str, DayRange]) -> DayRange | None:
    """The days of an event type with an experiment on which there is all that its metrics count."""
    if event_type.experiment is None:
        return None
    every = [days, *(events[m.event_type] for m in event_type.experiment.metrics if m.event_type in events)]
    start, end = max(each.start for each in every), min((each.end for each in every if each.end), default=None)
    return DayRange(start, end) if end is None or start < end else None


def days_of_labels(
    definition: TrainingSet, events: dict[str, DayRange], sessions: dict[str, DayRange]
) -> DayRange | None:
    """The days of labels whose outcomes are known one day, of those that are wanted."""
    if not is_built(definition):
        return None
    known = {"event_types": events, "sessions": sessions}
    ends = [known[layer][name].end for layer, name in labelled_by(definition) if name in known[layer]]
    lag = outcome_days(definition)
    over = [end - dt.timedelta(days=lag) for end in ends if end is not None]
    end = min([*over, *([definition.end] if definition.end else [])], default=None)
    return DayRange(definition.start, end, lag) if end is None or definition.start < end else None


def labelled_assets(definition: TrainingSet) -> list[str]:
    """What labels are made of, as an asset each: ``events/order``, ``sessions/visit``."""
    return [asset_of(*each) for each in labelled_by(definition)]


def asset_of(layer: str, name: str) -> str:
    """The asset of what a release has in ``event_types`` or ``sessions``."""
    return f"{'events' if layer == 'event_types' else layer}/{name}"


def outcome_days(definition: TrainingSet) -> int:
    """How many days after that of a label have a say in its outcomes."""
    return -(-max((each.within_h for each in definition.outcomes), default=0) // 24)


def _span(ranges: Iterable[DayRange]) -> DayRange:
    ranges = list(ranges)
    ends = [days.end for days in ranges if days.end is not None]
    return DayRange(min(days.start for days in ranges), max(ends) if len(ends) == len(ranges) else None)
