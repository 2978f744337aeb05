"""Rows that are refused, through Dagster and the command line: each day's verdict, what goes on, what people read."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from seqplat_assets.describe.keys import key_of
from seqplat_assets.progress import Progress
from seqplat_assets.run import RangeResult, materialize_range
from seqplat_resources.release.runtime import Runtime
from sequence_defs.schema import Column, EventType, Sequence, Source, Tenant, Time
from serving.cli.main import root
from tests.building import days, runtime_for

DAYS = days(dt.date(2024, 5, 1), 3)
SHOP = Tenant(name="shop", tenant="shop", owner="team:shop", description="sells")
IDS = (Column(name="user", dtype="string", nullable=False), Column(name="id", dtype="string", nullable=False))
CLICKS = Source(
    name="clicks",
    tenant="shop",
    owner="team:shop",
    location="{day}.csv",
    format="csv",
    columns=(*IDS, Column(name="at", dtype="timestamp", nullable=False)),
    event_time=Time(sql="at"),
    ingest_time=Time(sql="at"),
    user_id="user",
    start=DAYS[0],
)
CLICK = EventType(name="click", tenant="shop", owner="team:shop", source="clicks", id_field="id", columns=IDS[1:])
RECENT = Sequence(name="recent", tenant="shop", owner="team:shop", event_types=("click",), columns=("id",), length=9)


@pytest.fixture
def instance(new_instance: Callable[[], dg.DagsterInstance]) -> dg.DagsterInstance:
    return new_instance()


@pytest.fixture
def shop(tmp_path: Path) -> Runtime:
    """Three days: one of whole rows, one half of whose times are written otherwise, one of nothing else."""
    for day, bad in zip(DAYS, (0, 2, 4), strict=True):
        times = [f"{day:%d.%m.%Y} 10:00" if n < bad else f"{day}T10:00:0{n}Z" for n in range(4)]
        rows = [f"u,{day}-{n},{time}" for n, time in enumerate(times)]
        (tmp_path / f"{day}.csv").write_text("\n".join(["user,id,at", *rows]))
    return runtime_for(tmp_path / "home", [SHOP, CLICKS, CLICK, RECENT], tmp_path)


def built(shop: Runtime, instance: dg.DagsterInstance, first: dt.date, last: dt.date) -> tuple[RangeResult, list[str]]:
    told: list[Progress] = []
    result = materialize_range(first, last, ["+online"], runtime=shop, instance=instance, report=told.append)
    return result, list(map(str, told))


def test_a_day_with_refused_rows_goes_on_and_does_not_pass(shop: Runtime, instance: dg.DagsterInstance) -> None:
    result, told = built(shop, instance, DAYS[0], DAYS[1])
    assert (result.success, result.passed) == (True, False)
    assert dict(result.not_passed) == {("raw/clicks", "rejects"): [str(DAYS[1])]}
    assert dict(result.refused) == {"raw/clicks": 2}
    assert any("6 rows, 2 refused" in line for line in told)
    assert any(f"not passed: rejects of {DAYS[1]}" in line for line in told)
    key = dg.AssetCheckKey(key_of("raw/clicks"), "rejects")
    told_of = [record.evaluation for record in instance.event_log_storage.get_asset_check_execution_history(key, 9)]
    assert {e.partition: e.passed for e in told_of if e} == {str(DAYS[0]): True, str(DAYS[1]): False}
    (why,) = [e.description or "" for e in told_of if e and not e.passed]
    assert why.startswith("column at: 2; looks like day first or month first dates")


def test_a_day_of_which_nothing_is_left_is_not_made_into_anything(shop: Runtime, instance: dg.DagsterInstance) -> None:
    result, told = built(shop, instance, DAYS[2], DAYS[2])
    assert (result.success, result.passed) == (False, False)
    assert not any("events/click" in line or "online/click" in line for line in told)
    (why,) = result.failures.values()
    assert why.startswith(f"raw/clicks: the day did not go well: {DAYS[2]}: rejects: column at: 4; looks like")
    assert "max_rejected_share=1" in why
    key = key_of("events/click")
    assert instance.get_materialized_partitions(key) == set(), "no empty day was published"


def test_people_read_what_was_refused_and_where_to_look(
    shop: Runtime, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SEQPLAT_HOME", str(shop.home.root))
    monkeypatch.setenv("SEQPLAT_SOURCES", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    (tmp_path / "dagster").mkdir()
    for day, code, left in ((DAYS[0], 0, ""), (DAYS[1], 1, "2 row(s) refused"), (DAYS[2], 1, "4 row(s) refused")):
        done = CliRunner().invoke(root, ["materialize", str(day), str(day), "+events"])
        assert done.exit_code == code, done.output
        last = done.output.strip().splitlines()[-1]
        assert last.startswith("next: seqplat rejects clicks   # " + left if left else "next: seqplat dev"), done.output
        assert ("looks like" in last) == bool(left)
    shown = CliRunner().invoke(root, ["rejects", "clicks"]).output
    assert "1970" not in shown
    assert "looks like" in shown.splitlines()[-1]
    assert "1970" not in CliRunner().invoke(root, ["rejects"]).output


def test_a_day_none_of_whose_rows_gives_an_event_is_not_published(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    """Raw rows are whole, but without the identity of an event."""
    lines = [f"u,{n if day == DAYS[0] else ''},{day}T10:00:0{n}Z" for day in DAYS[:2] for n in range(3)]
    (tmp_path / "all.csv").write_text("\n".join(["user,id,at", *lines]))
    source = CLICKS.model_copy(
        update={
            "location": "all.csv",
            "columns": tuple(c.model_copy(update={"nullable": True}) for c in CLICKS.columns),
        }
    )
    shop = runtime_for(tmp_path / "home", [SHOP, source, CLICK, RECENT], tmp_path)
    assert built(shop, instance, DAYS[0], DAYS[0])[0].passed
    result, told = built(shop, instance, DAYS[1], DAYS[1])
    assert not result.success
    assert dict(result.not_passed) == {("events/click", "rejects"): [str(DAYS[1])]}
    assert dict(result.refused) == {"events/click": 3}
    assert not any("online/click" in line for line in told)
