"""Servers run as child processes: started, waited for until they answer, and ended, all of them, by process id.

>>> server = Server("api", "", "tcp://127.0.0.1:1", ["/bin/false"], signal.SIGTERM, folder / "api.log")
>>> Child(server, {}).wait_until_up(patience_s=60, stopped=lambda: False)
Traceback (most recent call last):
    ...
serving.cli.servers.children.ChildFailed: api ended with status 1; the end of its log, ...
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from seqplat_resources.errors import Final
from seqplat_resources.private_files import open_private
from serving.cli.servers import bound

LOG_LINES = 15


class ChildFailed(Final):
    """A server ended by itself, or never answered."""

    def __init__(self, name: str, what: str, log: Path) -> None:
        self.name, self.log = name, log
        tail = "\n".join(f"    {line}" for line in _tail(log))
        super().__init__(f"{name} {what}; the end of its log, {log}:\n{tail}")


@dataclass(frozen=True)
class Server:
    """What to run: it is up when ``probe`` answers (``http://...``, or ``tcp://host:port`` takes a connection), ends on
    ``stop_signal``, and writes to ``log``. One that ``is_kept`` is started again when it ended. One that ``is_bound``
    is killed with us, whoever kills us, so that its port is free for the next; what it started is not.
    """

    name: str
    address: str
    probe: str
    command: Sequence[str]
    stop_signal: signal.Signals
    log: Path
    is_kept: bool = False
    is_bound: bool = False


class Child:
    """A running server. It leads a process group of its own: Ctrl-C reaches only us, and we end it in order."""

    def __init__(self, server: Server, environment: Mapping[str, str], *, append: bool = False) -> None:
        self.server = server
        server.log.parent.mkdir(parents=True, exist_ok=True)
        fresh = os.O_APPEND if append else os.O_TRUNC
        with open(open_private(server.log, os.O_WRONLY | os.O_CREAT | fresh), "ab" if append else "wb") as log:
            binding = [sys.executable, bound.__file__, str(os.getpid())] if server.is_bound else []
            self._process = subprocess.Popen(
                [*binding, *server.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                start_new_session=True,
            )

    def wait_until_up(self, *, patience_s: float, stopped: Callable[[], bool]) -> None:
        """Return when it answers, or when somebody said to stop.

        Raises:
            ChildFailed: it ended, or did not answer in time.
        """
        deadline = time.monotonic() + patience_s
        while not stopped() and not _answers(self.server.probe):
            self.require_alive()
            if time.monotonic() > deadline:
                raise ChildFailed(self.server.name, f"did not answer in {patience_s:g} s", self.server.log)
            time.sleep(0.2)

    def require_alive(self) -> None:
        """
        Raises:
            ChildFailed: it has ended.
        """
        if (status := self.status()) is not None:
            raise ChildFailed(self.server.name, f"ended with status {status}", self.server.log)

    def status(self) -> int | None:
        """What it ended with; None while it runs."""
        return self._process.poll()

    def kill(self) -> None:
        """It alone, and at once; what it started goes on."""
        self._process.kill()
        self._process.wait()

    def end(self, *, patience_s: float) -> None:
        """Ask it to end; what is left of its group after ``patience_s`` is killed."""
        if self._process.poll() is None:
            self._process.send_signal(self.server.stop_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(patience_s)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def _answers(url: str) -> bool:
    host, _, port = url.removeprefix("tcp://").rpartition(":")
    try:
        if url.startswith("tcp://"):
            socket.create_connection((host, int(port)), timeout=2).close()
            return True
        with urllib.request.urlopen(url, timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False


def _tail(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
