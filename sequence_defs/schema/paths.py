"""Where in a raw row a column is read: ``payload.after.member``, ``params[key=page].value``, ``"event.name"``.

A path is names, each inside the one before. A name is written as it is; in double quotes where it has a point, a
bracket or a quote (doubled) in it. ``[2]`` takes an item of an array, ``[-1]`` the last, and ``[key=page]`` the first
object in an array whose field ``key`` says ``page``.
"""

import re
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class Match:
    """The first object of an array whose field ``name`` is the text, number or truth ``value``."""

    name: str
    value: str


Step = str | int | Match
Path = tuple[Step, ...]

_QUOTED = r'"(?:[^"]|"")*"'
_NAME = re.compile(rf'{_QUOTED}|[^.\[\]"]+')
_PLAIN = re.compile(r'[^.\[\]"=]+')
_ITEM = re.compile(rf"\[(?:(?P<index>-?[0-9]{{1,9}})|(?P<name>{_QUOTED}|[^=\[\]\"]+)=(?P<value>{_QUOTED}|[^\]\"]*))\]")


class PathError(ValueError):
    """A text that is no path."""


@lru_cache(maxsize=4096)
def parse_path(text: str) -> Path:
    """The steps of a path; the first is the name of a field.

    Raises:
        PathError: it is none; the message shows the place.
    """
    steps: list[Step] = []
    at = 0
    while True:
        name = _NAME.match(text, at)
        if name is None or not _unquoted(name[0]):
            raise PathError(_expected("a name", text, at))
        steps.append(_unquoted(name[0]))
        at = name.end()
        while item := _ITEM.match(text, at):
            steps.append(
                int(item["index"]) if item["index"] else Match(_unquoted(item["name"]), _unquoted(item["value"]))
            )
            at = item.end()
        if at == len(text):
            return tuple(steps)
        if text[at] != ".":
            raise PathError(_expected("a point, [number] or [name=value]", text, at))
        at += 1


def quoted(name: str) -> str:
    """A name as a path that has only this step."""
    return name if _PLAIN.fullmatch(name) and name == name.strip() else '"' + name.replace('"', '""') + '"'


def _unquoted(text: str) -> str:
    return text[1:-1].replace('""', '"') if text.startswith('"') else text


def _expected(what: str, text: str, at: int) -> str:
    rest = text[at:]
    return f"{what} is expected at {rest[:20]!r}" if rest else f"it ends where {what} is expected"
