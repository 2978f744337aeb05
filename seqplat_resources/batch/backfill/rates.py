"""How long days take to build, from how long they took: a small record an asset, written by whoever builds.

A step takes some time however few days it has, some for each day and some for each row. What can be told apart by the
last measurements is fitted to them, so that a plan of 730 near-empty days and one of three large days are both right;
newer ones count for more, as machines and their load change.

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

import numpy as np
import obstore

from seqplat_resources.batch.days.existing import table_of
from seqplat_resources.batch.inputs.sets import Sets
from seqplat_resources.batch.inputs.spans import rows_by_day
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.home import Home
from seqplat_resources.lake.layout import TRAINING
from seqplat_resources.release.runtime import Runtime

# The newest measurements count, after so many more half as much; so many are one small object.
KEPT, HALF_LIFE = 24, 6.0
# What one more part of a rate must explain: of the squares of relative errors, as much as errors of 7 % are.
PART = 0.005
# More rows a day than that take longer than the day itself.
ROWS_COUNT = 20_000
# Days of a run at most, which is how often what a run takes by itself comes up.
DAYS_PER_RUN = 92
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
    """What a step takes: ``per_run_s`` + ``per_day_s`` x days + ``per_row_s`` x rows; ``rows_per_day`` and
    ``bytes_per_row`` on average.
    """

    per_run_s: float
    per_day_s: float
    per_row_s: float
    rows_per_day: float
    bytes_per_row: float

    def seconds(self, days: int, rows: float, *, runs: float = 1) -> float:
        return self.per_run_s * runs + self.per_day_s * days + self.per_row_s * rows

    @classmethod
    def fitted(cls, samples: Sequence[Sample]) -> "Rate | None":
        """By least squares of the relative error, no part below zero; None without any measurement. Oldest first."""
        known = [each for each in samples if each.days > 0 and each.seconds > 0]
        if not known:
            return None
        days, rows = sum(each.days for each in known), sum(each.rows for each in known)
        size = sum(each.bytes for each in known)
        return cls(*_fitted(known), rows / days, size / rows if rows else 0.0)


def _fitted(known: Sequence[Sample]) -> tuple[float, float, float]:
    """The parts by run, day and row that explain the samples best; one more part has to explain more."""
    parts = np.array([(1.0, each.days, each.rows) for each in known])
    weights = np.sqrt(0.5 ** (np.arange(len(known))[::-1] / HALF_LIFE))
    weights /= np.sqrt((weights**2).sum())
    share = parts / np.array([[each.seconds] for each in known]) * weights[:, None]
    of_rows = parts[:, 2].sum() > ROWS_COUNT * parts[:, 1].sum()
    best, least = (0.0, 0.0, 0.0), np.inf
    # Where samples are alike, one part is as good as another: then days count, or rows where these are many.
    likely, other = (2, 1) if of_rows else (1, 2)
    for columns in ([likely], [other], [1, 2], [0, likely], [0, other], [0, 1, 2]):
        if len(columns) > len(known):
            continue
        found, *_ = np.linalg.lstsq(share[:, columns], weights, rcond=None)
        error = float(((share[:, columns] @ found - weights) ** 2).sum()) + PART * len(columns)
        if found.min() >= 0 and error < least - 1e-9:
            by_part = dict(zip(columns, map(float, found), strict=True))
            best, least = (by_part.get(0, 0.0), by_part.get(1, 0.0), by_part.get(2, 0.0)), error
    return best


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

    def of(self, asset: str, days: Collection[dt.date], *, columns: Collection[str] = (), together: int = 1) -> Effort:
        """Building ``days`` of an asset (``events/click``), and judging them; of single ``columns``, if there are any.
        So many assets are built ``together``, by the same runs.

        Rows of a day that was built are known, those of another are an average.
        """
        alone = self._rate(asset, "columns") if columns else None
        build, known = alone or self._rate(asset, "build"), self._known(asset)
        if not days:
            return Effort()
        average = build.rows_per_day if build else sum(known.values()) / len(known) if known else 0.0
        rows, runs = sum(known.get(day, average) for day in days), -(-len(days) // DAYS_PER_RUN)
        seconds, size = 0.0, rows * build.bytes_per_row if build else 0.0
        if columns and not alone:  # rows are made as ever, and only some of each is written
            size *= len(columns) / len(EventPlan.of(self.runtime.loaded, asset.removeprefix("events/")).columns)
        for rate, share in ((build, 1), (self._rate(asset, "checks"), 1), (self._rate(RUNS, "run"), together)):
            seconds += rate.seconds(len(days), rows, runs=runs / share) if rate else 0.0
        return Effort(len(days), round(rows), round(size), seconds, () if build else (asset,))

    def _rate(self, asset: str, step: Step) -> Rate | None:
        if (asset, step) not in self._rates:
            self._rates[asset, step] = rate_of(self.runtime.home, asset, step)
        return self._rates[asset, step]

    def _known(self, asset: str) -> Mapping[dt.date, int]:
        if (source := _source(asset)) not in self._rows:
            self._rows[source] = rows_of(self.runtime, asset)
        return self._rows[source]


def rows_of(runtime: Runtime, asset: str) -> Mapping[dt.date, int]:
    """Rows by day of what is built of an asset; of one that is online, of its events."""
    if asset.startswith(f"{TRAINING}/"):
        return Sets(runtime.home, asset.removeprefix(f"{TRAINING}/")).rows()
    return rows_by_day(table_of(runtime, *_source(asset).split("/", 1)))


def _source(asset: str) -> str:
    layer, name = asset.split("/", 1)
    return f"events/{name}" if layer == "online" else asset
