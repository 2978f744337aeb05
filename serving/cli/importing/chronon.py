"""Chronon: a compiled GroupBy over events is an event type and a sequence, one over entities an enrichment by day.

Read is the thrift JSON that ``compile.py`` writes below ``production/``. Windows over events are not computed ahead
here: a sequence gives the events, as far back as the longest window.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from serving.cli.importing.draft import (
    Draft,
    DraftColumn,
    NotImported,
    Written,
    column_of,
    columns,
    is_ours,
    name_of,
    text,
)

MOST_BYTES = 1 << 22
# By number, as thrift writes it; the input of these is a number.
_OPERATIONS = dict(enumerate(("MIN", "MAX", "FIRST", "LAST", "UNIQUE_COUNT", "APPROX_UNIQUE_COUNT", "COUNT", "SUM")))
_OPERATIONS |= {8: "AVERAGE", 9: "VARIANCE", 10: "SKEW", 11: "KURTOSIS", 12: "APPROX_PERCENTILE", 13: "LAST_K"}
_OPERATIONS |= {14: "FIRST_K", 15: "TOP_K", 16: "BOTTOM_K", 17: "HISTOGRAM"}
_OF_NUMBERS = frozenset(["SUM", "AVERAGE", "VARIANCE", "SKEW", "KURTOSIS", "APPROX_PERCENTILE"])
_HOURS, _DAYS = 0, 1
_LENGTH, _RETENTION_DAYS = 512, 365


def of_compiled(data: bytes, where: str, draft: Draft, owned: Mapping[str, str]) -> None:
    """Add what one compiled GroupBy says, and note what a Join or a staging query would need.

    Raises:
        NotImported: it is no such JSON.
    """
    if len(data) > MOST_BYTES:
        raise NotImported(f"{where} has more than {MOST_BYTES} bytes, which no compiled definition has")
    try:
        found = json.loads(data)
        if not isinstance(found, dict):
            raise TypeError(f"a {type(found).__name__} is no definition")
        if "keyColumns" in found:
            _group_by(found, where, draft, owned)
        elif "joinParts" in found:
            draft.note(where, "a Join: attach each enrichment to the event type of its left side, with Enrich(...)")
        else:
            draft.note(where, "no GroupBy, and nothing that definitions are made of; it was passed over")
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise NotImported(
            f"{where} is no compiled Chronon definition ({type(error).__name__}: {str(error)[:200]}); import what "
            "compile.py wrote below production/"
        ) from error


def _group_by(found: Mapping[str, Any], where: str, draft: Draft, owned: Mapping[str, str]) -> None:
    parts = str(found["metaData"]["name"]).split(".")  # <team>.<file>.<variable>
    name = name_of("_".join(parts[-2:] if re.fullmatch(r"v\d+", parts[-1]) else parts[-1:]))
    keys = [str(key) for key in found["keyColumns"]]
    sources = list(found.get("sources") or [])
    if len(sources) > 1:
        draft.note(where, f"sources[1:]: {len(sources) - 1} more; each is a Source and an event type of its own")
    for kind in ("events", "entities"):
        if sources and kind in sources[0]:
            add = _of_events if kind == "events" else _of_entities
            add(name, keys, sources[0][kind], found, where, draft, owned)
            return
    draft.note(where, "sources[0] is neither events nor entities (a joinSource is a Join first); it was passed over")


def _of_events(
    name: str,
    keys: list[str],
    source: Mapping[str, Any],
    found: Mapping[str, Any],
    where: str,
    draft: Draft,
    owned: Mapping[str, str],
) -> None:
    query, aggregations = source.get("query") or {}, list(found.get("aggregations") or [])
    numbers = {str(each.get("inputColumn")) for each in aggregations if _operation(each) in _OF_NUMBERS}
    read, made = _columns(query, keys, numbers, where, draft)
    table, topic = str(source.get("table") or ""), str(source.get("topic") or "").partition("/")[0]
    user, identity = column_of(keys[0], "string"), [column for column in made if column.dtype == "string"]
    time = query.get("timeColumn")
    read = [DraftColumn(user.name, "string", field=user.field, todo="its type", nullable=False), *read]
    if not time:
        draft.note(where, "sources[0].events.query has no timeColumn; `ts` is taken")
    read.append(DraftColumn("event_at", "int64", field=str(time or "ts"), nullable=False))
    start = str(query.get("startPartition") or (found.get("metaData") or {}).get("backfillStartDate") or "")
    day = re.fullmatch(r"(\d{4})-0?(\d{1,2})-0?(\d{1,2})", start)
    about = {**owned, "lifecycle": "draft"}
    draft.add(
        "Source",
        f"{name[:56]}_rows",
        {
            **about,
            "description": f"Rows of {table or name}.",
            "location": f"{table or name}/ds={{day}}/*.parquet",
            "topic": re.sub(r"[^A-Za-z0-9._-]", "_", topic),
            "columns": columns(_once(read)),
            "filter": _filter(query, where, draft),
            "event_time": Written('Time(sql="event_at", epoch_unit="ms")'),
            "user_id": user.name,
            "start": Written(f"dt.date({day[1]}, {day[2]}, {day[3]})" if day else "dt.date(2026, 1, 1)"),
            "retention_days": _RETENTION_DAYS,
        },
        ["say where the files of the table are: location=; and the types of its columns"],
    )
    key = tuple(column.name for column in identity) or ("event_at",)
    given = [DraftColumn("event_at", "int64")] if not identity else []
    draft.add(
        "EventType",
        name,
        {
            **about,
            "description": f"One row of {table or name}.",
            "source": f"{name[:56]}_rows",
            "natural_key": key,
            "columns": columns(
                DraftColumn(each.name, each.dtype, each.sql, todo=each.todo, nullable=each.name not in key)
                for each in _once([*made, *given])
            ),
            "retention_days": _RETENTION_DAYS,
        },
        ["say what tells two events of a user apart: natural_key=, or id_field="],
    )
    _sequence(name, [each.name for each in made or given], aggregations, where, draft, about)
    for extra in keys[1:]:
        draft.note(where, f"keyColumns: {extra!r}: a sequence is of one user id; it is a column of the event")


def _sequence(
    name: str, shown: list[str], aggregations: list[Any], where: str, draft: Draft, about: Mapping[str, str]
) -> None:
    """The events themselves, as far back as the longest window."""
    windows = [window for each in aggregations for window in each.get("windows") or []]
    days = [-(-int(w["length"]) // 24) if w.get("timeUnit") in (_HOURS, "HOURS") else int(w["length"]) for w in windows]
    for number, each in enumerate(aggregations):
        spans = (
            ", ".join(
                f"{w['length']} {'hours' if w.get('timeUnit') in (_HOURS, 'HOURS') else 'days'}"
                for w in each.get("windows") or []
            )
            or "all time"
        )
        draft.note(
            where,
            f"aggregations[{number}]: {_operation(each)} of {each.get('inputColumn')!r} over {spans}: the sequence "
            "gives the events it is made of; within a day a Derived enrichment sums OVER (PARTITION BY user_id ...)",
        )
    draft.add(
        "Sequence",
        f"{name[:54]}_history",
        {
            **about,
            "description": f"The newest events of {name}.",
            "event_types": (name,),
            "columns": tuple(dict.fromkeys(shown)),
            "length": _LENGTH,
            "window_days": max(1, min(max(days), _RETENTION_DAYS)) if days else None,
        },
    )


def _of_entities(
    name: str,
    keys: list[str],
    source: Mapping[str, Any],
    found: Mapping[str, Any],
    where: str,
    draft: Draft,
    owned: Mapping[str, str],
) -> None:
    query = source.get("query") or {}
    read, made = _columns(query, keys, set(), where, draft)
    if not made:
        draft.note(where, f"GroupBy {name!r} selects nothing that can be read, and was left out")
        return
    if found.get("aggregations"):
        draft.note(where, "aggregations of entities: the table's values are taken as they stand on a day")
    table, about = str(source.get("snapshotTable") or name), {**owned, "lifecycle": "draft"}
    by = [column_of(key, "string", todo="its type", nullable=False) for key in keys]
    day = DraftColumn("as_of", "date", field=str(query.get("partitionColumn") or "ds"))
    draft.add(
        "Source",
        f"{name[:56]}_rows",
        {
            **about,
            "description": f"Rows of {table}.",
            "location": f"{table}/*.parquet",
            "columns": columns(_once([*by, day, *read])),
            "filter": _filter(query, where, draft),
        },
        ["say where the files of the table are: location=; and the types of its columns"],
    )
    draft.add(
        "Snapshot",
        name,
        {
            **about,
            "description": f"What {table} says of a key on a day.",
            "source": f"{name[:56]}_rows",
            "key": tuple(key.name for key in by),
            "day": Written('Time(sql="as_of")'),
            "columns": columns(_once(made)),
        },
    )
    if source.get("mutationTopic"):
        draft.note(where, "mutationTopic: changes within a day are not followed; a Versioned enrichment has valid_from")


def _columns(
    query: Mapping[str, Any], keys: list[str], numbers: set[str], where: str, draft: Draft
) -> tuple[list[DraftColumn], list[DraftColumn]]:
    """What is read of the rows, and what is made of it; an expression that is not of our SQL is left out and noted."""
    read, made = list[DraftColumn](), list[DraftColumn]()
    for out, said in (query.get("selects") or {}).items():
        if out in keys or out == "ts":
            continue
        sql, name = str(said), name_of(str(out))
        dtype = "float64" if out in numbers else "string"
        plain = column_of(sql, dtype, todo="its type")
        if re.fullmatch(r"[A-Za-z_]\w*", sql):
            read.append(plain)
            made.append(DraftColumn(name, dtype, "" if name == plain.name else text(plain.name)))
        elif is_ours(sql):
            draft.note(where, f"selects.{out}: {sql[:120]!r}: declare the columns it reads, then write it as sql=")
        else:
            draft.note(where, f"selects.{out}: {sql[:120]!r} is no SQL of ours (docs/sql.md); write it as sql=")
    return read, made


def _filter(query: Mapping[str, Any], where: str, draft: Draft) -> str:
    for number, each in enumerate(query.get("wheres") or []):
        draft.note(where, f"wheres[{number}]: {str(each)[:120]!r}: declare what it reads, then write it as filter=")
    return ""


def _once(of: list[DraftColumn]) -> list[DraftColumn]:
    return list({each.name: each for each in of}.values())


def _operation(aggregation: Mapping[str, Any]) -> str:
    said = aggregation.get("operation")
    return _OPERATIONS.get(said, str(said)) if isinstance(said, int) else str(said)
