"""``seqplat export``: all users' sequences as of a time, to a folder of Parquet.

>>> from click.testing import CliRunner
>>> CliRunner().invoke(export, ["basket", "out", "--as-of", "noon"]).output.splitlines()[-1]
"Error: Invalid value for '--as-of': 'noon' is no time with a zone; write 2026-11-01T00:00:00Z"
"""

import datetime as dt
from pathlib import Path
from typing import Any

import click

from seqplat_resources.commands import command
from seqplat_resources.release.query import Query
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.training.build import TrainingLimits
from seqplat_resources.training.export import export as exported
from seqplat_resources.training.question import MODES, TrainingQuestion
from serving.cli.training.sets import bar, named, show
from serving.cli.training.sizes import MemorySize

# Nobody's time is that of an answer.
_MODES = [mode for mode in MODES if mode != "as_served"]


class _Instant(click.ParamType[dt.datetime]):
    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dt.datetime:
        try:
            found = value if isinstance(value, dt.datetime) else dt.datetime.fromisoformat(value)
        except ValueError:
            found = None
        if found is None or found.utcoffset() is None:
            self.fail(f"{value!r} is no time with a zone; write 2026-11-01T00:00:00Z", param, ctx)
        return found


@click.command()
@click.argument("sequence")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--as-of", type=_Instant(), help="2026-11-01T00:00:00Z; now if not given.")
@click.option("--mode", type=click.Choice(_MODES), default="as_known", show_default=True)
@click.option("--columns", help="Comma-separated columns of the sequence; all if not given.")
@click.option("--length", type=click.IntRange(min=1), help="Newest events of a user; at most the sequence's length.")
@click.option("--where", help="An SQL condition on events.")
@click.option("--pii", "pii", multiple=True, metavar="COLUMN", help="With this column of personal data; * for all.")
@click.option("--memory", type=MemorySize(), default=TrainingLimits().memory_bytes, help="Of this process: 2GB.")
@click.option("--replace", is_flag=True, help="Replace what is in OUT.")
def export(
    sequence: str,
    out: Path,
    as_of: dt.datetime | None,
    mode: Any,
    columns: str | None,
    length: int | None,
    where: str | None,
    pii: tuple[str, ...],
    memory: int,
    replace: bool,
) -> None:
    """Write SEQUENCE of every user with any event into the folder OUT, as a training set with a label for each user."""
    runtime = Runtime.from_environment()
    if as_of is not None and as_of > (now := runtime.clock.now()):
        raise click.BadParameter(f"{as_of} is to come; now is {now:%Y-%m-%dT%H:%M:%SZ}", param_hint="'--as-of'")
    question = TrainingQuestion(sequence, mode, query=Query(named(columns), length, where=where))
    with bar() as progress:
        made = exported(
            runtime,
            question,
            out,
            as_of or runtime.clock.now(),
            limits=TrainingLimits(memory),
            pii=pii,
            replace=replace,
            progress=progress,
        )
    show(made, again=command("export", sequence, "OUT", mode="as_corrected"))
