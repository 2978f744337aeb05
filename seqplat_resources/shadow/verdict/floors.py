"""How far legacy is from its own replay, measured and kept: what no band can be narrower than.

A floor may not be a way to pass. It is measured over days enough, holds for a month, for one definition and one replay,
and raises a band only up to the cap of ``bands``: what is wider than that is no noise. Each measurement is a numbered
record (``shadow/<event type>/floors``), and the newest is what counts.

>>> Apart(differing=3, compared=1000).share
0.003
>>> FloorLog(home, "purchase").latest() is None
True
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from seqplat_resources.errors import Final
from seqplat_resources.home import Home
from seqplat_resources.lake.layout import SHADOW
from seqplat_resources.records.log import RecordLog
from sequence_defs.compiler.release import canonical

# Pipelines change, and their noise with them.
HOLDS_FOR = dt.timedelta(days=30)


class CannotMeasure(Final):
    """A replay that says nothing of legacy's noise."""


class FloorDamaged(Final):
    """A record of a noise floor that is not what was written."""


@dataclass(frozen=True)
class Apart:
    """Of one metric, how many of ``compared`` differ between legacy and its replay."""

    differing: float
    compared: float

    @property
    def share(self) -> float:
        return min(1.0, self.differing / self.compared) if self.compared else 0.0


@dataclass(frozen=True)
class NoiseFloor:
    """What was measured over ``days`` days from ``first`` to ``last``, by metric; it holds up to and including the day
    ``until``, for what is compared by ``definition``.
    """

    number: int
    replay: str
    definition: str
    first: dt.date
    last: dt.date
    days: int
    until: dt.date
    metrics: Mapping[str, Apart]
    by: str
    at: dt.datetime

    def __str__(self) -> str:
        said = f"floor {self.number}: legacy beside its replay {self.replay!r}"
        return f"{said}, {self.first} to {self.last} ({self.days} days), holds until {self.until}"

    def holds(self, definition: str, day: dt.date) -> bool:
        """Whether it is of what is compared now, and has not expired on that day."""
        return self.definition == definition and day <= self.until

    @property
    def shares(self) -> dict[str, float]:
        return {name: each.share for name, each in self.metrics.items()}


@dataclass(frozen=True)
class FloorLog:
    """Those of an event type, or by ``layer`` of a sequence."""

    home: Home
    name: str
    layer: str = SHADOW

    def latest(self) -> NoiseFloor | None:
        """The newest, whether or not it holds.

        Raises:
            FloorDamaged: it cannot be read.
        """
        record = self._log.latest()
        if record is None:
            return None
        try:
            return msgspec.json.decode(record.data, type=NoiseFloor)
        except msgspec.MsgspecError as error:
            raise FloorDamaged(
                f"{self.home.uri(self._log.path(record.number))} is damaged ({error}), so the noise floor of "
                f"{self.name!r} is not known; delete the file, then the one before it counts"
            ) from error

    def append(self, floor: NoiseFloor) -> None:
        """Keep one; its number is the one after the newest's.

        Raises:
            RecordConflict: somebody else measured one meanwhile.
        """
        self._log.append(canonical(msgspec.to_builtins(floor)), after=floor.number - 1)

    @property
    def _log(self) -> RecordLog:
        return RecordLog(self.home.objects, f"{self.layer}/{self.name}/floors")
