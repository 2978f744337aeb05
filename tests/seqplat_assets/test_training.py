"""Training sets as Dagster assets: a partition a day once outcomes are over, built, checked, and the same again."""

import datetime as dt
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
from dagster._core.definitions.asset_daemon_cursor import AssetDaemonCursor
from dagster._core.definitions.partitions.context import partition_loading_context

from seqplat_assets.describe.keys import key_of
from seqplat_assets.factory import definitions_of
from seqplat_assets.layers.assets import built
from seqplat_assets.repair.sensors import spans
from seqplat_assets.run import materialize_range
from seqplat_assets.runs.preview import quiet
from seqplat_resources.batch.days.existing import built_days
from seqplat_resources.batch.days.troubles import DayTroubles
from seqplat_resources.batch.inputs.sets import Sets
from seqplat_resources.health.results import Results
from seqplat_resources.quality.days_built import days_built
from seqplat_resources.release.runtime import Runtime
from sequence_defs.schema import Followed, Moments, SessionView, TrainingSet
from tests.seqplat_assets.shop_days import DAYS, lock, shop, write

ASSET = "training/again"
OF_TEAM: dict[str, Any] = {"tenant": "shop", "owner": "team:shop", "description": "Of a shop."}
AGAIN = TrainingSet(
    name="again",
    sequence="recent",
    moments=Moments(events="click"),
    outcomes=(Followed(name="came", events="click", within_h=30), Followed(name="soon", events="click", within_h=1)),
    columns=("id",),
    length=3,
    start=DAYS[0],
    **OF_TEAM,
)
CHECKS = ("empty_share", "label_coverage", "leakage", "length_distribution")


def sets(runtime: Runtime) -> dict[dt.date, dict[str, bytes]]:
    found = Sets(runtime.home, "again").days()
    return {day: {path.name: path.read_bytes() for path in sorted(at.iterdir())} for day, at in found.items()}


def test_a_day_of_labels_comes_from_the_days_after_it_as_well(tmp_path: Path) -> None:
    visit = SessionView(name="visit", event_types=("click",), **OF_TEAM)
    of_visits = AGAIN.model_copy(update={"moments": Moments(events="sessions_visit")})
    asset = {each.full_name: each for each in built(shop(tmp_path, visit, of_visits))}[ASSET]
    deps = {"/".join(dep.asset_key.path): dep.partition_mapping for dep in asset.spec.deps}
    assert {name: mapping.end_offset for name, mapping in deps.items() if mapping} == {  # type: ignore[attr-defined]
        "events/click_events": 2,
        "sessions/visit_sessions": 2,
    }
    lineage = asset.spec.metadata["dagster/column_lineage"].deps_by_column
    assert {out: [each.column_name for each in deps] for out, deps in lineage.items()} == {
        "user": ["user_id"],
        "time": ["start_time"],
        "came": ["event_time"],
        "soon": ["event_time"],
        "id": ["id"],
    }
    assert asset.spec.code_version
    assert asset.spec.group_name == "shop"


def test_a_day_is_a_partition_once_its_outcomes_are_over(tmp_path: Path) -> None:
    asset = {each.full_name: each for each in built(shop(tmp_path, AGAIN))}[ASSET]
    days = asset.spec.partitions_def
    assert days is not None
    with partition_loading_context(dt.datetime(2024, 5, 5, 0, 1, tzinfo=dt.UTC)):
        assert days.get_partition_keys() == ["2024-05-01", "2024-05-02"]


def test_days_are_built_checked_and_the_same_again(tmp_path: Path) -> None:
    runtime = shop(tmp_path, AGAIN)
    with dg.DagsterInstance.ephemeral() as instance:
        build = partial(materialize_range, runtime=runtime, instance=instance)
        found = build(DAYS[0], DAYS[-1])
        assert (found.failures, found.not_passed) == ({}, {})
        assert built_days(runtime, ASSET) == set(DAYS[:3])
        assert instance.get_materialized_partitions(key_of(ASSET)) == set(map(str, DAYS[:3]))
        first = sets(runtime)
        assert build(DAYS[0], DAYS[2], [ASSET]).passed
        assert sets(runtime) == first
    rows = pl.read_parquet(tmp_path / "home/training/again/2024-05-02/*.parquet").sort("time")
    assert rows.select("came", "soon", pl.col("id").list.len()).rows() == [
        (True, True, 3),
        (True, True, 3),
        (True, True, 3),
        (True, False, 3),
    ]


def test_a_day_whose_outcomes_are_not_over_is_said_and_built_when_they_are(tmp_path: Path) -> None:
    runtime = shop(tmp_path, AGAIN)
    with dg.DagsterInstance.ephemeral() as instance:
        build = partial(materialize_range, runtime=runtime, instance=instance)
        assert build(DAYS[0], DAYS[3]).success
        waiting = {day: str(each) for day, each in DayTroubles(runtime.home, runtime.clock).of(ASSET).items()}
        assert list(waiting) == DAYS[2:4]
        assert waiting[DAYS[2]].startswith("waits for outcomes: ")
        assert waiting[DAYS[2]].endswith(f"events/click has no {DAYS[4]}")
        assert [each for each in spans(runtime, print, everything=False) if ASSET in each[2]] == []
        told = days_built(runtime, ASSET)
        assert told.numbers["waiting"] == 2
        assert str(DAYS[2]) not in told.detail
        build(DAYS[4], DAYS[4], ["raw", "events"])
        due = [each for each in spans(runtime, print, everything=False) if ASSET in each[2]]
        assert (DAYS[2], DAYS[3], (ASSET,)) in due
        assert build(DAYS[2], DAYS[2], [ASSET]).passed
    assert built_days(runtime, ASSET) == set(DAYS[:3])
    kept = Results(runtime.home, runtime.clock).newest(DAYS[0]).verdicts
    waited = kept.filter(pl.col("asset") == ASSET, pl.col("judged") == DAYS[3])
    assert waited.height == 0, "nobody has to act on a day that is not over"


def test_labels_of_a_day_before_a_hole_are_not_known(tmp_path: Path) -> None:
    """A day that failed between would look quiet: nobody clicked."""
    runtime = shop(tmp_path, AGAIN)
    lock(tmp_path, DAYS[1])
    with dg.DagsterInstance.ephemeral() as instance:
        materialize_range(DAYS[0], DAYS[-1], runtime=runtime, instance=instance)
    assert built_days(runtime, ASSET) == {DAYS[2]}


def test_checks_are_kept_like_those_of_other_assets(tmp_path: Path) -> None:
    runtime = shop(tmp_path, AGAIN)
    with dg.DagsterInstance.ephemeral() as instance:
        materialize_range(DAYS[0], DAYS[-1], runtime=runtime, instance=instance)
    kept = Results(runtime.home, runtime.clock).newest(DAYS[0]).verdicts
    found = kept.filter(pl.col("asset") == ASSET, pl.col("judged").is_not_null()).sort("judged", "check")
    said = {(day, check): status for day, check, status in found.select("judged", "check", "status").rows()}
    assert {check: said[DAYS[1], check] for check in CHECKS} == dict.fromkeys(CHECKS, "pass")
    assert said[DAYS[0], "length_distribution"] == "unjudged"  # nothing to compare it with


def test_a_day_is_asked_for_by_itself_once_all_days_of_its_outcomes_are_there(tmp_path: Path) -> None:
    definitions = definitions_of(shop(tmp_path, AGAIN))
    with dg.DagsterInstance.ephemeral() as instance, quiet():

        def asked(hour: int, minute: int, cursor: AssetDaemonCursor | None = None) -> tuple[set[str], Any]:
            at = dt.datetime(2024, 5, 8, hour, minute, tzinfo=dt.UTC)
            found = dg.evaluate_automation_conditions(definitions, instance, cursor=cursor, evaluation_time=at)
            return set(found.get_requested_partitions(key_of(ASSET))), found.cursor

        for day in range(1, 7):
            event = dg.AssetMaterialization(key_of("events/click"), partition=f"2024-05-0{day}")
            instance.report_runless_asset_event(event)
        days, cursor = asked(0, 10)
        assert days == set()
        days, cursor = asked(0, 45, cursor)
        assert days == {"2024-05-02", "2024-05-03", "2024-05-04"}, "the fifth takes the seventh, which is not there"


def test_a_file_that_changes_makes_its_sets_anew(tmp_path: Path) -> None:
    runtime = shop(tmp_path, AGAIN)
    with dg.DagsterInstance.ephemeral() as instance:
        build = partial(materialize_range, runtime=runtime, instance=instance)
        build(DAYS[0], DAYS[-1])
        write(tmp_path, DAYS[0], 6)
        build(DAYS[0], DAYS[0], ["raw", "events", "training"])
    assert Sets(runtime.home, "again").rows()[DAYS[0]] == 6
