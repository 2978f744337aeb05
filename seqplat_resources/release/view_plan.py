"""What building and reading a view needs to know, resolved once from a release. Reads nothing itself.

>>> plan = ViewPlan.of(shop.loaded, "sessions/visit")
>>> [column.name for column in plan.values], plan.cut.cap_us // plan.cut.gap_us
(['bought', 'last_product'], 48)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from seqplat_resources.errors import Final
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.release.store import LoadedRelease
from seqplat_resources.rules.order import SOURCE_ORDER, TIES
from seqplat_resources.rules.sessions import Cut, Namer
from seqplat_resources.times import DAY_S, DAY_US
from sequence_defs.compiler.lower import META
from sequence_defs.compiler.release import Release, digest
from sequence_defs.compiler.sql import expression, storage_dtype
from sequence_defs.compiler.views import EVENT, aggregated, columns_read
from sequence_defs.schema import Aggregate, Column, ObjectView, Sequence, SessionView, View

_SECOND_US = DAY_US // DAY_S


class UnknownView(Final):
    """No view of that name in the release."""

    def __init__(self, view: str, known: list[str]) -> None:
        self.view, self.known = view, tuple(known)
        super().__init__(f"there is no view {view!r}; there are {', '.join(known) or 'none'}")


@dataclass(frozen=True)
class ViewPlan:
    """One view of one release: ``name`` is that of its asset (``sessions/visit``), ``user`` the column of user ids.

    ``reads`` are the columns of events that it is computed from; ``lacks`` by event type those that type has not.
    ``meaning`` is another text where of the same events it would say something else.
    """

    name: str
    definition: View
    user: Column
    reads: Mapping[str, Column]
    lacks: Mapping[str, frozenset[str]]
    is_ordered: bool
    meaning: str

    @classmethod
    def of(cls, loaded: LoadedRelease, name: str) -> "ViewPlan":
        """
        Raises:
            UnknownView: the release has none of that name.
        """
        release = loaded.release
        views: dict[str, View] = {f"sessions/{each}": view for each, view in release.sessions.items()}
        views |= {f"objects/{each}": view for each, view in release.objects.items()}
        if name not in views:
            raise UnknownView(name, list(views))
        definition = views[name]
        reads = columns_read(definition, release)
        sources = [release.sources[release.event_types[each].source] for each in definition.event_types]
        return cls(
            name,
            definition,
            user_column(release, definition.event_types[0]),
            reads,
            {each: frozenset(reads.keys() - release.event_columns(each).keys()) for each in definition.event_types},
            any(source.order for source in sources),
            digest({key: value for key, value in _said(definition).items() if key not in META}),
        )

    @cached_property
    def values(self) -> list[Column]:
        """The columns that the definition declares."""
        known = {**EVENT, **self.reads}
        return [aggregated(each, known) for each in self.definition.columns]

    @cached_property
    def owned_by(self) -> list[Column]:
        """The column that stands beside the user: the scope of sessions, if they have one, or the object."""
        name = "scope" if isinstance(self.definition, SessionView) else "object"
        known = {**EVENT, **self.reads}
        return [known[of].model_copy(update={"name": name, "sql": None, "field": None}) for of in self.told_by]

    @property
    def told_by(self) -> list[str]:
        """The column of events that ``owned_by`` is."""
        view = self.definition
        of = view.scope if isinstance(view, SessionView) else view.key
        return [of] if of else []

    def events_plan(self, loaded: LoadedRelease) -> SequencePlan:
        """How a user's events are read online, with all that the view is computed from, personal data too."""
        view = self.definition
        columns = tuple(self.reads) or ("event_time",)
        sequence = Sequence(
            name=view.name, tenant=view.tenant, event_types=view.event_types, columns=columns, pii="granted"
        )
        release = loaded.release.model_copy(update={"sequences": {view.name: sequence}})
        return SequencePlan.of(LoadedRelease(loaded.id, release), view.name, pii=("*",))

    @cached_property
    def cut(self) -> Cut:
        """Where sessions end."""
        view = self._sessions
        return Cut(gap_us=view.gap_s * _SECOND_US, cap_us=view.cap_s * _SECOND_US)

    @cached_property
    def namer(self) -> Namer:
        """By what sessions are called; columns that are added to a view rename none."""
        view = self._sessions
        decides = [sorted(view.event_types), view.gap_s, view.cap_s, view.scope, view.boundary]
        return Namer(view.tenant, digest(decides))

    @property
    def _sessions(self) -> SessionView:
        assert isinstance(self.definition, SessionView)
        return self.definition

    @cached_property
    def actions(self) -> tuple[str, ...]:
        """What may be done with an object, in the order of its bits; the event types where nothing else is declared."""
        view = self.definition
        assert isinstance(view, ObjectView)
        return view.actions or (() if view.action else view.event_types)

    @cached_property
    def needs(self) -> dict[str, pl.DataType]:
        """The columns of events to be read, and their types; with ``SOURCE_ORDER`` where a source declares an order."""
        ties = {name: storage_dtype(dtype) for name, dtype in TIES.items() if name != SOURCE_ORDER or self.is_ordered}
        own = {name: storage_dtype(column.dtype) for name, column in {**EVENT, **self.reads}.items()}
        return {"user_id": storage_dtype(self.user.dtype), **own, **ties}

    def prepared(self, events: pl.DataFrame) -> pl.DataFrame:
        """Events with what sessions or objects are told by, and with the values that each aggregate takes."""
        taken = [_taken(each).alias(f"={each.name}") for each in self.definition.columns]
        return events.with_columns(*taken, *self._told_by())

    def _told_by(self) -> list[pl.Expr]:
        view = self.definition
        if isinstance(view, SessionView):
            scope = pl.col(view.scope) if view.scope else pl.lit(None, pl.String)
            return [
                scope.alias("scope"),
                (expression(view.boundary) if view.boundary else pl.lit(False)).alias("is_boundary"),
            ]
        return [pl.col(view.key).alias("object"), pl.col(view.action or "event_type").alias("action")]

    @cached_property
    def aggregates(self) -> dict[str, pl.Expr]:
        """By column, its value over ``prepared`` events of one row, oldest first."""
        return {
            each.name: _aggregate(each, storage_dtype(column.dtype))
            for each, column in zip(self.definition.columns, self.values, strict=True)
        }


def user_column(release: Release, event_type: str) -> Column:
    """The user ids of an event type, as tables call them."""
    source = release.sources[release.event_types[event_type].source]
    user = next(column for column in source.columns if column.name == source.user_id)
    return Column(name="user_id", dtype=user.dtype, pii=user.pii)


def _said(definition: View) -> dict[str, Any]:
    return definition.model_dump(mode="json", exclude_defaults=True)


def _taken(aggregate: Aggregate) -> pl.Expr:
    """An event's value, null where the event does not count."""
    counts = pl.lit(True)
    if aggregate.event_types:
        counts &= pl.col("event_type").is_in(list(aggregate.event_types))
    if aggregate.where is not None:
        counts &= expression(aggregate.where)
    return pl.when(counts).then(pl.col(aggregate.column) if aggregate.column else pl.lit(True))


def _aggregate(aggregate: Aggregate, dtype: pl.DataType) -> pl.Expr:
    taken = pl.col(f"={aggregate.name}")
    return {
        "first": lambda: taken.first(ignore_nulls=True),
        "last": lambda: taken.last(ignore_nulls=True),
        "count": taken.count,
        "distinct": lambda: taken.drop_nulls().n_unique(),
        "sum": lambda: taken.cast(dtype).sum(),
        "min": taken.min,
        "max": taken.max,
    }[aggregate.kind]().cast(dtype)
