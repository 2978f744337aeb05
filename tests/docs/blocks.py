"""The blocks of a page: sessions (a ``$`` before each command), Python, files to write, and what cannot run here."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

DOCS = Path(__file__).parents[2] / "docs"
# The one way in which a page says it, seen by its readers: a paragraph of its own, right before the block.
NOT_RUN = re.compile(r"^\*Not run here: (?P<why>[^*]+)\.\*$")
_FILE = re.compile(r"^# (?P<path>[\w/-]+\.\w+)\n")

Kind = Literal["session", "python", "file", "not run"]


@dataclass(frozen=True)
class Block:
    """``line`` of the page it begins in. ``shown`` is what a Python block prints; ``path`` the file to write."""

    kind: Kind
    text: str
    line: int
    shown: str = ""
    path: str = ""
    why: str = ""


def blocks(page: str) -> list[Block]:
    """What is to be done on a page, in its order; tables of data, outputs and other languages are left out."""
    lines = page.splitlines()
    raw = list(_raw(lines))
    found: list[Block] = []
    for place, (number, language, text) in enumerate(raw):
        if language == "python":
            following = raw[place + 1] if place + 1 < len(raw) else (0, "", "")
            between = lines[number + text.count("\n") + 1 : following[0] - 1]
            is_shown = (
                following[1] in ("", "text") and not any(map(str.strip, between)) and "$ " not in following[2][:2]
            )
            kind: Kind = "file" if (path := _FILE.match(text)) else "python"
            block = Block(kind, text, number, following[2] if is_shown else "", path["path"] if path else "")
        elif re.search(r"^\$ ", text, re.MULTILINE):
            block = Block("session", text, number)
        else:
            continue
        above = reversed([line for line in lines[: number - 1] if line.strip() and not line.startswith("```")])
        why = NOT_RUN.match(next(above, ""))
        found.append(Block("not run", text, number, why=why["why"]) if why else block)
    return found


def commands(session: str) -> Iterator[tuple[str, str]]:
    """Each command and what it printed; a command goes on behind a backslash, and within a quote."""
    command, output, goes_on = "", list[str](), False
    for line in session.splitlines():
        if goes_on:
            command += "\n" + line
        elif line.startswith("$ "):
            if command:
                yield command, "\n".join(output)
            command, output = line[2:], []
        else:
            output.append(line)
            continue
        goes_on = line.endswith("\\") or command.count("'") % 2 == 1
    if command:
        yield command, "\n".join(output)


def _raw(lines: list[str]) -> Iterator[tuple[int, str, str]]:
    """Fenced and indented blocks: the line of the first row of text, the language, the text."""
    at = 0
    while at < len(lines):
        if fence := re.match(r"^```(\w*)", lines[at]):
            end = next((n for n in range(at + 1, len(lines)) if lines[n].startswith("```")), len(lines))
            yield at + 2, fence[1] or "text", "\n".join(lines[at + 1 : end]) + "\n"
            at = end + 1
        elif lines[at].startswith("    ") and (at == 0 or not lines[at - 1].strip()):
            end = at
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            yield at + 1, "", "\n".join(line[4:] for line in lines[at:end]).rstrip() + "\n"
            at = end
        else:
            at += 1
