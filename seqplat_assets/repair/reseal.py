"""Build dirty buckets again: a sensor that reads the ledger and asks for runs over exactly the days it names.

>>> [sensor.name for sensor in reseal_sensors(shop)]
['reseal_dirty_buckets']
"""

import datetime as dt
from collections.abc import Callable, Iterator
from functools import partial

import dagster as dg

from seqplat_assets.describe.keys import key_of
from seqplat_assets.repair.rebuilds import Past, Rebuild, rebuilds
from seqplat_assets.runs.liveness import IN_FLIGHT, WORK, end_if_dead
from seqplat_resources.batch.days.ledger import dirty_buckets
from seqplat_resources.batch.days.needs import alone
from seqplat_resources.batch.days.partitions import Partitions
from seqplat_resources.batch.days.retention import expired_before
from seqplat_resources.batch.days.schedule import is_on
from seqplat_resources.batch.inputs import tables
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.stream.service import streamed_sources

EVERY_S = 30
# Before backfills (0), after streams.
PRIORITY = 5
RESEAL = "seqplat/reseal"
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"

# More than are in flight together with those whose failures still matter.
_RUNS_LOOKED_AT = 200


def first_status(runtime: Runtime) -> dg.DefaultSensorStatus:
    """Of sensors that build days, until somebody turns one on or off in the UI."""
    on = is_on(runtime.home.environment)
    return dg.DefaultSensorStatus.RUNNING if on else dg.DefaultSensorStatus.STOPPED


def streamed_event_types(runtime: Runtime) -> list[str]:
    """Event types with days whose source is streamed: those that can have dirty buckets."""
    release, streamed = runtime.release, streamed_sources(runtime.release)
    return [name for name in Partitions.of(release).event_types if release.event_types[name].source in streamed]


def reseal_sensors(runtime: Runtime) -> list[dg.SensorDefinition]:
    """On from the start, unless automation is off, whoever runs the streams; none where nothing is streamed."""
    names = streamed_event_types(runtime)
    if not names:
        return []
    made = [key for name in names for key in _assets(name, _sequences_of(runtime, name))]
    return [
        dg.SensorDefinition(
            "reseal_dirty_buckets",
            evaluation_fn=partial(_reseal, runtime, names),
            asset_selection=dg.AssetSelection.assets(*dict.fromkeys(made)),
            minimum_interval_seconds=EVERY_S,
            default_status=first_status(runtime),
            description="Builds days again whose late messages and corrections have come to rest, and publishes them.",
        )
    ]


def _reseal(
    runtime: Runtime, names: list[str], context: dg.SensorEvaluationContext
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    now = runtime.clock.now()
    waiting = asked = 0
    unseen: list[str] = []
    for name in names:
        found: list[Rebuild] = []
        with alone(f"events/{name}", unseen.append):
            days = Partitions.of(runtime.release).event_types[name]
            # Today has no partition yet: it is built whole when it is over.
            dirty = [d for d in dirty_buckets(runtime, name) if d.day in days and d.day < now.date()]
            since = expired_before(runtime, f"events/{name}")
            before, others = past(context.instance, name), _complete(runtime, name)
            found = rebuilds(name, dirty, before, others, now=now, since=since)
            waiting, asked = waiting + len(dirty), asked + len(found)
        yield from map(rebuild_request, found)  # what fails here is no fault of the tables
    for text in unseen:
        context.log.error(text)
    if not asked:
        wait = f"{waiting} dirty bucket(s) wait for more late messages, or are being built" if waiting else ""
        yield dg.SkipReason(next(filter(None, [*unseen, wait]), "none is dirty"))


def rebuild_request(rebuild: Rebuild) -> dg.RunRequest:
    """NOTE: no check is named, so all of the assets run, and a blocking one keeps a bad day from being published."""
    return dg.RunRequest(
        run_key=rebuild.key,
        asset_selection=assets_in(rebuild),
        tags={
            RANGE_START: rebuild.first.isoformat(),
            RANGE_END: rebuild.last.isoformat(),
            WORK: "backfill" if rebuild.can_wait else "reseal",
            RESEAL: rebuild.name,
            "dagster/priority": str(0 if rebuild.can_wait else PRIORITY),
        },
    )


def assets_in(rebuild: Rebuild) -> list[dg.AssetKey]:
    """An event type is built with its sequences and published; an asset with those that are made of it."""
    if "/" in rebuild.name:
        return [key_of(name) for name in (rebuild.name, *rebuild.others)]
    return _assets(rebuild.name, rebuild.others)


def _assets(name: str, sequences: tuple[str, ...]) -> list[dg.AssetKey]:
    return [key_of(f"events/{name}"), *(key_of(f"sequences/{each}") for each in sequences), key_of(f"online/{name}")]


def _sequences_of(runtime: Runtime, name: str) -> tuple[str, ...]:
    made = Partitions.of(runtime.release).sequences
    return tuple(s for s in made if name in runtime.release.sequences[s].event_types)


def _complete(runtime: Runtime, name: str) -> Callable[[dt.date], tuple[str, ...]]:
    """By day, the sequences of an event type that can be built: those whose other event types have the day."""
    release, partitions = runtime.release, Partitions.of(runtime.release)
    others = {s: [t for t in release.sequences[s].event_types if t != name] for s in _sequences_of(runtime, name)}
    built = {
        t: {day for (day,) in tables.events(runtime, EventPlan.of(runtime.loaded, t)).buckets()}
        for t in dict.fromkeys(t for types in others.values() for t in types)
        if t in partitions.event_types
    }

    def complete(day: dt.date) -> tuple[str, ...]:
        return tuple(
            sequence
            for sequence, types in others.items()
            if all(day not in partitions.event_types[t] or day.isoformat() in built[t] for t in types if t in built)
        )

    return complete


def past(instance: dg.DagsterInstance, name: str) -> list[Past]:
    """The runs that were to build days of an event type or asset again, newest first."""
    found = []
    for record in instance.get_run_records(dg.RunsFilter(tags={RESEAL: name}), limit=_RUNS_LOOKED_AT):
        run, created = record.dagster_run, record.create_timestamp.timestamp()
        is_over = run.status not in IN_FLIGHT or end_if_dead(instance, run)
        ended_at = (record.end_time or created) if is_over else None
        first, last = (dt.date.fromisoformat(run.tags[tag]) for tag in (RANGE_START, RANGE_END))
        succeeded = run.status is dg.DagsterRunStatus.SUCCESS
        done = _done(instance, run) if is_over and not succeeded and first != last else frozenset()
        found.append(Past(run.run_id, first, last, record.start_time or created, ended_at, succeeded, done))
    return found


def _done(instance: dg.DagsterInstance, run: dg.DagsterRun) -> frozenset[dt.date]:
    """The days of which a run that failed built everything it was to build."""
    by_asset: dict[dg.AssetKey, set[str]] = {key: set() for key in run.asset_selection or ()}
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
        event = entry.asset_materialization
        if event and event.partition:
            by_asset.setdefault(event.asset_key, set()).add(event.partition)
    return frozenset(map(dt.date.fromisoformat, set.intersection(*by_asset.values()))) if by_asset else frozenset()
