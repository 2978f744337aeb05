"""Guess from refused rows what is wrong with all of them: a hint for who mends the source, never a verdict."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sequence_defs.schema import Source
from sequence_defs.schema.columns import EpochUnit

# A guess must explain at least half of the rows it is made from.
ENOUGH = 0.5

_UNITS: dict[EpochUnit, str] = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
# Since 1970, of the years 1973 to 5138 in each unit: the ranges do not meet.
_LEAST: tuple[tuple[float, EpochUnit | None], ...] = (
    (1e20, None),
    (1e17, "ns"),
    (1e14, "us"),
    (1e11, "ms"),
    (1e8, "s"),
)
_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh91AY&SY": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"PK\x03\x04": "zip",
    b"\x04\x22\x4d\x18": "lz4",
}
_MISFIT = re.compile(r"column (\S+): (.*) is not (\S+)", re.DOTALL)
_HEADER = re.compile(r"it has \[(.*?)\]", re.DOTALL)
_DELIMITERS = {";": "';'", "\t": "a tab", "\\t": "a tab", "|": "'|'"}
_WHOLE = re.compile(r"[+-]?\d{9,20}(?:\.0*)?")
_DATE = re.compile(r"(\d{1,2})[./-](\d{1,2})[./-]\d{2,4}\b.*", re.DOTALL)
_COMMA = re.compile(r"[+-]?\d+(\.\d{3})*,\d+")
_NO_VALUE = {"null", "none", "nan", "na", "n/a", "nil", "\\n", "-", "--", "?", "undefined"}
# Of a file that was cut or damaged on its way the bytes say only what it once was.
_SAYS_ITSELF = re.compile(r"is not readable parquet|cannot be unpacked: ")
_LOST_CLOCK = re.compile(r"receipt at (1970|1980)-01-0[12]")


def guess(source: Source, refused: Iterable[tuple[str, bytes]]) -> str:
    """What most of ``refused``, reasons with the bytes or the row that was refused, look like; empty if unknown.

    Pure, and total: payloads are whatever was sent, reasons whatever was said of them.
    """
    found = _RefusedValues.of(source, refused)
    rules = (_compressed, _other_delimiter, _other_encoding, _lost_clock, _other_unit, _other_dates, _commas, _no_value)
    return next((said for rule in rules if (said := rule(found))), "")


@dataclass
class _RefusedValues:
    """``times`` are the texts and numbers of what gave no time that fits, ``values`` those of other columns.

    ``columns`` are those whose declared type did not take ``times``.
    """

    source: Source
    reasons: list[str] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)
    times: list[str] = field(default_factory=list)
    values: list[str] = field(default_factory=list)
    columns: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, source: Source, refused: Iterable[tuple[str, bytes]]) -> "_RefusedValues":
        made, dtypes = cls(source), {column.name: column.dtype for column in source.columns}
        for reason, payload in refused:
            if _SAYS_ITSELF.search(reason):
                continue
            made.reasons.append(reason)
            made.payloads.append(payload)
            misfit = _MISFIT.match(reason)
            if misfit and dtypes.get(misfit[1], misfit[3]) in ("timestamp", "date"):
                made.times.append(misfit[2])
                made.columns[misfit[1]] += 1
            elif misfit:
                made.values.append(misfit[2])
            elif reason.startswith(("event_time:", "ingest_time:")):
                made.times.append(_time_sent(source, payload))
        return made

    def most(self, count: int) -> bool:
        return count > 0 and count >= ENOUGH * len(self.reasons)


def _time_sent(source: Source, payload: bytes) -> str:
    """The value that the time was read from, where the row says which; else whatever looks like an instant."""
    wanted = [time.sql for time in (source.event_time, source.ingest_time) if time]
    row = _fields(payload)
    named = [str(value) for name, value in row.items() if any(re.search(rf"\b{re.escape(name)}\b", s) for s in wanted)]
    if named:
        return named[0]
    text = payload[:2_000].decode("utf-8", "replace")
    return next((number[0] for number in re.finditer(r"(?<![\w.])\d{9,20}(?![\w.])", text)), "")


def _fields(payload: bytes) -> dict[str, Any]:
    try:
        row = json.loads(payload)
    except (ValueError, RecursionError):
        return {}
    return row if isinstance(row, dict) else {}


def _compressed(found: _RefusedValues) -> str:
    # Only the first piece of a compressed file begins like one, so a single one is enough.
    for magic, name in _COMPRESSED.items():
        if any(payload.startswith(magic) for payload in found.payloads) or any(
            magic.decode("latin-1").encode("unicode_escape").decode() in reason for reason in found.reasons
        ):
            return f"looks compressed ({name}): decompress the files"
    return ""


def _other_delimiter(found: _RefusedValues) -> str:
    votes = Counter(filter(None, map(_delimiter_of, found.reasons)))
    votes.update(filter(None, (_delimiter_of(f"it has [{list(_fields(p))}]") for p in found.payloads)))
    said, count = next(iter(votes.most_common(1)), ("", 0))
    return f"looks like another delimiter: {said} instead of ','" if found.most(count) else ""


def _delimiter_of(reason: str) -> str:
    """What stands between the names of a header that was taken for a single name."""
    header = _HEADER.search(reason)
    if header is None or "', '" in header[1]:
        return ""
    return next((shown for mark, shown in _DELIMITERS.items() if mark in header[1]), "")


def _other_encoding(found: _RefusedValues) -> str:
    if found.source.csv is not None and found.source.csv.encoding != "utf-8":
        return ""  # they have it already
    if any(payload.startswith((b"\xff\xfe", b"\xfe\xff")) for payload in found.payloads):
        return "looks like UTF-16 instead of UTF-8"
    count = sum(not _is_utf_8(payload) for payload in found.payloads)
    return "looks like another encoding than UTF-8" if found.most(count) else ""


def _is_utf_8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def _lost_clock(found: _RefusedValues) -> str:
    if not found.most(sum(_LOST_CLOCK.search(reason) is not None for reason in found.reasons)):
        return ""
    return "looks like files whose modification time was lost: `touch` them, or state ingest_time"


def _other_unit(found: _RefusedValues) -> str:
    votes = Counter(unit for text in found.times if (unit := _unit_of(text)))
    unit, count = next(iter(votes.most_common(1)), (None, 0))
    if unit is None or not found.most(count):
        return ""
    time = found.source.event_time
    read = [c.name for c in found.source.columns if time and c.name == time.sql and c.dtype == "timestamp"]
    name = next(iter([*(name for name, _ in found.columns.most_common(1)), *read]), "")
    if time is not None and name == time.sql:
        return f"looks like {_UNITS[unit]}: declare {name} as int64 and the time with epoch_unit={unit!r}"
    if name:
        return f"looks like {_UNITS[unit]} in {name}: declare it as int64, and a time of it in sql"
    return f"looks like {_UNITS[unit]}: epoch_unit={unit!r}" if time is None or time.epoch_unit != unit else ""


def _unit_of(text: str) -> EpochUnit | None:
    if not _WHOLE.fullmatch(text.strip()):
        return None
    number = abs(float(text))
    return next((unit for least, unit in _LEAST if number >= least), None)


def _other_dates(found: _RefusedValues) -> str:
    dates = [(int(at[1]), int(at[2])) for text in found.times if (at := _DATE.fullmatch(text.strip()))]
    if not found.most(len(dates)):
        return ""
    if any(first > 12 for first, _ in dates):
        return "looks like day first dates: read the text by STRPTIME in the time's sql"
    if any(second > 12 for _, second in dates):
        return "looks like month first dates: read the text by STRPTIME in the time's sql"
    return "looks like day first or month first dates: read the text by STRPTIME in the time's sql"


def _commas(found: _RefusedValues) -> str:
    count = sum(_COMMA.fullmatch(text.strip()) is not None for text in found.values)
    return "looks like decimal commas: write numbers with a point" if found.most(count) else ""


def _no_value(found: _RefusedValues) -> str:
    words = [text for text in (*found.values, *found.times) if text.strip().lower() in _NO_VALUE]
    return f"looks like a word for null: {words[0]!r}" if found.most(len(words)) else ""
