"""Servers under test: started on a free port with their output in a file, watched, and ended as an operator would."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks import contest
from benchmarks.measure import TreeWatch
from tests.ports import free_ports

HOST = "127.0.0.1"
READY_WITHIN_S = 60.0
ENDS_WITHIN_S = 60.0


class ServerFailedError(RuntimeError):
    """A server did not come up, or ended by itself."""

    def __init__(self, command: Sequence[str], what: str, log: Path) -> None:
        tail = log.read_text(errors="replace")[-2000:]
        super().__init__(f"{' '.join(command)} {what}; the end of its output ({log}):\n{tail}")


@dataclass
class Server:
    """A running server; ``watch`` samples the memory and the CPU time of it and its children."""

    port: int
    process: subprocess.Popen[bytes]
    watch: TreeWatch

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"


@contextmanager
def running(command: Sequence[str], environment: Mapping[str, str], log: Path, *, ready: str) -> Iterator[Server]:
    """``command`` with ``--port``, from when ``ready`` answers 200 until the end of the block.

    Raises:
        ServerFailedError: it did not come up, or was gone at the end.
    """
    (port,) = free_ports(1)
    command = (*command, "--port", str(port))
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=contest.REPOSITORY, env=dict(environment), stdout=output, stderr=subprocess.STDOUT
        )
    found = Server(port, process, TreeWatch(process.pid))
    try:
        if not _is_ready(f"{found.url}{ready}", process):
            ended = process.poll()
            how = f"within {READY_WITHIN_S:.0f} s" if ended is None else f"but ended with exit code {ended}"
            raise ServerFailedError(command, f"did not come up {how}", log)
        found.watch.start()
        yield found
        if process.poll() is not None:
            raise ServerFailedError(command, f"ended by itself with exit code {process.returncode}", log)
    finally:
        found.watch.stop()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()


def _is_ready(url: str, process: subprocess.Popen[bytes]) -> bool:
    until = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(url, trust_env=False).status_code == httpx.codes.OK:
                return True
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    return False
