"""Workers that need a server at the same time have one, and know alike that it did not come up."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ports import FIRST, LAST, free_ports

ROOT = Path(__file__).parents[1]
WORKER = f"""
import subprocess, sys, time
sys.path.insert(0, {str(ROOT)!r})
from tests.shared_servers import NotStarted, Started, started_once
def start(folder):
    with open(folder.parent / "starts", "a") as starts:
        starts.write("x")
    time.sleep(0.3)  # the others come meanwhile
    if sys.argv[1] == "fails":
        raise RuntimeError("no room")
    return Started({{"url": str(folder)}}, [])
try:
    print(started_once("thing", start)["url"])
except NotStarted as error:
    print(error)
"""


@pytest.mark.parametrize("how", ["works", "fails"])
def test_one_of_many_workers_starts_it(tmp_path: Path, how: str) -> None:
    environment = {**os.environ, "TESTS_RUN_FOLDER": str(tmp_path / "run")}
    command = [sys.executable, "-c", WORKER, how]
    workers = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    said = {worker.communicate()[0].strip() for worker in workers}
    assert said == {"no room" if how == "fails" else str(tmp_path / "run" / "thing")}
    assert (tmp_path / "run" / "starts").read_text() == "x"


def test_workers_draw_ports_from_shares_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    for worker in ("gw0", "gw1", "gw3"):
        monkeypatch.setenv("PYTEST_XDIST_WORKER", worker)
        drawn.append(free_ports(20))
        assert len(set(drawn[-1])) == 20
        assert all(FIRST <= port < LAST for port in drawn[-1])
    assert len({port % 16 for ports in drawn for port in ports}) == 3
