"""A server that is told to end, under load."""

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.serving.servers import PATIENCE_S, SLOW, USER, Server, ask, eventually, json_lines, load, running


class _Balancer:
    """Looks at /readyz every 50 ms, as load balancers do, and says whether requests may be sent."""

    def __init__(self, server: Server) -> None:
        self.saw = 200
        self._server = server
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def sends(self) -> bool:
        return self.saw == 200

    def _look(self) -> None:
        while self.sends():
            self.saw = self._server.get("/readyz").status
            time.sleep(0.05)


def slow_ones_are_under_way(server: Server, count: int) -> None:
    """Their handler logs a line when it begins."""
    eventually(lambda: sum('"slow answer"' in line for line in server.lines) == count, server)


@pytest.mark.parametrize("workers", [1, 2])
def test_no_request_notices_that_a_server_ends(home: Path, workers: int) -> None:
    """Callers on kept connections, and requests that take longer than the drain."""
    with running(home, slow=True, workers=workers, api_drain_s=2) as server, ThreadPoolExecutor(9) as callers:
        balancer = _Balancer(server)
        quick = callers.submit(load, server, USER, callers=4, going_on=balancer.sends)
        slow = [callers.submit(server.get, SLOW.format(4000)) for _ in range(2)]
        slow_ones_are_under_way(server, 2)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE_S) == 0
        replies = [*quick.result(), *(each.result() for each in slow)]
    assert [reply for reply in replies if reply.status != 200] == []
    assert quick.result()
    assert balancer.saw == 503  # before the server closed its port
    told = [line["message"] for line in json_lines(server) if line.get("logger") == "serving.admission.draining"]
    assert told == ["draining: /readyz answers 503; this process ends in 2 s"] * workers


def test_while_draining_requests_are_answered_and_connections_closed(home: Path) -> None:
    with running(home, api_drain_s=2) as server:
        connection = server.connection()
        assert "connection" not in ask(connection, "/healthz", {}).headers
        server.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE_S
        while (ready := server.get("/readyz")).status == 200:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert ready.status == 503
        assert b"this process is about to end" in ready.body
        assert server.get("/healthz").status == 200
        closed = ask(connection, USER, server.headers)
        assert (closed.status, closed.headers["connection"]) == (200, "close")
        assert server.process.wait(PATIENCE_S) == 0


def test_ctrl_c_ends_it_without_draining(home: Path) -> None:
    """A terminal sends SIGINT to all processes of the group."""
    with running(home, api_drain_s=10 * PATIENCE_S) as server:
        server.interrupt()
        assert server.process.wait(PATIENCE_S) == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_sigint_to_the_parent_alone_ends_it_without_draining(home: Path, workers: int) -> None:
    """As supervisors send it: to one process."""
    with running(home, workers=workers, api_drain_s=10 * PATIENCE_S) as server:
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(PATIENCE_S) == 0
        assert [line for line in json_lines(server) if line.get("logger") == "serving.admission.draining"] == []


@pytest.mark.parametrize("workers", [1, 2])
def test_processes_whose_parent_was_killed_drain_and_free_the_port(home: Path, workers: int) -> None:
    with running(home, slow=True, workers=workers, api_drain_s=3) as server, ThreadPoolExecutor(1) as callers:
        slow = callers.submit(server.get, SLOW.format(5000))
        slow_ones_are_under_way(server, 1)
        server.process.kill()
        server.process.wait(PATIENCE_S)
        assert server.get(USER).status == 200
        deadline = time.monotonic() + PATIENCE_S
        while (last := server.get("/readyz")).status != 0:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert "refused" in last.error
        assert slow.result().status == 200
        told = [line["message"] for line in json_lines(server) if line.get("logger") == "serving.admission.draining"]
    assert told == ["draining: the server's first process is gone; this one ends in 3 s"] * workers


def test_what_takes_longer_than_the_grace_is_cut_off(home: Path) -> None:
    with running(home, slow=True, api_drain_s=0, api_grace_s=1) as server, ThreadPoolExecutor(1) as callers:
        endless = callers.submit(server.get, SLOW.format(10_000 * PATIENCE_S))
        slow_ones_are_under_way(server, 1)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE_S) == 0
        assert endless.result().error
