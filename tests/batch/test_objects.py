"""What users did with objects on a day, against plain Python."""

import datetime as dt

import polars as pl
import pytest
from hypothesis import given, settings

from seqplat_resources.batch.builds import objects
from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.views import moved
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.view_plan import ViewPlan
from sequence_defs.schema import Aggregate, ObjectView
from tests.batch.test_sessions import DAYS, EVENTS, OF_TEAM, date, definitions, put
from tests.building import ManualClock, runtime_for, utc
from tests.rules.sessions_oracle import START, Event

# The object is the place; what was done with it is the amount, of which only some values are declared.
PLACE = ObjectView(
    name="place",
    event_types=("click", "order"),
    key="place",
    action="amount",
    actions=("1", "7"),
    columns=(Aggregate(name="last_number", kind="last", column="number"),),
    **OF_TEAM,
)


def expected(events: list[Event]) -> list[tuple[object, ...]]:
    found: dict[tuple[dt.date, str, str], list[Event]] = {}
    for event in sorted(events, key=lambda each: each.order):
        if event.scope is not None:
            found.setdefault((date(event), event.user, event.scope), []).append(event)
    return sorted(
        (
            *key,
            START + dt.timedelta(seconds=of[0].at_s),
            START + dt.timedelta(seconds=of[-1].at_s),
            len(of),
            (2 if any(each.amount == 1 for each in of) else 0) | (1 if any(each.amount != 1 for each in of) else 0),
            of[-1].name,
        )
        for key, of in found.items()
    )


def told(runtime: Runtime) -> list[tuple[object, ...]]:
    rows = tables.view(runtime, ViewPlan.of(runtime.loaded, "objects/place")).scan().collect()
    columns = ["day", "user_id", "object", "first_time", "last_time", "events", "actions", "last_number"]
    return sorted(rows.select(columns).rows())


@given(EVENTS, EVENTS)
@settings(max_examples=10)
def test_a_day_has_a_row_of_each_object_with_all_that_was_done(
    tmp_path_factory: pytest.TempPathFactory, events: list[Event], late: list[Event]
) -> None:
    """And is built again where events of it are others, and only there."""
    folder = tmp_path_factory.mktemp("home")
    runtime = runtime_for(folder, [*definitions(), PLACE], clock=ManualClock(utc(2024, 6, 1)))
    put(runtime, events, DAYS)
    list(objects.build(runtime, "place", DAYS))
    assert told(runtime) == expected(events)
    changed = sorted({date(event) for event in late})
    put(runtime, [*events, *late], changed)
    assert list(moved(runtime, "objects/place")) == changed
    list(objects.build(runtime, "place", changed))
    assert told(runtime) == expected([*events, *late])
    assert not moved(runtime, "objects/place")


def test_the_event_type_is_what_was_done_where_no_column_says_it(tmp_path: object) -> None:
    plain = ObjectView(name="place", event_types=("order", "click"), key="place", **OF_TEAM)
    runtime = runtime_for(f"{tmp_path}/home", [*definitions(), plain], clock=ManualClock(utc(2024, 6, 1)))  # type: ignore[arg-type]
    put(runtime, [Event("a", 0, "1", scope="x"), Event("a", 9, "2", scope="x", event_type="order")], DAYS[:1])
    list(objects.build(runtime, "place", DAYS[:1]))
    rows = tables.view(runtime, ViewPlan.of(runtime.loaded, "objects/place")).scan().collect()
    assert rows.select("events", "actions").rows() == [(2, 0b110)]
    assert isinstance(rows.schema["actions"], pl.Int64)
