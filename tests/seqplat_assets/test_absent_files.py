"""A day's file that is late: nothing is made up in its place, it is looked for, and its day is built when it comes."""

import datetime as dt
import os
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from seqplat_assets.describe.keys import name_of
from seqplat_assets.factory import definitions_of
from seqplat_assets.layers.assets import built as assets_of
from seqplat_assets.repair.sensors import plan
from seqplat_assets.run import materialize_range
from seqplat_resources.batch.days.needs import all_needs
from seqplat_resources.batch.inputs import tables
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.engine.registry import ExecutorChanged
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.store import LoadedRelease
from sequence_defs.schema import Column, Enrich, Join, Snapshot, Source
from serving.cli.main import root
from tests.building import ManualClock, utc
from tests.seqplat_assets.shop_days import CLICK, CLICKS, DAYS, LAYERS, built, materialized, served, shop, spoil, write

EVERY = list(range(len(DAYS)))


@pytest.fixture
def instance(new_instance: Callable[[], dg.DagsterInstance]) -> dg.DagsterInstance:
    return new_instance()


@pytest.fixture
def clock() -> ManualClock:
    """Long after files are written, so that whatever was written has come to rest."""
    return ManualClock(dt.datetime.now(dt.UTC) + dt.timedelta(hours=1))


def asked(runtime: Runtime, instance: dg.DagsterInstance) -> list[tuple[str, str, set[str]]]:
    """What the sensor asks for: first day, last day, assets."""
    definitions = definitions_of(runtime)
    context = dg.build_sensor_context(instance=instance, definitions=definitions)
    requests = definitions.resolve_sensor_def("mend_days").evaluate_tick(context).run_requests or []
    tags = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
    return [(r.tags[tags[0]], r.tags[tags[1]], {name_of(k) for k in r.asset_selection or ()}) for r in requests]


def test_a_day_without_its_file_waits_and_is_built_when_it_comes(
    tmp_path: Path, instance: dg.DagsterInstance, clock: ManualClock
) -> None:
    runtime = shop(tmp_path, clock=clock)
    (tmp_path / f"{DAYS[2]}.csv").unlink()
    done = materialize_range(DAYS[0], DAYS[-1], runtime=runtime, instance=instance)
    assert not done.success
    assert done.failures["raw__clicks"].startswith(
        f"raw/clicks: 1 of 5 days did not go well: {DAYS[2]}: waits for files: no file matches '{DAYS[2]}.csv' below"
    )
    others = [n for n in EVERY if n != 2]
    assert built(runtime) == dict.fromkeys(LAYERS, others)
    assert all(materialized(instance, name) == others for name in LAYERS)
    assert asked(runtime, instance) == [], "nothing can be done yet"
    write(tmp_path, DAYS[2])
    assert asked(runtime, instance) == [(str(DAYS[2]), str(DAYS[2]), set(LAYERS))]
    assert materialize_range(DAYS[0], DAYS[-1], runtime=runtime, instance=instance, missing=True).success
    assert built(runtime) == dict.fromkeys(LAYERS, EVERY)
    assert asked(runtime, instance) == []


def test_a_day_alone_that_waits_is_not_forgotten_by_what_is_made_of_it(
    tmp_path: Path, instance: dg.DagsterInstance, clock: ManualClock
) -> None:
    """Dagster does not begin the steps that would have noticed."""
    runtime = shop(tmp_path, clock=clock)
    (tmp_path / f"{DAYS[2]}.csv").unlink()
    assert not materialize_range(DAYS[2], DAYS[2], runtime=runtime, instance=instance).success
    write(tmp_path, DAYS[2])
    assert asked(runtime, instance) == [(str(DAYS[2]), str(DAYS[2]), set(LAYERS))]


@pytest.mark.parametrize("none", ["any", ("fri", "sat"), (DAYS[2],)], ids=str)
def test_a_day_that_may_have_no_file_is_a_day_without_rows(
    tmp_path: Path, instance: dg.DagsterInstance, none: object
) -> None:
    """The third of May 2024 was a Friday."""
    runtime = shop(tmp_path, source=CLICKS.model_copy(update={"no_file_on": none}))
    (tmp_path / f"{DAYS[2]}.csv").unlink()
    assert materialize_range(DAYS[0], DAYS[-1], runtime=runtime, instance=instance).success
    assert served(runtime) == {0: 4, 1: 4, 2: 0, 3: 4, 4: 4}


def test_a_bad_file_that_is_moved_away_is_not_a_day_without_events(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    runtime = shop(tmp_path)
    assert materialize_range(DAYS[0], DAYS[1], runtime=runtime, instance=instance).success
    spoil(tmp_path, DAYS[1])
    assert not materialize_range(DAYS[1], DAYS[1], runtime=runtime, instance=instance).success
    (tmp_path / f"{DAYS[1]}.csv").unlink()
    assert not materialize_range(DAYS[1], DAYS[1], runtime=runtime, instance=instance).success
    assert served(runtime) == {0: 4, 1: 4}


def test_a_file_that_grows_or_comes_beside_others_makes_its_day_dirty(
    tmp_path: Path, instance: dg.DagsterInstance, clock: ManualClock
) -> None:
    runtime = shop(tmp_path, source=CLICKS.model_copy(update={"location": "{day}*.csv"}), clock=clock)
    assert materialize_range(DAYS[0], DAYS[-1], runtime=runtime, instance=instance).success
    assert asked(runtime, instance) == []
    write(tmp_path, DAYS[1], 5)
    (tmp_path / f"{DAYS[3]}-late.csv").write_text(f"user,id,at\nu,late,{DAYS[3]}T10:00:09Z")
    os.utime(tmp_path / f"{DAYS[3]}-late.csv", (0, 0))  # a copy that keeps the time it has elsewhere
    assert asked(runtime, instance) == [(str(DAYS[n]), str(DAYS[n]), set(LAYERS)) for n in (3, 1)]
    for day in (DAYS[1], DAYS[3]):
        assert materialize_range(day, day, runtime=runtime, instance=instance).success
    assert served(runtime) == {0: 4, 1: 5, 2: 4, 3: 5, 4: 4}
    (tmp_path / f"{DAYS[0]}.csv").unlink()
    assert asked(runtime, instance) == [], "what was built of a file stands when it is gone"


def test_a_failed_day_is_tried_again_later_and_later_and_at_once_when_its_file_changed(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    clock = ManualClock(utc(2024, 5, 7))
    runtime = shop(tmp_path, clock=clock)
    spoil(tmp_path, DAYS[1])
    waits = []
    for _ in range(4):
        assert not materialize_range(DAYS[1], DAYS[1], runtime=runtime, instance=instance).success
        failed_at = clock.time
        while not planned(runtime, clock):
            clock.time += dt.timedelta(seconds=30)
        waits.append(round((clock.time - failed_at).total_seconds() / 60))
    assert waits == [1, 2, 4, 8]
    materialize_range(DAYS[1], DAYS[1], runtime=runtime, instance=instance)
    assert not planned(runtime, clock)
    write(tmp_path, DAYS[1])
    assert planned(runtime, clock) == ["raw/clicks"]


def planned(runtime: Runtime, clock: ManualClock) -> list[str]:
    found = plan(runtime, list(assets_of(runtime)), all_needs(runtime), lambda _: (), now=clock.now())
    return [rebuild.name for rebuild in found]


def test_an_enrichment_that_is_late_holds_up_nothing_and_is_looked_up_when_it_comes(
    tmp_path: Path, instance: dg.DagsterInstance, clock: ManualClock
) -> None:
    prices = Source(
        name="prices",
        tenant="shop",
        owner="team:shop",
        location="prices-{day}.csv",
        format="csv",
        columns=(Column(name="id", dtype="string", nullable=False), Column(name="price", dtype="float64", unit="EUR")),
    )
    price = Snapshot(
        name="price",
        tenant="shop",
        owner="team:shop",
        source="prices",
        key=("id",),
        columns=(Column(name="price", dtype="float64", unit="EUR"),),
    )
    priced = CLICK.model_copy(update={"enrichments": (Enrich(enrichment="price"),)})
    runtime = shop(tmp_path, prices, price, clock=clock, event_type=priced)
    for day in (DAYS[0], DAYS[2]):
        (tmp_path / f"prices-{day}.csv").write_text(f"id,price\n{day}-0,2.5")
    done = materialize_range(DAYS[0], DAYS[2], runtime=runtime, instance=instance)
    assert (done.success, done.passed) == (True, False)
    assert built(runtime)["online/click"] == [0, 1, 2]
    assert list(all_needs(runtime)) == ["enrichments/price"]
    assert asked(runtime, instance) == []
    (tmp_path / f"prices-{DAYS[1]}.csv").write_text(f"id,price\n{DAYS[1]}-0,2.5")
    after = {"enrichments/price", "events/click", "sequences/recent", "online/click"}
    assert asked(runtime, instance) == [(str(DAYS[1]), str(DAYS[1]), after)]


def test_people_are_told_what_waits_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = shop(tmp_path)
    for name, value in (("SEQPLAT_HOME", runtime.home.root), ("SEQPLAT_SOURCES", str(tmp_path))):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    (tmp_path / f"{DAYS[2]}.csv").unlink()
    spoil(tmp_path, DAYS[3])
    run = CliRunner().invoke
    done = run(root, ["materialize", str(DAYS[0]), str(DAYS[-1])])
    assert done.exit_code == 1
    assert f"next: seqplat materialize {DAYS[2]} {DAYS[3]} --missing" in done.output
    said = run(root, ["dirty"]).output
    assert "2 day(s) not well" in said
    assert "when it has files" in said
    assert "no bucket to build again" in run(root, ["reseal"]).output, "one is not due, the other has no file"
    write(tmp_path, DAYS[2])
    write(tmp_path, DAYS[3])
    done = run(root, ["reseal"])
    assert done.exit_code == 0, done.output
    assert "no dirty bucket" in run(root, ["dirty"]).output
    assert built(runtime) == dict.fromkeys(LAYERS, EVERY)
    assert "nothing is missing" in run(root, ["materialize", str(DAYS[0]), str(DAYS[-1]), "--missing"]).output


@pytest.mark.parametrize("kind", ["a link that leads nowhere", "a pipe"])
def test_what_is_no_file_fails_its_day_and_hides_no_other(
    tmp_path: Path, instance: dg.DagsterInstance, clock: ManualClock, kind: str
) -> None:
    """Nobody writes to the pipe: whoever opens it waits for ever."""
    runtime = shop(tmp_path, clock=clock)
    odd = tmp_path / f"{DAYS[2]}.csv"
    odd.unlink()
    odd.symlink_to("nowhere") if kind.startswith("a link") else os.mkfifo(odd)
    done = materialize_range(DAYS[0], DAYS[-1], runtime=runtime, instance=instance)
    assert f"{DAYS[2]}.csv is not readable csv" in done.failures["raw__clicks"]
    assert built(runtime) == {name: [0, 1, 3, 4] for name in LAYERS}
    write(tmp_path, DAYS[3], 5)
    assert (str(DAYS[3]), str(DAYS[3]), set(LAYERS)) in asked(runtime, instance)


def test_a_file_of_all_days_that_grows_makes_them_dirty(
    tmp_path: Path, instance: dg.DagsterInstance, clock: ManualClock
) -> None:
    runtime = shop(tmp_path, source=CLICKS.model_copy(update={"location": "all*.csv"}), clock=clock)
    everything = tmp_path / "all.csv"
    everything.write_text("user,id,at\n" + "".join(f"u,{day},{day}T10:00:00Z\n" for day in DAYS))
    assert materialize_range(DAYS[0], DAYS[-1], runtime=runtime, instance=instance).success
    assert asked(runtime, instance) == []
    with everything.open("a") as file:
        file.write(f"u,late,{DAYS[1]}T11:00:00Z\n")
    assert asked(runtime, instance) == [(str(DAYS[0]), str(DAYS[-1]), set(LAYERS))]
    assert materialize_range(DAYS[0], DAYS[-1], runtime=runtime, instance=instance).success
    assert served(runtime) == {0: 1, 1: 2, 2: 1, 3: 1, 4: 1}
    os.utime(everything, (later := (clock.now() + dt.timedelta(days=9)).timestamp(), later))
    assert asked(runtime, instance), "a time that is not yet is of no use to wait for"
    everything.unlink()
    assert asked(runtime, instance) == []


def test_a_joined_file_that_comes_or_changes_makes_the_days_dirty_that_it_is_joined_to(
    tmp_path: Path, instance: dg.DagsterInstance, clock: ManualClock
) -> None:
    join = Join(location="names*.csv", on=("user",), columns=("name",))
    columns = (*CLICKS.columns, Column(name="name", dtype="string"))
    source = CLICKS.model_copy(update={"joins": (join,), "columns": columns})
    runtime = shop(tmp_path, source=source, clock=clock)
    every = (str(DAYS[0]), str(DAYS[-1]), set(LAYERS))
    assert not materialize_range(DAYS[0], DAYS[-1], runtime=runtime, instance=instance).success
    names = tmp_path / "names.csv"
    names.write_text("user,name\nv,Vera\n")
    assert asked(runtime, instance) == [every]
    assert materialize_range(DAYS[0], DAYS[-1], runtime=runtime, instance=instance).success
    assert asked(runtime, instance) == []
    for change in (lambda: names.write_text("user,name\nu,Ulla\n"), (tmp_path / "names-more.csv").touch):
        change()
        assert asked(runtime, instance) == [every]
        assert materialize_range(DAYS[0], DAYS[-1], runtime=runtime, instance=instance).success
        assert asked(runtime, instance) == []
    rows = tables.raw(runtime, source).scan().collect()
    assert rows["name"].to_list() == ["Ulla"] * rows.height


def test_what_cannot_be_looked_at_of_one_asset_hides_no_other(
    tmp_path: Path, instance: dg.DagsterInstance, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code that is not the release's is met when the table of its events is opened."""
    other = CLICK.model_copy(update={"name": "tap"})
    runtime = shop(tmp_path, other, clock=clock)
    assert materialize_range(DAYS[0], DAYS[0], runtime=runtime, instance=instance).success
    write(tmp_path, DAYS[0], 5)
    of = EventPlan.of

    def changed(loaded: LoadedRelease, name: str) -> EventPlan:
        if name == "tap":
            raise ExecutorChanged("the code of tap is another one")
        return of(loaded, name)

    monkeypatch.setattr(EventPlan, "of", changed)
    assert asked(runtime, instance) == [(str(DAYS[0]), str(DAYS[0]), {*LAYERS, "events/tap", "online/tap"})]
