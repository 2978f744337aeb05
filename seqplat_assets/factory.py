"""A release as Dagster definitions."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from seqplat_assets.layers import assets, build
from seqplat_assets.layers.assets import LayerAsset
from seqplat_assets.layers.checks import checks_for
from seqplat_assets.layers.days import daily, days_per_run, freshness
from seqplat_assets.layers.release import release_spec
from seqplat_assets.repair.expire import expire_schedule
from seqplat_assets.repair.reseal import EVERY_S, first_status, reseal_sensors
from seqplat_assets.repair.sensors import mend_sensors
from seqplat_assets.repair.verify import verify_schedule
from seqplat_assets.runs.planned import require_planned, tags_of
from seqplat_assets.runs.preview import EXECUTOR, build_step, range_asset
from seqplat_assets.streams.checks import stream_checks
from seqplat_assets.streams.jobs import stream_jobs, stream_sensors
from seqplat_resources.batch.days.schedule import late_after, ready_after
from seqplat_resources.release.runtime import Runtime
from sequence_defs.compiler.release import Release

all_assets = dg.define_asset_job(
    "all_assets",
    selection=dg.AssetSelection.all(),
    description="Build every layer of a day, from raw rows to the online store, and check it.",
)


def definitions_of(runtime: Runtime, *, earlier: Sequence[Runtime] = ()) -> dg.Definitions:
    """Assets, checks, jobs, schedules and sensors of the runtime's release. Reads no data.

    Assets that only ``earlier`` releases had refuse to be built, with a reason: runs of them may still be queued.
    """
    built = list(assets.built(runtime))
    gone = _gone(built, earlier)
    streams = stream_jobs(runtime)
    return dg.Definitions(
        assets=[
            release_spec(runtime),
            *assets.source_specs(runtime),
            *assets.stream_specs(runtime),
            *(_asset(runtime, asset) for asset in _automated(runtime.release, built)),
            *(_asset(of, asset, is_there=False) for of, asset in gone),
        ],
        asset_checks=[
            *(check for asset in built for check in checks_for(runtime, asset)),
            *(check for of, asset in gone for check in checks_for(of, asset)),
            *stream_checks(runtime),
        ],
        # A Dagster job cannot hold assets of different days; "Materialize all" of the graph gives each its own.
        jobs=[*([_all_but(gone)] if len({asset.days for asset in built}) == 1 else []), *streams],
        schedules=[verify_schedule(runtime), expire_schedule(runtime)],
        sensors=[
            *stream_sensors(runtime, streams),
            *_new_days(runtime, built),
            *reseal_sensors(runtime),
            *mend_sensors(runtime, built),
        ],
        # Polars uses all cores by itself; a process per step would cost two seconds each and gain nothing.
        executor=EXECUTOR,
    )


def _all_but(gone: Sequence[tuple[Runtime, LayerAsset]]) -> UnresolvedAssetJobDefinition:
    if not gone:
        return all_assets
    left = dg.AssetSelection.all() - dg.AssetSelection.assets(*(asset.spec.key for _, asset in gone))
    return dg.define_asset_job(all_assets.name, selection=left, description=all_assets.description)


def _gone(built: Sequence[LayerAsset], earlier: Sequence[Runtime]) -> list[tuple[Runtime, LayerAsset]]:
    """What earlier releases had, newest first, and this one has not; each once."""
    known = {asset.full_name for asset in built}
    found: dict[str, tuple[Runtime, LayerAsset]] = {}
    for runtime in earlier:
        for asset in assets.built(runtime):
            if asset.full_name not in known:
                found.setdefault(asset.full_name, (runtime, asset))
    return list(found.values())


def _automated(release: Release, built: Sequence[LayerAsset]) -> Iterator[LayerAsset]:
    """Assets without a last day are built every day."""
    growing = [asset.spec.key for asset in built if asset.days.end is None]
    for asset in built:
        if asset.spec.key not in growing:
            yield asset
            continue
        ready, late = (after(release, asset.full_name) for after in (ready_after, late_after))
        # What readers get is late where it is not published; what it is made of only leads there.
        policy = freshness(ready, late) if asset.layer == "online" else None
        spec = asset.spec.replace_attributes(automation_condition=daily(growing, ready), freshness_policy=policy)
        yield replace(asset, spec=spec)


def _new_days(runtime: Runtime, built: Sequence[LayerAsset]) -> list[dg.SensorDefinition]:
    """What acts on the conditions of assets: the one that Dagster makes by itself is off. None without such assets."""
    growing = [asset.spec.key for asset in built if asset.days.end is None]
    if not growing:
        return []
    return [
        dg.AutomationConditionSensorDefinition(
            "build_new_days",
            target=dg.AssetSelection.assets(*growing),
            default_status=first_status(runtime),
            minimum_interval_seconds=EVERY_S,
            description="Builds, checks and publishes each day of the definitions' open ranges once it is over.",
        )
    ]


def _asset(runtime: Runtime, asset: LayerAsset, *, is_there: bool = True) -> dg.AssetsDefinition:
    def body(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        with build.errors_told():
            require_planned(context, asset.full_name, is_there=is_there)
        columns = build.columns_of(context.run, asset.full_name)
        run = asset.by_column(columns) if columns and asset.by_column else asset.build
        yield from build.build(context, run, asset.book(runtime))

    said = tags_of(runtime.loaded.id, asset.spec.code_version)
    at_once = days_per_run(runtime.home.environment)
    name = build_step(asset.full_name)
    return range_asset(asset.spec, name, body, pool=asset.layer, tags=said, days_per_run=at_once)
