"""Build a range of days of chosen assets through Dagster, from a program: what `make demo` and the command line call.

Runs are recorded in the Dagster instance of DAGSTER_HOME, so the UI shows them like any other.

>>> with dg.DagsterInstance.ephemeral() as instance:
...     found = materialize_range(days[0], days[1], ["raw/orders"], runtime=shop, instance=instance)
...
>>> len(found.runs), found.failures, found.refused
(1, {}, {})
"""

import datetime as dt
import os
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

import dagster as dg

from seqplat_assets.describe.keys import name_of
from seqplat_assets.factory import definitions_of
from seqplat_assets.layers import assets as layers
from seqplat_assets.layers.assets import LayerAsset
from seqplat_assets.progress import Progress, Watcher
from seqplat_assets.repair.reseal import RANGE_END, RANGE_START
from seqplat_assets.runs.in_process import instance_of, run_in_process
from seqplat_resources.batch.backfill.rates import RUNS, Sample, note
from seqplat_resources.batch.days.existing import built_days
from seqplat_resources.batch.days.retention import expired_before
from seqplat_resources.batch.days.troubles import DayTroubles
from seqplat_resources.errors import Final
from seqplat_resources.health.checks import DAYS_BUILT
from seqplat_resources.release.runtime import Runtime

# Dagster's own console lines would drown the progress; the run's log has them all.
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


# What a range of days was built to is written to the event log by so many at once: a commit each takes as long as all.
BATCH_SIZE, EVENTS_AT_ONCE = "DAGSTER_EVENT_BATCH_SIZE", "500"

# Days, both included, and what is built of them in one run.
_Group: TypeAlias = tuple[tuple[dt.date, dt.date], list[LayerAsset]]


class AssetUnknown(Final):
    """A selection that names no asset of the release."""


class DagsterHomeUnset(Final):
    """No instance to record runs in."""


class NoSuchDays(Final):
    """None of the chosen assets has a day in the range."""


@dataclass(frozen=True)
class RangeResult:
    """What became of a range: runs in order, and why each failed step failed.

    ``not_passed`` are the days that did not pass a check, by asset and check; ``refused`` counts the rows of its input
    that an asset could not take. A day may be built and not pass.
    """

    runs: tuple[str, ...] = ()
    failures: Mapping[str, str] = field(default_factory=dict)
    not_passed: Mapping[tuple[str, str], Sequence[str]] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)

    @property
    def success(self) -> bool:
        """Whether everything was built; some day may not have passed a check that blocks nothing."""
        return not self.failures

    @property
    def passed(self) -> bool:
        """Whether everything was built and passed every check."""
        return self.success and not self.not_passed

    def with_run(self, run: str, told: Watcher) -> "RangeResult":
        """And one more run."""
        not_passed, refused = {**self.not_passed, **told.not_passed}, {**self.refused, **told.refused}
        return RangeResult((*self.runs, run), {**self.failures, **told.failures}, not_passed, refused)


def materialize_range(
    start: dt.date,
    end: dt.date,
    select: Sequence[str] = (),
    *,
    runtime: Runtime | None = None,
    instance: dg.DagsterInstance | None = None,
    report: Callable[[Progress], None] = lambda _: None,
    missing: bool = False,
) -> RangeResult:
    """Build ``start`` to ``end``, both included, of the selected assets and run their checks.

    ``select`` names assets (``events/purchase``) or layers (``events``); a leading ``+`` adds everything upstream, a
    trailing one everything downstream; nothing is everything. ``missing`` leaves out what is there and well, and was
    not made of something that is built now. Assets that lack some of the days are built for those they have, in runs
    of their own.
    The runs execute in this process, one after the other, upstream first. What cannot be built of a day costs only what
    is made of that day.

    Raises:
        AssetUnknown, NoSuchDays, DagsterHomeUnset: nothing was run.
    """
    runtime = runtime or Runtime.from_environment()
    wanted = chosen(list(layers.built(runtime)), select)
    groups = _groups(wanted, start, end, runtime.clock.now().date())
    if groups and missing:
        groups = _missing(runtime, wanted, groups)
    elif not groups:
        names = ", ".join(asset.full_name for asset in wanted)
        raise NoSuchDays(f"none of {names} has a day between {start} and {end}")
    done = RangeResult()
    with recorder(instance) as at:
        runs = Runs(runtime, at)
        for (first, last), group in groups:
            done = runs.built(done, first, last, [asset.spec.key for asset in group], report)
    return done


@dataclass
class Runs:
    """Runs over ranges of days that this process executes, one after the other."""

    runtime: Runtime
    instance: dg.DagsterInstance

    @cached_property
    def _job(self) -> dg.JobDefinition:
        return definitions_of(self.runtime).resolve_implicit_global_asset_job_def()

    def built(
        self,
        before: RangeResult,
        first: dt.date,
        last: dt.date,
        keys: Sequence[dg.AssetKey],
        report: Callable[[Progress], None],
        tags: Mapping[str, str] = MappingProxyType({}),
    ) -> RangeResult:
        """``before``, and what became of one more run."""
        began, told = time.monotonic(), list[Progress]()

        def both(progress: Progress) -> None:
            told.append(progress)
            report(progress)

        watcher, run = Watcher(both), str(uuid.uuid4())  # known beforehand, so that progress can be heard
        self.instance.add_event_listener(run, watcher)
        # Read by Dagster whenever it stores events; what a person has set counts.
        os.environ.setdefault(BATCH_SIZE, EVENTS_AT_ONCE)
        run_in_process(
            self._job,
            self.instance,
            run,
            keys,
            without=DAYS_BUILT,  # each step says it already, and here what was asked for is what counts
            run_config=_QUIET,
            run_tags={RANGE_START: str(first), RANGE_END: str(last), **tags},
        )
        beside = time.monotonic() - began - sum(each.seconds for each in told)
        note(self.runtime.home, RUNS, "run", Sample(len(keys) * ((last - first).days + 1), 0, 0, beside))
        return before.with_run(run, watcher)


@contextmanager
def recorder(instance: dg.DagsterInstance | None = None) -> Iterator[dg.DagsterInstance]:
    """Where runs are recorded: the instance given, which stays open, or that of DAGSTER_HOME.

    Raises:
        DagsterHomeUnset: there is none.
    """
    if instance is not None:
        yield instance
        return
    said = os.environ.get("DAGSTER_HOME", "")
    home = Path(said).expanduser()
    if not (said and home.is_absolute() and home.is_dir()):
        is_wrong = f"is {said!r}, which is no folder by its whole path" if said else "is not set"
        raise DagsterHomeUnset(f"DAGSTER_HOME {is_wrong}; point it at a folder with a copy of dagster.yaml")
    with instance_of(home) as mine:
        yield mine


def chosen(assets: Sequence[LayerAsset], select: Sequence[str]) -> list[LayerAsset]:
    """The selected assets in build order."""
    by_name = {asset.full_name: asset for asset in assets}
    wanted: set[str] = set()
    for term in select:
        plain = term.removeprefix("+").removesuffix("+")
        found = {name for name, asset in by_name.items() if plain in (name, asset.layer)}
        if not found:
            close = get_close_matches(plain, [*by_name, *{asset.layer for asset in assets}], n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(by_name)}"
            raise AssetUnknown(f"no asset or layer {plain!r}; {hint}")
        wanted |= _upstream(by_name, found) if term.startswith("+") else found
        if term.endswith("+"):
            wanted |= {name for name in by_name if _upstream(by_name, {name}) & found}
    return [asset for name, asset in by_name.items() if not select or name in wanted]


def _upstream(by_name: dict[str, LayerAsset], names: set[str]) -> set[str]:
    found, new = set(names), set(names)
    while new:
        new = {name_of(dep.asset_key) for name in new for dep in by_name[name].spec.deps} & set(by_name) - found
        found |= new
    return found


def _groups(assets: Sequence[LayerAsset], start: dt.date, end: dt.date, today: dt.date) -> list[_Group]:
    """Runs in order: a run has one range, so assets that share it and whose inputs are built by then go together."""
    left = {asset.full_name: (asset, span) for asset in assets if (span := asset.days.clipped(start, end, today=today))}
    groups = []
    while left:
        span = next(iter(left.values()))[1]  # build order, so its inputs are done
        group: list[LayerAsset] = []
        for name, (asset, own) in list(left.items()):
            waits_for = {name_of(dep.asset_key) for dep in asset.spec.deps} & set(left)
            if own == span and not waits_for:
                group.append(left.pop(name)[0])
        groups.append((span, group))
    return groups


def _missing(runtime: Runtime, wanted: Sequence[LayerAsset], groups: Sequence[_Group]) -> list[_Group]:
    """Of each group the days that some asset lacks or has trouble with, with those assets and what is made of them."""
    asked: dict[str, set[dt.date]] = {asset.full_name: set() for asset in wanted}
    for span, group in groups:
        for asset in group:
            asked[asset.full_name].update(days(*span))
    needed = lacking(runtime, wanted, asked)
    found = list[_Group]()
    for span, group in groups:
        for day in days(*span):
            needy = [asset for asset in group if day in needed[asset.full_name]]
            (_, last), before = found[-1] if found else ((day, day), [])
            if needy and needy == before and day - last == dt.timedelta(days=1):
                found[-1] = ((found[-1][0][0], day), needy)
            elif needy:
                found.append(((day, day), needy))
    return found


def lacking(
    runtime: Runtime,
    wanted: Sequence[LayerAsset],
    asked: Mapping[str, set[dt.date]],
    again: Callable[[str], Collection[dt.date]] = lambda _: (),
) -> dict[str, set[dt.date]]:
    """Of the days ``asked`` by asset those that are not there, or not well, or are to be built ``again``; and those
    made of one that is built now. None that has expired.
    """
    troubles, found = DayTroubles(runtime.home, runtime.clock), dict[str, set[dt.date]]()
    for asset in wanted:
        name, gone = asset.full_name, expired_before(runtime, asset.full_name)
        of = {day for day in asked.get(name, ()) if day >= gone}
        there = built_days(runtime, name) - set(troubles.of(name)) - set(again(name)) if of else set()
        made_of = (found.get(name_of(dep.asset_key), set[dt.date]()) for dep in asset.spec.deps)
        found[name] = of.intersection((of - there).union(*made_of))
    return found


def days(first: dt.date, last: dt.date) -> list[dt.date]:
    """Both included."""
    return [first + dt.timedelta(days=n) for n in range((last - first).days + 1)]
