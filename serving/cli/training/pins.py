"""``seqplat pin``, ``unpin`` and ``pins``: versions of tables that vacuum leaves, for training sets made again.

>>> from click.testing import CliRunner
>>> CliRunner().invoke(unpin, ["no such pin"], env={"SEQPLAT_HOME": str(folder)}).exception
PinRefused("there is no pin 'no such pin'; there are none")
"""

import datetime as dt
from pathlib import Path

import click

from seqplat_resources.home import Home
from seqplat_resources.records.pins import Pins
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.training.held import held_bytes, pin_set
from seqplat_resources.training.manifest import Manifest
from serving.cli.durations import Duration
from serving.cli.output import console, quoted, size, table
from serving.cli.person import person


@click.command()
@click.argument("name")
@click.argument("training_set", type=click.Path(path_type=Path))
@click.option("--expires", type=Duration(), help="Let go after: 90d, 52w. Kept until unpin if not given.")
@click.option("--note", default="", help="What it is for.")
def pin(name: str, training_set: Path, expires: dt.timedelta | None, note: str) -> None:
    """Keep the versions of tables that TRAINING_SET (its folder or manifest) was made of, under NAME."""
    runtime = Runtime.from_environment()
    found = pin_set(runtime, name, Manifest.read(training_set), owner=person(), expires=expires, note=note)
    console.print(f"pinned {len(found.tables)} table(s) as {quoted(name)}: vacuum leaves their files", soft_wrap=True)


@click.command()
@click.argument("name")
def unpin(name: str) -> None:
    """Let go what NAME keeps; the next vacuum deletes what nothing else needs."""
    Pins(Home.from_environment()).drop(name)
    console.print(f"unpinned {quoted(name)}")


@click.command()
def pins() -> None:
    """Show what is pinned, by whom, until when, and how many bytes no newer version needs."""
    runtime = Runtime.from_environment()
    found = Pins(runtime.home, runtime.clock).all()
    rows = [
        (
            *(each.name, each.owner, each.made_at, each.expires_at or "never"),
            "yes" if each.holds(runtime.clock.now()) else "ended",
            *(len(each.tables), size(held_bytes(runtime, each)), each.note),
        )
        for each in found
    ]
    right = ["tables", "held"]
    table(f"{len(rows)} pin(s)", ["name", "owner", "made", "expires", "holds", *right, "note"], rows, right=right)
