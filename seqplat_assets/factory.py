"""A release as Dagster definitions."""

from typing import Any

import dagster as dg

from seqplat_assets import building, jobs, layers
from seqplat_assets.checks import checks_for
from seqplat_assets.layers import Built
from seqplat_assets.preview import range_asset
from seqplat_resources.runtime import Runtime


def definitions_of(runtime: Runtime) -> dg.Definitions:
    """Assets, checks, job and schedule of the runtime's release. Reads no data."""
    built = list(layers.built(runtime))
    schedule = jobs.daily_schedule(built)
    return dg.Definitions(
        assets=[*layers.source_specs(runtime), *(_asset(runtime, asset) for asset in built)],
        asset_checks=[check for asset in built if (check := checks_for(runtime, asset))],
        jobs=[jobs.all_assets],
        schedules=[schedule] if schedule else [],
        # Polars uses all cores by itself; a process per step would cost two seconds each and gain nothing.
        executor=dg.in_process_executor,
    )


def _asset(runtime: Runtime, asset: Built) -> dg.AssetsDefinition:
    def body(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        return building.build(context, asset.build, release=runtime.loaded.id)

    return range_asset(asset.spec, "__".join(asset.spec.key.path), body, pool=asset.layer)
