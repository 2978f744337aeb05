"""Sizes in bytes as people type them: ``500MB``, ``2GB``."""

import re
from typing import Any

import click

_UNITS = {"kb": 1_000, "mb": 1_000_000, "gb": 1_000_000_000}
_SIZE = re.compile(r"(\d{1,6}(?:\.\d{1,3})?) ?(kb|mb|gb)", re.ASCII | re.IGNORECASE)


class Size(click.ParamType[int]):
    """``2GB``: a number of kB, MB or GB (powers of ten), at least ``least`` bytes."""

    name = "size"

    def __init__(self, least: int = 1) -> None:
        self._least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        if (found := _SIZE.fullmatch(value)) is None:
            self.fail(f"{value[:40]!r} is not a size; write 500MB or 2GB", param, ctx)
        if (size := int(float(found[1]) * _UNITS[found[2].lower()])) < self._least:
            self.fail(f"{value!r} is too little; give at least {self._least // 1_000_000}MB", param, ctx)
        return size
