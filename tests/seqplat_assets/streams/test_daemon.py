"""Streams under the real daemon and code server: whatever is stopped or killed, nothing is lost and nothing doubled."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import pytest

from seqplat_assets.describe.keys import key_of
from seqplat_assets.runs.liveness import PROCESS
from seqplat_resources.batch.inputs import tables
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.release.runtime import Runtime
from tests.building import utc
from tests.ports import free_port
from tests.seqplat_assets.conftest import SETTINGS
from tests.seqplat_assets.streams.streaming import clicked, say, streamed, visible

pytestmark = pytest.mark.slow

AT = utc(2024, 5, 1, 12)
# A run takes about ten seconds from tick to first message, several times that on a busy machine.
PATIENCE_S = 120


@dataclass
class Installation:
    """A home, a Dagster instance, and its processes, which every test ends by their ids."""

    folder: Path
    runtime: Runtime
    instance: dg.DagsterInstance
    port: int
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    said: int = 0

    def start(self, name: str, *command: str) -> None:
        environment = {
            **os.environ,
            "DAGSTER_HOME": str(self.folder / "dagster"),
            "SEQPLAT_HOME": str(self.folder / "home"),
            "SEQPLAT_STREAM_LIFE_S": "600",
            "PYTHONWARNINGS": "ignore",
        }
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, cwd=self.folder, start_new_session=True
            )

    def start_code_server(self) -> None:
        at = ("-h", "127.0.0.1", "-p", str(self.port))
        command = (sys.executable, "-m", "dagster", "code-server", "start", "-m", "seqplat_assets.definitions", *at)
        self.start("code-server", *command)

    def start_daemon(self) -> None:
        self.start("daemon", str(Path(sys.executable).parent / "dagster-daemon"), "run", "-w", "workspace.yaml")

    def kill(self, name: str) -> None:
        """With everything it started: a code server has children, and its children are the runs."""
        process = self.processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def runs(self, *statuses: dg.DagsterRunStatus) -> list[dg.DagsterRun]:
        """Newest first."""
        return list(self.instance.get_runs(dg.RunsFilter(job_name="stream_clicks", statuses=statuses or None)))

    def running(self) -> dg.DagsterRun | None:
        """A run whose process is known."""
        return next((run for run in self.runs(dg.DagsterRunStatus.STARTED) if PROCESS in run.tags), None)

    def next_after(self, before: dg.DagsterRun) -> dg.DagsterRun:
        """The run that follows."""
        self.until(lambda: (run := self.running()) and run.run_id != before.run_id, "another run")
        found = self.running()
        assert found is not None
        return found

    def say_some(self) -> None:
        say(self.runtime, [clicked("ann", n, AT) for n in range(self.said, self.said + 5)])
        self.said += 5
        assert self.said <= 50, "the sequence has no more"

    def all_visible(self) -> bool:
        return len(visible(self.runtime, "ann")) == self.said

    def until(self, condition: Callable[[], object], what: str) -> None:
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            if condition():
                return
            for name, process in self.processes.items():
                assert process.poll() is None, (name, (self.folder / f"{name}.log").read_text()[-3000:])
            time.sleep(0.5)
        logs = "\n".join(file.read_text()[-3000:] for file in self.folder.glob("*.log"))
        pytest.fail(f"not within {PATIENCE_S} s: {what}\n{logs}")

    def end(self) -> None:
        for name in list(self.processes):
            self.kill(name)


def pid_of(run: dg.DagsterRun) -> int:
    return int(json.loads(run.tags[PROCESS])["pid"])


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Everything is up and a run has made the first messages visible. Tests leave it so, for it takes long to start."""
    folder, port = tmp_path_factory.mktemp("installation"), free_port()
    (folder / "dagster").mkdir()
    shutil.copy(SETTINGS, folder / "dagster")
    (folder / "workspace.yaml").write_text(
        f"load_from:\n- grpc_server: {{host: 127.0.0.1, port: {port}, location_name: seqplat}}\n"
    )
    runtime = streamed(folder)
    open_online_store(runtime.home).close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(folder / "dagster"))
        instance = dg.DagsterInstance.get()
    there = Installation(folder, runtime, instance, port)
    try:
        there.start_code_server()
        there.start_daemon()
        there.say_some()
        there.until(there.all_visible, "the first messages visible")
        yield there
    finally:
        there.end()
        instance.dispose()


def test_a_stream_outlives_termination_a_killed_worker_and_a_killed_daemon(there: Installation) -> None:
    first = there.running()
    assert first is not None
    before = len(there.runs())
    assert len(there.runs(dg.DagsterRunStatus.STARTED)) == 1, "one run, not one per tick"

    # Terminated from the UI: it stops cleanly and another follows.
    there.say_some()
    assert there.instance.run_coordinator.cancel_run(first.run_id)
    there.say_some()
    there.until(lambda: there.runs(dg.DagsterRunStatus.CANCELED), "the run cancelled")
    second = there.next_after(first)
    there.until(there.all_visible, "messages visible after a termination")

    # A daemon that dies takes nothing with it; its successor finds the run and starts no other.
    there.kill("daemon")
    there.say_some()
    there.until(there.all_visible, "messages visible without a daemon")
    there.start_daemon()

    # A worker that dies is followed by another.
    there.say_some()
    os.kill(pid_of(second), signal.SIGKILL)
    there.say_some()
    third = there.next_after(second)
    there.until(there.all_visible, "messages visible after a crash")
    assert [run.run_id for run in there.runs()[:-before]] == [third.run_id, second.run_id]

    # Every message once, in the store and in the archive.
    archive = tables.archive(there.runtime, there.runtime.release.sources["clicks"])
    there.until(lambda: archive.files()["rows"].sum() >= there.said, "everything kept")
    assert sorted(archive.scan().collect()["click"].to_list()) == list(range(there.said))
    assert sorted(map(int, visible(there.runtime, "ann"))) == list(range(there.said))
    assert there.instance.get_latest_materialization_event(key_of("stream/clicks")) is not None


def test_a_run_of_an_installation_that_was_killed_whole_is_not_waited_for(there: Installation) -> None:
    """As after a reboot: storage says that the run goes on, and nothing of the launcher knows better."""
    first = there.running()
    assert first is not None
    there.say_some()
    for name in ("daemon", "code-server"):
        there.kill(name)
    there.until(lambda: not Path(f"/proc/{pid_of(first)}/cmdline").exists(), "the worker gone")
    there.say_some()
    assert there.runs()[0].status == dg.DagsterRunStatus.STARTED
    there.start_code_server()
    there.start_daemon()
    there.until(there.all_visible, "messages visible after everything was killed")
    assert sorted(map(int, visible(there.runtime, "ann"))) == list(range(there.said))
    assert there.instance.get_run_by_id(first.run_id).status == dg.DagsterRunStatus.FAILURE
