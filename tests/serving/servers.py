"""Real servers as processes of their own, and callers that load them."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.ports import free_port
from tests.serving.keys import new_headers

PATIENCE_S = 120
USER = "/v1/sequences/household_history/users/1146"
# Answers after so many milliseconds, in a thread, as a handler that reads would; see ``slow_server``.
SLOW = "/v1/slow?ms={}"


@dataclass(frozen=True)
class Reply:
    """``error`` is what went wrong with the connection, if anything; then there is no status."""

    status: int
    seconds: float
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    error: str = ""


class Server:
    """A running server; ``lines`` are those it logged so far."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, headers: Mapping[str, str], log: Path) -> None:
        self.process, self.port, self.headers, self._log = process, port, headers, log

    @property
    def lines(self) -> list[str]:
        return self._log.read_text().splitlines()

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Reply:
        """One request on a connection of its own."""
        connection = self.connection()
        try:
            return ask(connection, path, self.headers if headers is None else headers)
        finally:
            connection.close()

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)

    def interrupt(self) -> None:
        """As Ctrl-C on a terminal: SIGINT to all processes of the group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def terminate(self) -> int:
        """SIGTERM, and wait for the end."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)


def ask(
    connection: http.client.HTTPConnection, path: str, headers: Mapping[str, str], body: bytes | None = None
) -> Reply:
    """One request, a POST where it has a body; the connection is opened, and opened again where the server closed it
    after its last answer.
    """
    began = time.monotonic()
    try:
        connection.request("GET" if body is None else "POST", path, body, dict(headers))
        answer = connection.getresponse()
        answered = answer.read()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return Reply(0, time.monotonic() - began, error=f"{type(error).__name__}: {error}")
    lines = {name.lower(): value for name, value in answer.getheaders()}
    return Reply(answer.status, time.monotonic() - began, lines, answered)


@contextmanager
def running(
    home: Path, *, slow: bool = False, workers: int = 1, log: Path | None = None, **settings: object
) -> Iterator[Server]:
    """``seqplat serve`` over ``home``, ready. ``settings`` are variables without prefix: ``api_queue=4``."""
    port = free_port()
    log = log or home.parent / f"server-{port}.log"
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("SEQPLAT_", "DAGSTER_"))}
    given = {f"SEQPLAT_{name.upper()}": str(value) for name, value in {"api_drain_s": 0, **settings}.items()}
    command = ["tests.serving.slow_server"] if slow else ["serving.cli", "serve"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command, "--port", str(port), "--workers", str(workers)],
            env={**kept, "SEQPLAT_HOME": str(home), **given},
            cwd=Path(__file__).parents[2],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(process, port, new_headers(home), log)
    try:
        eventually(lambda: server.get("/readyz").status == 200, server)
        eventually(lambda: _serving(server) == workers, server)
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(PATIENCE_S)
        with suppress(ProcessLookupError):  # of a server that was killed
            os.killpg(process.pid, signal.SIGKILL)


def _serving(server: Server) -> float:
    """How many processes are up: they count themselves at the end of their start."""
    counts = re.findall(rb"^seqplat_release_workers\{.*\} (.*)$", server.get("/metrics").body, re.MULTILINE)
    return sum(float(count) for count in counts)


def eventually(claim: Callable[[], bool], server: Server) -> None:
    """Wait until ``claim`` holds, as long as the server lives."""
    deadline = time.monotonic() + PATIENCE_S
    while not claim():
        assert server.process.poll() is None, "\n".join(server.lines[-40:])
        assert time.monotonic() < deadline, "never became true"
        time.sleep(0.05)


def load(
    server: Server,
    path: str,
    *,
    callers: int,
    going_on: Callable[[], bool],
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    pause_s: float = 0.0,
) -> list[Reply]:
    """What ``callers`` got who asked one after the other, each on a connection of its own, while ``going_on``.

    They pause after a 503, as its ``Retry-After`` would have them, but for much less.
    """
    replies: list[Reply] = []

    def call() -> None:
        connection = server.connection()
        while going_on():
            replies.append(ask(connection, path, headers or server.headers, body))
            time.sleep(pause_s if replies[-1].status != 503 else max(pause_s, 0.05))
        connection.close()

    threads = [threading.Thread(target=call) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return replies


def for_seconds(seconds: float) -> Callable[[], bool]:
    """True for so long."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() < end


def json_lines(server: Server) -> list[dict[str, Any]]:
    """All lines of the log; each must be an object."""
    return [json.loads(line) for line in server.lines]


def share(values: list[float], part: float) -> float:
    """The value that ``part`` of all are not above."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]
