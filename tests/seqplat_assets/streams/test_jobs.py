"""A stream as a run: what it makes visible, keeps and tells, how it ends, and when its sensor asks for another."""

import datetime as dt
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from seqplat_assets.describe.keys import key_of
from seqplat_assets.factory import definitions_of
from seqplat_assets.runs.liveness import PROCESS
from seqplat_assets.runs.preview import quiet
from seqplat_assets.streams import checks
from seqplat_assets.streams import run as stream_run
from seqplat_assets.streams.jobs import StreamSettingsInvalid, job_name, life_s
from seqplat_resources.batch.inputs import tables
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.records.process import this_process
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.sources.log.file.folder import FileLogWriter
from tests.building import utc
from tests.seqplat_assets.streams.streaming import clicked, say, streamed, visible
from tests.stream.world import TOPIC

STREAM = key_of("stream/clicks")
AT = utc(2024, 5, 1, 12)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    """Its runs live for two seconds and tell every half."""
    monkeypatch.setattr(stream_run, "SUMMARY_EVERY_S", 0.5)
    monkeypatch.setattr(checks, "LOOK_EVERY_S", 0)
    runtime = streamed(tmp_path, SEQPLAT_STREAM_LIFE_S="2")
    with closing(open_online_store(runtime.home)):
        return runtime


def run(runtime: Runtime, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    job = definitions_of(runtime).resolve_job_def(job_name("clicks"))
    return job.execute_in_process(instance=instance, raise_on_error=False)


def summaries(instance: dg.DagsterInstance) -> list[dict[str, Any]]:
    """Oldest first."""
    records = instance.fetch_materializations(STREAM, limit=100, ascending=True).records
    events = [record.asset_materialization for record in records]
    return [{name: value.value for name, value in event.metadata.items()} for event in events if event]


def archived(runtime: Runtime) -> int:
    return int(tables.archive(runtime, runtime.release.sources["clicks"]).files()["rows"].sum())


def test_a_run_makes_messages_visible_keeps_them_and_tells_what_it_did(
    runtime: Runtime, instance: dg.DagsterInstance
) -> None:
    say(runtime, [clicked("ann", n, AT + dt.timedelta(minutes=n)) for n in range(6)])
    with closing(FileLogWriter(runtime.home.uri("log"))) as writer:
        writer.append(TOPIC, [(None, b"{broken")], partition=0)
        writer.flush()
    done = run(runtime, instance)
    assert done.success
    assert visible(runtime, "ann") == ["5", "4", "3", "2", "1", "0"]
    assert archived(runtime) == 6
    told = summaries(instance)
    assert len(told) >= 2
    assert sum(each["messages"] for each in told) == told[-1]["run_messages"] == 7
    assert sum(each["rejected"] for each in told) == 1
    assert sum(each.get("events_click", 0) for each in told) == 6
    assert sum(each["lateness_on_time"] for each in told) == 6
    assert told[0]["messages_per_s"] > 0
    assert (told[0]["lag"], told[0]["lag_clicks:0"], told[0]["lag_clicks:1"]) == (0, 0, 0)
    assert all(isinstance(value, float) for each in told for name, value in each.items() if name != "release")
    (check,) = instance.event_log_storage.get_asset_check_execution_history(dg.AssetCheckKey(STREAM, "rejects"), 10)
    assert check.evaluation is not None
    target = check.evaluation.target_materialization_data
    assert target is not None
    newest = instance.fetch_materializations(STREAM, limit=1).records[0]
    assert target.storage_id == newest.storage_id, "or the UI would show it as not evaluated"
    assert (check.evaluation.passed, check.evaluation.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.evaluation.metadata["rejected"].value == 1.0
    assert check.evaluation.metadata["rows"].value == 6.0


def test_a_second_run_goes_on_where_the_first_ended(runtime: Runtime, instance: dg.DagsterInstance) -> None:
    say(runtime, [clicked("ann", n, AT) for n in range(4)])
    assert run(runtime, instance).success
    say(runtime, [clicked("ann", n, AT) for n in range(4, 6)])
    assert run(runtime, instance).success
    assert sorted(visible(runtime, "ann")) == ["0", "1", "2", "3", "4", "5"]
    assert archived(runtime) == 6
    assert summaries(instance)[-1]["run_messages"] == 2


def test_a_terminated_run_keeps_what_it_read_and_is_cancelled(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The UI notes that it was asked to, then the main thread of the run's process is interrupted."""
    monkeypatch.setattr(stream_run, "SUMMARY_EVERY_S", 0.5)
    monkeypatch.setattr(checks, "LOOK_EVERY_S", 0)
    runtime = streamed(tmp_path, SEQPLAT_STREAM_LIFE_S="60")
    say(runtime, [clicked("ann", n, AT) for n in range(5)])

    def interrupt() -> None:
        for _ in range(300):
            time.sleep(0.1)
            if summaries(instance):
                instance.report_run_canceling(instance.get_runs()[0])
                return os.kill(os.getpid(), signal.SIGINT)
        return None

    threading.Thread(target=interrupt).start()
    run(runtime, instance)
    (record,) = instance.get_run_records()
    assert record.dagster_run.status is dg.DagsterRunStatus.CANCELED
    assert archived(runtime) == 5
    assert summaries(instance)[-1]["run_messages"] == 5
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("stream-")]


def test_a_stream_that_cannot_go_on_fails_with_the_reason_and_is_not_retried(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    runtime = streamed(tmp_path, SEQPLAT_LOG="carrier pigeon")
    done = run(runtime, instance)
    assert not done.success
    (failure,) = [event for event in done.all_events if event.is_step_failure]
    assert failure.step_failure_data.user_failure_data is not None
    assert "SEQPLAT_LOG is 'carrier pigeon'" in (failure.step_failure_data.user_failure_data.description or "")
    (check,) = instance.event_log_storage.get_asset_check_execution_history(dg.AssetCheckKey(STREAM, "is_read"), 1)
    assert check.evaluation is not None
    assert (check.evaluation.passed, check.evaluation.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "its process has ended): SEQPLAT_LOG is 'carrier pigeon'" in (check.evaluation.description or "")


def test_the_check_may_be_executed_by_anybody(runtime: Runtime, instance: dg.DagsterInstance) -> None:
    selection = dg.AssetSelection.checks(dg.AssetCheckKey(STREAM, "rejects"))
    job = dg.Definitions.merge(
        definitions_of(runtime), dg.Definitions(jobs=[dg.define_asset_job("look", selection=selection)])
    ).resolve_job_def("look")
    done = job.execute_in_process(instance=instance)
    (evaluation,) = done.get_asset_check_evaluations()
    assert (evaluation.passed, evaluation.asset_key) == (True, STREAM)


# ---- The sensor --------------------------------------------------------------------------------------------------


def tick(runtime: Runtime, instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    definitions = definitions_of(runtime)
    sensor = definitions.resolve_sensor_def("keep_streams_running")
    context = dg.build_sensor_context(instance=instance, definitions=definitions)
    return list(sensor.evaluate_tick(context).run_requests or [])


def test_the_sensor_asks_for_a_run_where_there_is_none(runtime: Runtime, instance: dg.DagsterInstance) -> None:
    (request,) = tick(runtime, instance)
    assert (request.job_name, request.run_key) == ("stream_clicks", "clicks after none")
    assert tick(runtime, instance)[0].run_key == request.run_key, "the daemon launches a key once"


def test_the_sensor_is_quiet_while_a_run_reads_and_asks_again_when_it_is_old(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    runtime = streamed(tmp_path, SEQPLAT_STREAM_LIFE_S="2")
    job = definitions_of(runtime).resolve_job_def(job_name("clicks"))
    one = instance.create_run_for_job(job)
    assert tick(runtime, instance) == []
    instance.report_run_failed(one)
    assert tick(runtime, instance) == [], "it has only just failed"
    instance.delete_run(one.run_id)
    done = run(runtime, instance)
    assert done.success
    (request,) = tick(runtime, instance)
    assert request.run_key == f"clicks after {done.run_id}"


def test_a_run_whose_process_is_gone_is_reported_and_followed(runtime: Runtime, instance: dg.DagsterInstance) -> None:
    job = definitions_of(runtime).resolve_job_def(job_name("clicks"))
    dead = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    nobody = {**this_process(), "pid": 1, "started": "another", "run": dead.run_id}
    instance.add_run_tags(dead.run_id, {PROCESS: json.dumps(nobody)})
    tick(runtime, instance)
    found = instance.get_run_by_id(dead.run_id)
    assert found is not None
    assert found.status is dg.DagsterRunStatus.FAILURE


def test_the_sensor_is_on_unless_the_setting_says_off(tmp_path: Path) -> None:
    def status(**environment: str) -> dg.DefaultSensorStatus:
        return (
            definitions_of(streamed(tmp_path, **environment)).resolve_sensor_def("keep_streams_running").default_status
        )

    assert status() is dg.DefaultSensorStatus.RUNNING
    assert status(SEQPLAT_STREAMS="off") is dg.DefaultSensorStatus.STOPPED


def test_a_life_that_is_no_time_is_refused() -> None:
    assert life_s({}) == 1800
    assert life_s({"SEQPLAT_STREAM_LIFE_S": "0.5"}) == 0.5
    for wrong in ("soon", "0", "-3"):
        with pytest.raises(StreamSettingsInvalid, match=f"SEQPLAT_STREAM_LIFE_S is '{wrong}'"):
            life_s({"SEQPLAT_STREAM_LIFE_S": wrong})


def test_a_job_has_a_pool_a_rank_and_a_bound_of_its_own(runtime: Runtime) -> None:
    job = definitions_of(runtime).resolve_job_def(job_name("clicks"))
    assert job.get_node_named("read_clicks").definition.pools == {"stream/clicks"}
    assert job.tags["dagster/priority"] == "10"
    assert job.tags["dagster/max_runtime"] == "64"


def test_summaries_of_a_stream_start_nothing_downstream(runtime: Runtime, instance: dg.DagsterInstance) -> None:
    """Each counts as an update of an input of every day."""
    definitions = definitions_of(runtime)
    with quiet():
        at = dt.datetime(2026, 3, 2, 0, 20, tzinfo=dt.UTC)
        before = dg.evaluate_automation_conditions(definitions, instance, evaluation_time=at)
        for second in range(3):
            instance.report_runless_asset_event(
                dg.AssetMaterialization(STREAM, tags={"dagster/data_version": "stream"})
            )
            at += dt.timedelta(seconds=second + 1)
            before = dg.evaluate_automation_conditions(definitions, instance, cursor=before.cursor, evaluation_time=at)
            assert before.total_requested == 0
        night = dg.evaluate_automation_conditions(
            definitions, instance, cursor=before.cursor, evaluation_time=at.replace(minute=35)
        )
    assert max(night.get_requested_partitions(key_of("events/click"))) == "2026-03-01"


def test_the_settings_we_ship_keep_room_for_streams_and_late_data(
    new_instance: Callable[[], dg.DagsterInstance],
) -> None:
    """Priorities alone would not: a backfill that runs already is not interrupted."""
    shipped = new_instance().get_concurrency_config()
    limits = {
        (each["key"], each.get("value")): each["limit"] for each in shipped.run_queue_config.tag_concurrency_limits
    }
    pool = shipped.pool_config.default_pool_limit
    assert pool is not None
    assert limits["seqplat/work", "reseal"] + limits["dagster/backfill", None] < pool
    assert pool >= 2, "two runs of a stream while one hands over"
