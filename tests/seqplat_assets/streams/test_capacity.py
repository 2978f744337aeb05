"""Streams and builds share one instance: whatever the number of topics, builds find a place."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from seqplat_assets.describe.keys import key_of
from seqplat_assets.factory import definitions_of
from seqplat_assets.streams.capacity import OTHERS, RunCapacity
from seqplat_assets.streams.jobs import MOST_RUNS, StreamSettingsInvalid, most_runs, shared
from seqplat_resources.release.runtime import Runtime
from sequence_defs.schema import Definition, EventType, Source
from serving.cli.main import root
from tests.building import utc
from tests.seqplat_assets.conftest import SETTINGS
from tests.seqplat_assets.streams.streaming import clicked, say, streamed
from tests.stream.world import DEFINITIONS


def many(count: int) -> list[Definition]:
    """As many topics beside the one there is."""
    found = list[Definition]()
    for each in DEFINITIONS:
        copies = range(count) if isinstance(each, Source | EventType) else ()
        found.append(each)
        for n in copies:
            more = {"name": f"{each.name}{n}"}
            more |= {"topic": f"topic{n}"} if isinstance(each, Source) else {"source": f"{each.source}{n}"}  # type: ignore[attr-defined]
            found.append(each.model_copy(update=more))
    return found


@pytest.fixture
def instance_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dg.DagsterInstance]:
    def make(settings: str) -> dg.DagsterInstance:
        folder = tmp_path / "dagster"
        folder.mkdir()
        (folder / "dagster.yaml").write_text(settings)
        monkeypatch.setenv("DAGSTER_HOME", str(folder))
        return dg.DagsterInstance.get()

    return make


def asked(runtime: Runtime, instance: dg.DagsterInstance) -> tuple[list[str], str]:
    definitions = definitions_of(runtime)
    context = dg.build_sensor_context(instance=instance, definitions=definitions)
    tick = definitions.resolve_sensor_def("keep_streams_running").evaluate_tick(context)
    return [request.job_name or "" for request in tick.run_requests or []], tick.skip_message or ""


@pytest.mark.parametrize("topics", [1, MOST_RUNS, 20, 50])
def test_the_settings_we_ship_have_room_beside_any_number_of_topics(
    tmp_path: Path, instance_of: Callable[[str], dg.DagsterInstance], topics: int
) -> None:
    runtime = streamed(tmp_path, many(topics - 1))
    jobs = shared(runtime.release, {})
    assert sorted(source for sources in jobs.values() for source in sources) == sorted(runtime.release.sources)
    assert max(map(len, jobs.values())) - min(map(len, jobs.values())) <= 1, "shared evenly"
    with instance_of(SETTINGS.read_text()) as instance:
        room = RunCapacity.of(instance)
        assert room.shortage(len(jobs)) == ""
        assert room.runs is not None
        assert room.runs - 2 * len(jobs) >= OTHERS
        assert asked(runtime, instance)[0] == list(jobs), "all at once"


def test_with_few_runs_some_streams_wait_and_no_build_does(
    tmp_path: Path, instance_of: Callable[[str], dg.DagsterInstance]
) -> None:
    runtime = streamed(tmp_path, many(3))
    few = (
        "run_coordinator: {module: dagster.core.run_coordinator, class: QueuedRunCoordinator}\n"
        "concurrency: {runs: {max_concurrent_runs: 4}}\n"
    )
    with instance_of(few) as instance:
        jobs, _ = asked(runtime, instance)
        assert len(jobs) == 2
        for name in jobs:
            job = definitions_of(runtime).resolve_job_def(name)
            instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        more, why = asked(runtime, instance)
        assert more == []
        assert "set concurrency.runs.max_concurrent_runs to 12 at least" in why


FOUR_TOPICS = """
import datetime as dt
from sequence_defs import Column, EventType, Sequence, Source, Tenant, Time
K = dict(tenant="shop", owner="team:shop", description="of the shop")
ID, AT = Column(name="id", dtype="string", nullable=False), Column(name="at", dtype="timestamp", nullable=False)
shop, names = Tenant(name="shop", **K), ["a", "b", "c", "d"]
READ = dict(columns=(ID, AT), user_id="id", event_time=Time(sql="at"), start=dt.date(2024, 5, 1), retention_days=9, **K)
a, b, c, d = (Source(name=name, topic=name, **READ) for name in names)
MADE = dict(id_field="id", columns=(ID,), retention_days=9, **K)
e, f, g, h = (EventType(name=f"of_{name}", source=name, **MADE) for name in names)
q = Sequence(name="q", event_types=tuple(f"of_{name}" for name in names), columns=("id",), length=9, **K)
"""


@pytest.mark.parametrize(("runs", "said"), [(4, "max_concurrent_runs to 12 at least"), (12, "")])
def test_the_command_that_checks_definitions_judges_the_limits_on_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: int, said: str
) -> None:
    (tmp_path / "defs.py").write_text(FOUR_TOPICS)
    (tmp_path / "dagster").mkdir()
    queue = f"concurrency: {{runs: {{max_concurrent_runs: {runs}}}}}"
    (tmp_path / "dagster" / "dagster.yaml").write_text(queue)
    monkeypatch.setenv("SEQPLAT_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", "")
    done = CliRunner().invoke(root, ["check", "--definitions", str(tmp_path / "defs.py")])
    assert "ok" in done.output, done.output
    assert ("dagster.yaml: warning: 4 stream job(s)" in done.output) == bool(said)
    assert said in done.output


_LACKS = "run_coordinator.config.max_user_code_failure_retries is not set; ours: 30"
_DIFFERS = "concurrency.runs.max_concurrent_runs is 10; ours: 24"
_QUEUE = "concurrency: {runs: {max_concurrent_runs: 10}}"


@pytest.mark.parametrize(
    ("settings", "said", "unsaid"),
    [
        (SETTINGS.read_text(), (), ("dagster.yaml:",)),
        (re.sub(r"\n.*max_user_code.*", "", SETTINGS.read_text()), (_LACKS, "to take ours: mv "), ("; ours: 24",)),
        (SETTINGS.read_text().replace("max_concurrent_runs: 24", "max_concurrent_runs: 10"), (_DIFFERS,), (_LACKS,)),
        (_QUEUE, (_LACKS,), (_DIFFERS, "storage")),  # another storage: one's own settings
        ("[1, 2", ("dagster.yaml cannot be read: ",), (_LACKS,)),
        ("", (_LACKS,), ("storage",)),
        ("- a list", (_LACKS,), ()),
        ("run_coordinator: nothing", (_LACKS,), ()),
        ("\0", ("dagster.yaml cannot be read: ",), ()),
    ],
)
def test_settings_of_an_older_release_are_told_and_never_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: str, said: tuple[str, ...], unsaid: tuple[str, ...]
) -> None:
    (tmp_path / "defs.py").write_text(FOUR_TOPICS)
    file = tmp_path / "dagster" / "dagster.yaml"
    file.parent.mkdir()
    file.write_text(settings)
    monkeypatch.setenv("SEQPLAT_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.setattr("seqplat_assets.streams.jobs.room_problem", lambda *_: "")
    done = CliRunner().invoke(root, ["check", "--definitions", str(tmp_path / "defs.py")])
    assert done.exit_code == 0, done.output
    assert all(each in done.output for each in said), done.output
    assert not any(each in done.output for each in unsaid), done.output
    assert file.read_text() == settings


def test_sources_that_share_a_run_are_all_read(tmp_path: Path) -> None:
    runtime = streamed(tmp_path, many(1), SEQPLAT_STREAM_RUNS="1", SEQPLAT_STREAM_LIFE_S="3")
    assert shared(runtime.release, runtime.home.environment) == {"stream_shared_1": ["clicks", "clicks0"]}
    shutil.copytree(Path(runtime.home.uri("log")) / "clicks", Path(runtime.home.uri("log")) / "topic0")
    say(runtime, [clicked("ann", 1, utc(2024, 5, 1, 12))])
    with dg.DagsterInstance.ephemeral() as instance:
        job = definitions_of(runtime).resolve_job_def("stream_shared_1")
        assert job.execute_in_process(instance=instance).success
        keys = [key_of(f"stream/{name}") for name in ("clicks", "clicks0")]
        assert all(instance.get_latest_materialization_event(key) for key in keys)


@pytest.mark.parametrize("said", ["0", "-1", "2.5", "many"])
def test_a_number_of_runs_that_is_none_is_refused(said: str) -> None:
    with pytest.raises(StreamSettingsInvalid, match="SEQPLAT_STREAM_RUNS is"):
        most_runs({"SEQPLAT_STREAM_RUNS": said})
