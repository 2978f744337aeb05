"""Several processes behind one port."""

import os
import signal
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.serving.servers import USER, Server, eventually, json_lines, running


def metric(server: Server, name: str, **labels: str) -> float:
    """The sum of a metric's values with these labels, from one scrape."""
    text = server.get("/metrics").body.decode()
    found = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    return sum(found)


def answered(server: Server) -> float:
    return metric(server, "seqplat_request_seconds_count", route="/v1/sequences/{name}/users/{user_id}")


def processes(server: Server) -> list[int]:
    """The workers: children of the server's process."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text()
    return [int(child) for child in children.split()]


def test_processes_add_up_in_one_scrape_and_lose_nothing_when_one_is_killed(home: Path, tmp_path: Path) -> None:
    with running(home, workers=2) as server:
        eventually(lambda: metric(server, "seqplat_workers") == 2, server)
        eventually(lambda: metric(server, "seqplat_release_workers") == 2, server)
        for number in range(60):  # on connections of their own, which the system shares out
            assert server.get(USER).status == 200
            # Whichever process answers the scrape; a request is counted when its answer is out.
            eventually(lambda count=number + 1: answered(server) == count, server)
        victim = processes(server)[0]
        counted = metric(server, "process_open_fds")
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: victim not in processes(server) and len(processes(server)) == 2, server)
        eventually(lambda: server.get("/readyz").status == 200, server)
        eventually(lambda: metric(server, "seqplat_workers") == 2, server)
        assert answered(server) == 60
        assert counted > 20
        assert server.get(USER).status == 200
        assert answered(server) == 61
        assert server.terminate() == 0
    assert len(json_lines(server)) > 60  # all of them objects


def test_requests_are_shared_out(home: Path) -> None:
    """Otherwise the test above would hold for one process that answers everything."""
    names: set[str] = set()

    def two_answer() -> bool:
        names.add(server.get("/healthz", {}).headers["x-request-id"][:8])
        return len(names) == 2

    with running(home, workers=2) as server:
        eventually(two_answer, server)
