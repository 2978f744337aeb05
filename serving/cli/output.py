"""Tables and lines for people; one place decides how values look."""

import datetime as dt
import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

# Piped output has no width to fit into; 80 columns would fold every table that a script or a log keeps.
console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)


def table(title: str, headers: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """Print rows under headers; ``right`` names right-aligned columns."""
    # Not as the table's own title, which would be folded where the table is narrow.
    console.print(title, style="table.title", soft_wrap=True)
    shown = Table(box=None, header_style="bold", pad_edge=False)
    for number, header in enumerate(headers):
        shown.add_column(header, justify="right" if header in right else "left", overflow="fold", no_wrap=number == 0)
    for row in rows:
        shown.add_row(*(text(value) for value in row))
    console.print(shown)


def text(value: object) -> str:
    """One cell: times to the second, floats short, null as a dash."""
    if value is None:
        return "-"
    if isinstance(value, dt.datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    return str(value)


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
    console.print()
    for command in commands:
        console.print(f"[dim]next:[/dim] {command}", soft_wrap=True)
