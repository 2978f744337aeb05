"""``seqplat dev``: the Dagster UI and the sequence API side by side on this machine."""

import datetime as dt
import json
import os
import signal
import sys
import threading
from pathlib import Path

import click

from seqplat_resources.batch.days.schedule import Automation
from seqplat_resources.home import Home
from seqplat_resources.release.runtime import Runtime
from serving.access.keys.changes import issue_named
from serving.access.keys.store import KeyStore
from serving.cli.dagster_home import ensure_dagster_home, older_settings
from serving.cli.output import console, quoted, table
from serving.cli.person import person
from serving.cli.servers.children import Child, Server
from serving.cli.servers.ports import free_port, require_free
from serving.cli.servers.serve import HOST, PORT

DAGSTER_PORT = 3000
# Dagster takes about ten seconds to start, several times that on a busy machine.
START_S = 180
END_S = 20
AGAIN_S = 5
MOST_KEYS = 5


@click.command()
@click.option("--host", default=HOST, show_default=True, help="Address that both listen on.")
@click.option("--port", default=PORT, show_default=True, type=click.IntRange(1, 65535), help="Port of the API.")
@click.option("--dagster-port", default=DAGSTER_PORT, show_default=True, type=click.IntRange(1, 65535))
def dev(host: str, port: int, dagster_port: int) -> None:
    """Run the Dagster UI (with its daemon) and the sequence API until Ctrl-C. If one ends, so does the other.

    The code location is a process of its own (``seqplat code-server``), started again if it is killed.
    """
    require_free(host, dagster_port, what="the Dagster UI", option="--dagster-port")
    require_free(host, port, what="the API", option="--port")
    runtime = Runtime.from_environment()  # says how to publish a release, if there is none
    home, release = runtime.home, runtime.release
    folder = ensure_dagster_home(home)
    for line in older_settings(folder):
        console.print(f"[yellow]dagster.yaml: {quoted(line)}[/yellow]", soft_wrap=True)
    logs = folder / "dev"
    ui, api = f"http://{host}:{dagster_port}", f"http://{host}:{port}"
    # Resolved here: the servers' own children may have other working directories. Nobody balances load to be told.
    environment = {
        "SEQPLAT_API_DRAIN_S": "0",
        "SEQPLAT_LOGGING": "text",
        # While the code location is started again, a backfill waits for it.
        "DAGSTER_BACKFILL_RETRY_DEFINITION_CHANGED_ERROR": "1",
        **os.environ,
        "SEQPLAT_HOME": home.installation.root,
    }
    environment.setdefault("SEQPLAT_API_DAGSTER_URL", ui)
    code_port = free_port(host)
    servers = [
        Server(
            "code location",
            f"{host}:{code_port}",
            f"tcp://{host}:{code_port}",
            _python("serving.cli", "code-server", "--host", host, "--port", str(code_port)),
            signal.SIGTERM,
            logs / "code-server.log",
            is_kept=True,
        ),
        Server(
            "Dagster UI",
            ui,
            f"{ui}/server_info",
            _python("dagster", "dev", "-w", _workspace(logs, host, code_port), "-h", host, "-p", str(dagster_port)),
            signal.SIGINT,
            logs / "dagster.log",
        ),
        Server(
            "sequence API",
            api,
            f"{api}/healthz",
            _python("serving.cli", "serve", "--host", host, "--port", str(port)),
            signal.SIGTERM,
            logs / "api.log",
        ),
    ]
    _warn_of_room(runtime)
    automation = Automation.of(release, environment)
    _run(servers, environment, api, _new_keys(home, list(release.tenants)), automation)


def _warn_of_room(runtime: Runtime) -> None:
    """Say if streams would leave builds no room; they are started only as far as there is."""
    from seqplat_assets.streams.jobs import room_problem

    if problem := room_problem(runtime.release, runtime.home.environment):
        console.print(f"[yellow]{quoted(problem)}[/yellow]", soft_wrap=True)


def _new_keys(home: Home, tenants: list[str]) -> list[tuple[str, str]]:
    """A key for each tenant, where they are few: one's own installation. Those of the run before work for a day."""
    if len(tenants) > MOST_KEYS:
        return []
    store, by = KeyStore(home), person()
    return [(each, issue_named(store, each, "dev", by=by, overlap=dt.timedelta(days=1))) for each in tenants]


def _run(
    servers: list[Server],
    environment: dict[str, str],
    api: str,
    keys: list[tuple[str, str]],
    automation: Automation,
) -> None:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    console.print("[dim]starting ...[/dim]")
    children = [Child(server, environment) for server in servers]
    try:
        for child in children:
            child.wait_until_up(patience_s=START_S, stopped=stop.is_set)
        if not stop.is_set():
            rows = [(server.name, server.address, server.log) for server in servers]
            table(
                "running; Ctrl-C ends it",
                ["what", "address", "log"],
                [*rows, ("console", f"{api}/console", None), ("API documentation", f"{api}/docs", None)],
            )
            console.print(f"automation is {quoted(automation)}; see {servers[1].address}/automation", soft_wrap=True)
            if keys:
                table("API keys, shown only now", ["tenant", "key"], keys)
        while not stop.wait(0.5):
            for place, child in enumerate(children):
                children[place] = _supervised(child, environment, stop)
    finally:
        console.print("[dim]stopping ...[/dim]")
        for child in children:
            child.end(patience_s=END_S)


def _supervised(child: Child, environment: dict[str, str], stop: threading.Event) -> Child:
    """The same, or another in the place of one that is kept and has ended.

    Raises:
        ChildFailed: it has ended, and is not kept.
    """
    if not child.server.is_kept or (status := child.status()) is None:
        child.require_alive()
        return child
    console.print(f"[yellow]{child.server.name} ended with status {status}; started again[/yellow]")
    child.end(patience_s=0)
    stop.wait(AGAIN_S)
    return Child(child.server, environment, append=True)


def _workspace(folder: Path, host: str, port: int) -> str:
    """A file that tells Dagster where the code location is."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "workspace.yaml"
    server = {"host": host, "port": port, "location_name": "seqplat"}
    file.write_text(json.dumps({"load_from": [{"grpc_server": server}]}))  # JSON is YAML
    return str(file)


def _python(*arguments: str) -> list[str]:
    return [sys.executable, "-m", *arguments]
