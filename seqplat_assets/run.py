"""Build a range of days of chosen assets through Dagster, from a program: what `make demo` and the command line call.

Runs are recorded in the Dagster instance of DAGSTER_HOME, so the UI shows them like any other.
"""

import datetime as dt
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from difflib import get_close_matches

import dagster as dg

from seqplat_assets import layers
from seqplat_assets.factory import definitions_of
from seqplat_assets.layers import Built
from seqplat_assets.progress import Progress, Watcher
from seqplat_resources.errors import Final
from seqplat_resources.runtime import Runtime

# Dagster's own console lines would drown the progress; the run's log has them all.
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


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
        return RangeResult((*self.runs, run), told.failures, not_passed, refused)


def materialize_range(
    start: dt.date,
    end: dt.date,
    select: Sequence[str] = (),
    *,
    runtime: Runtime | None = None,
    instance: dg.DagsterInstance | None = None,
    report: Callable[[Progress], None] = lambda _: None,
) -> RangeResult:
    """Build ``start`` to ``end``, both included, of the selected assets and run their checks.

    ``select`` names assets (``events/purchase``) or layers (``events``); a leading ``+`` adds everything upstream;
    nothing is everything. Assets that lack some of the days are built for those they have, in runs of their own.
    The runs execute in this process, one after the other, upstream first; the first that fails is the last.

    Raises:
        AssetUnknown, NoSuchDays, DagsterHomeUnset: nothing was run.
    """
    runtime = runtime or Runtime.from_environment()
    chosen = _chosen(list(layers.built(runtime)), select)
    groups = _groups(chosen, start, end)
    if not groups:
        raise NoSuchDays(f"none of {', '.join(map(_name, chosen))} has a day between {start} and {end}")
    job = definitions_of(runtime).resolve_implicit_global_asset_job_def()
    done = RangeResult()
    with _instance() if instance is None else nullcontext(instance) as recorder:
        for (first, last), group in groups:
            watcher, run = Watcher(report), str(uuid.uuid4())  # known beforehand, so that progress can be heard
            recorder.add_event_listener(run, watcher)
            result = job.execute_in_process(
                instance=recorder,
                run_id=run,
                run_config=_QUIET,
                asset_selection=[asset.spec.key for asset in group],
                tags={
                    "dagster/asset_partition_range_start": str(first),
                    "dagster/asset_partition_range_end": str(last),
                },
                raise_on_error=False,
            )
            done = done.with_run(run, watcher)
            if not result.success:
                break
    return done


def _instance() -> dg.DagsterInstance:
    if not os.environ.get("DAGSTER_HOME"):
        raise DagsterHomeUnset("DAGSTER_HOME is not set; point it at a folder with a copy of dagster.yaml")
    return dg.DagsterInstance.get()


def _name(asset: Built) -> str:
    return "/".join(asset.spec.key.path)


def _chosen(assets: Sequence[Built], select: Sequence[str]) -> list[Built]:
    """The selected assets in build order."""
    by_name = {_name(asset): asset for asset in assets}
    wanted: set[str] = set()
    for term in select:
        plain = term.removeprefix("+")
        found = {name for name, asset in by_name.items() if plain in (name, asset.layer)}
        if not found:
            close = get_close_matches(plain, [*by_name, *{asset.layer for asset in assets}], n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(by_name)}"
            raise AssetUnknown(f"no asset or layer {plain!r}; {hint}")
        wanted |= _upstream(by_name, found) if term.startswith("+") else found
    return [asset for name, asset in by_name.items() if not select or name in wanted]


def _upstream(by_name: dict[str, Built], names: set[str]) -> set[str]:
    found, new = set(names), set(names)
    while new:
        new = {"/".join(dep.asset_key.path) for name in new for dep in by_name[name].spec.deps} & set(by_name) - found
        found |= new
    return found


def _groups(assets: Sequence[Built], start: dt.date, end: dt.date) -> list[tuple[tuple[dt.date, dt.date], list[Built]]]:
    """Runs in order: a run has one range, so assets that share it and whose inputs are built by then go together."""
    left = {_name(asset): (asset, days) for asset in assets if (days := asset.days.clipped(start, end))}
    groups = []
    while left:
        days = next(iter(left.values()))[1]  # build order, so its inputs are done
        group: list[Built] = []
        for name, (asset, own) in list(left.items()):
            waits_for = {"/".join(dep.asset_key.path) for dep in asset.spec.deps} & set(left)
            if own == days and not waits_for:
                group.append(left.pop(name)[0])
        groups.append((days, group))
    return groups
