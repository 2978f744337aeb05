"""A server that is told to end, under load."""

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.serving.servers import PATIENCE_S, SLOW, USER, Server, ask, json_lines, load, running


class _Balancer:
    """Looks at /readyz every 50 ms, as load balancers do, and says whether requests may be sent."""

    def __init__(self, server: Server) -> None:
        self.sends, self.noticed_at = True, 0.0
        self._server = server
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while self.sends:
            self.sends = self._server.get("/readyz").status == 200
            time.sleep(0.05)
        self.noticed_at = time.monotonic()


@pytest.mark.parametrize("workers", [1, 2])
def test_no_request_notices_that_a_server_ends(home: Path, workers: int) -> None:
    """Callers on kept connections, and requests that take longer than the drain."""
    with running(home, slow=True, workers=workers, api_drain_s=1) as server, ThreadPoolExecutor(9) as callers:
        balancer = _Balancer(server)
        quick = callers.submit(load, server, USER, callers=4, going_on=lambda: balancer.sends)
        time.sleep(0.5)
        slow = [callers.submit(server.get, SLOW.format(2500)) for _ in range(2)]
        time.sleep(0.3)
        told_at = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE_S) == 0
        took_s = time.monotonic() - told_at
        replies = [*quick.result(), *(each.result() for each in slow)]
    assert [reply for reply in replies if reply.status != 200] == []
    assert len(replies) > 20
    assert balancer.noticed_at - told_at < 0.9
    assert 2 < took_s < 6  # until the slow ones were answered, and not much longer
    told = [line["message"] for line in json_lines(server) if line.get("logger") == "serving.draining"]
    assert told == ["draining: /readyz answers 503; this process ends in 1 s"] * workers


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
    with running(home, api_drain_s=60) as server:
        began = time.monotonic()
        server.interrupt()
        assert server.process.wait(PATIENCE_S) == 0
        assert time.monotonic() - began < 10


@pytest.mark.parametrize("workers", [1, 2])
def test_sigint_to_the_parent_alone_ends_it_without_draining(home: Path, workers: int) -> None:
    """As supervisors send it: to one process."""
    with running(home, workers=workers, api_drain_s=60) as server:
        began = time.monotonic()
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(PATIENCE_S) == 0
        assert time.monotonic() - began < 10
        assert [line for line in json_lines(server) if line.get("logger") == "serving.draining"] == []


@pytest.mark.parametrize("workers", [1, 2])
def test_processes_whose_parent_was_killed_drain_and_free_the_port(home: Path, workers: int) -> None:
    with running(home, slow=True, workers=workers, api_drain_s=1) as server, ThreadPoolExecutor(1) as callers:
        slow = callers.submit(server.get, SLOW.format(4000))
        time.sleep(0.3)
        server.process.kill()
        server.process.wait(PATIENCE_S)
        assert server.get(USER).status == 200
        deadline = time.monotonic() + PATIENCE_S
        while (last := server.get("/readyz")).status != 0:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert "refused" in last.error
        assert slow.result().status == 200
        told = [line["message"] for line in json_lines(server) if line.get("logger") == "serving.draining"]
    assert told == ["draining: the server's first process is gone; this one ends in 1 s"] * workers


def test_what_takes_longer_than_the_grace_is_cut_off(home: Path) -> None:
    with running(home, slow=True, api_drain_s=0, api_grace_s=1) as server, ThreadPoolExecutor(1) as callers:
        endless = callers.submit(server.get, SLOW.format(15_000))
        time.sleep(0.3)
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE_S) == 0
        assert time.monotonic() - began < 8
        assert endless.result().error
