"""Changes in words, as lines that a person reads: what moved, why it is of its class, what it reaches, the way out."""

import datetime as dt
import json
from collections.abc import Iterable, Iterator
from typing import Any

from sequence_defs.evolution.change import DefinitionChange, Reach

# A value longer than this is cut: the definition has it whole.
_LONGEST = 60


def lines_of(change: DefinitionChange) -> Iterator[str]:
    """One change, its first line without indentation."""
    yield f"{change.place}: {moved(change)}"
    yield f"  {change.why}"
    if reached := reach_of(change.reach):
        yield f"  reaches {reached}"
    if change.way_out:
        yield f"  way out: {change.way_out}"


def moved(change: DefinitionChange) -> str:
    """What became of what: ``int32 -> int64``, ``added``, ``removed``."""
    if change.before is None and change.field.rpartition(".")[2] not in ("filter", "sql"):
        return "added" if not change.field else f"added {_short(change.after)}"
    if change.after is None and not change.field:
        return "removed"
    return f"{_short(change.before)} -> {_short(change.after)}"


def reach_of(reach: Reach) -> str:
    """What is made of it; nothing where nothing is."""
    said = {
        "event types": reach.event_types,
        "columns": reach.columns,
        "sequences": reach.sequences,
        "training sets": reach.training,
    }
    return "; ".join(f"{noun} {', '.join(names)}" for noun, names in said.items() if names)


def days_in_words(days: Iterable[dt.date]) -> str:
    """``730 day(s), 2024-01-01 to 2025-12-30``."""
    found = sorted(days)
    return f"{len(found)} day(s), {found[0]} to {found[-1]}" if found else "no day"


def _short(value: Any) -> str:
    if value is None or value == "":
        return "nothing"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
