"""``seqplat code-server``: Dagster's code location, kept running and on the release that the channel points at."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from seqplat_resources.errors import SeqplatError
from seqplat_resources.home import Home
from seqplat_resources.release.runtime import DEFAULT_CHANNEL
from seqplat_resources.release.store import ChannelMove, ReleaseStore
from serving.cli.dagster_home import ensure_dagster_home
from serving.cli.output import console, quoted
from serving.cli.servers.children import Child, Server
from serving.cli.servers.ports import require_free

if TYPE_CHECKING:
    from dagster._grpc.client import DagsterGrpcClient

PORT = 4266
# How often the channel and the server are looked at.
LOOK_EVERY_S = 2.0
# Between starts: doubled each time, back to the first after a server that lived for a while.
FIRST_PAUSE_S, LONGEST_PAUSE_S, GOOD_LIFE_S = 1.0, 30.0, 60.0
# Loading takes seconds; on a busy machine a minute. A server that does not answer for as long is started again.
LOAD_S = 180
SILENT_S = 60.0
ALONE_S = 20
# Dagster lets the runs that it started come to their end; whoever stops the server does not wait for all of them.
END_S = 20.0


@click.command("code-server")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address that it listens on.")
@click.option("--port", default=PORT, show_default=True, type=click.IntRange(1, 65535))
def code_server(host: str, port: int) -> None:
    """Serve the code location to Dagster until Ctrl-C.

    It is started again when it ends, and loaded anew when the channel moves.
    """
    require_free(host, port, what="the code location", option="--port")
    home = Home.from_environment()
    store, channel = ReleaseStore(home), os.environ.get("SEQPLAT_CHANNEL") or DEFAULT_CHANNEL
    move = store.current(channel)  # says how to publish a release, if there is none
    log = ensure_dagster_home(store.home_of(channel)) / "code-server.log"
    command = (sys.executable, "-m", "dagster", "code-server", "start", "-m", "seqplat_assets.definitions")
    at = ("-h", host, "-p", str(port), "--location-name", "seqplat", "--startup-timeout", str(LOAD_S))
    # Where it is not bound to us, it ends by itself once nobody keeps it: first its runs come to their end, and it
    # holds its port and starts no others until then.
    ends = ("--heartbeat", "--heartbeat-timeout", str(ALONE_S))
    server = Server(
        "code location",
        f"{host}:{port}",
        f"tcp://{host}:{port}",
        (*command, *at, *ends),
        signal.SIGTERM,
        log,
        is_bound=True,
    )
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    kept = _CodeServer(server, {**os.environ, "SEQPLAT_HOME": home.root}, host, port, move)
    threading.Thread(target=_beat, args=(host, port, stop), daemon=True).start()
    try:
        while not stop.is_set():
            kept.look(_current(store, channel))
            stop.wait(LOOK_EVERY_S)
    finally:
        kept.child.end(patience_s=END_S)


def _beat(host: str, port: int, stop: threading.Event) -> None:
    """Say that somebody keeps it; beside the looks, because loading anew takes longer than it waits."""
    while not stop.wait(LOOK_EVERY_S):
        _failure(host, port, lambda client: client.heartbeat("kept"))


def _current(store: ReleaseStore, channel: str) -> ChannelMove | None:
    """Where the channel points; None while that cannot be told."""
    try:
        return store.current(channel)
    except (SeqplatError, OSError, ValueError) as error:
        console.print(f"[yellow]channel {quoted(channel)}: {quoted(error)}[/yellow]")
        return None


@dataclass
class _CodeServer:
    """The server's process, and what it has loaded: ``move`` of the channel."""

    server: Server
    environment: Mapping[str, str]
    host: str
    port: int
    move: ChannelMove
    child: Child = field(init=False)
    _pause_s: float = FIRST_PAUSE_S
    _started_at: float = 0.0
    _answered_at: float = 0.0

    def __post_init__(self) -> None:
        self._start()

    def look(self, move: ChannelMove | None) -> None:
        """Start it again if it ended or is silent; load it anew if the channel moved."""
        now = time.monotonic()
        if (status := self.child.status()) is not None:
            self._start_again(f"ended with status {status}", move)
        elif self._answers():
            self._answered_at = now
            if move is not None and move.number != self.move.number:
                self._reload(move)
        elif now - max(self._answered_at, self._started_at + LOAD_S) > SILENT_S:
            self._start_again("does not answer", move)
        elif self._answered_at > self._started_at and now - self._answered_at > 2 * LOOK_EVERY_S:
            self._reload(move or self.move)  # its inner process is gone; this starts another

    def _start(self, *, again: bool = False) -> None:
        self.child = Child(self.server, self.environment, append=again)
        self._started_at = time.monotonic()

    def _start_again(self, why: str, move: ChannelMove | None) -> None:
        if time.monotonic() - self._started_at > GOOD_LIFE_S:
            self._pause_s = FIRST_PAUSE_S
        console.print(f"[yellow]the code location {why}; it is started again in {self._pause_s:g} s[/yellow]")
        self.child.kill()  # the runs that it started go on
        time.sleep(self._pause_s)
        self._pause_s = min(LONGEST_PAUSE_S, self._pause_s * 2)
        self.move = move or self.move
        self._start(again=True)

    def _reload(self, move: ChannelMove) -> None:
        failed = _failure(self.host, self.port, lambda client: client.reload_code(timeout=LOAD_S))
        if failed:
            console.print(f"[yellow]the code location was not loaded anew: {quoted(failed)}[/yellow]")
            return
        if move.number != self.move.number:
            to = f"release {move.release[:12]}, by {move.moved_by} ({move.moved_at:%Y-%m-%d %H:%M:%S} UTC)"
            console.print(f"the channel moved: the code location shows {quoted(to)}")
        else:
            console.print("[yellow]the code location had stopped answering and was loaded anew[/yellow]")
        self.move, self._answered_at = move, time.monotonic()

    def _answers(self) -> bool:
        # Asked is the inner process, which has the definitions.
        return not _failure(self.host, self.port, lambda client: client.get_server_id(timeout=5))


def _failure(host: str, port: int, ask: Callable[["DagsterGrpcClient"], object]) -> str:
    """Why the code location did not do what it was asked for; empty if it did."""
    from dagster._core.errors import DagsterUserCodeUnreachableError
    from dagster._grpc.client import DagsterGrpcClient

    try:
        ask(DagsterGrpcClient(host=host, port=port))
    except DagsterUserCodeUnreachableError as error:
        return str(error)
    return ""
