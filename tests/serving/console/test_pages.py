"""What pages are made of: hostile texts stay texts, every cell says itself, and colours can be read."""

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest

from seqplat_resources.batch.backfill.records import BackfillRecord
from seqplat_resources.health.view import WORST_FIRST, Cell, Health
from seqplat_resources.records.process import this_process
from seqplat_resources.shadow.ladder.steps import STEPS
from seqplat_resources.shadow.verdict.record import Example
from serving.console import words
from serving.console.cell import Details
from serving.console.charts import chart
from serving.console.filters import Filters
from serving.console.matrix import ROWS_A_PAGE, matrix
from serving.console.pages import checks_shown
from serving.console.rendering import Look, file, render
from tests.serving.console.worlds import DAYS, HOSTILE, WINDOW, health, migration

LOOK = Look("auto", "key abc of tenant grocery", "/console")
# Without an end of their own.
_VOID = {"meta", "link", "input", "br"}
# Whose end may be left out, and what ends them.
_OPTIONAL = {"td", "th", "tr", "option"}
_ELEMENTS = re.compile(
    "html|head|meta|title|link|style|body|a|header|div|nav|form|input|button|main|footer|h[123]|p|span|b|i|br|bdi|ul|ol|"
    "li|d[ltd]|details|summary|label|select|option|table|thead|tbody|t[rhd]|abbr|code|pre|article|section|svg|line|text|"
    "polyline|circle|progress"
)
_ATTRIBUTES = re.compile(
    "lang|class|charset|http-equiv|name|content|rel|href|id|action|method|type|value|aria-(label|current|pressed|labelledby|hidden)|"
    "role|tabindex|scope|rowspan|colspan|title|open|selected|required|maxlength|viewbox|autocomplete|spellcheck|"
    "autocapitalize|autofocus|max|[xy][12]?|r|c[xy]|points|text-anchor"
)


class Page(HTMLParser):
    """A page as a browser would read it; it fails on whatever we did not write."""

    def __init__(self, page: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(page.decode())
        self.close()
        assert self._open == [], self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert _ELEMENTS.fullmatch(tag), tag
        for name, value in attrs:
            assert _ATTRIBUTES.fullmatch(name), (tag, name)
            if name in ("href", "action"):
                assert (value or "").startswith(("/console", "#", "http://127.0.0.1:3000/runs/")), value
        assert len(dict(attrs)) == len(attrs), (tag, attrs)
        self.seen.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open[-1] != tag and self._open[-1] in _OPTIONAL:
            self._open.pop()
        assert self._open, tag
        assert self._open.pop() == tag, tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for found, attributes in self.seen if found == tag]


def pages_of(view: Health, moving: Sequence[Any]) -> Iterator[tuple[str, bytes]]:
    """Every page that a view can be shown on."""
    steps, dagster = [step.name for step in STEPS], "http://127.0.0.1:3000"
    yield "checks", render("checks.html", LOOK, dagster=dagster, **checks_shown(view, Filters()))
    yield "migration", render("migration.html", LOOK, rows=moving, steps=steps)
    process = this_process()
    for state in ("running", "failed"):
        record = BackfillRecord("1f9ad7", HOSTILE[1], "2024-05-01", "2024-05-03", "7f9a", "2024-06-01", state)  # type: ignore[arg-type]
        record = replace(record, total=3, done=1, by=HOSTILE[2], failures=tuple(HOSTILE), process=process)
        yield "backfills", render("backfills.html", LOOK, running=[record], over=[record, replace(record, spent_s=9.0)])
    for found in view.incidents:
        yield "incident", render("incident.html", LOOK, dagster=dagster, found=found, may_act=True)
    for row in view.rows[:8]:
        cell, because = row.cells[-1], HOSTILE[0]
        looked = [(Example(HOSTILE[1], HOSTILE[2], HOSTILE[3], HOSTILE[0]), HOSTILE[1])]
        details = Details(because, {HOSTILE[1]: float("nan"), "rows": 3.0}, looked)
        values: dict[str, Any] = {"cell": cell, "drawn": chart(row.cells), "repair": HOSTILE[1], "details": details}
        yield "check", render("check.html", LOOK, dagster=dagster, row=row, moves=True, **values)
    for text in HOSTILE:
        yield "sign in", render("sign_in.html", LOOK, to=f"/console?{text}", refused=False, over=False)


def test_every_text_of_others_stays_a_text() -> None:
    """Whatever is written in names, owners, reasons and notes; a browser sees our elements and attributes alone."""
    for name, page in pages_of(health(44, hostile=True), migration(hostile=True)):
        Page(page)  # which fails on what is not ours
        assert b"\r" not in page, name
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", page.decode()), name
    shown = Page(next(pages_of(health(44, hostile=True), ()))[1])
    assert "<script>alert(1)</script>" in shown.text  # as a text
    assert "\\u202egnihton si siht" in shown.text
    assert "49" not in {text.strip() for text in shown.texts}


def test_the_first_line_says_how_it_is() -> None:
    view = replace(health(44), assets=44, healthy=41, need_you=2)
    read = Page(next(pages_of(view, ()))[1])
    assert f"41 of 44 healthy for data up to {WINDOW[-1]}, 2 need you" in read.text
    empty = Page(next(pages_of(health(0), ()))[1])
    assert "0 of 0 healthy, no data yet, 0 need you" in empty.text
    assert "Nothing needs you" not in empty.text
    assert "Nothing is checked yet" in empty.text


def test_every_cell_says_value_limit_and_because_and_leads_to_its_page() -> None:
    row = next(row for row in health(44).rows if row.worst == "fail" and len(row.cells) == DAYS)
    day = WINDOW[3]
    cells = [Cell(day, "fail", None, 0.0042, 0.001, '<3 of "9" rows & more'), Cell(day, "stale", "pass", 0.0, 0.001)]
    cells += [Cell(day, "unjudged"), Cell(day, "pass", value=12_345.0, limit=20_000.0)]
    grid = matrix([replace(row, asset="events/a b", check="schema", cells=tuple(cells))], [day] * 4)
    read = Page(b"<table>" + str(grid.rows[0].cells).encode() + b"</td></table>")
    assert [(cell["href"], cell["title"]) for cell in read.all("a")] == [
        (f"/console/checks/events/a%20b/schema?day={day}", f'{day}: fail; 0.0042, limit 0.001; <3 of "9" rows & more'),
        (f"/console/checks/events/a%20b/schema?day={day}", f"{day}: stale; 0, limit 0.001; it was pass"),
        (f"/console/checks/events/a%20b/schema?day={day}", f"{day}: pass; 12,345, limit 20,000"),
    ]
    assert [cell.get("class") for cell in read.all("td")] == ["f", "s", None, "p"]
    assert "".join(read.texts) == "".join(words.GLYPHS[each] for each in ("fail", "stale", "pass"))


def test_a_large_view_comes_in_pages() -> None:
    view = health(1_201)
    seen = [row.row for page in (1, 2, 3) for row in matrix(view.rows, view.days, page).rows]
    assert seen == list(view.rows)
    assert len(matrix(view.rows, view.days, 99).rows) == 1_201 - 2 * ROWS_A_PAGE
    page = Page(render("checks.html", LOOK, dagster="", **checks_shown(view, Filters(page=2))))
    assert "/console?page=3#matrix" in {found["href"] for found in page.all("a")}


@pytest.mark.parametrize("page", ["checks.html", "check.html", "backfills.html"])
def test_pages_say_themselves_without_eyes(page: str) -> None:
    """A language, a title, one first heading, labels at every field, names at every table that is scrolled."""
    view = health(44)
    read = Page(dict(pages_of(view, migration()))[page.removesuffix(".html")])
    assert read.all("html")[0]["lang"] == "en"
    assert len(read.all("h1")) == 1
    assert all(
        found["aria-label"] and found["tabindex"] == "0" for found in read.all("div") if found.get("role") == "region"
    )
    levels = [int(tag[1]) for tag, _ in read.seen if re.fullmatch("h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in pairwise(levels)), levels
    assert all(found.get("scope") for found in read.all("th"))


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


_INKS = [
    *[(ink, ground) for ink in ("ink", "quiet", "link") for ground in ("ground", "sheet", "raised")],
    *[(f"{status}-ink", status) for status in ("pass", "warn", "fail", "stale", "unjudged", "button")],
]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("ink", "ground"), _INKS)
def test_ink_can_be_read_on_its_ground(ink: str, ground: str, theme: int) -> None:
    """WCAG AA."""
    found = dict(re.findall(r"--([a-z-]+): light-dark\(([^)]+)\)", file("console.css").decode()))
    one, other = (luminance(found[name].split(", ")[theme]) for name in (ink, ground))
    assert (max(one, other) + 0.05) / (min(one, other) + 0.05) >= 4.5


@pytest.mark.parametrize(
    "values",
    [
        [0.0, 0.0],
        [1e308, -1e308, 3.0, 4.0],
        [float("nan"), 1.0, None, float("inf"), 2.0],
        [-5, -7],
        [1e-300, 2e-300],
        [1.0],
    ],
)
def test_whatever_was_measured_is_drawn_inside_of_the_drawing(values: list[float | None]) -> None:
    cells = [Cell(WINDOW[n], "pass", value=value, limit=0.5) for n, value in enumerate(values)]
    found = chart(cells)
    assert (found is None) == (values == [1.0])
    for point in found.points if found else ():
        assert 0 <= point.x <= found.width  # type: ignore[union-attr]
        assert 0 <= point.y <= found.height  # type: ignore[union-attr]
    assert found is None or 2 <= len(found.numbers) <= 12


def test_filters_keep_each_other_in_the_address() -> None:
    filters = Filters.of(b"owner=team%3Ashop&status=fail&page=3&tenant=")
    assert filters == Filters(owner="team:shop", status="fail", page=3)
    assert filters.but(page=4) == "/console?owner=team%3Ashop&status=fail&page=4"
    assert filters.but(status="fail") == "/console?owner=team%3Ashop"  # off again
    assert filters.but(status="warn") == "/console?owner=team%3Ashop&status=warn"
    assert Filters().but(owner="<\ud800&") == "/console?owner=%3C%3F%26"


def test_every_status_looks_like_itself_and_no_other() -> None:
    for said in (words.LETTERS, words.GLYPHS, words.WORDS, words.MEANINGS):
        assert tuple(said) == WORST_FIRST
        assert len(set(said.values())) == len(WORST_FIRST)


def test_moments_are_of_utc() -> None:
    assert (
        words.moment(dt.datetime(2026, 11, 30, 1, tzinfo=dt.timezone(dt.timedelta(hours=2)))) == "2026-11-29 23:00 UTC"
    )
