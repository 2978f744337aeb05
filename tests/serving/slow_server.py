"""``seqplat serve`` with one route more, whose answers take as long as asked for: tests need to know how long."""

import logging
import time
from pathlib import Path
from typing import Annotated

import click
from litestar import Litestar, get
from litestar.params import QueryParameter

from serving.cli.servers.serve import run
from serving.settings import Settings

_log = logging.getLogger("tests.slow")


@get("/v1/slow", sync_to_thread=True, include_in_schema=False)
def slow(ms: Annotated[int, QueryParameter(ge=0)]) -> dict[str, int]:
    _log.info("slow answer", extra={"fields": {"ms": ms, "header": "Bearer sp_abc_secretsecret"}})
    time.sleep(ms / 1000)
    return {"ms": ms}


@get("/v1/broken", sync_to_thread=True, include_in_schema=False)
def broken() -> None:
    raise RuntimeError("redis://me:hunter2@127.0.0.1/0 is away")


def slow_application(settings: Settings, counts: Path) -> Litestar:
    from serving.http.worker import application  # in each process, as ``seqplat serve`` does

    app = application(settings, counts)
    app.register(slow)
    app.register(broken)
    return app


@click.command()
@click.option("--port", type=int)
@click.option("--workers", type=int)
def main(port: int, workers: int) -> None:
    run("127.0.0.1", port, workers, make=slow_application)


if __name__ == "__main__":
    main()
