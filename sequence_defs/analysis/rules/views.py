"""Views: what sessions and objects are told by, and what is computed from their events."""

from collections.abc import Iterator, Sequence

from sequence_defs.analysis.diagnostics import Finding, rule
from sequence_defs.analysis.scope import event_scope, of_event_types, view_scope, views
from sequence_defs.analysis.widening import NUMBERS
from sequence_defs.analysis.wording import instead, label, listed
from sequence_defs.compiler.project import Project, read_by
from sequence_defs.compiler.views import EVENT, TABLE_COLUMNS
from sequence_defs.schema import Aggregate, Column, Location, SessionView, View, parse_dtype

# Values that can be told apart for certain, and written as text.
KEYS = ("string", "bool", "date", "int8", "int16", "int32", "int64")
_DEFAULT_CAP_S = SessionView.model_fields["cap_s"].default


@rule("SP701", "error", "columns of a view exist")
def view_fields(project: Project) -> Iterator[Finding]:
    """A scope, an object, an action and what an aggregate is of are columns of at least one of its event types."""
    for view in views(project):
        scope = view_scope(project, view)
        for field, name in _told_by(view).items():
            if scope.lacks(name):
                yield Finding(
                    view.declared_at,
                    f"{field} of {label(view)} is column {name!r}, which none of its event types has",
                    instead(name, scope.columns, f"add it to one of {listed(view.event_types)}"),
                )
        for each in view.columns:
            if each.column is not None and scope.lacks(each.column):
                yield Finding(
                    each.declared_at,
                    f"column {each.name!r} of {label(view)} is the {each.kind} of {each.column!r}, which none of its "
                    "event types has",
                    instead(each.column, scope.columns, f"add it to one of {listed(view.event_types)}"),
                )


@rule("SP702", "error", "a column of a view has one type and unit")
def view_dtypes(project: Project) -> Iterator[Finding]:
    """A view reads one column of all its event types together, so they agree in what it holds."""
    for view in views(project):
        scopes = {each.name: event_scope(project, each).columns for each in of_event_types(project, view)}
        for name in read_by(view):
            met = [(event_type, columns[name]) for event_type, columns in scopes.items() if name in columns]
            for event_type, column in met[1:]:
                first, expected = met[0]
                for field in ("dtype", "unit", "model"):
                    mine, other = getattr(expected, field), getattr(column, field)
                    if mine != other:
                        yield Finding(
                            view.declared_at,
                            f"column {name!r} of {label(view)} has {field} {mine!r} in event type {first!r} but "
                            f"{other!r} in {event_type!r}",
                            f"give both the same {field}, or a column of another name in one of them",
                        )


@rule("SP703", "error", "an aggregate fits what it is of")
def aggregate_fits(project: Project) -> Iterator[Finding]:
    """Numbers have a sum, ordered values a least and a greatest one; only events can be counted without a column."""
    for view in views(project):
        known = view_scope(project, view).columns
        for each in view.columns:
            if (why := _unfit(each, known.get(each.column or ""))) is not None:
                yield Finding(each.declared_at, f"column {each.name!r} of {label(view)} {why[0]}", why[1])
            for name in each.event_types:
                if name not in view.event_types:
                    yield Finding(
                        each.declared_at,
                        f"column {each.name!r} of {label(view)} is of event type {name!r}, which is not in the view",
                        instead(name, view.event_types, f"add {name!r} to event_types"),
                    )


@rule("SP704", "error", "sessions and objects are told apart by plain values")
def key_dtypes(project: Project) -> Iterator[Finding]:
    """What rows are grouped by is text, a whole number, a date or a truth value."""
    for view in views(project):
        known = view_scope(project, view).columns
        for field, name in _told_by(view).items():
            if name in known and known[name].dtype not in KEYS:
                yield Finding(
                    view.declared_at,
                    f"{field} of {label(view)} is column {name!r}, which is {known[name].dtype}",
                    f"use one of type {', '.join(KEYS)}",
                )


@rule("SP705", "error", "columns of a view do not collide")
def view_collisions(project: Project) -> Iterator[Finding]:
    """Its table has columns of its own, and each other name once."""
    for view in views(project):
        taken = dict.fromkeys(TABLE_COLUMNS[type(view)], "a column of its table")
        for each in view.columns:
            if each.name in taken:
                yield Finding(
                    each.declared_at,
                    f"column {each.name!r} of {label(view)} has the name of {taken[each.name]}",
                    f"give it another name, e.g. '{each.name}_value'",
                )
            taken.setdefault(each.name, "another one of it")


@rule("SP706", "error", "a session may be as long as its pause")
def cap_below_gap(project: Project) -> Iterator[Finding]:
    """A cap below the gap ends every session before a pause can."""
    for view in project.sessions.values():
        if view.cap_s < view.gap_s:
            yield Finding(
                view.declared_at,
                f"sessions of {label(view)} end after {view.cap_s} s, before a pause of {view.gap_s} s is over",
                f"write cap_s={max(view.gap_s, _DEFAULT_CAP_S)}",
            )


@rule("SP707", "error", "actions of objects are declared, each once")
def actions_declared(project: Project) -> Iterator[Finding]:
    """An action has the bit of its place, so somebody has to say the places."""
    for view in project.objects.values():
        if view.action is not None and not view.actions:
            yield Finding(
                view.declared_at,
                f"{label(view)} tells actions by column {view.action!r}, but names none of them",
                "write actions=(<value>, ...), in the order of their bits",
            )
        yield from repeated(view.actions, label(view), view.declared_at)


def repeated(actions: Sequence[str], title: str, where: Location) -> Iterator[Finding]:
    """Actions that have two bits."""
    for action in dict.fromkeys(each for each in actions if actions.count(each) > 1):
        yield Finding(where, f"actions of {title} name {action!r} {actions.count(action)} times", "keep one of them")


def _told_by(view: View) -> dict[str, str]:
    named = {"scope": view.scope} if isinstance(view, SessionView) else {"key": view.key, "action": view.action}
    return {field: name for field, name in named.items() if name is not None and name not in EVENT}


def _unfit(aggregate: Aggregate, column: Column | None) -> tuple[str, str] | None:
    """Why, and what to do."""
    kind = aggregate.kind
    if aggregate.column is None:
        return None if kind == "count" else (f"is the {kind} of nothing", "write column=<name>, or kind='count'")
    if column is None:
        return None
    if kind == "sum" and column.dtype not in NUMBERS:
        return f"is the sum of {column.name!r}, which is {column.dtype}", "set kind='count', or sum a column of numbers"
    if kind in ("min", "max") and (parse_dtype(column.dtype).kind != "scalar" or column.dtype == "binary"):
        return f"is the {kind} of {column.name!r}, which is {column.dtype}", "set kind='first', or take another column"
    if kind == "distinct" and parse_dtype(column.dtype).kind == "list":
        return f"counts different {column.name!r}, which are lists", "set kind='count', or count another column"
    return None
