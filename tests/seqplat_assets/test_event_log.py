"""The pooled SQLite storage is the stock one over connections that stay open."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CODE_VERSION_TAG
from hypothesis import given
from hypothesis import strategies as st

from seqplat_assets.event_log import PooledSqliteEventLog, storage
from seqplat_assets.event_log.packing import packed, unpacked
from seqplat_assets.runs.preview import day_check, day_evaluation, log_evaluations, quiet, range_asset

KEY, DAYS = dg.AssetKey("bucket"), dg.AssetKey("by_day")
CHECK, DAY_CHECK = dg.AssetCheckKey(KEY, "judged"), dg.AssetCheckKey(DAYS, "good")
PARTITIONS = dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-01-09")


@dg.asset(key=KEY)
def bucket() -> None: ...


@dg.asset_check(asset=KEY)
def judged() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


def _build(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
    for day in context.partition_keys:
        context.add_asset_metadata({"rows": int(day[-2:])}, partition_key=day)
    yield dg.MaterializeResult()


by_day = range_asset(
    dg.AssetSpec(DAYS, partitions_def=PARTITIONS, code_version="1"), "by_day", _build, pool="any", tags={}
)


SPEC = day_check(DAYS, "good", PARTITIONS, description="", blocking=False)


def _judge(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckEvaluation | dg.Output[None]]:
    severity = dg.AssetCheckSeverity.WARN
    log_evaluations(
        context.op_execution_context,
        [
            day_evaluation(SPEC, day, None, passed=day != "2024-01-03", severity=severity, description="", metadata={})
            for day in context.partition_keys[:-1]
        ],
    )
    yield dg.Output(None, output_name=next(iter(context.op_execution_context.selected_output_names)))


with quiet():
    judged_by_day = dg.multi_asset_check(specs=[SPEC])(_judge)


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "dagster.yaml").write_text(
        "telemetry: {enabled: false}\n"
        "storage: {custom: {module: seqplat_assets.event_log, class: PooledSqliteStorage, "
        "config: {base_dir: {env: DAGSTER_HOME}}}}\n"
    )
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    instance = dg.DagsterInstance.get()
    yield instance
    instance.dispose()


def _texts(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    return [record.event_log_entry.to_json() for record in instance.get_records_for_run(run_id).records]


@pytest.fixture
def stock(tmp_path: Path) -> dg.DagsterInstance:
    """Dagster's own class over the same files."""
    return dg.DagsterInstance.local_temp(str(tmp_path))


def test_what_the_stock_class_wrote_is_read_and_gone_on_with(
    stock: dg.DagsterInstance, instance: dg.DagsterInstance
) -> None:
    """A home from before: its runs have a database each, and some may still be running."""
    run_id = dg.materialize([bucket, judged], instance=stock).run_id
    assert isinstance(instance.event_log_storage, PooledSqliteEventLog)
    said = _texts(stock, run_id)
    assert _texts(instance, run_id) == said
    assert len(said) > 5
    instance.report_engine_event("late", instance.get_run_by_id(run_id))
    assert len(_texts(instance, run_id)) == len(said) + 1
    again = dg.materialize([bucket, judged], instance=instance).run_id
    assert len(_texts(instance, again)) == len(said)
    assert len(instance.fetch_materializations(KEY, limit=9).records) == 2
    checks = instance.event_log_storage.get_asset_check_execution_history(CHECK, 9)
    assert [check.run_id for check in checks] == [again, run_id]


@pytest.mark.parametrize("size", ["0", "500"])
def test_days_are_told_as_the_stock_class_tells_them(
    instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: str
) -> None:
    """In batches or not: the same events, tags, verdicts by day and partitions that are there."""
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", size)
    (tmp_path / "stock").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "stock")) as other:
        assert _told(instance) == _told(other)


def _told(instance: dg.DagsterInstance) -> list[object]:
    """Of two runs over a range, the second of which did not do all it had planned."""
    found: list[object] = []
    for last in ("2024-01-06", "2024-01-04"):
        tags = {"dagster/asset_partition_range_start": "2024-01-02", "dagster/asset_partition_range_end": last}
        run = dg.materialize([by_day, judged_by_day], instance=instance, tags=tags, raise_on_error=False)
        logged = instance.all_logs(run.run_id)
        found.append([(e.dagster_event_type, e.dagster_event.partition) for e in logged if e.dagster_event])
    log = instance.event_log_storage
    found += [log.get_materialized_partitions(DAYS), log.get_asset_check_partition_info([DAY_CHECK]).__len__()]
    history = log.get_asset_check_execution_history(DAY_CHECK, 99)
    found.append([(each.partition, each.status) for each in history])
    records = instance.fetch_materializations(DAYS, limit=99).records
    found.append([(each.partition_key, (each.asset_materialization.tags or {})[CODE_VERSION_TAG]) for each in records])
    tagged = log.get_event_tags_for_asset(DAYS, filter_tags={CODE_VERSION_TAG: "1"})
    found.append(len(tagged))
    record = instance.get_latest_materialization_event(DAYS)
    return [*found, record and record.asset_materialization and record.asset_materialization.partition]


def test_a_batch_is_stored_whole_or_not_at_all(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = dg.materialize([bucket], instance=instance).run_id
    (event,) = (e for e in instance.all_logs(run_id) if e.dagster_event and e.dagster_event.is_step_materialization)
    storage = instance.event_log_storage
    storage.store_event_batch([event] * 20)
    assert len(instance.fetch_materializations(KEY, limit=99).records) == 21
    count = len(instance.all_logs(run_id))

    def fails(*_: object) -> None:
        raise OSError("disk")

    monkeypatch.setattr(storage, "_store_asset_event", fails)
    with pytest.raises(OSError, match="disk"):
        storage.store_event_batch([event] * 20)
    assert len(instance.fetch_materializations(KEY, limit=99).records) == 21
    assert len(instance.all_logs(run_id)) == count


def test_verdicts_without_a_run_are_told_again(instance: dg.DagsterInstance) -> None:
    """Of a day as well as of no day; the stock class refuses the second of a day."""
    for day in ("2024-01-02", "2024-01-02", None, None):
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(asset_key=DAYS, check_name="good", passed=True, partition=day)
        )
    history = instance.event_log_storage.get_asset_check_execution_history(DAY_CHECK, 9)
    assert sorted(str(each.partition) for each in history) == ["2024-01-02", "None", "None"]


def test_databases_of_old_runs_are_closed_and_opened_again(
    stock: dg.DagsterInstance, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "OPEN_DATABASES", 2)
    runs = [dg.materialize([bucket], instance=stock).run_id for _ in range(3)]
    for run_id in runs:
        assert instance.get_records_for_run(run_id).records
    assert len(instance.event_log_storage._engines) <= 2
    assert len(instance.fetch_materializations(KEY, limit=10).records) == 3


@given(st.text(), st.integers(0, 99))
def test_any_text_is_packed_without_loss(text: str, times: int) -> None:
    assert unpacked(packed(text * times).encode()) == text * times
    assert unpacked(text.encode()) == text
    assert unpacked(f"z1:{text}".encode()) == f"z1:{text}", "a tag may begin so, and nobody packed it"


def test_a_watched_run_is_heard_to_its_end(instance: dg.DagsterInstance) -> None:
    """The live log of the run page."""
    run_id, heard, over = dg.materialize([bucket], instance=instance).run_id, list[str](), threading.Event()

    def hear(entry: dg.EventLogEntry, cursor: str) -> None:
        heard.append(entry.dagster_event_type.value if entry.dagster_event_type else "log")
        if heard[-1] == "PIPELINE_SUCCESS":
            over.set()

    instance.watch_event_logs(run_id, None, hear)
    assert over.wait(10), heard
    instance.end_watch_event_logs(run_id, hear)
    assert "ASSET_MATERIALIZATION" in heard


def test_processes_that_start_together_create_the_databases_once(tmp_path: Path) -> None:
    """As webserver and daemon do on an empty home, each creating run, event and schedule databases."""
    code = "from seqplat_assets.event_log import PooledSqliteStorage as S; import sys; S(sys.argv[1])"
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = [process.communicate(timeout=60)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], said


def test_wiping_leaves_an_empty_log_that_takes_new_runs(instance: dg.DagsterInstance) -> None:
    dg.materialize([bucket], instance=instance)
    instance.event_log_storage.wipe()
    assert instance.get_latest_materialization_event(KEY) is None
    dg.materialize([bucket], instance=instance)
    assert instance.get_latest_materialization_event(KEY) is not None
