"""How statuses, numbers and links look on every page."""

import datetime as dt
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from seqplat_resources.health.view import Status
from serving.api.paths import CONSOLE

# A letter for the style sheet, a glyph that says the same without colour, and words that say it without either.
LETTERS: Final[Mapping[Status, str]] = {"fail": "f", "warn": "w", "stale": "s", "unjudged": "u", "pass": "p"}
GLYPHS: Final[Mapping[Status, str]] = {
    "fail": "\u00d7",
    "warn": "!",
    "stale": "\u21bb",
    "unjudged": "\u00b7",
    "pass": "\u2713",
}
WORDS: Final[Mapping[Status, str]] = {
    "fail": "fail",
    "warn": "warning",
    "stale": "stale",
    "unjudged": "not checked",
    "pass": "pass",
}
MEANINGS: Final[Mapping[Status, str]] = {
    "fail": "beyond its limit; what is made of the day waits where the check is blocking",
    "warn": "beyond its limit, and nothing waits for it",
    "stale": "judged, and built anew or defined otherwise since: it says nothing of what is there now",
    "unjudged": "nobody looked, or nobody could",
    "pass": "within its limit",
}
# Of a verdict on an event type that moves.
VERDICTS: Final[Mapping[str | None, Status]] = {"PASS": "pass", "HOLD": "warn", "FAIL": "fail", None: "unjudged"}


def number(value: float | None) -> str:
    """With four digits that say something, and thousands apart; a dash for none."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) < 1e15 and float(value).is_integer() else f"{value:.4g}"


def moment(at: dt.datetime | None) -> str:
    """To the minute, in UTC; a dash for none."""
    return "-" if at is None else f"{at.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"


def cut(text: str, chars: int) -> str:
    """Not more than ``chars`` of a text, which says so where it had more."""
    return text if len(text) <= chars else f"{text[: chars - 1]}\u2026"


def check_url(asset: str, check: str, day: dt.date | None = None) -> str:
    """The page of one check of an asset, or of one day of it."""
    path = "/".join(map(_part, (*asset.split("/", 1), check)))
    return f"{CONSOLE}/checks/{path}" + (f"?day={day}" if day else "")


def incident_url(incident: str) -> str:
    """The page of an incident."""
    return f"{CONSOLE}/incidents/{_part(incident)}"


def event_type_url(name: str) -> str:
    """The page of an event type on its way from legacy."""
    return f"{CONSOLE}/event-types/{_part(name)}"


def run_url(dagster: str, run: str) -> str:
    """The page of a run in Dagster."""
    return f"{dagster}/runs/{_part(run)}"


def _part(text: str) -> str:
    """Any text as one part of a path."""
    return quote(text, safe="", errors="replace")
