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

from seqplat_resources.release.runtime import Runtime
from serving.cli.servers.code_server import _failure
from serving.cli.servers.ports import free_port
from tests.building import runtime_for
from tests.seqplat_assets.shop_days import CLICKS, SHOP, shop

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
        time.sleep(0.2)


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
