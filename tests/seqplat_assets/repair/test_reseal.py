"""Late messages and corrections: their days, and only these, are asked for, built again, checked and published."""

import datetime as dt
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest

from seqplat_assets.describe.keys import name_of
from seqplat_assets.factory import definitions_of
from seqplat_assets.repair.reseal import RANGE_END, RANGE_START
from seqplat_assets.run import materialize_range
from seqplat_resources.batch.builds import events
from seqplat_resources.batch.days.ledger import QUIET_VERY_LATE, dirty_buckets
from seqplat_resources.batch.inputs import tables
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.home import Home
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.release.runtime import DEFAULT_CHANNEL, Runtime
from seqplat_resources.release.store import ReleaseStore
from sequence_defs.schema import Sequence as SequenceDefinition
from tests.building import ManualClock, days, runtime_for, utc
from tests.properties.clicks import shop
from tests.seqplat_assets.streams.streaming import clicked, read_all, say, streamed, visible
from tests.stream.world import DEFINITIONS, event_type, recent, source

D = days(dt.date(2024, 5, 1), 5)
RANGE = (D[0], D[-1])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home of five days with one click each, streamed, built and published; beside it the instance that saw it."""
    folder = tmp_path_factory.mktemp("built")
    runtime = streamed(folder, clock=ahead())
    stream(runtime, [(n, day, {}) for n, day in enumerate(D)])
    (folder / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(folder / "dagster")) as instance:
        done = materialize_range(*RANGE, runtime=runtime, instance=instance)
    assert done.success, done.failures
    return folder


@pytest.fixture
def instance(built: Path, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    shutil.copytree(built / "dagster", tmp_path / "dagster")
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as copy:
        yield copy


def ahead() -> ManualClock:
    """Of the clock files are written by, so that whatever was written has come to rest."""
    return ManualClock(dt.datetime.now(dt.UTC) + QUIET_VERY_LATE + dt.timedelta(minutes=5))


@pytest.fixture
def clock() -> ManualClock:
    return ahead()


@pytest.fixture
def runtime(built: Path, tmp_path: Path, clock: ManualClock) -> Runtime:
    """A copy of what was built."""
    home = Home(str(shutil.copytree(built / "home", tmp_path / "home")), {"SEQPLAT_HOME": str(tmp_path / "home")})
    return Runtime(home, ReleaseStore(home).load(DEFAULT_CHANNEL), str(tmp_path), clock)


def stream(runtime: Runtime, said: list[tuple[int, dt.date, dict[str, object]]]) -> None:
    """Clicks of these days, said and read."""
    say(runtime, [clicked("ann", n, dt.datetime.combine(day, dt.time(12), dt.UTC), **more) for n, day, more in said])
    read_all(runtime)


def tick(runtime: Runtime, instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    definitions = definitions_of(runtime)
    sensor = definitions.resolve_sensor_def("reseal_dirty_buckets")
    context = dg.build_sensor_context(instance=instance, definitions=definitions)
    return list(sensor.evaluate_tick(context).run_requests or [])


def spans(requests: list[dg.RunRequest]) -> list[tuple[str, str]]:
    return [(request.tags[RANGE_START], request.tags[RANGE_END]) for request in requests]


def obey(runtime: Runtime, instance: dg.DagsterInstance, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
    """Run what was asked for, as the daemon does."""
    job = definitions_of(runtime).resolve_implicit_global_asset_job_def()
    assert request.job_name == job.name
    return job.execute_in_process(
        instance=instance, asset_selection=request.asset_selection, tags=request.tags, raise_on_error=False
    )


def test_nothing_is_asked_for_where_nothing_is_dirty(runtime: Runtime, instance: dg.DagsterInstance) -> None:
    assert tick(runtime, instance) == []


def test_exactly_the_dirty_days_are_asked_for_until_they_were_built(
    runtime: Runtime, instance: dg.DagsterInstance
) -> None:
    stream(runtime, [(10, D[1], {}), (11, D[2], {}), (12, D[4], {})])
    requests = tick(runtime, instance)
    assert spans(requests) == [(str(D[4]), str(D[4])), (str(D[1]), str(D[2]))]
    assert [r.run_key for r in tick(runtime, instance)] == [r.run_key for r in requests], "the daemon launches it once"
    for request in requests:
        assert {name_of(k) for k in request.asset_selection or ()} == {
            "events/click",
            "sequences/recent",
            "online/click",
        }
        assert request.tags["seqplat/work"] == "reseal"
        assert {check.name for check in request.asset_check_keys or ()} >= {
            "complete_against_raw",
            "served_equals_batch",
        }
        done = obey(runtime, instance, request)
        assert done.success
        logged = instance.all_logs(done.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
        said = [each.get_dagster_event().asset_check_evaluation_data for each in logged]
        checked = {(each.check_name, each.partition) for each in said if each.passed}
        days_of = {day for name, day in checked if name == "served_equals_batch"}
        assert days_of == {day for name, day in checked if name == "complete_against_raw"}
        assert min(days_of), max(days_of) == spans([request])[0]  # type: ignore[type-var]
    assert dirty_buckets(runtime, "click") == []
    assert tick(runtime, instance) == [], "nothing is left to do"
    assert sorted(map(int, visible(runtime, "ann"))) == [0, 1, 2, 3, 4, 10, 11, 12]
    with closing(open_online_store(runtime.home)) as store:
        epoch = store.epoch("click")
    assert epoch is not None
    assert sum(epoch.buckets[str(D[1])].high_water.values()) == 8, "published, so that the now view may let go"


def test_a_correction_that_moves_an_event_has_both_its_days_built(
    runtime: Runtime, instance: dg.DagsterInstance
) -> None:
    stream(runtime, [(0, D[3], {"revision": 1})])
    requests = tick(runtime, instance)
    assert spans(requests) == [(str(D[3]), str(D[3])), (str(D[0]), str(D[0]))]
    assert all(obey(runtime, instance, request).success for request in requests)
    assert visible(runtime, "ann").count("0") == 1
    assert tick(runtime, instance) == []


def test_dirt_that_comes_while_a_run_is_queued_waits_for_it(runtime: Runtime, instance: dg.DagsterInstance) -> None:
    stream(runtime, [(10, D[1], {})])
    (request,) = tick(runtime, instance)
    job = definitions_of(runtime).resolve_implicit_global_asset_job_def()
    queued = instance.create_run_for_job(job, tags=dict(request.tags))
    stream(runtime, [(11, D[1], {}), (12, D[3], {})])
    assert spans(tick(runtime, instance)) == [(str(D[3]), str(D[3]))]
    instance.delete_run(queued.run_id)
    assert spans(tick(runtime, instance)) == [(str(D[3]), str(D[3])), (str(D[1]), str(D[1]))]


def test_dirt_that_has_not_come_to_rest_waits(
    runtime: Runtime, instance: dg.DagsterInstance, clock: ManualClock
) -> None:
    stream(runtime, [(10, D[1], {})])
    clock.time = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=1)
    assert tick(runtime, instance) == []
    clock.time += QUIET_VERY_LATE
    assert spans(tick(runtime, instance)) == [(str(D[1]), str(D[1]))]


def test_a_day_that_a_blocking_check_holds_back_is_not_published(
    runtime: Runtime, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream(runtime, [(10, D[1], {})])
    (request,) = tick(runtime, instance)
    build = events.build

    def build_and_lose(*arguments: object) -> Iterator[object]:
        yield from build(*arguments)  # type: ignore[arg-type]
        tables.events(runtime, EventPlan.of(runtime.loaded, "click")).replace({"day": D[1]}, [])

    with monkeypatch.context() as patch:
        patch.setattr(events, "build", build_and_lose)
        done = obey(runtime, instance, request)
    assert not done.success
    assert not done.asset_materializations_for_node("online__click")
    assert "1" in visible(runtime, "ann"), "readers still see the day as it was"


def test_a_sequence_is_left_out_where_another_of_its_event_types_was_never_built(tmp_path: Path) -> None:
    other = event_type.model_copy(update={"name": "other"})
    both = SequenceDefinition(name="both", tenant="shop", event_types=("click", "other"), columns=("value",))
    runtime = streamed(tmp_path, [*DEFINITIONS, other, both], clock=ahead())
    stream(runtime, [(n, day, {}) for n, day in enumerate(D)])
    with dg.DagsterInstance.ephemeral() as instance:
        assert materialize_range(*RANGE, ["events/click"], runtime=runtime, instance=instance).success
        stream(runtime, [(10, D[1], {})])
        (request,) = tick(runtime, instance)
        names = {name_of(key) for key in request.asset_selection or ()}
        assert names == {"events/click", "sequences/recent", "online/click"}
        assert obey(runtime, instance, request).success
        assert materialize_range(*RANGE, ["events/other"], runtime=runtime, instance=instance).success
        stream(runtime, [(11, D[1], {})])
        asked = {name_of(key) for each in tick(runtime, instance) for key in each.asset_selection or ()}
        assert "sequences/both" in asked


def test_a_release_that_streams_nothing_has_no_sensors_of_streams(tmp_path: Path) -> None:
    files = source.model_copy(update={"topic": "", "location": "clicks.parquet"})
    runtime = runtime_for(tmp_path / "home", [shop, files, event_type, recent], tmp_path)
    assert [sensor.name for sensor in definitions_of(runtime).sensors or ()] == ["build_new_days", "mend_days"]


def test_days_are_built_from_the_archive_alone(runtime: Runtime, instance: dg.DagsterInstance) -> None:
    """No file was ever ingested; a day without any message is a day without events."""
    empty = utc(2024, 5, 20).date()
    assert materialize_range(empty, empty, runtime=runtime, instance=instance).success
    rows = tables.events(runtime, EventPlan.of(runtime.loaded, "click")).files()
    assert dict(rows.select("day", "rows").iter_rows()) == {**{str(day): 1 for day in D}, str(empty): 0}
