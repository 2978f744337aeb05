"""Tables and lines for people; one place decides how values look, and that none of them steers the terminal."""

import datetime as dt
import sys
from collections.abc import Iterable, Sequence

from rich import markup
from rich.console import Console
from rich.table import Table
from rich.text import Text

from seqplat_resources.shown_text import plain

# Piped output has no width to fit into; 80 columns would fold every table that a script or a log keeps.
console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)


def table(title: str, headers: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """Print rows under headers; ``right`` names right-aligned columns.

    Title and cells are data: what looks like markup in them is shown as it is. A ``Text`` has a style of its own.
    """
    # Not as the table's own title, which would be folded where the table is narrow.
    console.print(Text(plain(title)), style="table.title", soft_wrap=True)
    shown = Table(box=None, header_style="bold", pad_edge=False)
    for number, header in enumerate(headers):
        align, first = ("right" if header in right else "left"), number == 0
        shown.add_column(Text(header), justify=align, overflow="fold", no_wrap=first)  # type: ignore[arg-type]
    for row in rows:
        shown.add_row(*(cell if isinstance(cell, Text) else Text(text(cell)) for cell in row))
    console.print(shown)


def text(value: object) -> str:
    """One cell: times to the second, floats short, null as a dash."""
    if value is None:
        return "-"
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=None).isoformat(" ", "seconds")
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    return plain(str(value))


def quoted(value: object) -> str:
    """Any value inside of a line with markup."""
    return markup.escape(plain(str(value)))


def size(count: int) -> str:
    """Bytes in the largest unit that keeps one digit before the point."""
    number = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000 or unit == "GB":
            break
        number /= 1000
    return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"


def suggest(*commands: str) -> None:
    """What to try next, each in one line, to be copied; ids in it go through ``seqplat_resources.commands``."""
    if commands:
        console.print()
    for command in commands:
        console.print(Text.assemble(("next:", "dim"), " ", plain(command)), soft_wrap=True)
