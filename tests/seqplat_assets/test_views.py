"""Sessions and objects as Dagster assets: built with what they are made of, checked, and built again by themselves."""

from functools import partial
from pathlib import Path

import dagster as dg

from seqplat_assets.layers.assets import built
from seqplat_assets.repair.sensors import spans
from seqplat_assets.run import materialize_range
from seqplat_resources.batch.days.existing import built_days
from seqplat_resources.batch.inputs import tables
from seqplat_resources.release.view_plan import ViewPlan
from seqplat_resources.rules.sessions import STANDS
from sequence_defs.schema import Aggregate, ObjectView, SessionView
from tests.seqplat_assets.shop_days import DAYS, shop

OF_TEAM = {"tenant": "shop", "owner": "team:shop", "description": "Of a shop."}
VISIT = SessionView(
    name="visit", event_types=("click",), columns=(Aggregate(name="last", kind="last", column="id"),), **OF_TEAM
)
THING = ObjectView(name="thing", event_types=("click",), key="id", **OF_TEAM)
VIEWS = ("sessions/visit", "objects/thing")


def test_views_are_assets_of_their_events(tmp_path: Path) -> None:
    runtime = shop(tmp_path, VISIT, THING)
    assets = {asset.full_name: asset for asset in built(runtime)}
    for name in VIEWS:
        assert [dep.asset_key.path for dep in assets[name].spec.deps] == [["events", "click_events"]]
    lineage = assets["sessions/visit"].spec.metadata["dagster/column_lineage"]
    assert [each.column_name for each in lineage.deps_by_column["last"]] == ["id"]


def test_days_are_built_checked_and_built_again_when_their_events_changed(tmp_path: Path) -> None:
    runtime = shop(tmp_path, VISIT, THING)
    with dg.DagsterInstance.ephemeral() as instance:
        build = partial(materialize_range, runtime=runtime, instance=instance)
        found = build(DAYS[0], DAYS[-1])
        assert (found.failures, found.not_passed) == ({}, {})
        assert all(built_days(runtime, name) == set(DAYS) for name in VIEWS)
        (tmp_path / f"{DAYS[1]}.csv").write_text(f"user,id,at\nu,late,{DAYS[1]}T09:45:00Z\nu,0,{DAYS[1]}T10:00:00Z")
        build(DAYS[1], DAYS[1], ["raw", "events"])
        due = [(first, last, names) for first, last, names in spans(runtime, print, everything=True)]
        assert due == [(DAYS[1], DAYS[1], ("objects/thing",)), (DAYS[1], DAYS[1], ("sessions/visit",))]
        for first, last, names in due:
            assert build(first, last, names).passed
        assert spans(runtime, print, everything=True) == []
    table = tables.view(runtime, ViewPlan.of(runtime.loaded, "sessions/visit"))
    of_day = table.scan().filter(day=DAYS[1]).collect().sort("op")
    assert of_day.select("op", "events", "rev").rows() == [("retract", 4, 1), ("upsert", 2, 0)]
    assert of_day["superseded_by"][0] == of_day.filter(op=STANDS)["session_id"][0]
