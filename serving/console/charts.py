"""What a check found over the days, as points of a drawing that a template writes as SVG."""

import datetime as dt
from collections.abc import Sequence
from math import ceil, floor, log10
from typing import NamedTuple

from seqplat_resources.health.view import Cell, Status
from serving.console.words import GLYPHS, LETTERS, number

# In units of the drawing, which grows with the page.
WIDTH, HEIGHT = 960, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 14, 14, 30
# Larger numbers are told and not drawn.
_MOST = 1e100
_STEPS = (1, 2, 2.5, 5, 10)


class Dot(NamedTuple):
    """A day's value; a glyph stands there where it did not pass."""

    x: float
    y: float
    day: dt.date
    status: Status
    letter: str
    glyph: str
    value: str


class Tick(NamedTuple):
    """A number or a day beside its line."""

    at: float
    text: str


class Chart(NamedTuple):
    """Lines of points that follow each other day by day, and the same of limits."""

    points: Sequence[Dot]
    lines: Sequence[str]
    limits: Sequence[str]
    numbers: Sequence[Tick]
    days: Sequence[Tick]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    right: int = WIDTH - _RIGHT
    bottom: int = HEIGHT - _BOTTOM


def chart(cells: Sequence[Cell]) -> Chart | None:
    """The values of days; None where fewer than two have one that can be drawn."""
    days = [cell for cell in cells if cell.day is not None]
    values, limits = [_drawn(cell.value) for cell in days], [_drawn(cell.limit) for cell in days]
    known = [value for value in (*values, *limits) if value is not None]
    if sum(value is not None for value in values) < 2:
        return None
    low, high, step = _scale(min(0.0, *known), max(known))

    def y(value: float) -> float:
        return round(_TOP + (HEIGHT - _TOP - _BOTTOM) * (high - value) / (high - low), 1)

    def line(of: Sequence[float | None]) -> list[str]:
        return _lines([None if value is None else (x, y(value)) for x, value in zip(places, of, strict=True)])

    places = [round(_LEFT + (WIDTH - _LEFT - _RIGHT) * (n + 0.5) / len(days), 1) for n in range(len(days))]
    points = [
        Dot(x, y(value), cell.day, cell.status, LETTERS[cell.status], GLYPHS[cell.status], number(value))
        for x, value, cell in zip(places, values, days, strict=True)
        if value is not None and cell.day is not None
    ]
    ticks = [low + step * n for n in range(round((high - low) / step) + 1)]
    every = max(1, len(days) // 8)
    named = [Tick(x, f"{cell.day:%d %b}") for x, cell in zip(places[::every], days[::every], strict=True)]
    return Chart(points, line(values), line(limits), [Tick(y(value), number(value)) for value in ticks], named)


def _drawn(value: float | None) -> float | None:
    return value if value is not None and abs(value) < _MOST else None  # false of what is no number


def _scale(low: float, high: float) -> tuple[float, float, float]:
    """Round numbers around a range, and the step between lines, of which there are four or so."""
    span = (high - low) or 1.0
    power = 10.0 ** floor(log10(span / 4))
    step = next(power * each for each in _STEPS if power * each >= span / 4)
    return step * floor(low / step), step * max(1, ceil(high / step)), step


def _lines(points: Sequence[tuple[float, float] | None]) -> list[str]:
    """Of points that follow each other; a day without one parts them."""
    found: list[list[str]] = [[]]
    for point in points:
        if point is None:
            found.append([])
        else:
            found[-1].append(f"{point[0]},{point[1]}")
    return [" ".join(line) for line in found if len(line) > 1]
