"""Days that are not well, or whose files changed: a sensor builds them again, with what is made of them.

>>> from seqplat_assets.layers.assets import built
>>> [sensor.name for sensor in mend_sensors(shop, list(built(shop)))]
['mend_days']
"""

import datetime as dt
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import dagster as dg

from seqplat_assets.describe.keys import ENRICHMENTS, name_of
from seqplat_assets.layers.assets import LayerAsset, built
from seqplat_assets.layers.release import note_release
from seqplat_assets.repair.rebuilds import Past, Rebuild, rebuilds
from seqplat_assets.repair.reseal import EVERY_S, first_status, past, rebuild_request
from seqplat_assets.runs.liveness import end_dead
from seqplat_resources.batch.backfill.records import BackfillRecords
from seqplat_resources.batch.days.existing import built_days
from seqplat_resources.batch.days.needs import REDEFINED, Need, Warn, alone
from seqplat_resources.batch.days.retention import expired_before
from seqplat_resources.batch.days.troubles import DayTroubles
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.sequences.stale import every_need

_log = logging.getLogger(__name__)
MENDS = "mend_days"
Needs: TypeAlias = Mapping[str, Mapping[dt.date, Need]]
Span: TypeAlias = tuple[dt.date, dt.date, tuple[str, ...]]


def mend_sensors(runtime: Runtime, assets: Sequence[LayerAsset]) -> list[dg.SensorDefinition]:
    """On from the start, unless automation is off; none for a release without days."""
    if not assets:
        return []
    return [
        dg.SensorDefinition(
            MENDS,
            evaluation_fn=partial(_mend, runtime, assets),
            asset_selection=dg.AssetSelection.assets(*(asset.spec.key for asset in assets)),
            minimum_interval_seconds=EVERY_S,
            default_status=first_status(runtime),
            description="Builds days again that failed, waited for files or were held by a check, after growing pauses "
            "and when their files change; days whose files changed after they were built; and comparisons with legacy "
            "that are of another definition, or of other buckets, than those of now.",
        )
    ]


def _mend(
    runtime: Runtime, assets: Sequence[LayerAsset], context: dg.SensorEvaluationContext
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    behind = note_release(runtime, context.instance)
    if behind:
        context.log.warning(behind)
    unseen: list[str] = []
    end_dead(context.instance, "backfill")
    found = every_need(runtime, unseen.append)
    if BackfillRecords(runtime.home, runtime.clock).is_any_live():
        # Whoever moved a definition builds its days, newest first; they need nobody who builds them at the same time.
        found = {name: {d: need for d, need in days.items() if need.kind != REDEFINED} for name, days in found.items()}
    asked = 0
    now, before = runtime.clock.now(), partial(past, context.instance)
    for rebuild in plan(runtime, assets, found, before, now=now, told=unseen.append):
        asked += 1
        yield rebuild_request(rebuild)
    for text in unseen:
        context.log.error(text)
    if not asked:
        said = [behind, *unseen, _waiting(found)]
        yield dg.SkipReason(next(filter(None, said), "every day that was asked for is built of the files there are"))


def plan(
    runtime: Runtime,
    assets: Sequence[LayerAsset],
    found: Needs,
    past: Callable[[str], Sequence[Past]],
    *,
    now: dt.datetime,
    told: Warn = _log.warning,
    slowly: bool = True,
) -> list[Rebuild]:
    """What to build now: each day of the first asset that needs it, with what is made of that. Days that another
    definition made wait until nothing else of the asset is to be built; ``slowly`` they come one run at a time.

    Of what is made of it those are built that have the day, or should have had it. A day that also something it is made
    of needs is built with that. What cannot be looked at is ``told``.
    """
    order = {asset.full_name: asset for asset in assets}
    upstream = {name: _upstream(order, name) for name in order}
    asked = []
    for name, days in found.items():
        if name not in order:
            continue
        roots = [need for day, need in days.items() if not any(_blocks(found, up, day) for up in upstream[name])]
        if roots:
            after, since = [each for each in order if name in upstream[each]], expired_before(runtime, name)
            others, runs = _made_of(runtime, order, after, told), past(name)
            urgent = [need for need in roots if need.kind != REDEFINED]
            asked += (first := rebuilds(name, urgent, runs, others, now=now, since=since))
            if not first and not (slowly and any(run.ended_at is None for run in runs)):
                waiting = [need for need in roots if need.kind == REDEFINED]
                later = rebuilds(name, waiting, runs, others, now=now, since=since)
                asked += [replace(each, can_wait=True) for each in later[: 1 if slowly else None]]
    return asked


def spans(runtime: Runtime, told: Warn, *, everything: bool) -> list[Span]:
    """What a person builds again who does not wait: first and last day, and the assets; ``everything`` also before it
    is due, but for days without files.
    """
    now = dt.datetime.max.replace(tzinfo=dt.UTC) if everything else runtime.clock.now()
    found = plan(runtime, list(built(runtime)), every_need(runtime, told), _no_past, now=now, told=told, slowly=False)
    return [(each.first, each.last, (each.name, *each.others)) for each in reversed(found)]


def _no_past(_: str) -> Sequence[Past]:
    return ()


def _upstream(order: Mapping[str, LayerAsset], name: str) -> set[str]:
    found, new = set[str](), {name}
    while new:
        new = {name_of(dep.asset_key) for each in new for dep in order[each].spec.deps} & set(order) - found
        found |= new
    return found


def _blocks(found: Needs, asset: str, day: dt.date) -> bool:
    need = found.get(asset, {}).get(day)
    return need is not None and not (need.kind == "pending" and asset.startswith(f"{ENRICHMENTS}/"))


def _made_of(
    runtime: Runtime, order: Mapping[str, LayerAsset], names: Sequence[str], told: Warn
) -> Callable[[dt.date], tuple[str, ...]]:
    troubles, there = DayTroubles(runtime.home, runtime.clock), dict[str, set[dt.date]]()
    for name in names:
        with alone(name, told):
            there[name] = built_days(runtime, name) | set(troubles.of(name))
    # One that cannot be looked at is asked for as well: its run says what is wrong, and that the day lacks it.
    return lambda day: tuple(
        name for name in names if day in order[name].days and (name not in there or day in there[name])
    )


def _waiting(found: Needs) -> str:
    waiting = [f"{name} {day}: {need.why}" for name, days in found.items() for day, need in days.items()]
    return f"{len(waiting)} day(s) are not well and not due yet; {waiting[0]}" if waiting else ""
