"""What a backfill builds: days by asset, and the pieces they are built in. Cost grows with days, not with runs.

>>> Backfill.asked(shop, ["raw/orders"], dt.date(2024, 5, 1), dt.date(2024, 5, 3)).good
3
>>> again = Backfill.asked(shop, ["raw/orders"], dt.date(2024, 5, 1), dt.date(2024, 5, 3), again=True)
>>> [(str(piece.first), str(piece.last), piece.assets) for piece in again.pieces(shop)]
[('2024-05-01', '2024-05-03', ('raw/orders',))]
"""

import datetime as dt
import hashlib
import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TypeAlias

from seqplat_assets.describe.keys import name_of
from seqplat_assets.layers import assets as layers
from seqplat_assets.run import NoSuchDays, chosen, days, lacking
from seqplat_resources.batch.backfill.rates import DAYS_PER_RUN, Effort, Efforts
from seqplat_resources.batch.builds.columns import require_columns
from seqplat_resources.batch.days.existing import built_days
from seqplat_resources.batch.days.ledger import dirty_buckets
from seqplat_resources.batch.days.needs import needs
from seqplat_resources.batch.inputs.redefined import redefined
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.release.runtime import Runtime
from sequence_defs.schema import Column

# Of one piece: what a kill repeats at most, and how long it takes until a backfill looks for work that comes first.
DAYS_PER_PIECE = DAYS_PER_RUN
SECONDS_PER_PIECE = 600.0

# First and last day, both included, and the assets that are built of them.
_Run: TypeAlias = tuple[dt.date, dt.date, tuple[str, ...]]


@dataclass(frozen=True)
class BackfillPiece:
    """Consecutive days of the same assets, built by one run; ``effort`` of all of them together."""

    first: dt.date
    last: dt.date
    assets: tuple[str, ...]
    effort: Effort

    @property
    def name(self) -> str:
        """Another text for another piece."""
        return f"{self.first} {self.last} {' '.join(self.assets)}"


@dataclass(frozen=True)
class Backfill:
    """Days to build by asset (``events/click``), in the order of layers.

    ``columns`` are by event type those that alone are built, where its rows stay as they are; a day of which other
    rows come out is built as a whole. ``good`` counts the days that were asked for and are good as they are.
    """

    days: Mapping[str, frozenset[dt.date]]
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    good: int = 0

    @classmethod
    def asked(
        cls,
        runtime: Runtime,
        select: Sequence[str],
        first: dt.date,
        last: dt.date,
        *,
        again: bool = False,
        columns: Mapping[str, tuple[str, ...]] | None = None,
    ) -> "Backfill":
        """The days ``first`` to ``last`` of the selected assets that are not good: not there, not well, dirty, made of
        files that changed, or made of a day that is built now; ``again`` takes all of them.

        Raises:
            AssetUnknown, NoSuchDays, ColumnsUnknown: it asks for nothing there is.
        """
        assets = chosen(list(layers.built(runtime)), select)
        _require_columns(runtime, columns or {})
        today = runtime.clock.now().date()
        spans = {asset.full_name: asset.days.clipped(first, last, today=today) for asset in assets}
        asked = {name: set(days(*span)) for name, span in spans.items() if span}
        # A day that is not over is no partition yet.
        asked = {name: {day for day in of if day < today} for name, of in asked.items()}
        if not any(asked.values()):
            raise NoSuchDays(f"none of {', '.join(spans)} has a day between {first} and {last} that is over")
        every = dict(asked if again else lacking(runtime, assets, asked, lambda name: _not_good(runtime, name)))
        for event_type in columns or {}:
            for name, days_of in _lacking_inputs(runtime, event_type, every.get(f"events/{event_type}", set())):
                every[name] = every.get(name, set()) | days_of
        found = {a.full_name: frozenset(of) for a in layers.built(runtime) if (of := every.get(a.full_name))}
        return cls(found, columns or {}, sum(map(len, asked.values())) - sum(map(len, found.values())))

    @classmethod
    def of(
        cls,
        runtime: Runtime,
        days: Mapping[str, Collection[dt.date]],
        *,
        columns: Mapping[str, tuple[str, ...]] | None = None,
    ) -> "Backfill":
        """Exactly these days by asset, and of what is made of them the days that are there; of single ``columns`` only
        sequences that show one of them.
        """
        _require_columns(runtime, columns or {})
        assets = list(layers.built(runtime))
        asked = {name: set(of) for name, of in days.items()}
        found = dict[str, frozenset[dt.date]]()
        for asset in assets:
            names = [name for dep in asset.spec.deps if (name := name_of(dep.asset_key)) in found]
            made_of = [found[name] for name in names if _shows(runtime, asset.full_name, name, columns or {})]
            after = set().union(*made_of) & built_days(runtime, asset.full_name) if made_of else set()
            if of := asked.get(asset.full_name, set()) | after:
                found[asset.full_name] = frozenset(of)
        return cls(found, columns or {})

    @property
    def first(self) -> dt.date:
        return min(min(of) for of in self.days.values())

    @property
    def last(self) -> dt.date:
        return max(max(of) for of in self.days.values())

    @property
    def total(self) -> int:
        """Days, each as often as assets have it."""
        return sum(map(len, self.days.values()))

    def id(self, release: str) -> str:
        """Another text for other work."""
        said = {name: sorted(map(str, of)) for name, of in sorted(self.days.items())}
        text = json.dumps([release, said, {name: list(of) for name, of in sorted(self.columns.items())}])
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def pieces(self, runtime: Runtime, *, newest_first: bool = True) -> list[BackfillPiece]:
        """In the order they are built. A source whose files are of all days is read once: its days are one piece, and
        come first.
        """
        at_once = [name for name in self.days if _is_read_once(runtime, name)]
        by_day = {name: of for name, of in self.days.items() if name not in at_once}
        efforts = Efforts(runtime)
        first = [run for name in at_once for run in _runs({name: self.days[name]}, size=1 << 30)]
        others = [part for run in _runs(by_day, size=DAYS_PER_PIECE) for part in self._shortened(efforts, run)]
        runs = [*first, *(reversed(others) if newest_first else others)]
        return [self._piece(efforts, *run) for run in runs]

    def without(self, pieces: Iterable[str]) -> "Backfill":
        """What is left of it when pieces, by their names, are done; also of such as were cut otherwise."""
        done = dict[str, set[dt.date]]()
        for name in pieces:
            first, last, *assets = name.split()
            for asset in assets:
                done.setdefault(asset, set()).update(days(dt.date.fromisoformat(first), dt.date.fromisoformat(last)))
        left = {asset: of - done.get(asset, set()) for asset, of in self.days.items()}
        return replace(self, days={asset: of for asset, of in left.items() if of})

    def _shortened(self, efforts: Efforts, run: _Run) -> list[_Run]:
        """In parts of about the same number of days, none of which takes much longer than a piece may."""
        first, last, assets = run
        count = (last - first).days + 1
        parts = min(count, max(1, math.ceil(self._piece(efforts, *run).effort.seconds / SECONDS_PER_PIECE)))
        bounds = [first + dt.timedelta(days=count * n // parts) for n in range(parts + 1)]
        return [(start, end - dt.timedelta(days=1), assets) for start, end in pairwise(bounds)]

    def _piece(self, efforts: Efforts, first: dt.date, last: dt.date, assets: tuple[str, ...]) -> BackfillPiece:
        of = days(first, last)
        alone = {name: self.columns.get(name.removeprefix("events/"), ()) for name in assets}
        each = (efforts.of(name, of, columns=alone[name], together=len(assets)) for name in assets)
        return BackfillPiece(first, last, assets, sum(each, Effort()))


def _lacking_inputs(runtime: Runtime, event_type: str, days: set[dt.date]) -> Iterator[tuple[str, set[dt.date]]]:
    """What columns of an event type are made of, and those of its ``days`` that another definition made of that, which
    may not have read what they are made of now.
    """
    definition = runtime.release.event_types[event_type]
    uses = (f"enrichments/{use.enrichment}" for use in definition.enrichments)
    for name in (f"raw/{definition.source}", *uses):
        if of := redefined(runtime, name).keys() & days:
            yield name, set(of)


def _require_columns(runtime: Runtime, columns: Mapping[str, tuple[str, ...]]) -> None:
    """Raises ColumnsUnknown before any day is tried: one that cannot be built is noted as failed."""
    for name, of in columns.items():
        require_columns(EventPlan.of(runtime.loaded, name), of)


def _shows(runtime: Runtime, asset: str, upstream: str, columns: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether another value of these columns of ``upstream`` makes another day of ``asset``."""
    layer, name = asset.split("/", 1)
    event_type = upstream.removeprefix("events/")
    if layer != "sequences" or event_type not in columns:
        return True
    shown = (by_type[event_type].name for by_type in _shown(runtime, name) if event_type in by_type)
    return not set(columns[event_type]).isdisjoint(shown)


def _shown(runtime: Runtime, sequence: str) -> Iterable[Mapping[str, Column]]:
    return runtime.release.sequence_columns(sequence).values()


def _is_read_once(runtime: Runtime, asset: str) -> bool:
    layer, name = asset.split("/", 1)
    return layer == "raw" and "{day}" not in runtime.release.sources[name].location


def _runs(wanted: Mapping[str, frozenset[dt.date]], *, size: int) -> list[_Run]:
    """Consecutive days with the same assets, ``size`` at most counted from the newest, oldest first."""
    assets = dict[dt.date, list[str]]()
    for name, of in wanted.items():
        for day in of:
            assets.setdefault(day, []).append(name)
    found = list[_Run]()
    for day in sorted(assets, reverse=True):
        here = tuple(assets[day])
        if found:
            first, last, before = found[-1]
            if first - day == dt.timedelta(days=1) and here == before and (last - day).days < size:
                found[-1] = (day, last, here)
                continue
        found.append((day, day, here))
    return found[::-1]


def _not_good(runtime: Runtime, asset: str) -> set[dt.date]:
    """Days of an asset that are there and to be built again."""
    layer, name = asset.split("/", 1)
    late = {each.day for each in dirty_buckets(runtime, name)} if layer == "events" else set[dt.date]()
    return late | set(needs(runtime, asset))
