"""What belongs to another tenant is taken only where its owner says so, of whatever kind it is."""

from collections.abc import Callable

import pytest

from sequence_defs.analysis.diagnostics import Diagnostic

Check = Callable[[str], list[Diagnostic]]

PROJECT = """
from sequence_defs import *

def said(**more):
    return {"owner": "team:x", "description": "x", "lifecycle": "live", **more}

a = Tenant(name="a", tenant="a")
b = Tenant(name="b", tenant="b")
c = Tenant(name="c", tenant="c")
source = Source(name="s", location="s.parquet", user_id="user", event_time=Time(sql="at"), retention_days=9,
    ingest_time=Time(sql="at"),
    columns=(Column(name="user", dtype="string", nullable=False), Column(name="at", dtype="timestamp", nullable=False),
        Column(name="id", dtype="string", nullable=False), Column(name="item", dtype="string"),
        Column(name="mail", dtype="string", pii=True)),
    **said(tenant="b", SOURCE))
items = Source(name="items", location="i.parquet", columns=(Column(name="item", dtype="string", nullable=False),
    Column(name="brand", dtype="string")), **said(tenant="c", ITEMS))
brand = Snapshot(name="brand", source="items", key=("item",),
    columns=(Column(name="brand", dtype="string", BRAND),), **said(tenant="c", ENRICHMENT))
click = EventType(name="click", source="s", id_field="id", retention_days=9,
    columns=(Column(name="id", dtype="string", nullable=False), Column(name="item", dtype="string", ITEM),
        Column(name="mail", dtype="string", pii=True, MAIL)),
    enrichments=(Enrich(enrichment="brand"),),
    **said(tenant="EVENTS", TYPE))
clicks = Sequence(name="clicks", event_types=("click",), columns=(COLUMNS), length=9, window_days=9,
    pii="granted", retention_days=9, **said(tenant="a"))
"""
SHARED = {"ENRICHMENT": 'shared_with=("b",)', "COLUMNS": '"item",', "EVENTS": "b"}


def project(**parts: str) -> str:
    text = PROJECT
    for name in ("SOURCE", "ITEMS", "BRAND", "ITEM", "MAIL", "TYPE", "ENRICHMENT", "COLUMNS", "EVENTS"):
        text = text.replace(f" {name})", f" {parts.get(name, SHARED.get(name, ''))})").replace(
            f"({name})", f"({parts.get(name, SHARED.get(name, ''))})"
        )
        text = text.replace(f'"{name}"', f'"{parts.get(name, SHARED.get(name, ""))}"')
    return text


def found(check: Check, **parts: str) -> list[str]:
    text = project(**parts)
    ours = [each for each in check(text) if each.rule in ("SP108", "SP109", "SP001")]
    lines = text.splitlines()
    return [f"{lines[each.where.line - 1].split(' =')[0].strip()}: {each.message}; {each.fix}" for each in ours]


@pytest.mark.parametrize(
    "parts",
    [
        {"TYPE": 'shared_with=("a",)'},
        {"ITEM": 'shared_with=("a",)'},
        {"TYPE": 'shared_with=("a",)', "MAIL": 'shared_with=("a",)', "COLUMNS": '"item", "mail"'},
        # what another tenant lent its owner, that tenant shares as well
        {
            "TYPE": 'shared_with=("a",)',
            "COLUMNS": '"item", "brand"',
            "ENRICHMENT": 'shared_with=("a", "b")',
        },
        {"TYPE": 'shared_with=("a",)', "COLUMNS": '"item", "brand"', "BRAND": 'shared_with=("a", "b")'},
        {"EVENTS": "a", "SOURCE": 'shared_with=("a",)', "MAIL": 'sql="item"', "ENRICHMENT": 'shared_with=("a",)'},
    ],
)
def test_what_is_shared_is_taken_without_a_finding(check: Check, parts: dict[str, str]) -> None:
    assert found(check, **parts) == []


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (
            {},
            "sequence 'clicks' of tenant 'a' is made from event type 'click', which tenant 'b' does not share with it",
        ),
        ({"TYPE": 'shared_with=("c",)'}, "its owner writes shared_with=('c', 'a') at"),
        (
            {"TYPE": 'shared_with=("a",)', "COLUMNS": '"item", "mail"'},
            "takes column 'mail' of event type 'click', personal data, which tenant 'b' does not share with it;",
        ),
        (
            {"TYPE": 'shared_with=("a",)', "ITEM": 'shared_with=("c",)'},
            "takes column 'item' of event type 'click', which tenant 'b' does not share",
        ),
        (
            {"TYPE": 'shared_with=("a",)', "ITEM": "shared_with=()"},
            "takes column 'item' of event type 'click', which tenant 'b' does not share",
        ),
        (
            {"TYPE": 'shared_with=("a",)', "COLUMNS": '"item", "brand"'},
            "takes column 'brand' of enrichment 'brand', which tenant 'c' does not share",
        ),
        (
            {"MAIL": 'shared_with=("a",)'},
            "takes column 'item' of event type 'click', which tenant 'b' does not share",
        ),
        (
            {"TYPE": 'shared_with=("a",)', "ENRICHMENT": ""},
            "event type 'click' of tenant 'b' is made from enrichment 'brand', which tenant 'c' does not share with it",
        ),
        (
            {"EVENTS": "a", "ENRICHMENT": 'shared_with=("a",)'},
            "event type 'click' of tenant 'a' is made from source 's', which tenant 'b' does not share with it",
        ),
        (
            {"EVENTS": "a", "SOURCE": 'shared_with=("a",)', "ENRICHMENT": 'shared_with=("a",)'},
            "event type 'click' of tenant 'a' takes column 'mail' of source 's', personal data",
        ),
        (
            {
                "EVENTS": "a",
                "SOURCE": 'shared_with=("a",)',
                "MAIL": "sql=\"mail || '!'\"",
                "ENRICHMENT": 'shared_with=("a",)',
            },
            "takes column 'mail' of source 's', personal data",
        ),
        (
            {"TYPE": 'shared_with=("a", "bb")'},
            "event type 'click' is shared with tenant 'bb', which is not defined; did you mean 'b'?",
        ),
        ({"TYPE": 'shared_with=("a",)', "ITEM": 'shared_with=("a", "aa")'}, "is shared with tenant 'aa'"),
    ],
)
def test_what_is_not_shared_is_told_with_who_writes_what(check: Check, parts: dict[str, str], said: str) -> None:
    assert any(said in each for each in found(check, **parts)), found(check, **parts)


LABELLED = """
visit = SessionView(name="visit", event_types=("click",), boundary="item = 'x'",
    columns=(Aggregate(name="who", kind="last", column="VISITED"),), retention_days=9, **said(tenant="VISITS"))
buyers = TrainingSet(name="buyers", sequence="clicks", moments=Moments(events="MOMENTS"),
    outcomes=(Followed(name="again", events="click", within_h=1, FOLLOWED),), start=dt.date(2024, 1, 1),
    **said(tenant="a"))
"""


@pytest.mark.parametrize(
    ("labels", "mail", "said"),
    [
        ({"FOLLOWED": "where=\"item = 'x'\""}, "", ""),
        ({"FOLLOWED": "where=\"mail = 'x'\""}, "", "takes column 'mail' of event type 'click', personal data"),
        ({"FOLLOWED": "where=\"mail = 'x'\""}, 'shared_with=("a",)', ""),
        ({"FOLLOWED": 'kind="sum", column="mail"'}, "", "takes column 'mail' of event type 'click', personal data"),
        ({"MOMENTS": "click\", where=\"mail = 'x'"}, "", "takes column 'mail' of event type 'click', personal data"),
        ({"MOMENTS": "sessions_visit"}, "", ""),
        ({"MOMENTS": "sessions_visit", "VISITED": "mail"}, "", "takes column 'mail' of event type 'click', personal"),
        ({"MOMENTS": "sessions_visit", "VISITED": "mail"}, 'shared_with=("a",)', ""),
    ],
)
def test_labels_are_made_of_what_is_given(check: Check, labels: dict[str, str], mail: str, said: str) -> None:
    """What outcomes sum, and conditions name, is taken as well; a view's owner has what they made it of."""
    text = labelled(labels, TYPE='shared_with=("a",)', MAIL=mail)
    told = [each.message for each in check(text) if each.rule in ("SP108", "SP001")]
    assert [said in each and "training set 'buyers' of tenant 'a'" in each for each in told] == [True] * bool(said), (
        told
    )


def test_sessions_of_events_that_are_not_shared_make_no_labels(check: Check) -> None:
    text = labelled({"MOMENTS": "sessions_visit"}).replace('events="click"', 'events="sessions_visit"')
    told = [each.message for each in check(text) if each.rule == "SP108" and "buyers" in each.message]
    assert told == [
        "training set 'buyers' of tenant 'a' is made from event type 'click', which tenant 'b' does not share with it"
    ]


def test_labels_are_not_read_from_files_of_another_tenant(check: Check) -> None:
    made = 'moments=Moments(events="click"),\n    outcomes=(Followed(name="again", events="click", within_h=1, ),)'
    text = labelled({}).replace(made, 'labels="./s.parquet"')
    assert text != labelled({})
    told = [each.message for each in check(text) if each.rule == "SP110"]
    assert told == [
        "training set 'buyers' of tenant 'a' reads './s.parquet', which source 's' of tenant 'b' reads as well"
    ]


def labelled(labels: dict[str, str], **parts: str) -> str:
    """The project with a training set of tenant a, and sessions of tenant b."""
    said = {"FOLLOWED": "", "MOMENTS": "click", "VISITED": "item", "VISITS": "b"} | labels
    text = "import datetime as dt" + project(**parts) + LABELLED
    for name, value in said.items():
        text = text.replace(f", {name})", f", {value})").replace(f'"{name}"', f'"{value}"')
    return text
