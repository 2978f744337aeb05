"""Spans of time and instants as people type them: ``90d``, ``24h``, ``2027-01-31``."""

import datetime as dt
import re
from typing import Any

import click

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SPAN = re.compile(r"(\d{1,6})([smhdw])")


class Span(click.ParamType[dt.timedelta]):
    """``24h``: a whole number of seconds, minutes, hours, days or weeks."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dt.timedelta:
        if isinstance(value, dt.timedelta):
            return value
        found = _SPAN.fullmatch(value)
        if found is None:
            self.fail(f"{value!r} is not a span of time; write 30m, 24h or 90d", param, ctx)
        return dt.timedelta(**{_UNITS[found[2]]: int(found[1])})


class Expiry(click.ParamType[dt.timedelta | dt.datetime]):
    """A span from now, or a day, whose start in UTC is meant."""

    name = "span or day"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dt.timedelta | dt.datetime:
        if isinstance(value, dt.timedelta | dt.datetime):
            return value
        if _SPAN.fullmatch(value):
            return Span().convert(value, param, ctx)
        try:
            return dt.datetime.combine(dt.date.fromisoformat(value), dt.time(), dt.UTC)
        except ValueError:
            self.fail(f"{value!r} is neither a span like 90d nor a day like 2027-01-31", param, ctx)
