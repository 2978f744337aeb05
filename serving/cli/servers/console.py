"""``seqplat console``: the pages that the API serves at /console, as a file."""

import os
import sys
from pathlib import Path

import click

from seqplat_resources.health.board import health, look
from seqplat_resources.health.filters import Wanted, narrowed
from seqplat_resources.health.migration import migration
from seqplat_resources.health.view import WORST_FIRST
from seqplat_resources.private_files import open_private
from seqplat_resources.release.runtime import Runtime
from serving.cli.output import console as terminal
from serving.cli.output import quoted, size


@click.group()
def console() -> None:
    """What is checked and how it is, for people; `seqplat serve` has it at /console."""


@console.command()
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--owner", help="Only what this owner has.")
@click.option("--tenant", help="Only what this tenant has.")
@click.option("--check", help="Only checks of this name.")
@click.option("--status", type=click.Choice(WORST_FIRST), help="Only checks whose worst day is this.")
@click.option("--days", default=30, show_default=True, type=click.IntRange(1, 366), help="How many days.")
def export(file: str, owner: str | None, tenant: str | None, check: str | None, status: str | None, days: int) -> None:
    """Write everything as one HTML FILE (- for standard output), which needs no server and loads nothing.

    It shows what an operator sees, of all tenants unless one is named, so only you can read the file.
    """
    from serving.console.export import exported

    runtime = Runtime.from_environment()
    wanted = Wanted(owner, tenant, check, status)  # type: ignore[arg-type]
    view = narrowed(health(runtime, look(runtime, days=days), days=days), wanted)
    moving = [row for row in migration(runtime) if owner in (None, row.owner) and tenant in (None, row.tenant)]
    page = exported(view, moving)
    if file == "-":
        sys.stdout.buffer.write(page)
        return
    with open(open_private(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as output:
        output.write(page)
    terminal.print(f"{quoted(Path(file))}: {len(view.rows):,} checks, {size(len(page))}", soft_wrap=True)
