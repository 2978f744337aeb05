"""The pooled SQLite storage is the stock one over connections that stay open."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.event_log import SqliteEventLogStorage

from seqplat_assets import event_log
from seqplat_assets.event_log import PooledSqliteEventLog

KEY = dg.AssetKey("bucket")


@dg.asset(key=KEY)
def bucket() -> None: ...


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


def test_the_stock_class_reads_what_the_pooled_one_wrote(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """Also while the writer still holds its connections: the UI may run without our settings."""
    run_id = dg.materialize([bucket], instance=instance).run_id
    assert isinstance(instance.event_log_storage, PooledSqliteEventLog)
    stock = SqliteEventLogStorage(str(tmp_path / "history" / "runs"))
    stock.register_instance(instance)
    ours = [record.event_log_entry for record in instance.get_records_for_run(run_id).records]
    assert [record.event_log_entry for record in stock.get_records_for_run(run_id).records] == ours
    assert len(ours) > 5
    assert stock.get_materialized_partitions(KEY) == instance.event_log_storage.get_materialized_partitions(KEY)
    assert stock.get_latest_materialization_events([KEY])[KEY] is not None


def test_a_batch_is_stored_whole_or_not_at_all(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = dg.materialize([bucket], instance=instance).run_id
    (event,) = (e for e in instance.all_logs(run_id) if e.dagster_event and e.dagster_event.is_step_materialization)
    storage = instance.event_log_storage
    storage.store_event_batch([event] * 20)
    assert len(instance.fetch_materializations(KEY, limit=99).records) == 21
    count, store = len(instance.all_logs(run_id)), storage.store_event

    def fails(entry: dg.EventLogEntry, left: list[int] = [5]) -> None:  # noqa: B006
        left[0] -= 1
        if not left[0]:
            raise OSError("disk")
        store(entry)

    monkeypatch.setattr(storage, "store_event", fails)
    with pytest.raises(OSError, match="disk"):
        storage.store_event_batch([event] * 20)
    assert len(instance.fetch_materializations(KEY, limit=99).records) == 21
    assert len(instance.all_logs(run_id)) == count


def test_databases_of_old_runs_are_closed_and_opened_again(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "OPEN_DATABASES", 2)
    runs = [dg.materialize([bucket], instance=instance).run_id for _ in range(3)]
    assert len(instance.event_log_storage._engines) <= 2
    for run_id in runs:
        assert instance.get_records_for_run(run_id).records
    assert len(instance.fetch_materializations(KEY, limit=10).records) == 3


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
