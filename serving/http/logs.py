"""Log lines of a server: one JSON object each for machines, text for people on a terminal.

A line carries the request's id by itself, and whatever was given as ``extra={"fields": {...}}``. An exception is part
of its line. What looks like a secret is blanked, and a warning or error that repeats is told a few times and counted.
"""

import datetime as dt
import logging
import re
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import msgspec

from serving.api.request_id import CURRENT

# Of equal warnings and errors, so many are told in so many seconds.
MOST, WITHIN_S = 5, 10.0
# Kinds of lines that are remembered; more than there are places in the code that log.
_KINDS = 1000

_SECRETS = (
    (re.compile(r"\bsp_([A-Za-z0-9]+)_[A-Za-z0-9_\-]+"), r"sp_\1_***"),  # API keys, of which the id may be known
    (re.compile(r"(?i)\b(bearer|basic)\s+[^\s\"',]+"), r"\1 ***"),
    (re.compile(r"(://[^/\s:@]*):[^/\s@]+@"), r"\1:***@"),
)


def blanked(text: str) -> str:
    """``text`` without keys, credentials of headers and passwords of URLs."""
    for pattern, shown in _SECRETS:
        text = pattern.sub(shown, text)
    return text


class JsonLines(logging.Formatter):
    """``time``, ``level``, ``logger``, ``message``; where there are any ``request_id``, ``fields``, ``exception``."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": f"{dt.datetime.fromtimestamp(record.created, dt.UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z",
            "level": record.levelname.lower(),
            "logger": _name(record),
            "message": record.getMessage(),
        }
        if request := CURRENT.get():
            line["request_id"] = request
        if fields := _fields(record):
            line["fields"] = fields
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return blanked(msgspec.json.encode(line, enc_hook=str).decode())


class TextLines(logging.Formatter):
    """The same for reading; an exception takes lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        parts = [f"{dt.datetime.fromtimestamp(record.created):%H:%M:%S}", f"{record.levelname.lower():<7}"]
        parts += [record.getMessage(), *(f"{key}={value}" for key, value in _fields(record).items())]
        if request := CURRENT.get():
            parts.append(f"[{request}]")
        if record.exc_info:
            parts.append("\n" + self.formatException(record.exc_info))
        return blanked(" ".join(parts))


class Repeats(logging.Filter):
    """Lets the first few warnings or errors of a kind through; the next one let through says how many were not.

    A kind is a place in the code, and the type of the exception. Called with the handler's lock held.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        # Kind -> when its seconds began, how many came since, how many of them were held back.
        self._kinds: OrderedDict[tuple[str, int, type | None], tuple[float, int, int]] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        kind = (record.pathname, record.lineno, record.exc_info[0] if record.exc_info else None)
        now = self._clock()
        began, count, held = self._kinds.get(kind, (now, 0, 0))
        if now - began >= WITHIN_S:
            if held:
                record.__dict__["fields"] = {**_fields(record), "held_back": held}
            began, count, held = now, 0, 0
        told = count < MOST
        self._kinds[kind] = began, count + 1, held + (not told)
        self._kinds.move_to_end(kind)
        if len(self._kinds) > _KINDS:
            self._kinds.popitem(last=False)
        return told


def config(kind: str, level: str) -> dict[str, Any]:
    """For ``logging.config.dictConfig``: everything to stderr, also what the HTTP server says.

    ``kind`` is ``json``, ``text``, or ``auto``: text where stderr is a terminal.
    """
    if kind == "auto":
        kind = "text" if sys.stderr.isatty() else "json"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": {"()": JsonLines if kind == "json" else TextLines}},
        "filters": {"repeats": {"()": Repeats}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stderr",
                "formatter": "lines",
                "filters": ["repeats"],
            }
        },
        "loggers": {"_granian": {"handlers": [], "propagate": True}},
        "root": {"handlers": ["stderr"], "level": level.upper()},
    }


def _name(record: logging.LogRecord) -> str:
    return record.name.lstrip("_")


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields = getattr(record, "fields", None)
    return fields if isinstance(fields, dict) else {}
