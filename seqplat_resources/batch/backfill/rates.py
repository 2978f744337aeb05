"""How long days take to build, from how long they took: a small record an asset, written by whoever builds.

A step takes some time for each day and some for each row. Both are fitted to the last measurements, so that a plan of
730 near-empty days and one of three large days are both right.

>>> note(shop.home, "raw/orders", "build", Sample(days=10, rows=1_000, bytes=50_000, seconds=5.0))
>>> efforts = Efforts(shop)
>>> efforts.of("raw/orders", days).seconds, efforts.of("events/purchase", days).unmeasured
(1.5, ('events/purchase',))
"""

import datetime as dt
import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Literal, TypeAlias

import obstore

from seqplat_resources.batch.days.existing import table_of
from seqplat_resources.batch.inputs.spans import rows_by_day
from seqplat_resources.home import Home
from seqplat_resources.release.runtime import Runtime

# The newest measurements count; so many are one small object.
KEPT = 24
# ``build`` and ``checks`` are steps of an asset; ``columns`` a build of single columns; ``run`` what runs take besides.
Step: TypeAlias = Literal["build", "columns", "checks", "run"]
# Of all assets: what a run takes beside its steps.
RUNS = "runs"


@dataclass(frozen=True)
class Sample:
    """One step that was measured: so many days and rows of the asset, bytes written, seconds by the wall."""

    days: int
    rows: int
    bytes: int
    seconds: float


@dataclass(frozen=True)
class Rate:
    """What a step takes: ``per_day_s`` + ``per_row_s`` x rows; ``rows_per_day`` and ``bytes_per_row`` on average."""

    per_day_s: float
    per_row_s: float
    rows_per_day: float
    bytes_per_row: float

    def seconds(self, days: int, rows: float) -> float:
        return self.per_day_s * days + self.per_row_s * rows

    @classmethod
    def fitted(cls, samples: Sequence[Sample]) -> "Rate | None":
        """By least squares of the relative error, neither part below zero; None without any measurement."""
        known = [each for each in samples if each.days > 0 and each.seconds > 0]
        if not known:
            return None
        days, rows = sum(each.days for each in known), sum(each.rows for each in known)
        size = sum(each.bytes for each in known)
        per_day, per_row = _fitted([(s.days / s.seconds, s.rows / s.seconds) for s in known])
        return cls(per_day, per_row, rows / days, size / rows if rows else 0.0)


def _fitted(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """``a, b >= 0`` with ``a * days + b * rows`` nearest to 1 for all points ``(days, rows)`` per second."""
    dd, rr = sum(d * d for d, _ in points), sum(r * r for _, r in points)
    dr, d1, r1 = sum(d * r for d, r in points), sum(d for d, _ in points), sum(r for _, r in points)
    if (determinant := dd * rr - dr * dr) > 1e-9 * dd * rr:
        a, b = (d1 * rr - r1 * dr) / determinant, (r1 * dd - d1 * dr) / determinant
        if a >= 0 and b >= 0:
            return a, b
    alone = [(d1 / dd, 0.0)] + ([(0.0, r1 / rr)] if rr else [])
    return min(alone, key=lambda ab: sum((ab[0] * d + ab[1] * r - 1) ** 2 for d, r in points))


@dataclass(frozen=True)
class Effort:
    """What building days takes. ``unmeasured`` are assets that nobody built yet: they count as nothing."""

    days: int = 0
    rows: int = 0
    bytes: int = 0
    seconds: float = 0.0
    unmeasured: tuple[str, ...] = ()

    @property
    def minutes(self) -> float:
        return self.seconds / 60

    def __add__(self, other: "Effort") -> "Effort":
        return Effort(
            self.days + other.days,
            self.rows + other.rows,
            self.bytes + other.bytes,
            self.seconds + other.seconds,
            (*self.unmeasured, *other.unmeasured),
        )


def note(home: Home, asset: str, step: Step, sample: Sample) -> None:
    """Keep a measurement. Never raises: a day is worth no less because nobody knows how long it took.

    Of two that are written at one moment one may be lost.
    """
    if not sample.days:
        return
    with suppress(Exception):
        said = _read(home, asset)
        said[step] = [*said.get(step, []), sample][-KEPT:]
        text = json.dumps({name: [asdict(each) for each in samples] for name, samples in said.items()})
        obstore.put(home.objects, _path(asset), text.encode())


def rate_of(home: Home, asset: str, step: Step) -> Rate | None:
    """The rate of a step of an asset; None before it was measured."""
    return Rate.fitted(_read(home, asset).get(step, []))


def _read(home: Home, asset: str) -> dict[str, list[Sample]]:
    """What is not there, or cannot be read, was never measured."""
    with suppress(FileNotFoundError, ValueError, TypeError, AttributeError):
        said = json.loads(bytes(obstore.get(home.objects, _path(asset)).bytes()))
        return {name: [Sample(**each) for each in samples] for name, samples in said.items()}
    return {}


def _path(asset: str) -> str:
    return f"rates/{asset}.json"


@dataclass
class Efforts:
    """What days take, over one runtime; tables and records are read once.

    >>> sum((efforts.of(asset, days) for asset, days in wanted.items()), Effort()).minutes  # doctest: +SKIP
    """

    runtime: Runtime
    _rows: dict[str, Mapping[dt.date, int]] = field(default_factory=dict)
    _rates: dict[tuple[str, Step], Rate | None] = field(default_factory=dict)

    def of(self, asset: str, days: Collection[dt.date], *, columns_only: bool = False) -> Effort:
        """Building ``days`` of an asset (``events/click``), and judging them; ``columns_only``: single columns of it.

        Rows of a day that was built are known, those of another are an average.
        """
        build = self._rate(asset, "columns") if columns_only else None
        build, known = build or self._rate(asset, "build"), self._known(asset)
        if not days:
            return Effort()
        average = build.rows_per_day if build else sum(known.values()) / len(known) if known else 0.0
        rows = sum(known.get(day, average) for day in days)
        seconds, size = 0.0, rows * build.bytes_per_row if build else 0.0
        for rate in (build, self._rate(asset, "checks"), self._rate(RUNS, "run")):
            seconds += rate.seconds(len(days), rows) if rate else 0.0
        return Effort(len(days), round(rows), round(size), seconds, () if build else (asset,))

    def _rate(self, asset: str, step: Step) -> Rate | None:
        if (asset, step) not in self._rates:
            self._rates[asset, step] = rate_of(self.runtime.home, asset, step)
        return self._rates[asset, step]

    def _known(self, asset: str) -> Mapping[dt.date, int]:
        layer, name = asset.split("/", 1)
        source = f"events/{name}" if layer == "online" else asset
        if source not in self._rows:
            self._rows[source] = rows_by_day(table_of(self.runtime, *source.split("/", 1)))
        return self._rows[source]
