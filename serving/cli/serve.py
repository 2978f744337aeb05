"""``seqplat serve``: the sequence API on granian."""

import os

import click

from serving.cli.ports import require_free

HOST, PORT = "127.0.0.1", 8471
# Requests under way at SIGTERM have this long; the longest take milliseconds.
GRACE_S = 10


@click.command()
@click.option("--host", default=HOST, show_default=True, help="Address to listen on; 0.0.0.0 is every interface.")
@click.option("--port", default=PORT, show_default=True, type=click.IntRange(1, 65535))
@click.option("--workers", default=1, show_default=True, type=click.IntRange(min=1), help="Processes; one per core.")
def serve(host: str, port: int, workers: int) -> None:
    """Run the sequence API until SIGTERM or Ctrl-C."""
    require_free(host, port, what="the API", option="--port")
    # A sequence is a small frame: handing its pieces to other threads costs more than the work. Cores are for workers.
    os.environ.setdefault("POLARS_MAX_THREADS", "1")

    from granian import Granian
    from granian.constants import Interfaces

    shown = f"[{host}]" if ":" in host else host
    click.echo(f"sequence API on http://{shown}:{port}, documentation on http://{shown}:{port}/docs", err=True)
    Granian(
        "serving.app:from_environment",
        factory=True,
        interface=Interfaces.ASGI,
        address=host,
        port=port,
        workers=workers,
        workers_kill_timeout=GRACE_S,
    ).serve()
