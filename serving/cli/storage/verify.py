"""``seqplat verify``: compare the lake's files with what was written into them."""

import datetime as dt
import re
import sys
from typing import Any

import click

from seqplat_resources.batch.upkeep.layouts import layouts
from seqplat_resources.batch.upkeep.verify import verify as verify_lake
from seqplat_resources.errors import Final
from seqplat_resources.release.runtime import Runtime
from serving.cli.durations import Day
from serving.cli.output import console, quoted, size, table


class Share(click.ParamType[tuple[int, int]]):
    """``2/7``: the second of seven parts."""

    name = "k/n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"(\d{1,4})/(\d{1,4})", value, re.ASCII)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            self.fail(f"{value!r} is no share; write 1/7 to 7/7", param, ctx)
        return int(found[1]) - 1, int(found[2])


@click.command()
@click.argument("names", nargs=-1)
@click.option("--from", "first", type=Day(), default=dt.date.min, help="First day; the oldest without it.")
@click.option("--to", "last", type=Day(), default=dt.date.max, help="Last day, included; the newest without it.")
@click.option("--share", type=Share(), default=(0, 1), help="Of all files, the k-th of n parts, as 1/7.")
def verify(names: tuple[str, ...], first: dt.date, last: dt.date, share: tuple[int, int]) -> None:
    """Read files of the lake and compare them with the checksums they were written with.

    NAMES like events/purchase; all tables if none is given. Ends with an error where a file is damaged, and says how
    it is made again.
    """
    runtime = Runtime.from_environment()
    if unknown := [name for name in names if name not in (known := layouts(runtime))]:
        raise Final(f"no table {', '.join(unknown)}; there are {', '.join(known)}")
    found = dict(verify_lake(runtime, names, first=first, last=last, share=share))
    table(
        "files compared with their checksums",
        ["table", "files", "size", "without checksum", "damaged"],
        [(name, f.files, size(f.bytes), f.unchecked, len(f.damaged)) for name, f in found.items()],
        right=["files", "size", "without checksum", "damaged"],
    )
    damaged = [each for f in found.values() for each in f.damaged]
    for each in damaged:
        console.print(f"[red]damaged[/red] {quoted(each)}", soft_wrap=True)
    if sum(f.unchecked for f in found.values()):
        console.print("files without a checksum are older than checksums; `seqplat compact` or a build gives them one")
    if damaged:
        sys.exit(1)
