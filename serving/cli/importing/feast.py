"""Feast: a feature view is an enrichment whose values are versions, by the keys of its entities."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from seqplat_resources.times import DAY_S
from sequence_defs.authoring.types import meant
from serving.cli.importing.draft import Draft, DraftColumn, NotImported, Written, column_of, columns, name_of, text
from serving.cli.importing.static import Called, Unknown, Value, calls

# What is said of what has no counterpart, by the class or decorator of Feast.
_NOT_TAKEN = {
    "OnDemandFeatureView": "is computed when it is asked for: write it as a Derived enrichment, in SQL over the event",
    "on_demand_feature_view": "is Python that runs on request: write it as a Derived enrichment, in SQL over the event",
    "StreamFeatureView": "is made by code of a stream: its rows are an event type of a Source with a topic",
    "stream_feature_view": "is made by code of a stream: its rows are an event type of a Source with a topic",
    "FeatureService": "is a choice of columns: a Sequence lists those it answers with",
    "RequestSource": "comes with a request: a sequence is asked for with a user alone",
    "PushSource": "is pushed: send the rows to a topic, or write files",
    "LabelView": "is labels: they are events of a type of their own",
}
_WAREHOUSES = ("BigQuery", "Snowflake", "Redshift", "Spark", "Athena", "Trino", "PostgreSQL")
_SOURCES = frozenset(f"{each}Source" for each in ("File", "Kafka", "Kinesis", *_WAREHOUSES))
_TYPES = {"INT32": "int32", "INT64": "int64", "FLOAT": "float32", "DOUBLE": "float64", "STRING": "string"}
_TYPES |= {"BOOL": "bool", "BYTES": "binary", "UNIX_TIMESTAMP": "timestamp", "FLOAT32": "float32", "FLOAT64": "float64"}


@dataclass(frozen=True)
class FeastView:
    """A feature view, from code or from a registry. ``features``: name to type, as Feast calls it."""

    name: str
    where: str
    keys: Mapping[str, str]
    features: Mapping[str, str]
    ttl_s: float | None
    path: str
    time: str
    description: str = ""


def of_code(code: bytes, where: str, draft: Draft, owned: Mapping[str, str]) -> None:
    """Add what a module of Feast definitions says; its code is read, and not run.

    Raises:
        NotImported: it is no Python.
    """
    for called in calls(code, where):
        place = f"{where}:{called.line}"
        if called.name in ("FeatureView", "BatchFeatureView"):
            add_view(_view(called, place, draft), draft, owned)
        elif called.name in _NOT_TAKEN:
            named = called.get("name")
            draft.note(place, f"{called.name} {named if isinstance(named, str) else ''} {_NOT_TAKEN[called.name]}")
        elif called.name not in ("Entity", "Field", "Feature", *_SOURCES):
            draft.note(place, f"{called.name}(...) is nothing that is known here, and was passed over")


def of_registry(data: bytes, where: str, draft: Draft, owned: Mapping[str, str]) -> None:
    """Add what ``feast registry-dump`` wrote.

    Raises:
        NotImported: it is no such JSON.
    """
    try:
        found = json.loads(data)
        entities = {each["spec"]["name"]: each["spec"] for each in found.get("entities", [])}
        views = [_of_spec(each["spec"], entities, where) for each in found.get("featureViews", [])]
        others = [
            (kind[0].upper() + kind[1:-1], each.get("spec", {}).get("name", ""))
            for kind in ("onDemandFeatureViews", "streamFeatureViews", "featureServices")
            for each in found.get(kind) or []
        ]
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise NotImported(
            f"{where} is no registry in JSON ({type(error).__name__}: {error}); write one with "
            "`feast registry-dump > registry.json`, and import that"
        ) from error
    for view in views:
        add_view(view, draft, owned)
    for model, name in others:
        draft.note(where, f"{model} {name} {_NOT_TAKEN[model]}")


def add_view(view: FeastView, draft: Draft, owned: Mapping[str, str]) -> None:
    """A source with the rows of a view, and the enrichment that is made of them."""
    name = name_of(view.name)
    keys = [column_of(key, *_type(kind)) for key, kind in view.keys.items()]
    values = [column_of(each, *_type(kind)) for each, kind in view.features.items() if each not in view.keys]
    if not values or not keys:
        missing = "features" if keys else "entities"
        draft.note(view.where, f"feature view {view.name!r} has no {missing} that can be read, and was left out")
        return
    time = column_of(view.time or "event_timestamp", "timestamp")
    read = list({each.name: each for each in [*(_sure(key) for key in keys), time, *values]}.values())
    about = {**owned, "description": view.description or f"Rows of the Feast feature view {view.name}."}
    where_todo = [] if view.path else [f"say where the rows of {view.name} are: location="]
    draft.add(
        "Source",
        f"{name[:56]}_rows",
        {**about, "lifecycle": "draft", "location": view.path or f"{name}.parquet", "columns": columns(read)},
        where_todo,
    )
    draft.add(
        "Versioned",
        name,
        {
            **about,
            "lifecycle": "draft",
            "source": f"{name[:56]}_rows",
            "key": tuple(key.name for key in keys),
            "valid_from": Written(f"Time(sql={text(_as_sql(time.name))})"),
            "max_age_days": view.ttl_s / DAY_S if view.ttl_s else None,
            "columns": columns(DraftColumn(each.name, each.dtype, todo=each.todo) for each in values),
        },
        ["set lifecycle to live where an event type attaches it: Enrich(enrichment=..., on={key: column})"]
        + ([] if view.ttl_s else ["it had no ttl: say max_age_days=, or values of a feed that stopped are served on"]),
    )


def _sure(key: DraftColumn) -> DraftColumn:
    return DraftColumn(key.name, key.dtype, key.sql, key.field, key.todo, nullable=False)


def _as_sql(name: str) -> str:
    return name if name.isidentifier() and name.islower() else f'"{name}"'


def _type(kind: str) -> tuple[str]:
    return (dtype_of(kind),)


def dtype_of(kind: str) -> str:
    """Ours for a type of Feast: ``Int64``, ``Array(Float32)``, ``INT64``, ``FLOAT_LIST``."""
    word = kind.upper()
    if word.endswith("_LIST"):
        return f"list[{_TYPES.get(word.removesuffix('_LIST'), 'string')}]"
    return _TYPES.get(word) or meant(kind) or "string"


def _view(called: Called, where: str, draft: Draft) -> FeastView:
    source = called.get("source", "batch_source")
    batch = source.get("batch_source") if isinstance(source, Called) and source.get("batch_source") else source
    if isinstance(source, Called) and source.name in ("KafkaSource", "KinesisSource", "PushSource"):
        draft.note(
            f"{where.rpartition(':')[0]}:{source.line}",
            f"{source.name} feeds it by stream: its batch source is taken, as an enrichment is read from files; what "
            "streams are event types",
        )
    features = dict(_fields(called.get("schema", "features"), where, draft))
    path = batch.get("path", "table", "table_ref", "query") if isinstance(batch, Called) else None
    is_file = isinstance(batch, Called) and batch.name == "FileSource"
    if isinstance(path, str) and not is_file:
        draft.note(where, f"its rows are in {path[:80]!r} of a warehouse: write them to files, and say location=")
    time = batch.get("timestamp_field", "event_timestamp_column") if isinstance(batch, Called) else None
    name, description = called.get("name") or (called.positional or ("",))[0], called.get("description")
    return FeastView(
        name if isinstance(name, str) else "",
        where,
        dict(_entities(called.get("entities"), features, where, draft)),
        features,
        _seconds(called.get("ttl")),
        path if isinstance(path, str) and is_file else "",
        time if isinstance(time, str) else "",
        description if isinstance(description, str) else "",
    )


def _fields(value: Value, where: str, draft: Draft) -> Iterator[tuple[str, str]]:
    for each in value if isinstance(value, list) else []:
        name = (each.get("name") or (each.positional or (None,))[0]) if isinstance(each, Called) else None
        if isinstance(each, Called) and isinstance(name, str):
            yield name, _type_name(each.get("dtype") or (each.positional[1] if len(each.positional) > 1 else None))
        else:
            line = each.line if isinstance(each, Called | Unknown) else ""
            draft.note(where, f"a feature is made by code (line {line}), and was left out: write it as a Column")
    if isinstance(value, Unknown):
        draft.note(where, "its features are made by code, and were left out: write them as Columns")


def _type_name(value: Value) -> str:
    if isinstance(value, Called) and value.positional:
        return f"list[{_type_name(value.positional[0])}]"
    return value if isinstance(value, str) else "string"


def _entities(value: Value, features: Mapping[str, str], where: str, draft: Draft) -> Iterator[tuple[str, str]]:
    for each in value if isinstance(value, list) else []:
        if isinstance(each, str):
            yield each, features.get(each, "int64")
        elif isinstance(each, Called):
            named, joined = each.get("name") or (each.positional or (None,))[0], each.get("join_keys", "join_key")
            kind = _type_name(each.get("value_type")) if each.get("value_type") else "int64"
            for key in joined if isinstance(joined, list) else [joined or named]:
                if isinstance(key, str):
                    yield key, features.get(key, kind)
        else:
            draft.note(where, "an entity is made by code, and was left out: add its key to the enrichment")


def _seconds(value: Value) -> float | None:
    if isinstance(value, Called) and value.name == "timedelta":
        units = {"days": DAY_S, "hours": 3600, "minutes": 60, "seconds": 1, "weeks": 7 * DAY_S}
        said = {**dict(zip(("days", "seconds"), value.positional, strict=False)), **value.named}
        parts = [units.get(unit, 0) * n for unit, n in said.items() if isinstance(n, int | float)]
        return float(sum(parts)) or None
    return None


def _of_spec(spec: Any, entities: Mapping[str, Any], where: str) -> FeastView:
    batch = spec.get("batchSource") or {}
    kinds = {each["name"]: str(each.get("valueType", "STRING")) for each in spec.get("entityColumns", [])}
    keys = {}
    for name in spec.get("entities", []):
        key = str(entities.get(name, {}).get("joinKey") or name)
        keys[key] = kinds.get(key) or str(entities.get(name, {}).get("valueType") or "INT64")
    ttl = str(spec.get("ttl") or "0s").removesuffix("s")
    features = {str(each["name"]): str(each.get("valueType", "STRING")) for each in spec.get("features", [])}
    time, path = str(batch.get("timestampField") or ""), str((batch.get("fileOptions") or {}).get("uri") or "")
    return FeastView(
        str(spec["name"]), where, keys, features, float(ttl) or None, path, time, str(spec.get("description") or "")
    )
