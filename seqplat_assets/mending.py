"""Days that are not well, or whose files changed: a sensor builds them again, with what is made of them."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeAlias

import dagster as dg

from seqplat_assets.keys import ENRICHMENTS
from seqplat_assets.layers import Built, built
from seqplat_assets.rebuilds import Past, Rebuild, rebuilds
from seqplat_assets.reseal import EVERY_S, past, rebuild_request
from seqplat_assets.shown import note_release
from seqplat_resources.batch.built import built_days
from seqplat_resources.batch.needs import Need, all_needs
from seqplat_resources.batch.troubles import DayTroubles
from seqplat_resources.runtime import Runtime

MENDS = "mend_days"
Needs: TypeAlias = Mapping[str, Mapping[dt.date, Need]]
Span: TypeAlias = tuple[dt.date, dt.date, tuple[str, ...]]


def mend_sensors(runtime: Runtime, assets: Sequence[Built]) -> list[dg.SensorDefinition]:
    """On from the start; none for a release without days."""
    if not assets:
        return []
    return [
        dg.SensorDefinition(
            MENDS,
            evaluation_fn=partial(_mend, runtime, assets),
            asset_selection=dg.AssetSelection.assets(*(asset.spec.key for asset in assets)),
            minimum_interval_seconds=EVERY_S,
            default_status=dg.DefaultSensorStatus.RUNNING,
            description="Builds days again that failed, waited for files or were held by a check, after growing pauses "
            "and when their files change; and days whose files changed after they were built.",
        )
    ]


def _mend(
    runtime: Runtime, assets: Sequence[Built], context: dg.SensorEvaluationContext
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    behind = note_release(runtime, context.instance)
    if behind:
        context.log.warning(behind)
    found = all_needs(runtime)
    asked = 0
    for rebuild in plan(runtime, assets, found, partial(past, context.instance), now=runtime.clock.now()):
        asked += 1
        yield rebuild_request(rebuild)
    if not asked:
        yield dg.SkipReason(behind or _waiting(found) or "every day that was asked for is built of the files there are")


def plan(
    runtime: Runtime, assets: Sequence[Built], found: Needs, past: Callable[[str], Sequence[Past]], *, now: dt.datetime
) -> list[Rebuild]:
    """What to build now: each day of the first asset that needs it, with what is made of that.

    Of what is made of it those are built that have the day, or should have had it. A day that also something it is made
    of needs is built with that.
    """
    order = {asset.full_name: asset for asset in assets}
    upstream = {name: _upstream(order, name) for name in order}
    asked = []
    for name, days in found.items():
        if name not in order:
            continue
        roots = [need for day, need in days.items() if not any(_blocks(found, up, day) for up in upstream[name])]
        if roots:
            after = [each for each in order if name in upstream[each]]
            asked += rebuilds(name, roots, past(name), _made_of(runtime, order, after), now=now)
    return asked


def spans(runtime: Runtime, *, everything: bool) -> list[Span]:
    """What a person builds again who does not wait: first and last day, and the assets; ``everything`` also before it
    is due, but for days without files.
    """
    now = dt.datetime.max.replace(tzinfo=dt.UTC) if everything else runtime.clock.now()
    found = plan(runtime, list(built(runtime)), all_needs(runtime), _no_past, now=now)
    return [(each.first, each.last, (each.name, *each.others)) for each in reversed(found)]


def _no_past(_: str) -> Sequence[Past]:
    return ()


def _upstream(order: Mapping[str, Built], name: str) -> set[str]:
    found, new = set[str](), {name}
    while new:
        new = {"/".join(dep.asset_key.path) for each in new for dep in order[each].spec.deps} & set(order) - found
        found |= new
    return found


def _blocks(found: Needs, asset: str, day: dt.date) -> bool:
    need = found.get(asset, {}).get(day)
    return need is not None and not (need.kind == "pending" and asset.startswith(f"{ENRICHMENTS}/"))


def _made_of(
    runtime: Runtime, order: Mapping[str, Built], names: Sequence[str]
) -> Callable[[dt.date], tuple[str, ...]]:
    troubles = DayTroubles(runtime.home, runtime.clock)
    there = {name: built_days(runtime, name) | set(troubles.of(name)) for name in names}
    return lambda day: tuple(name for name in names if day in there[name] and day in order[name].days)


def _waiting(found: Needs) -> str:
    waiting = [f"{name} {day}: {need.why}" for name, days in found.items() for day, need in days.items()]
    return f"{len(waiting)} day(s) are not well and not due yet; {waiting[0]}" if waiting else ""
