"""Event types, and sequences, as people name them."""

import datetime as dt
from dataclasses import dataclass

from seqplat_resources.errors import Final
from seqplat_resources.lake.layout import SHADOW, SHADOW_SEQUENCES
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.days.kept import ComparedDays
from seqplat_resources.shadow.days.rehearsal import rehearse
from seqplat_resources.shadow.days.replay import measure_floor
from seqplat_resources.shadow.days.sides import Sides
from seqplat_resources.shadow.days.window import Judgement, bands_of, judged
from seqplat_resources.shadow.sequences.ours import SequenceSides
from seqplat_resources.shadow.sequences.rehearsal import rehearse_sequence
from seqplat_resources.shadow.sequences.replay import measure_sequence_floor
from seqplat_resources.shadow.sequences.values import value_bands
from seqplat_resources.shadow.sequences.window import judged_sequence
from seqplat_resources.shadow.verdict.accepted import AcceptedDifferences
from seqplat_resources.shadow.verdict.bands import BANDS, Band
from seqplat_resources.shadow.verdict.floors import FloorLog, NoiseFloor
from seqplat_resources.shadow.verdict.record import VerdictLog
from seqplat_resources.shadow.verdict.self_test import SelfTest
from sequence_defs.analysis.wording import instead

_SEQUENCES = "sequences/"


class UnknownEventType(Final):
    """No event type of that name in the release."""


def sides_of(runtime: Runtime, event_type: str) -> Sides:
    """Ours and legacy's of an event type.

    Raises:
        UnknownEventType: the release has none of that name. NotCompared: it says no legacy.
    """
    known = runtime.release.event_types
    if event_type not in known:
        compared = [name for name, each in known.items() if each.legacy]
        fix = instead(event_type, compared or known, "define it and publish it")
        raise UnknownEventType(f"there is no event type {event_type!r}; {fix}")
    return Sides.open(runtime, event_type)


@dataclass(frozen=True)
class LegacySubject:
    """What is compared with legacy: an event type, or a sequence of ``layer`` ``shadow_sequences``."""

    runtime: Runtime
    name: str
    layer: str

    @property
    def is_sequence(self) -> bool:
        return self.layer == SHADOW_SEQUENCES

    @property
    def asset(self) -> str:
        return f"{self.layer}/{self.name}"

    @property
    def log(self) -> VerdictLog:
        return VerdictLog(self.runtime.home, self.name, self.layer)

    @property
    def days(self) -> ComparedDays:
        return ComparedDays.of(self.runtime, self.name, self.layer)

    @property
    def accepted(self) -> AcceptedDifferences:
        return AcceptedDifferences(self.runtime.home, self.name, self.runtime.clock, self.layer)

    @property
    def bands(self) -> dict[str, Band]:
        """By metric, what its verdicts judge by where nothing raises it."""
        if not self.is_sequence:
            return bands_of(Sides.open(self.runtime, self.name).legacy)
        of_users = {name: band for name, band in BANDS.items() if band.level == "sequence"}
        return of_users | value_bands(SequenceSides.open(self.runtime, self.name))

    @property
    def floors(self) -> FloorLog:
        return FloorLog(self.runtime.home, self.name, self.layer)

    @property
    def floor_now(self) -> NoiseFloor | None:
        """The newest noise floor, where it holds."""
        sides = (SequenceSides if self.is_sequence else Sides).open(self.runtime, self.name)
        return sides.floor

    def measured(self, until: dt.date | None, days: int, *, who: str) -> NoiseFloor:
        measure = measure_sequence_floor if self.is_sequence else measure_floor
        return measure(self.runtime, self.name, until=until, days=days, who=who)

    @property
    def tables(self) -> dict[str, int]:
        """The marks of what was read, as they are now."""
        if not self.is_sequence:
            return Sides.open(self.runtime, self.name).tables
        return SequenceSides.open(self.runtime, self.name).tables(self.days.days())

    def judged(self, until: dt.date, days: int, *, who: str, keep: bool) -> Judgement:
        judge = judged_sequence if self.is_sequence else judged
        return judge(self.runtime, self.name, until=until, days=days, who=who, keep=keep)

    def rehearsed(self, day: dt.date, seed: int) -> SelfTest:
        rehearsal = rehearse_sequence if self.is_sequence else rehearse
        return rehearsal(self.runtime, self.name, day, seed=seed)


def subject_of(runtime: Runtime, name: str) -> LegacySubject:
    """The event type of that name, else the sequence; ``sequences/<name>`` is the sequence.

    Raises:
        UnknownEventType: the release has neither. NotCompared, NoLegacySequence: it says no legacy.
    """
    sequence = runtime.release.sequences.get(name.removeprefix(_SEQUENCES))
    event_type = runtime.release.event_types.get(name)
    if sequence is not None and (event_type is None or (event_type.legacy is None and sequence.legacy is not None)):
        SequenceSides.open(runtime, sequence.name)
        return LegacySubject(runtime, sequence.name, SHADOW_SEQUENCES)
    sides_of(runtime, name)
    return LegacySubject(runtime, name, SHADOW)
