"""What the platform should answer, said the slow way: plain Python over dicts, sharing no code with what it judges.

An event is a dict of its columns. `user_id`, `event_time`, `ingest_time`, `rev`, `source_partition`, `offset`,
`event_type` and `event_id` mean what they mean in the lake; all times are aware and in UTC.
"""

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = dict[str, Any]

VALUE, NULL, PENDING = 0, 1, 2


def deduplicated(
    events: Iterable[Row],
    key: Sequence[str],
    payload: Sequence[str],
    horizon: dt.timedelta = dt.timedelta(hours=72),
) -> tuple[list[Row], int, int]:
    """One event per user and key: highest rev, then lowest receipt, then position.

    Of one rev only times of one day or within the horizon are one event. Also how many dropped copies say the same as
    the one they gave way to (or are of a lower rev), and how many differ.
    """
    copies = defaultdict(list)
    for event in events:
        copies[(event["user_id"], *(event[k] for k in key))].append(event)

    def said(event: Row) -> str:
        return json.dumps(
            {name: event[name] for name in payload}, separators=(",", ":"), ensure_ascii=False, default=str
        )

    kept, dropped, conflicts = [], 0, 0
    for same in copies.values():
        ranked = sorted(same, key=lambda e: (-e["rev"], e["ingest_time"], e["source_partition"], e["offset"]))
        for place, event in enumerate(ranked):
            best = next((e for e in ranked[:place] if e["rev"] > event["rev"] or at_one_time(e, event, horizon)), None)
            if best is None:
                kept.append(event)
                continue
            dropped += 1
            conflicts += event["rev"] == best["rev"] and said(event) != said(best)
    return kept, dropped - conflicts, conflicts


def at_one_time(one: Row, other: Row, horizon: dt.timedelta) -> bool:
    """Whether two copies are near enough to be of one event."""
    times = one["event_time"], other["event_time"]
    return times[0].date() == times[1].date() or abs(times[0] - times[1]) <= horizon


def as_of(
    versions: Iterable[Row],
    key: Mapping[str, Any],
    at: dt.datetime,
    columns: Sequence[str],
    *,
    full: bool = False,
    max_age: dt.timedelta | None = None,
) -> Row | None:
    """The version of ``key`` current at ``at``, or None.

    The newest start decides, even if that version has ended. It ends at its ``valid_to``, when it is older than
    ``max_age``, and with ``full`` at the next start of any key. Of versions with one start the smallest values win.
    """
    if any(value is None for value in key.values()):
        return None
    begun = [v for v in versions if v["valid_from"] is not None and v["valid_from"] <= at]
    mine = [v for v in begun if all(v[name] == value for name, value in key.items())]
    if not mine:
        return None
    start = max(v["valid_from"] for v in mine)
    found = min((v for v in mine if v["valid_from"] == start), key=lambda v: nulls_last(v[c] for c in columns))
    ends = [found.get("valid_to")]
    if full:
        ends += [v["valid_from"] for v in begun if v["valid_from"] > start]
    if max_age is not None:
        ends.append(start + max_age)
    return None if any(end is not None and end <= at for end in ends) else found


def attach(
    event: Row, found: Row | None, columns: Sequence[str], status: str, missing: Mapping[str, Any] | None = None
) -> Row:
    """The event with one enrichment's columns and status."""
    values = {name: found[name] if found else (missing or {}).get(name) for name in columns}
    return event | values | {status: VALUE if found else NULL}


def newest_first(events: Iterable[Row]) -> list[Row]:
    """The total order, every key descending: where a source declares an order, positions say nothing."""

    def place(event: Row) -> tuple[Any, ...]:
        order = event.get("source_order")
        source = (1, order, "", 0) if order is not None else (0, "", event["source_partition"], event["offset"])
        return event["event_time"], *source, event["event_type"], event["event_id"]

    return sorted(events, key=place, reverse=True)


def sequence(events: Iterable[Row], *, length: int | None = None, since: dt.datetime | None = None) -> list[Row]:
    """One user's events in order, inside the window, truncated last."""
    return newest_first(e for e in events if since is None or e["event_time"] >= since)[:length]


def nulls_last(values: Iterable[Any]) -> tuple[Any, ...]:
    """A key that sorts values ascending and nulls behind them."""
    return tuple((value is None, 0 if value is None else value) for value in values)
