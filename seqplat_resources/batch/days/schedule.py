"""When a day that is over is built by itself, when it is late, and whether anything is built by itself at all."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from seqplat_resources.batch.days.partitions import Partitions, outcome_days
from seqplat_resources.errors import Final
from seqplat_resources.lake.layout import OBJECTS, SESSIONS, TRAINING
from sequence_defs.compiler.project import labelled_by
from sequence_defs.compiler.release import Release
from sequence_defs.schema import EventType, Keyed, TrainingSet

SWITCH = "SEQPLAT_AUTOMATION"
# What a build may take once the rows are there, where a definition says nothing: a day of most is built in minutes.
BUILT_WITHIN = dt.timedelta(hours=2, minutes=30)


class AutomationInvalid(Final):
    """The switch says something else than on or off."""


def is_on(environment: Mapping[str, str]) -> bool:
    """Whether sensors that build days are on from the start.

    Raises:
        AutomationInvalid
    """
    said = (environment.get(SWITCH) or "on").lower()
    if said not in ("on", "off"):
        raise AutomationInvalid(f"{SWITCH} is {said!r}, in the environment; use on or off")
    return said == "on"


def ready_after(release: Release, asset: str) -> dt.timedelta:
    """How long after a day its rows are there: those of the last of the sources that an asset is made of."""
    said = [release.sources[name].ready_at for name in _sources(release, asset)]
    hours, minutes = max(said, default="00:30").split(":")
    return dt.timedelta(hours=int(hours), minutes=int(minutes))


def late_after(release: Release, asset: str) -> dt.timedelta:
    """How long after a day it is missed where it is not built: what the event types say that are made of it, or are
    in it, and never before its rows are there; of labels, as long after that as their outcomes take.
    """
    said = [e.fresh_within_h for e in _event_types(release, asset) if e.fresh_within_h is not None]
    ready = ready_after(release, asset)
    late = max(ready, dt.timedelta(hours=max(said))) if said else ready + BUILT_WITHIN
    layer, _, name = asset.partition("/")
    return late + dt.timedelta(days=outcome_days(release.training[name])) if layer == TRAINING else late


@dataclass(frozen=True)
class Automation:
    """What is built by itself. ``growing`` are the event types with days to come, by when they are built (UTC)."""

    is_on: bool
    growing: Mapping[str, str]

    @classmethod
    def of(cls, release: Release, environment: Mapping[str, str]) -> "Automation":
        """
        Raises:
            AutomationInvalid
        """
        days = Partitions.of(release).event_types
        at = {name: _clock(ready_after(release, f"events/{name}")) for name in days if days[name].end is None}
        return cls(is_on(environment), at)

    def __str__(self) -> str:
        if not self.is_on:
            return f"off, by {SWITCH}: days are built by hand, with `seqplat materialize` and `seqplat reseal`"
        mended = "late messages, changed files and failed days are built again"
        if not self.growing:
            return f"on: {mended}; there are no new days, as those of all event types have ended (`end` of definitions)"
        times = sorted({*self.growing.values()})
        at = " and ".join(f"{', '.join(n for n, a in self.growing.items() if a == time)} at {time}" for time in times)
        return f"on: each day that is over is built, checked and published, {at} UTC; {mended}; {SWITCH}=off ends it"


def _clock(after: dt.timedelta) -> str:
    minutes = int(after.total_seconds()) // 60
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _event_types(release: Release, asset: str) -> list[EventType]:
    layer, _, name = asset.partition("/")
    if layer == TRAINING:
        return [release.event_types[each] for each in _of_labels(release, release.training[name])]
    if layer in (SESSIONS, OBJECTS):
        view = release.sessions[name] if layer == SESSIONS else release.objects[name]
        return [release.event_types[each] for each in view.event_types]
    if name in release.event_types and layer not in ("raw", "enrichments", "sequences"):
        return [release.event_types[name]]
    if name in release.sequences and layer not in ("raw", "enrichments"):
        return [release.event_types[each] for each in release.sequences[name].event_types]
    if layer == "raw":
        return [e for e in release.event_types.values() if e.source == name]
    return [e for e in release.event_types.values() if name in (use.enrichment for use in e.enrichments)]


def _of_labels(release: Release, definition: TrainingSet) -> list[str]:
    """Those of its sequence, and those that its labels are made of."""
    made_of = labelled_by(definition)
    views = [release.sessions[name].event_types for layer, name in made_of if layer == SESSIONS]
    types = [name for layer, name in made_of if layer != SESSIONS]
    named = [*release.sequences[definition.sequence].event_types, *types, *(name for of in views for name in of)]
    return list(dict.fromkeys(named))


def _sources(release: Release, asset: str) -> list[str]:
    layer, _, name = asset.partition("/")
    if layer == "raw":
        return [name]
    if layer == "enrichments":
        return _keyed(release, [name])
    found = list[str]()
    for event_type in _event_types(release, asset):
        legacy = [event_type.legacy.source] if event_type.legacy and layer == "shadow" else []
        found += [event_type.source, *legacy, *_keyed(release, [use.enrichment for use in event_type.enrichments])]
    return found


def _keyed(release: Release, names: list[str]) -> list[str]:
    found = [release.enrichments[name] for name in names]
    return [each.source for each in found if isinstance(each, Keyed)]
