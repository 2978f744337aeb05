"""What a view reads of its event types, and which columns that gives; and those of collapsed rows.

>>> from sequence_defs.schema import Aggregate
>>> of = {"amount": Column(name="amount", dtype="int32", unit="USD")}
>>> aggregated(Aggregate(name="spent", kind="sum", column="amount"), of).dtype
'int64'
"""

from collections.abc import Iterable, Mapping
from typing import Final

from sequence_defs.compiler.project import read_by
from sequence_defs.compiler.release import Release
from sequence_defs.schema import Aggregate, Column, ObjectView, SessionView, View

# What SQL of a view may name beside the columns of events; every event has them.
EVENT: Final[Mapping[str, Column]] = {
    name: Column(name=name, dtype=dtype, nullable=False)
    for name, dtype in (("event_type", "string"), ("event_time", "timestamp"), ("event_id", "string"))
}
# What the tables of views have beside what is declared.
TABLE_COLUMNS: Final[Mapping[type[View], tuple[str, ...]]] = {
    SessionView: (
        *("session_id", "user_id", "scope", "start_time", "end_time", "events"),
        *("state", "rev", "op", "superseded_by", "day"),
    ),
    ObjectView: ("user_id", "object", "first_time", "last_time", "events", "actions", "day"),
}

# What a sequence with ``collapse`` has beside the columns of its events.
COLLAPSED: Final[Mapping[str, Column]] = {
    column.name: column
    for column in (
        Column(name="actions", dtype="int64", nullable=False, description="what was done with the item, a bit each"),
        Column(name="events", dtype="int64", nullable=False, description="how many events the row stands for"),
        Column(name="first_time", dtype="timestamp", description="when the oldest of them happened"),
    )
}


def together(of_types: Iterable[Mapping[str, Column]]) -> dict[str, Column]:
    """The columns of events of several types; of a name the first one counts, and rules see that all are alike."""
    found: dict[str, Column] = dict(EVENT)
    for columns in of_types:
        for name, column in columns.items():
            found.setdefault(name, column)
    return found


def columns_read(view: View, release: Release) -> dict[str, Column]:
    """The columns of events that a view reads, beside those of ``EVENT``."""
    known = together(release.event_columns(name) for name in view.event_types)
    return {name: known[name] for name in read_by(view) if name not in EVENT}


def value_columns(view: View, release: Release) -> list[Column]:
    """What a view says of its rows, beside what each table of its kind has: the scope or object, and aggregates."""
    known = {**EVENT, **columns_read(view, release)}
    by = ("scope", view.scope) if isinstance(view, SessionView) else ("object", view.key)
    first = [known[by[1]].model_copy(update={"name": by[0], "sql": None, "field": None})] if by[1] else []
    return [*first, *(aggregated(each, known) for each in view.columns)]


def aggregated(aggregate: Aggregate, known: Mapping[str, Column]) -> Column:
    """The column that an aggregate gives: counts are integers, sums as wide as there are, others what they are of."""
    if aggregate.kind in ("count", "distinct"):
        return Column(name=aggregate.name, dtype="int64", nullable=False)
    of = known[aggregate.column or ""]
    if aggregate.kind == "sum":
        dtype = "float64" if of.dtype.startswith("float") else "int64"
        return Column(name=aggregate.name, dtype=dtype, nullable=False, unit=of.unit, pii=of.pii)
    said = {"name": aggregate.name, "nullable": True, "sql": None, "field": None, "shared_with": None, "default": None}
    return of.model_copy(update=said)
