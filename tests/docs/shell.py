"""A shell in which ``seqplat`` starts in milliseconds: each is a fork of a process that has imported the platform.

The commands of all pages would import it a hundred times, a second and a half of processor time each.
"""

import array
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from urllib.request import urlopen

from tests.forking import FORKING

_CLIENT = """#!{python} -SE
import array, json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    said = json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]).encode()
    descriptors = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))
    server.sendmsg([len(said).to_bytes(4, "big")], [descriptors])
    server.sendall(said)
    sys.exit(int(server.recv(16) or b"1"))
"""
PATIENCE_S = 60


class Seqplat:
    """The forking process, and a folder for the PATH with the command in it."""

    def __init__(self, folder: Path) -> None:
        address = str(folder / "s")
        self.path = folder / "bin"
        self.path.mkdir()
        client = self.path / "seqplat"
        client.write_text(_CLIENT.format(python=sys.executable, address=address))
        client.chmod(0o755)
        self._process = FORKING.Process(target=_serve, args=(address,), daemon=False)
        self._process.start()
        until = time.monotonic() + PATIENCE_S
        while not os.path.exists(address):
            assert time.monotonic() < until
            time.sleep(0.02)

    def close(self) -> None:
        self._process.terminate()
        self._process.join(PATIENCE_S)


class Shell:
    """One after another, commands of a page: folder and exported variables stay."""

    def __init__(self, folder: Path, path: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        inherited = {name: os.environ[name] for name in ("HOME", "PATH", "PYTHONPATH", "TMPDIR") if name in os.environ}
        self.environment = {**inherited, "LANG": "C.UTF-8", "COLUMNS": "200", **environment}
        self.environment["PATH"] = f"{path}:{Path(sys.executable).parent}:{self.environment['PATH']}"
        address = f"127.0.0.1:{self.environment['SEQPLAT_API_PORT']}"
        self.environment["SEQPLAT_URL"], self._address = f"http://{address}", address
        self._server: subprocess.Popen[bytes] | None = None

    def run(self, command: str) -> tuple[str, int]:
        """What it printed, both streams together, and its exit code."""
        if command.startswith("seqplat serve "):
            return self._serve(), 0
        if command.startswith("kill %1"):  # which is no job of this command's shell
            self.close()
            return "", 0
        command = command.replace("127.0.0.1:8471", self._address)
        after = f"\ncode=$?; env -0 > {shlex.quote(str(self.folder / '.env'))}; pwd > .pwd; exit $code"
        done = subprocess.run(
            ["bash", "-c", command + after],
            cwd=self.environment.get("PWD", self.folder),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE_S,
            check=False,
        )
        said = (self.folder / ".env").read_bytes().decode().split("\0")
        self.environment = dict(entry.split("=", 1) for entry in said if "=" in entry)
        return done.stdout.decode(errors="replace"), done.returncode

    def close(self) -> None:
        if self._server is not None:
            self._server.terminate()
            self._server.wait(PATIENCE_S)

    def _serve(self) -> str:
        """A server takes over what forks cannot share, so it is a process of its own, on a port of this page."""
        with (self.folder / "serve.log").open("wb") as log:
            self._server = subprocess.Popen(
                [sys.executable, "-m", "serving.cli", "serve"],
                cwd=self.environment.get("PWD", self.folder),
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            with suppress(OSError), urlopen(f"http://{self._address}/readyz", timeout=5):
                return ""
            time.sleep(0.1)
        return (self.folder / "serve.log").read_text()


def _serve(address: str) -> None:
    from serving.cli.main import COMMANDS  # what the forks have; their shell's settings are applied in each

    for module in sorted({module for module, _ in COMMANDS.values()} | {"days.materialize"}):
        with suppress(ImportError):
            import_module(f"serving.cli.{module}")
    import_module("seqplat_assets.run")
    import_module("serving.http.app")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address + ".")
        server.listen(64)
        os.rename(address + ".", address)
        while True:
            connection, _ = server.accept()
            if os.fork() == 0:
                server.close()
                _become(connection)
            connection.close()


def _become(connection: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    descriptors = array.array("i")
    size, ancillary, _, _ = connection.recvmsg(4, socket.CMSG_LEN(3 * descriptors.itemsize))
    descriptors.frombytes(ancillary[0][2])
    said = b""
    while len(said) < int.from_bytes(size, "big"):
        said += connection.recv(1 << 16)
    arguments, environment, folder = json.loads(said)
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["seqplat", *arguments]
    code = _run()
    sys.stdout.flush()
    sys.stderr.flush()
    with suppress(OSError):
        connection.sendall(str(code).encode())
    os._exit(0)


def _run() -> int:
    from serving.cli.main import main

    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(os.dup(0), "r"),
        os.fdopen(os.dup(1), "w", buffering=1),
        os.fdopen(os.dup(2), "w", buffering=1),
    )
    try:
        main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
        return 1
    return 0
