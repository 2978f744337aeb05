"""``seqplat code-server``: the code location is there, whoever kills it, and shows what the channel points at."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from seqplat_resources.release.runtime import Runtime
from serving.cli.servers.code_server import _failure
from serving.cli.servers.ports import free_port
from tests.building import runtime_for
from tests.seqplat_assets.shop_days import CLICKS, SHOP, shop

ROOT = Path(__file__).parents[3]
HOST = "127.0.0.1"
PATIENCE_S = 240


@contextmanager
def served(runtime: Runtime, folder: Path, port: int) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    told = folder / "told.txt"
    environment = {**os.environ, "SEQPLAT_HOME": runtime.home.root, "SEQPLAT_SOURCES": str(folder)}
    environment |= {"DAGSTER_HOME": str(folder / "dagster"), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "serving.cli", "code-server", "--port", str(port)]
    with told.open("wb") as out, subprocess.Popen(command, env=environment, stdout=out, stderr=out) as process:
        try:
            yield process, told
        finally:
            process.send_signal(signal.SIGTERM)


def wait_for(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def child_of(pid: int) -> int:
    """Its only one."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds processes as Linux shows them")
def test_it_follows_the_channel_and_comes_back_when_it_is_killed(tmp_path: Path) -> None:
    runtime, port = shop(tmp_path), free_port(HOST)

    def answers() -> bool:
        return not _failure(HOST, port, lambda client: client.get_server_id(timeout=5))

    with served(runtime, tmp_path, port) as (process, told):
        wait_for(answers)
        moved = runtime_for(runtime.home, [SHOP, CLICKS], tmp_path)
        wait_for(lambda: f"shows release {moved.loaded.id[:12]}" in told.read_text())
        os.kill(child_of(process.pid), signal.SIGKILL)
        wait_for(lambda: "it is started again in 1 s" in told.read_text())
        wait_for(answers)
    assert process.returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent is gone")
@pytest.mark.parametrize("by", ["kill", "whoever kills us"])
def test_a_server_is_killed_alone_or_with_us_and_what_it_started_goes_on(tmp_path: Path, by: str) -> None:
    """Runs of a code location are its children's, and come to their end without it."""
    starting = (
        "import subprocess, sys, time; print(subprocess.Popen(['sleep', '300']).pid, flush=True); time.sleep(300)"
    )
    starts = f"""
import signal, sys, time
from pathlib import Path
from serving.cli.servers.children import Child, Server
log = Path(sys.argv[1]) / "server.log"
child = Child(Server("it", "", "", (sys.executable, "-c", {starting!r}), signal.SIGTERM, log, is_bound=True), dict())
print(child._process.pid, flush=True)
while not log.read_text():
    time.sleep(0.05)
if sys.argv[2] == "kill":
    child.kill()
print("ready", flush=True)
time.sleep(300)
"""
    with subprocess.Popen([sys.executable, "-c", starts, str(tmp_path), by], stdout=subprocess.PIPE) as us:
        assert us.stdout is not None
        server, _ = int(us.stdout.readline()), us.stdout.readline()
        run = int((tmp_path / "server.log").read_text())
        if by != "kill":
            us.kill()
        try:
            wait_for(lambda: not Path(f"/proc/{server}").exists())
            assert Path(f"/proc/{run}").exists()
        finally:
            us.kill()
            os.kill(run, signal.SIGKILL)


def test_a_run_waits_for_a_code_location_that_is_started_again() -> None:
    """Its turn in the queue comes while nobody answers: Dagster would fail it at once."""
    for settings in (ROOT / "seqplat_assets" / "dagster.yaml", ROOT / "docs" / "dagster-postgres.yaml"):
        said = yaml.safe_load(settings.read_text())["run_coordinator"]["config"]
        assert said["max_user_code_failure_retries"] * said["user_code_failure_retry_delay"] >= 300
