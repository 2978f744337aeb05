"""Amounts of memory as people write them.

>>> MemorySize().convert("2GB", None, None), MemorySize().convert("512 MB", None, None)
(2000000000, 512000000)
"""

import re
from typing import Any

import click

_UNITS = {"": 1, "kb": 1_000, "mb": 1_000_000, "gb": 1_000_000_000}
_SIZE = re.compile(r"\s*(\d{1,6}(?:\.\d{1,3})?)\s*([a-z]*)\s*", re.IGNORECASE)


class MemorySize(click.ParamType[int]):
    """``2GB``: a number of bytes, kB, MB or GB."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = _SIZE.fullmatch(value)
        if found is None or found[2].lower() not in _UNITS:
            self.fail(f"{value[:40]!r} is no amount of memory; write 2GB or 512MB", param, ctx)
        return int(float(found[1]) * _UNITS[found[2].lower()])
