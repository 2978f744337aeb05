"""Which days each object has follows from starts and ends alone."""

import datetime as dt

import pytest

from seqplat_resources.batch.days.partitions import DayRange, Partitions
from sequence_defs import Column, Derived, Enrich, EventType, Legacy, Sequence, Snapshot, Source, Time
from sequence_defs.compiler.lower import lower
from sequence_defs.compiler.project import Project
from sequence_defs.schema import Definition

SHARED = {"tenant": "shop", "owner": "team:shop"}
JAN, FEB, MAR, APR = (dt.date(2024, month, 1) for month in (1, 2, 3, 4))
ID = Column(name="id", dtype="int64", nullable=False)


def source(name: str = "log", **fields: object) -> Source:
    columns = (ID, Column(name="at", dtype="timestamp", nullable=False))
    timed = {"event_time": Time(sql="at"), "user_id": "id"}
    return Source(name=name, location="x.parquet", columns=columns, **SHARED, **timed, **fields)  # type: ignore[arg-type]


def event_type(name: str, **fields: object) -> EventType:
    return EventType(name=name, source="log", columns=(ID,), id_field="id", **SHARED, **fields)  # type: ignore[arg-type]


def table(name: str) -> Snapshot:
    return Snapshot(name=name, source="log", key=("id",), columns=(Column(name="at", dtype="timestamp"),), **SHARED)


def partitions(*definitions: Definition) -> Partitions:
    return Partitions.of(lower(Project(definitions, {"declarative": "0" * 16})))


def test_an_event_type_has_its_own_range_or_the_sources() -> None:
    found = partitions(source(start=JAN, end=APR), event_type("own", start=FEB, end=MAR), event_type("same"))
    assert found.event_types == {"own": DayRange(FEB, MAR), "same": DayRange(JAN, APR)}
    assert found.raw == {"log": DayRange(JAN, APR)}


@pytest.mark.parametrize(
    ("theirs", "found"),
    [({}, DayRange(JAN, APR)), ({"start": FEB}, DayRange(FEB, APR)), ({"end": MAR}, DayRange(JAN, MAR))],
)
def test_served_legacy_has_the_days_of_its_source_or_else_of_ours(theirs: dict[str, dt.date], found: DayRange) -> None:
    legacy = Legacy(source="old", event_id="id", serve=True)
    days = partitions(source(start=JAN, end=APR), source("old", **theirs), event_type("sale", legacy=legacy))
    assert days.event_types["sale__legacy"] == days.shadow["sale"] == found


def test_an_enrichment_has_the_days_of_all_event_types_that_attach_it() -> None:
    uses = (Enrich(enrichment="keyed"),)
    found = partitions(
        source(start=JAN),
        table("keyed"),
        event_type("early", start=JAN, end=FEB, enrichments=uses),
        event_type("late", start=MAR, end=APR, enrichments=uses),
        event_type("without", start=JAN),
    )
    assert found.enrichments == {"keyed": DayRange(JAN, APR)}


def test_an_enrichment_without_table_or_use_has_no_days() -> None:
    derived = Derived(name="sum", columns=(Column(name="twice", dtype="int64", sql="id * 2"),), **SHARED)
    found = partitions(
        source(start=JAN), table("unused"), derived, event_type("e", enrichments=(Enrich(enrichment="sum"),))
    )
    assert found.enrichments == {}


def test_a_sequence_is_open_as_long_as_one_of_its_event_types_is() -> None:
    def sequence(*names: str) -> Sequence:
        return Sequence(name="s", event_types=names, columns=("id",), **SHARED)

    types = event_type("closed", start=FEB, end=MAR), event_type("open", start=MAR)
    assert partitions(source(), *types, sequence("closed", "open")).sequences == {"s": DayRange(FEB)}
    assert partitions(source(), *types, sequence("closed")).sequences == {"s": DayRange(FEB, MAR)}


def test_what_is_retired_has_no_days_and_lends_none() -> None:
    retired = event_type("old", start=JAN, enrichments=(Enrich(enrichment="keyed"),), lifecycle="retired")
    found = partitions(source(), table("keyed"), retired, event_type("new", start=MAR))
    assert found == Partitions({"log": DayRange(MAR)}, {}, {"new": DayRange(MAR)}, {})


def test_a_source_that_states_no_start_covers_its_event_types() -> None:
    found = partitions(source(), event_type("a", start=FEB, end=MAR), event_type("b", start=JAN, end=FEB))
    assert found.raw == {"log": DayRange(JAN, MAR)}


def test_a_log_without_files_has_no_raw_days() -> None:
    log = source(start=JAN, topic="log").model_copy(update={"location": ""})
    found = partitions(log, event_type("e"))
    assert (found.raw, found.event_types) == ({}, {"e": DayRange(JAN)})
    assert partitions(source(start=JAN, topic="log"), event_type("e")).raw == {"log": DayRange(JAN)}


def test_ranges_are_cut_to_what_was_asked() -> None:
    asked = (dt.date(2024, 1, 15), dt.date(2024, 2, 15))
    assert DayRange(JAN, FEB).clipped(*asked) == (dt.date(2024, 1, 15), dt.date(2024, 1, 31))
    assert DayRange(FEB).clipped(*asked) == (FEB, dt.date(2024, 2, 15))
    assert DayRange(MAR).clipped(*asked) is None
    assert FEB in DayRange(JAN, MAR)
    assert MAR not in DayRange(JAN, MAR)
