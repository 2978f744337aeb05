"""The form of a sequence's answers: JSON Schema of the JSON, Arrow schema of the columns."""

import base64
import io
from typing import Any

import msgspec
import polars as pl

from seqplat_resources.release.query import SIMILARITY
from seqplat_resources.release.sequence_plan import SequencePlan
from sequence_defs.schema import Column, parse_dtype
from serving.api.schemas import ArrowField, ArrowSchema, SequenceAnswer

_JSON: dict[str, dict[str, Any]] = {
    "bool": {"type": "boolean"},
    "string": {"type": "string"},
    "binary": {"type": "string", "contentEncoding": "base64"},
    "date": {"type": "string", "format": "date"},
    "timestamp": {"type": "string", "format": "date-time"},
    **{f"int{bits}": {"type": "integer"} for bits in (8, 16, 32, 64)},
    **{f"float{bits}": {"type": "number"} for bits in (16, 32, 64)},
}
# As pyarrow prints them.
_ARROW = {
    pl.Boolean(): "bool",
    pl.String(): "large_string",
    pl.Binary(): "large_binary",
    pl.Date(): "date32[day]",
    pl.Datetime("us", "UTC"): "timestamp[us, tz=UTC]",
    pl.Int8(): "int8",
    pl.Int16(): "int16",
    pl.Int32(): "int32",
    pl.Int64(): "int64",
    pl.Float32(): "float",
    pl.Float64(): "double",
}


def json_schema(plan: SequencePlan) -> dict[str, Any]:
    """JSON Schema (2020-12) of this sequence's answer; which columns an answer has, the request decides."""
    _, definitions = msgspec.json.schema_components([SequenceAnswer], ref_template="#/$defs/{name}")
    answer = definitions.pop("SequenceAnswer")
    columns = {name: {"type": "array", "items": _json_type(column)} for name, column in plan.columns.items()}
    similarity = {"type": ["number", "null"], "description": "to the vector of the request, where it has `top_k`"}
    columns[SIMILARITY] = {"type": "array", "items": similarity}
    answer["properties"] = {
        **answer["properties"],
        "sequence": {"const": plan.definition.name},
        "columns": {"type": "object", "properties": columns, "additionalProperties": False},
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **answer, "$defs": definitions}


def _json_type(column: Column) -> dict[str, Any]:
    kind, item, dim = parse_dtype(column.dtype)
    # JSON has no NaN and no infinity: they are sent as null.
    leaf = _or_null(_JSON[item]) if item.startswith("float") else _JSON[item]
    found = leaf
    if kind == "vector":
        found = {"type": "array", "items": leaf, "minItems": dim, "maxItems": dim}
    elif kind == "list":
        found = {"type": "array", "items": _or_null(leaf)}
    found = _or_null(found) if column.nullable else found
    text = _described(column)
    return {**found, "description": text} if text else found


def _or_null(found: dict[str, Any]) -> dict[str, Any]:
    return found if isinstance(found["type"], list) else {**found, "type": [found["type"], "null"]}


def _described(column: Column) -> str:
    return ", ".join(text for text in (column.description, column.unit and f"in {column.unit}") if text)


def arrow_schema(plan: SequencePlan) -> ArrowSchema:
    """The Arrow schema of all columns, in types that every Arrow library of the last years reads."""
    stream = io.BytesIO()
    plan.empty.write_ipc_stream(stream, compat_level=pl.CompatLevel.oldest())
    fields = [
        ArrowField(name, _arrow_type(dtype), plan.columns[name].nullable) for name, dtype in plan.empty.schema.items()
    ]
    return ArrowSchema(fields, base64.b64encode(stream.getvalue()).decode())


def _arrow_type(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.Array):
        return f"fixed_size_list<item: {_arrow_type(_inner(dtype))}>[{dtype.size}]"
    if isinstance(dtype, pl.List):
        return f"large_list<item: {_arrow_type(_inner(dtype))}>"
    return _ARROW[dtype]


def _inner(dtype: pl.Array | pl.List) -> pl.DataType:
    inner = dtype.inner
    return inner() if isinstance(inner, type) else inner
