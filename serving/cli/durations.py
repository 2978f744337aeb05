"""Spans of time and instants as people type them: ``90d``, ``24h``, ``2027-01-31``."""

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import click

from seqplat_resources.times import midnight

_SHOWN_CHARS = 40
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SPAN = re.compile(r"(\d+)([smhdw])", re.ASCII)
# Longer is a slip of the finger; and a calendar ends somewhere.
_LONGEST, _MOST_DIGITS = dt.timedelta(days=36_500), 10


class Duration(click.ParamType[dt.timedelta]):
    """``24h``: a whole number of seconds, minutes, hours, days or weeks."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dt.timedelta:
        if isinstance(value, dt.timedelta):
            return value
        found = _SPAN.fullmatch(value)
        if found is None:
            self.fail(f"{_cut(value)!r} is not a span of time; write 30m, 24h or 90d", param, ctx)
        if len(found[1]) > _MOST_DIGITS or (span := dt.timedelta(**{_UNITS[found[2]]: int(found[1])})) > _LONGEST:
            self.fail(f"{_cut(value)!r} is more than 100 years; write 30m, 24h or 90d", param, ctx)
        return span


class Day(click.ParamType[dt.date]):
    """``2027-01-31``."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dt.date:
        if isinstance(value, dt.date):
            return value
        try:
            return dt.datetime.strptime(value, "%Y-%m-%d").date()
        except ValueError:
            self.fail(f"{value!r} is no day; write it as 2027-01-31", param, ctx)


class Expiry(click.ParamType[dt.timedelta | dt.datetime]):
    """A span from now, or a day, whose start in UTC is meant. None that is over at ``now`` already."""

    name = "span or day"

    def __init__(self, now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)) -> None:
        self._now = now

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dt.timedelta | dt.datetime:
        if isinstance(value, dt.timedelta | dt.datetime):
            return value
        if _SPAN.fullmatch(value):
            span = Duration().convert(value, param, ctx)
            if not span:
                self.fail(f"{value!r} would be over at once; write 90d or a day to come", param, ctx)
            return span
        try:
            day = midnight(dt.date.fromisoformat(value))
        except ValueError:
            self.fail(f"{_cut(value)!r} is neither a span like 90d nor a day like 2027-01-31", param, ctx)
        if day <= self._now():
            self.fail(f"{value!r} has begun (UTC); write 90d or a day to come", param, ctx)
        return day


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}..."
