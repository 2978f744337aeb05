"""Portable column types, written as text: ``int64``, ``list[string]``, ``vector[float16,32]``."""

import datetime as dt
import re
from typing import Annotated, Final, NamedTuple

from pydantic import AfterValidator

SCALARS = (
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "float32",
    "float64",
    "string",
    "binary",
    "date",
    "timestamp",
)
VECTOR_ITEMS = ("int8", "float16", "float32")

# What a date and a timestamp can be: the years 1 to 9999 of the proleptic calendar, in UTC. Other times cannot be
# written by every encoder. Days and microseconds since 1970-01-01, both bounds inclusive.
DAY_US: Final = 86_400_000_000
FIRST_DAY: Final = (dt.date.min - dt.date(1970, 1, 1)).days
LAST_DAY: Final = (dt.date.max - dt.date(1970, 1, 1)).days
FIRST_US: Final = FIRST_DAY * DAY_US
LAST_US: Final = (LAST_DAY + 1) * DAY_US - 1

_LIST = re.compile(r"^list\[\s*(.+?)\s*\]$")
_VECTOR = re.compile(r"^vector\[\s*([a-z0-9]+)\s*,\s*([1-9][0-9]{0,4})\s*\]$")


class ParsedDtype(NamedTuple):
    """``kind`` is scalar, list or vector; ``item`` the type inside; ``dim`` is 0 unless a vector."""

    kind: str
    item: str
    dim: int = 0


def parse_dtype(text: str) -> ParsedDtype:
    """Take a type apart. Lists may nest here, as tables of sequences need; definitions may not nest them.

    Raises:
        ValueError: the text names no portable type; the message lists those there are.
    """
    if text in SCALARS:
        return ParsedDtype("scalar", text)
    if (found := _LIST.match(text)) and (item := parse_dtype(found[1])).kind != "vector":
        return ParsedDtype("list", found[1] if item.kind == "list" else item.item)
    if (found := _VECTOR.match(text)) and found[1] in VECTOR_ITEMS:
        return ParsedDtype("vector", found[1], int(found[2]))
    raise ValueError(
        f"{text!r} is not a column type; use one of {', '.join(SCALARS)}, list[<scalar>], "
        f"or vector[<{'|'.join(VECTOR_ITEMS)}>,<dimension>]"
    )


def _checked(text: str) -> str:
    parsed = parse_dtype(text)
    if parsed.kind == "list" and parsed.item not in SCALARS:
        raise ValueError(f"{text!r} nests lists; a column holds a list of scalars at most")
    if parsed.kind == "scalar":
        return parsed.item
    return f"list[{parsed.item}]" if parsed.kind == "list" else f"vector[{parsed.item},{parsed.dim}]"


Dtype = Annotated[str, AfterValidator(_checked)]
