"""Types, units and embedding spaces of columns that meet: source and event, key and event, two event types."""

import sys
from collections.abc import Iterator

from sequence_defs.analysis.diagnostics import Finding, rule
from sequence_defs.analysis.expressions import expressions
from sequence_defs.analysis.scope import attachments, of_event_types, sequence_columns, source_scope, user_column, views
from sequence_defs.analysis.widening import cast_to, holds_column
from sequence_defs.analysis.wording import label
from sequence_defs.compiler.project import Project
from sequence_defs.compiler.sql import SqlError, expression
from sequence_defs.schema import Column, EventType, Location, Sequence, Snapshot, Source, Versioned, parse_dtype

# What the literals that JSON has may stand for; a whole number is a value of every numeric type.
# Types of a declared source order.
_ORDERED = ("int8", "int16", "int32", "int64", "string", "date", "timestamp")
_HOLDERS = {bool: ("bool",), int: ("int", "float"), float: ("float",), str: ("string",)}
_HELD = ("bool", "int8", "int16", "int32", "int64", "float32", "float64", "string")
_MAX_FLOAT32 = 3.4028234663852886e38


@rule("SP221", "error", "a column holds what its source gives")
def narrowed_source(project: Project) -> Iterator[Finding]:
    """A column taken over without SQL has the source column's type or a wider one; a vector keeps its shape."""
    for definition in (*project.event_types.values(), *project.enrichments.values()):
        if not isinstance(definition, EventType | Versioned | Snapshot):
            continue
        if isinstance(definition, EventType) and definition.executor != "declarative":
            continue
        known = source_scope(project, definition.source).columns
        for column in definition.columns:
            found = known.get(column.name)
            if column.sql is not None or found is None or holds_column(column, found):
                continue
            cast = cast_to(column.dtype, column.name)
            yield Finding(
                column.declared_at,
                f"column {column.name!r} of {label(definition)} is declared {column.dtype}, "
                f"but source {definition.source!r} has {found.dtype}",
                f"declare dtype={found.dtype!r}, "
                + (
                    f"or write sql={cast!r}" if cast else f"or {column.dtype!r} in the source, which then decodes to it"
                ),
            )


@rule("SP229", "error", "a unit changes only by SQL that converts")
def unit_change(project: Project) -> Iterator[Finding]:
    """A value that is taken over as it is keeps its unit: cents called dollars are wrong by a hundred everywhere."""
    for found in expressions(project):
        column, taken = found.column, _bare_name(found.sql)
        if column is not None and taken in found.scope.columns:
            yield from _other_unit(column, found.scope.columns[taken], found.title)
    for definition in (*project.event_types.values(), *project.enrichments.values()):
        if not isinstance(definition, EventType | Versioned | Snapshot):
            continue
        known = source_scope(project, definition.source).columns
        for column in definition.columns:
            if column.sql is None and column.name in known:
                yield from _other_unit(column, known[column.name], f"column {column.name!r} of {label(definition)}")


@rule("SP222", "error", "keys have the type of the columns they meet")
def key_dtypes(project: Project) -> Iterator[Finding]:
    """The as-of join compares keys as they are: an int32 never equals an int64, nor 7 the text '7'."""
    for event_type in project.event_types.values():
        for attachment in attachments(project, event_type):
            if not isinstance(attachment.enrichment, Versioned | Snapshot):
                continue
            keys = source_scope(project, attachment.enrichment.source).columns
            for key in attachment.enrichment.key:
                name = attachment.use.on.get(key, key)
                ours, theirs = attachment.before.columns.get(name), keys.get(key)
                if ours is not None and theirs is not None and ours.dtype != theirs.dtype:
                    yield Finding(
                        attachment.use.declared_at,
                        f"key {key!r} of {label(attachment.enrichment)} is {theirs.dtype}, but column {name!r} of "
                        f"{label(event_type)} is {ours.dtype}",
                        f"declare both {theirs.dtype!r}, casting one of them with sql=",
                    )


@rule("SP223", "error", "the user id has one type within a sequence or view")
def user_id_dtypes(project: Project) -> Iterator[Finding]:
    """A sequence, or view, puts one user's events together by their id."""
    for taker in (*project.sequences.values(), *views(project)):
        users = [(t, user) for t in of_event_types(project, taker) if (user := user_column(project, t)) is not None]
        for event_type, user in users[1:]:
            first, expected = users[0]
            if user.dtype != expected.dtype:
                yield Finding(
                    taker.declared_at,
                    f"user_id of {label(taker)} is {expected.dtype} in {label(first)} "
                    f"but {user.dtype} in {label(event_type)}",
                    f"declare the same type in sources {first.source!r} and {event_type.source!r}",
                )


@rule("SP224", "error", "a sequence column has one type and unit")
def sequence_dtypes(project: Project) -> Iterator[Finding]:
    """One output column holds the values of all event types, so they agree in type and unit."""
    for where, title, (type_a, a), (type_b, b) in _meetings(project):
        for field, mine, other in (("dtype", a.dtype, b.dtype), ("unit", a.unit, b.unit)):
            if mine != other:
                yield Finding(
                    where,
                    f"{title} has {field} {mine!r} from event type {type_a!r} but {other!r} from {type_b!r}",
                    f"give both the same {field}, or split it with Pick(name=..., columns={{{type_b!r}: {b.name!r}}})",
                )


@rule("SP225", "error", "a vector names its model")
def vector_without_model(project: Project) -> Iterator[Finding]:
    """Without the embedding space nobody can tell whether two vectors may be compared."""
    for definition in (*project.event_types.values(), *project.enrichments.values()):
        for column in definition.columns:
            if parse_dtype(column.dtype).kind == "vector" and not column.model:
                yield Finding(
                    column.declared_at,
                    f"column {column.name!r} of {label(definition)} is {column.dtype} but names no model",
                    "state the embedding space and its version, e.g. model='item2vec-2024-05'",
                )


@rule("SP226", "error", "embedding spaces do not mix")
def mixed_models(project: Project) -> Iterator[Finding]:
    """Vectors of two models never share a column: a new model is a new column with its own backfill."""
    for where, title, (type_a, a), (type_b, b) in _meetings(project):
        if a.model and b.model and a.model != b.model:
            yield Finding(
                where,
                f"{title} mixes embedding spaces: {a.model!r} from event type {type_a!r}, {b.model!r} from {type_b!r}",
                "serve each model as a column of its own, e.g. Pick(name='embedding@2', ...)",
            )
    for definition in (*project.event_types.values(), *project.enrichments.values()):
        source = getattr(definition, "source", "")
        for column in definition.columns:
            found = source_scope(project, source).columns.get(column.name) if column.sql is None else None
            if found is not None and found.model and column.model and found.model != column.model:
                yield Finding(
                    column.declared_at,
                    f"column {column.name!r} of {label(definition)} names model {column.model!r}, "
                    f"but source {source!r} has {found.model!r}",
                    f"write model={found.model!r}, or read the new model's vectors under a name of their own",
                )


@rule("SP227", "error", "rev is an integer and op is text")
def revision_types(project: Project) -> Iterator[Finding]:
    """Corrections are ordered by a counter, and a retraction says `retract`."""
    for source in project.sources.values():
        known = source_scope(project, source.name).columns
        for field, name, wanted in (("rev", source.rev, "int64"), ("op", source.op, "string")):
            column = known.get(name or "")
            if column is not None and not holds_column(column.model_copy(update={"dtype": wanted}), column):
                yield Finding(
                    column.declared_at,
                    f"{field} {name!r} of {label(source)} is {column.dtype}, but it must be {_wanted(field)}",
                    f"declare it {wanted!r}",
                )


@rule("SP230", "error", "the order of a source is of a type whose values have one")
def order_type(project: Project) -> Iterator[Finding]:
    """Events of equal time are in the order of an integer, a text, a date or a time; floats and lists order nothing."""
    for source in project.sources.values():
        column = source_scope(project, source.name).columns.get(source.order or "")
        if column is not None and column.dtype not in _ORDERED:
            yield Finding(
                column.declared_at,
                f"order {source.order!r} of {label(source)} is {column.dtype}, whose values have no order of their own",
                f"declare it as one of {', '.join(_ORDERED)}, or leave `order` out",
            )


@rule("SP228", "error", "the default of a missing key fits its column")
def missing_default(project: Project) -> Iterator[Finding]:
    """What a key without a row yields is a value of the column."""
    for enrichment in project.enrichments.values():
        for name, value in getattr(enrichment, "missing", {}).items():
            column = next((column for column in enrichment.columns if column.name == name), None)
            if column is not None and not _is_value(column, value):
                yield Finding(
                    enrichment.declared_at,
                    f"`missing` of {label(enrichment)} gives {value!r} for column {name!r}, which is {column.dtype}",
                    f"write a value of type {column.dtype}, or leave it out for null",
                )


@rule("SP231", "error", "a default stands for a value of older events")
def default_of_column(project: Project) -> Iterator[Finding]:
    """Events that were stored before a column was declared have its default, where the column is never null. What a key
    without a row yields is said by `missing`; what says which event it is has none.
    """
    for definition in (*project.sources.values(), *project.event_types.values(), *project.enrichments.values()):
        for column in definition.columns:
            if column.default is None:
                continue
            title = f"column {column.name!r} of {label(definition)} has the default {column.default!r}"
            if not isinstance(definition, EventType):
                kind = "a source" if isinstance(definition, Source) else "an enrichment"
                yield Finding(column.declared_at, f"{title}, and is of {kind}", "leave it out: it is for event types")
            elif column.name in (definition.id_field, *definition.natural_key):
                yield Finding(
                    column.declared_at,
                    f"{title}, and says which event it is",
                    "leave it out: events with another identity are other events, of an event type beside it",
                )
            elif column.nullable:
                yield Finding(
                    column.declared_at,
                    f"{title}, and may be null, which is what events from before it have",
                    "declare nullable=False, or leave the default out",
                )
            elif not _is_value(column, column.default):
                yield Finding(
                    column.declared_at,
                    f"{title}, which is no {column.dtype}",
                    f"write a value of type {column.dtype}"
                    if column.dtype in _HELD
                    else "leave it out, and declare nullable=True: only numbers, strings and bools have one",
                )


def _other_unit(column: Column, found: Column, title: str) -> Iterator[Finding]:
    if column.unit and found.unit and column.unit != found.unit:
        yield Finding(
            column.declared_at,
            f"{title} is in {column.unit!r}, but {found.name!r}, which it takes over, is in {found.unit!r}",
            f"write unit={found.unit!r}, or convert it in sql=, e.g. sql='{found.name} / 100.0'",
        )


def _bare_name(sql: str) -> str:
    """The column an expression is, if it is nothing but one."""
    try:
        parsed = expression(sql)
    except SqlError:
        return ""
    return parsed.meta.output_name() if parsed.meta.is_column() else ""


Met = tuple[str, Column]


def _meetings(project: Project) -> Iterator[tuple[Location, str, Met, Met]]:
    """Per sequence column, the first event type's column with each other one."""
    for sequence in project.sequences.values():
        places = _places(sequence)
        for out, by_type in sequence_columns(project, sequence).items():
            met = list(by_type.items())
            for other in met[1:]:
                yield places[out], f"column {out!r} of {label(sequence)}", met[0], other


def _places(sequence: Sequence) -> dict[str, Location]:
    return {
        pick if isinstance(pick, str) else pick.name: (sequence if isinstance(pick, str) else pick).declared_at
        for pick in sequence.columns
    }


def _wanted(field: str) -> str:
    return "an integer" if field == "rev" else "a string"


def _is_value(column: Column, value: str | float | bool) -> bool:
    kind, item = parse_dtype(column.dtype)[:2]
    if kind != "scalar" or not item.startswith(_HOLDERS[type(value)]):
        return False
    if isinstance(value, float):
        return abs(value) <= (_MAX_FLOAT32 if item == "float32" else sys.float_info.max)  # NaN is no value either
    bits = int(item[3:]) if item.startswith("int") else 64  # of a float, too: no frame takes a longer whole number
    return isinstance(value, str | bool) or _fits_bits(value, bits)


def _fits_bits(value: int, bits: int) -> bool:
    return -(1 << bits - 1) <= value < 1 << bits - 1
