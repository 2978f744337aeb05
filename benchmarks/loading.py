"""Load from processes of their own: `wrk` finds peaks where it is installed; our own generator does the rest."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks import contest, http_generator, http_requests
from benchmarks.http_requests import Request
from benchmarks.servers import HOST
from tests.ports import free_ports

TIMEOUT_S = 30
NOTHING_BYTES = 20_000
LUA = Path(__file__).parent / "wrk_requests.lua"


class LoadFailedError(RuntimeError):
    """Requests were not answered, or answered by an error: there is nothing to report."""


@dataclass(frozen=True)
class Answers:
    """What came back. ``per_s`` counts good answers; times are those of good answers, in milliseconds.

    ``body_bytes`` is the mean of an answer, 0 where the generator does not tell.
    """

    connections: int
    requests: int
    errors: int
    per_s: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    body_bytes: int = 0
    late_ms: float = 0.0


@dataclass(frozen=True)
class Paced:
    """A paced load: the summary, and of each request when it was due, how long it took and its status."""

    answers: Answers
    due_s: npt.NDArray[np.float64]
    ms: npt.NDArray[np.float64]
    status: npt.NDArray[np.int16]


def closed(
    port: int,
    requests: Sequence[Request],
    *,
    connections: int,
    seconds: float,
    own: bool = False,
    may_fail: bool = False,
) -> Answers:
    """Keep so many requests under way for so long; ``own`` asks for our generator, which counts bytes.

    Raises:
        LoadFailedError: an answer was an error, or none came, unless they ``may_fail``.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = http_requests.write(requests, Path(folder) / "requests")
        if own or shutil.which("wrk") is None:
            found = _own("closed", port, file, seconds, connections)
        else:
            found = _wrk(port, file, seconds, connections)
    return found if may_fail else _good(found)


def paced(port: int, requests: Sequence[Request], *, rate: float, seconds: float, may_fail: bool = False) -> Paced:
    """Send at ``rate``, whatever the server does.

    Raises:
        LoadFailedError: an answer was an error, or none came, unless they ``may_fail``.
    """
    with tempfile.TemporaryDirectory() as folder:
        file, samples = http_requests.write(requests, Path(folder) / "requests"), Path(folder) / "samples.npz"
        more = ("--rate", str(rate), "--samples", str(samples))
        found = _own("paced", port, file, seconds, http_generator.CONNECTIONS, *more)
        with np.load(samples) as stored:
            return Paced(found if may_fail else _good(found), stored["due_s"], stored["ms"], stored["status"])


@cache
def generator() -> str:
    """What finds peaks, by name and version."""
    if shutil.which("wrk") is None:
        return "our own generator"
    said = subprocess.run(["wrk", "--version"], capture_output=True, text=True, check=False).stdout
    return " ".join(said.split()[:2])


def own_limit(seconds: float = 3.0) -> float:
    """Requests per second that our generator makes of a server that does nothing but answer."""
    (port,) = free_ports(1)
    command = (sys.executable, "-m", "benchmarks.http_load", "serve-nothing", "--bytes", str(NOTHING_BYTES))
    with subprocess.Popen((*command, "--port", str(port)), cwd=contest.REPOSITORY) as server:
        try:
            _wait_for(port)
            return closed(port, [Request("GET", "/")], connections=8, seconds=seconds, own=True).per_s
        finally:
            server.terminate()


def _own(mode: str, port: int, file: Path, seconds: float, connections: int, *more: str) -> Answers:
    command = (sys.executable, "-m", "benchmarks.http_load", mode, "--port", str(port), "--requests", str(file))
    size = ("--seconds", str(seconds), "--connections", str(connections))
    return Answers(connections, **json.loads(_said((*command, *size, *more))))


def _wrk(port: int, file: Path, seconds: float, connections: int) -> Answers:
    size = ("-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", f"{TIMEOUT_S}s")
    said = json.loads(_said(("wrk", *size, "-s", str(LUA), f"http://{HOST}:{port}", "--", str(file))))
    took = said.pop("seconds")
    return Answers(connections, per_s=round((said["requests"] - said["errors"]) / took, 1), **said)


def _said(command: Sequence[str]) -> str:
    found = subprocess.run(command, cwd=contest.REPOSITORY, stdout=subprocess.PIPE, text=True, check=True)
    return found.stdout.strip().splitlines()[-1]


def _good(found: Answers) -> Answers:
    if found.errors or not found.requests:
        raise LoadFailedError(f"{found.errors} of {found.requests} requests failed")
    return found


def _wait_for(port: int) -> None:
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.05)
