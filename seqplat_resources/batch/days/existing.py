"""Which days of an asset are built, and which should be: one answer for checks, command line and automation."""

import datetime as dt
from collections.abc import Callable, Collection, Mapping
from contextlib import closing

from seqplat_resources.batch.days.partitions import DayRange, Partitions, labelled_assets, outcome_days
from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.sets import Sets
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.lake.layout import OBJECTS, READOUT, SESSIONS, SHADOW, SHADOW_SEQUENCES, TRAINING
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.online_store.errors import StoreDamagedError, StoreNotFoundError
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.view_plan import ViewPlan
from sequence_defs.schema import Snapshot, TrainingSet, Versioned


def ranges_of(runtime: Runtime) -> dict[str, DayRange]:
    """The days of every asset (``events/click``), in the order of layers."""
    partitions = Partitions.of(runtime.release)
    layers: Mapping[str, Mapping[str, DayRange]] = {
        "raw": partitions.raw,
        "enrichments": partitions.enrichments,
        "events": partitions.event_types,
        "sequences": partitions.sequences,
        SESSIONS: partitions.sessions,
        OBJECTS: partitions.objects,
        "online": partitions.event_types,
        SHADOW: partitions.shadow,
        SHADOW_SEQUENCES: partitions.shadow_sequences,
        READOUT: partitions.readout,
        TRAINING: partitions.training,
    }
    return {f"{layer}/{name}": days for layer, found in layers.items() for name, days in found.items()}


def built_days(runtime: Runtime, asset: str) -> set[dt.date]:
    """The days there are of an asset: from the Delta log, of ``online`` from the published epoch, of ``training`` the
    folders there are.

    A damaged epoch shows none: all its days have to be published again (``lost_days``).
    """
    layer, name = asset.split("/", 1)
    if layer == "online":
        return _published(runtime, name) or set()
    if layer == TRAINING:
        return set(Sets(runtime.home, name).days())
    return {dt.date.fromisoformat(day) for (day,) in table_of(runtime, layer, name).buckets()}


def outcomes_unknown(runtime: Runtime, definition: TrainingSet, days: Collection[dt.date]) -> dict[dt.date, str]:
    """Which ``days`` of a training set lack what their labels are made of, on the day itself or as long after it as
    outcomes take, and which asset lacks which day first.
    """
    ranges, found = ranges_of(runtime), dict[dt.date, str]()
    after = [dt.timedelta(days=n) for n in range(outcome_days(definition) + 1)]
    for asset in labelled_assets(definition):
        if asset in ranges:
            there = built_days(runtime, asset)
            for day in days:
                wanted = (day + each for each in after)
                lacks = next((each for each in wanted if each in ranges[asset] and each not in there), None)
                if lacks is not None:
                    found.setdefault(day, f"{asset} has no {lacks}")
    return found


def lost_days(runtime: Runtime, asset: str) -> set[dt.date]:
    """Days that an online asset may have shown, where its epoch is lost or damaged: those of its events. None else."""
    layer, name = asset.split("/", 1)
    if layer != "online" or _published(runtime, name) is not None:
        return set()
    return built_days(runtime, f"events/{name}")


def _published(runtime: Runtime, name: str) -> set[dt.date] | None:
    """The days of the current epoch; None where it cannot be read."""
    try:
        with closing(open_online_store(runtime.home, readonly=True)) as store:
            epoch = store.epoch(name)
    except StoreNotFoundError:
        return set()
    except StoreDamagedError:
        return None
    return {dt.date.fromisoformat(day) for day in epoch.buckets} if epoch else set()


def missed_days(
    days: DayRange, built: set[dt.date], now: dt.datetime, late_after: dt.timedelta, expired_before: dt.date
) -> list[dt.date]:
    """Those of ``missed_span``."""
    span = missed_span(days, built, now, late_after, expired_before)
    if span is None or span.end is None:
        return []
    return [span.start + dt.timedelta(days=n) for n in range((span.end - span.start).days)]


def missed_span(
    days: DayRange, built: set[dt.date], now: dt.datetime, late_after: dt.timedelta, expired_before: dt.date
) -> DayRange | None:
    """Days of an open range that were over ``late_after`` ago and come after all that are built, or have expired; none
    while there are neither.
    """
    yesterday = (now - late_after).date() - dt.timedelta(days=1)
    expired = {expired_before - dt.timedelta(days=1)} if expired_before > dt.date.min else set[dt.date]()
    newest = max(built | expired, default=yesterday)
    if days.end is not None or newest >= yesterday:
        return None
    return DayRange(newest + dt.timedelta(days=1), yesterday + dt.timedelta(days=1))


def table_of(runtime: Runtime, layer: str, name: str) -> LakeTable:
    """The table of an asset of the lake."""
    release = runtime.release
    opened: Mapping[str, Callable[[], LakeTable]] = {
        "raw": lambda: tables.raw(runtime, release.sources[name]),
        "events": lambda: tables.events(runtime, EventPlan.of(runtime.loaded, name)),
        "sequences": lambda: tables.sequence(runtime, name),
        **dict.fromkeys(
            (SESSIONS, OBJECTS), lambda: tables.view(runtime, ViewPlan.of(runtime.loaded, f"{layer}/{name}"))
        ),
        **dict.fromkeys((SHADOW, SHADOW_SEQUENCES), lambda: tables.shadow(runtime, name, layer)),
        READOUT: lambda: tables.readout(runtime, name),
    }
    if layer in opened:
        return opened[layer]()
    definition = release.enrichments[name]
    assert isinstance(definition, Versioned | Snapshot)  # no other has days
    return tables.enrichment(runtime, definition)
