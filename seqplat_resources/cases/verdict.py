"""What a case says beside what came out: only what it names is compared, and each difference is one line.

>>> is_same("2024-05-01T09:00:00Z", "2024-05-01T11:00:00+02:00"), is_same(0.3, 0.1 + 0.2), is_same("3", 4)
(True, True, False)
"""

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from seqplat_resources.cases.reading import Row, RowCase
from seqplat_resources.cases.trial import TrialResult
from seqplat_resources.errors import Final
from sequence_defs.schema import Column, parse_dtype

# Floats of one meaning that were computed in another order.
_NEAR = 1e-6
_VECTOR = {"int8": np.int8, "float16": np.float16, "float32": np.float32}


class UnknownExpected(Final):
    """A case names a column that its events do not have."""


@dataclass(frozen=True)
class CaseDifference:
    """``place``: which event (``event 2``) or reject; ``column`` empty where all of it is missing or too many."""

    place: str
    column: str
    expected: str
    got: str


def shown_rows(events: pl.DataFrame, columns: Mapping[str, Column]) -> list[Row]:
    """Events as a case writes them: times with their zone, vectors as lists."""
    vectors = {name: parse_dtype(column.dtype) for name, column in columns.items() if column.dtype.startswith("vector")}
    return [
        {
            name: _as_written(np.frombuffer(value, _VECTOR[vectors[name].item]).tolist())
            if name in vectors and isinstance(value, bytes)
            else _as_written(value)
            for name, value in row.items()
        }
        for row in events.iter_rows(named=True)
    ]


def _as_written(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, list):
        return [_as_written(each) for each in value]
    return value.hex() if isinstance(value, bytes) else value


def differences(case: RowCase, made: TrialResult, rows: Sequence[Row]) -> list[CaseDifference]:
    """``rows`` are ``made.events`` as ``shown_rows`` has them.

    Raises:
        UnknownExpected: a column that no event has.
    """
    expected = case.events or []
    for row in expected:
        for name in row:
            if name not in made.events.columns:
                from difflib import get_close_matches  # noqa: PLC0415

                near = get_close_matches(name, made.events.columns, n=1)
                guess = f"did you mean {near[0]}?" if near else f"there are {', '.join(made.events.columns)}"
                raise UnknownExpected(f"{case.where}: events have no column {name!r}; {guess}")
    return [*_of_events(expected, rows), *_of_rejects(case.rejects, made.rejects["reason"].to_list())]


def _of_events(expected: Sequence[Row], rows: Sequence[Row]) -> list[CaseDifference]:
    found = []
    for number in range(max(len(expected), len(rows))):
        place = f"event {number + 1}"
        if number >= len(expected):
            found.append(CaseDifference(place, "", "no more events", _line(rows[number], expected)))
        elif number >= len(rows):
            found.append(CaseDifference(place, "", _line(expected[number], expected), "no more events"))
        else:
            for name, want in expected[number].items():
                if not is_same(want, rows[number][name]):
                    found.append(CaseDifference(place, name, _told(want), _told(rows[number][name])))
    return found


def _of_rejects(expected: Sequence[str], reasons: Sequence[str]) -> list[CaseDifference]:
    """Each expected part is in a reason of its own; nothing else is refused."""
    left = list(reasons)
    found = []
    for part in expected:
        match = next((reason for reason in left if part in reason), None)
        if match is None:
            found.append(CaseDifference("reject", "", part, "; ".join(left) or "nothing refused"))
        else:
            left.remove(match)
    return found + [CaseDifference("reject", "", "nothing refused", reason) for reason in left if not found]


def is_same(want: Any, got: Any) -> bool:
    """Whether a value is what a case wrote: numbers nearly, times in any spelling, all else as text."""
    if want is None or got is None or isinstance(want, bool) or isinstance(got, bool):
        return want is got
    if isinstance(want, list) and isinstance(got, list):
        return len(want) == len(got) and all(map(is_same, want, got))
    if isinstance(want, float) or isinstance(got, float):
        numbers = isinstance(want, int | float) and isinstance(got, int | float)
        return numbers and (math.isclose(want, got, rel_tol=_NEAR) or (math.isnan(want) and math.isnan(got)))
    return str(want) == str(got) or (_time(want) is not None and _time(want) == _time(got))


def _time(text: Any) -> dt.datetime | None:
    try:
        found = dt.datetime.fromisoformat(text)
    except (ValueError, TypeError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)


def _line(row: Row, expected: Sequence[Row]) -> str:
    names = list(dict.fromkeys(name for each in expected for name in each)) or [
        name for name in ("user_id", "event_time", "event_id") if name in row
    ]
    return ", ".join(f"{name}: {_told(row[name])}" for name in names if name in row)


def _told(value: Any) -> str:
    return "null" if value is None else str(value)
