"""``seqplat serve``: the sequence API on granian."""

import logging
import os
import resource
import tempfile
from collections.abc import Callable
from functools import partial
from logging.config import dictConfig
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import click

from serving.cli.servers.ports import require_free

if TYPE_CHECKING:
    from litestar import Litestar

    from serving.settings import Settings

HOST, PORT = "127.0.0.1", 8471
# Connections a process holds, idle ones too; more wait in the system's queue. Requests under way are bounded elsewhere:
# were this the bound, connections that do nothing would keep out those of health checks.
CONNECTIONS = 16_384
BACKLOG = 4096
# The longest head of a request: a query of 60,000 bytes and as much of headers. What a connection may make us hold.
CONNECTION_BYTES = 128 << 10

Make: TypeAlias = "Callable[[Settings, Path], Litestar]"

_log = logging.getLogger(__name__)


@click.command()
@click.option(
    "--host",
    envvar="SEQPLAT_API_HOST",
    default=HOST,
    show_default=True,
    help="Address to listen on; 0.0.0.0 is every interface.",
)
@click.option("--port", envvar="SEQPLAT_API_PORT", default=PORT, show_default=True, type=click.IntRange(1, 65535))
@click.option(
    "--workers",
    envvar="SEQPLAT_API_WORKERS",
    default=1,
    show_default=True,
    type=click.IntRange(1, 1024),
    help="Processes; one per core.",
)
def serve(host: str, port: int, workers: int) -> None:
    """Run the sequence API until SIGTERM or Ctrl-C.

    On SIGTERM /readyz says so first, what is under way is answered, then it ends; Ctrl-C leaves out the waiting.
    """
    run(host, port, workers)


def run(host: str, port: int, workers: int, make: "Make | None" = None) -> None:
    """Serve until told to end. ``make`` is called in each process, by default ``serving.http.worker.application``.

    Raises:
        SettingInvalid, PortTaken: before anything is started.
    """
    from serving.settings import Settings

    settings = Settings.from_environment()
    require_free(host, port, what="the API", option="--port")
    _allow_connections()
    # A sequence is a small frame: handing its pieces to other threads costs more than the work. Cores are for workers.
    os.environ.setdefault("POLARS_MAX_THREADS", "1")

    from granian.constants import HTTPModes, Interfaces
    from granian.http import HTTP1Settings
    from granian.log import LogLevels

    from serving.http import logs
    from serving.http.processes import Processes

    logging_config = logs.config(settings.logging, settings.logging_level)
    dictConfig(logging_config)
    logging.captureWarnings(True)
    shown = f"[{host}]" if ":" in host else host
    _log.info("sequence API on http://%s:%d, documentation on http://%s:%d/docs", shown, port, shown, port)
    with tempfile.TemporaryDirectory(prefix="seqplat-serve-") as folder:
        server = Processes(
            "serving.http.worker:application",
            interface=Interfaces.ASGI,
            address=host,
            port=port,
            workers=workers,
            backlog=BACKLOG,
            backpressure=CONNECTIONS,
            # A process that is killed, for instance for want of memory, is not the end of the others.
            respawn_failed_workers=True,
            workers_kill_timeout=int(settings.drain_s + settings.grace_s) + 1,
            log_level=LogLevels.warning if settings.logging_level == "info" else LogLevels(settings.logging_level),
            log_dictconfig=logging_config,
            websockets=False,
            # NOTE: HTTP/2 belongs to a proxy in front. A server that speaks both waits for the first bytes of a
            # connection to know which, and that wait has no end: silent connections would fill all there are.
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(
                header_read_timeout=int(settings.head_s * 1000), max_buffer_size=CONNECTION_BYTES
            ),
        )
        server.serve(target_loader=partial(make or _application, settings, Path(folder)), wrap_loader=False)


def _allow_connections() -> None:
    """As many open files as a process may have: the usual bound of 1,024 is for programs that use ``select``."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = 2 * CONNECTIONS if most == resource.RLIM_INFINITY else min(most, 2 * CONNECTIONS)
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _application(settings: "Settings", counts: Path) -> "Litestar":
    # Imported by each process for itself: numpy and polars start threads, which a fork would not take along.
    from serving.http.worker import application

    return application(settings, counts)
