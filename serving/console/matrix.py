"""Rows of checks as a page shows them: texts that are made once, so that fifteen thousand cells are quick to write."""

import datetime as dt
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from markupsafe import Markup, escape

from seqplat_resources.health.view import Cell, CheckRow, Status
from seqplat_resources.shown_text import plain
from serving.console.words import GLYPHS, LETTERS, WORDS, check_url, cut, number

# More than that are a page of their own: a browser is slow with them, and nobody reads them.
ROWS_A_PAGE = 500
_BECAUSE_CHARS = 160


class ShownRow(NamedTuple):
    """A check; ``cells`` are its days, or the one of all days, as markup."""

    row: CheckRow
    url: str
    cells: Markup


class Month(NamedTuple):
    """Days of the window that are of one month, by its name."""

    name: str
    days: Sequence[dt.date]


class Matrix(NamedTuple):
    """One page of rows; ``number`` counts from 1 to ``pages``. ``total`` are the rows of all pages."""

    months: Sequence[Month]
    rows: Sequence[ShownRow]
    number: int
    pages: int
    total: int


def matrix(
    rows: Sequence[CheckRow],
    days: Sequence[dt.date],
    page: int = 1,
    *,
    links: bool = True,
    most: int | None = ROWS_A_PAGE,
) -> Matrix:
    """Rows in their order, ``most`` on a page (None is all); a ``page`` that there is not is the last. Without
    ``links`` cells lead nowhere.
    """
    most = most or max(1, len(rows))
    pages = max(1, -(-len(rows) // most))
    page = min(max(1, page), pages)
    first = (page - 1) * most
    months = [_month(list(found)) for _, found in groupby(days, lambda day: (day.year, day.month))]
    shown = [_shown(row, len(days), links=links) for row in rows[first : first + most]]
    return Matrix(months, shown, page, pages, len(rows))


def _month(days: list[dt.date]) -> Month:
    """By its whole name where there is room for it."""
    return Month(f"{days[0]:%b %Y}" if len(days) > 2 else f"{days[0]:%b}", days)


def _shown(row: CheckRow, days: int, *, links: bool) -> ShownRow:
    """NOTE: markup is made here and not in a template, which takes four times as long; of texts of others there are the
    address, which is quoted, and the titles, which are escaped."""
    url = check_url(row.asset, row.check)
    if len(row.cells) == 1 and row.cells[0].day is None:
        return ShownRow(row, url, _whole(row.cells[0], days, url if links else ""))
    parts = list[str]()
    for cell in row.cells:
        letter, glyph = LETTERS[cell.status], GLYPHS[cell.status]
        if not cell.is_due:
            parts.append("<td>")
        elif links:
            parts.append(f'<td class={letter}><a href="{url}?day={cell.day}" title="{_title(cell)}">{glyph}</a>')
        else:
            parts.append(f'<td class={letter}><b title="{_title(cell)}">{glyph}</b>')
    return ShownRow(row, url, Markup("".join(parts)))


def _whole(cell: Cell, days: int, url: str) -> Markup:
    letter, glyph = LETTERS[cell.status], GLYPHS[cell.status]
    mark = f'<a href="{url}" title="{_title(cell)}">{glyph}</a>' if url else f"<b>{glyph}</b>"
    text = escape(plain(cut(said(cell), _BECAUSE_CHARS)))
    return Markup(
        f'<td class="whole {letter}" colspan={days}><div>{mark}<span title="{text}"><bdi>{text}</bdi></span></div>'
    )


def _title(cell: Cell) -> str:
    """Escaped."""
    title = f"{cell.day or 'all days'}: {WORDS[cell.status]}"
    if cell.value is not None:
        title += f"; {number(cell.value)}, limit {number(cell.limit)}"
    if cell.status == "stale" and cell.was is not None:
        title += f"; it was {WORDS[cell.was]}"
    return f"{title}; {escape(plain(cut(cell.because, _BECAUSE_CHARS)))}" if cell.because else title


def said(cell: Cell) -> str:
    """Value, limit and why, as far as there are any."""
    parts = []
    if cell.status == "stale" and cell.was is not None:
        parts.append(f"it was {WORDS[cell.was]}")
    if cell.value is not None:
        parts.append(f"{number(cell.value)}, limit {number(cell.limit)}")
    if cell.because:
        parts.append(cell.because)
    return "; ".join(parts)


def counted(rows: Sequence[CheckRow]) -> Iterator[tuple[Status, int]]:
    """How many checks are at worst what, worst first; those of which there are none left out."""
    for status in LETTERS:
        if count := sum(row.worst == status for row in rows):
            yield status, count
