"""A release as Dagster definitions."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import dagster as dg

from seqplat_assets import building, layers
from seqplat_assets.checks import checks_for
from seqplat_assets.days import daily
from seqplat_assets.layers import Built
from seqplat_assets.preview import range_asset
from seqplat_assets.reseal import reseal_sensors
from seqplat_assets.stream_checks import stream_checks
from seqplat_assets.streams import stream_jobs, stream_sensors
from seqplat_assets.verifying import verify_schedule
from seqplat_resources.runtime import Runtime

all_assets = dg.define_asset_job(
    "all_assets",
    selection=dg.AssetSelection.all(),
    description="Build every layer of a day, from raw rows to the online store, and check it.",
)


def definitions_of(runtime: Runtime) -> dg.Definitions:
    """Assets, checks, jobs, schedules and sensors of the runtime's release. Reads no data."""
    built = list(layers.built(runtime))
    streams = stream_jobs(runtime)
    return dg.Definitions(
        assets=[
            *layers.source_specs(runtime),
            *layers.stream_specs(runtime),
            *(_asset(asset, runtime.loaded.id) for asset in _automated(built)),
        ],
        asset_checks=[
            *(check for asset in built if (check := checks_for(runtime, asset))),
            *stream_checks(runtime),
        ],
        # A Dagster job cannot hold assets of different days; "Materialize all" of the graph gives each its own.
        jobs=[*([all_assets] if len({asset.days for asset in built}) == 1 else []), *streams],
        schedules=[verify_schedule(runtime)],
        sensors=[*stream_sensors(runtime, streams), *reseal_sensors(runtime)],
        # Polars uses all cores by itself; a process per step would cost two seconds each and gain nothing.
        executor=dg.in_process_executor,
    )


def _automated(built: Sequence[Built]) -> Iterator[Built]:
    """Assets without a last day are built every day."""
    growing = [asset.spec.key for asset in built if asset.days.end is None]
    for asset in built:
        condition = daily(growing) if asset.spec.key in growing else None
        yield replace(asset, spec=asset.spec.replace_attributes(automation_condition=condition))


def _asset(asset: Built, release: str) -> dg.AssetsDefinition:
    def body(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        return building.build(context, asset.build, release=release)

    return range_asset(asset.spec, "__".join(asset.spec.key.path), body, pool=asset.layer)
