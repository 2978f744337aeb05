"""Several processes of one server: quotas are theirs together, and nobody else on the host sees a secret."""

import json
import os
import subprocess
import threading
from collections import Counter
from pathlib import Path

import pytest

from seqplat_resources.home import Home
from serving.access.keys import changes
from serving.access.keys.ring import Limits
from serving.access.keys.store import KeyStore
from serving.access.usage import Usage, default_file
from tests.serving.keys import headers, new_key
from tests.serving.servers import USER, ask, eventually, running

BURST = 60
WORKERS = 2


@pytest.mark.slow
def test_workers_share_one_quota_one_log_and_follow_one_ring(home: Path) -> None:
    text = new_key(home, limits=Limits(requests_per_s=0.001, burst=BURST, events_per_day=1_000_000))
    log = home / "access.log"
    with running(home, workers=WORKERS, access_log=log, api_poll_s=0.2) as server:
        eventually(lambda: server.get("/v1/status").status == 200 and len(_answered(log)) == WORKERS, server)
        statuses: list[int] = []

        def call() -> None:
            for _ in range(20):
                connection = server.connection()  # a new one each time, so that both processes are asked
                statuses.append(ask(connection, f"{USER}?limit=1", headers(text)).status)
                connection.close()

        threads = [threading.Thread(target=call) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # Of two that count at the same instant one may be lost, to the caller's good.
        counted = Counter(statuses)
        assert set(counted) == {200, 429}
        assert BURST <= counted[200] <= BURST + 2

        key_id = text.split("_")[1]
        row = Usage.read(default_file(Home(str(home), {})))[key_id]
        assert counted[200] - 2 <= row.requests <= counted[200]

        changes.revoke(KeyStore(Home(str(home), {})), key_id, by="tests")
        # Whoever answers: ten in a row are of both processes.
        eventually(lambda: {server.get(USER, headers(text)).status for _ in range(10)} == {401}, server)
        assert _commands_with(text) == []
        environments = [Path(f"/proc/{pid}/environ").read_bytes() for pid in _processes(server.process.pid)]
        assert len(environments) > WORKERS
        assert not any(text.encode() in each for each in environments)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert sum(line.get("key") == key_id and line["status"] == 200 for line in lines) == counted[200]
    assert text.rsplit("_", 1)[1] not in log.read_text() + "\n".join(server.lines)


def _answered(log: Path) -> set[str]:
    """The processes that answered so far: the name of a request begins with its process's."""
    lines = log.read_text().splitlines(keepends=True) if log.exists() else []
    return {json.loads(line)["request_id"][:8] for line in lines if line.endswith("\n")}


def _processes(leader: int) -> list[int]:
    """Of the server's group, which is a session of its own."""
    found = subprocess.run(["ps", "-s", str(leader), "-o", "pid="], capture_output=True, text=True, check=True)
    return [int(pid) for pid in found.stdout.split()]


def _commands_with(text: str) -> list[str]:
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue  # ended meanwhile
        if text.encode() in command:
            found.append(command.decode(errors="replace"))
    return found
