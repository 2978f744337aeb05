"""One run reports everything, whatever the state of the project, and the documentation lists every rule."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sequence_defs.analysis.catalogue import page
from sequence_defs.analysis.diagnostics import RULES, Diagnostic, rule
from sequence_defs.analysis.runner import LOAD_RULE, analyse
from sequence_defs.compiler.discover import discover
from sequence_defs.compiler.project import Project
from tests.budget import examples

RULES_PAGE = Path(__file__).parents[2] / "docs" / "rules.md"

TEAM = """
from sequence_defs import Column, EventType, Sequence, Source, Tenant, Time
shop = Tenant(name="shop", tenant="shop")
clicks = Source(
    name="clicks", tenant="shop", owner="team:shop", description="Clicks.", location="c",
    columns=(Column(name="ts", dtype="timestamp"), Column(name="member", dtype="string")),
    event_time=Time(sql="ts"), user_id="member", retention_days=30,
)
"""
EVENTS = """
from sequence_defs import Column, EventType
click = EventType(
    name="click", tenant="shop", owner="team:shop", description="A click.", source="clickz",
    columns=(
        Column(name="page", dtype="string"),
        Column(name="size", dtype="int32", sql="page +"),
    ),
    retention_days=30,
)
"""
SEQUENCES = """
from sequence_defs import Sequence
recent = Sequence(name="recent", tenant="shp", owner="me", event_types=("click",), columns=("pages",))
"""
MISSPELLED = """
from sequence_defs import EventType
other = 1
search = EventType(
    name="search", tenant="shop", owner="team:shop", source="clicks", columns=(), retention_day=30,
)
"""
UNFINISHED = """
from sequence_defs import Sequence
broken = Sequence(
"""


def test_several_broken_files_are_reported_in_one_run_with_file_and_line(tmp_path: Path) -> None:
    files = {
        "a_team.py": TEAM,
        "b_events.py": EVENTS,
        "c_sequences.py": SEQUENCES,
        "d_misspelled.py": MISSPELLED,
        "e_unfinished.py": UNFINISHED,
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    found = discover(str(tmp_path))
    findings = analyse(Project(found.definitions, {"declarative": ""}), found.errors)
    assert [(Path(d.where.file).name, d.where.line, d.rule) for d in findings] == [
        ("b_events.py", 3, "SP103"),
        ("b_events.py", 3, "SP302"),
        ("b_events.py", 7, "SP201"),
        ("c_sequences.py", 3, "SP102"),
        ("c_sequences.py", 3, "SP126"),
        ("c_sequences.py", 3, "SP401"),
        ("c_sequences.py", 3, "SP501"),
        ("c_sequences.py", 3, "SP502"),
        ("d_misspelled.py", 4, LOAD_RULE),
        ("e_unfinished.py", 3, LOAD_RULE),
    ]
    assert str(findings[0]) == (
        f"{tmp_path}/b_events.py:3: error SP103: source 'clickz' of event type 'click' is not defined\n"
        "    fix: did you mean 'clicks'? Otherwise define Source(name='clickz', ...)"
    )
    assert "retention_day: there is no such field; did you mean 'retention_days'?" in findings[-2].message
    assert "syntax error" in findings[-1].message


STRING = re.compile(r'"[^"\n]*"')
NAMES = ['"nope"', '"view"', '"sku"', '"item"', '"string"', '"vector[int8,4]"']
GARBAGE = [*NAMES, '"1"', '"SUM(sku)"', '"a ("', '""', "None"]


@settings(max_examples=examples(30))
@given(data=st.data())
def test_no_rule_raises_whatever_is_wrong_elsewhere(
    check: Callable[[str], list[Diagnostic]], shop_text: str, data: st.DataObject
) -> None:
    spans = [match.span() for match in STRING.finditer(shop_text)][1:]
    text = shop_text
    for start, end in sorted(data.draw(st.lists(st.sampled_from(spans), min_size=1, max_size=5, unique=True)))[::-1]:
        text = text[:start] + data.draw(st.sampled_from(GARBAGE)) + text[end:]
    check(text)  # a rule that raises would hide what all others found


@pytest.mark.parametrize("gone", ["shop", "views", "orders", "catalogue", "product", "spend", "risk", "view", "order"])
def test_a_missing_definition_is_reported_where_it_is_named(
    check: Callable[[str], list[Diagnostic]], shop_text: str, gone: str
) -> None:
    findings = check(f"{shop_text}\ndel {gone}\n")
    assert findings
    assert all(repr(gone) in found.message for found in findings), [found.message for found in findings]


def test_a_retired_part_is_reported_only_to_what_is_in_service(
    check: Callable[[str], list[Diagnostic]], shop_text: str
) -> None:
    retired = shop_text.replace('name="risk",', 'name="risk",\n    lifecycle="retired",')
    draft = retired.replace('name="order",', 'name="order",\n    lifecycle="draft",').replace(
        'name="activity",', 'name="activity",\n    lifecycle="draft",'
    )
    assert [found.rule for found in check(retired)] == ["SP508"]
    assert "SP508" not in {found.rule for found in check(draft)}


def test_a_derived_column_is_typed_on_each_event_type_it_is_attached_to(
    check: Callable[[str], list[Diagnostic]], shop_text: str
) -> None:
    text = shop_text.replace(
        'Enrich(enrichment="shelf", on={"sku": "item"}),',
        'Enrich(enrichment="shelf", on={"sku": "item"}),\n        Enrich(enrichment="spend"),',
    )
    assert [found.message for found in check(text) if found.rule == "SP202"] == [
        "column 'amount' of enrichment 'spend' on event type 'view' reads column 'price', which is not there: "
        "'COALESCE(price, 0.0)': line 1, column 10\n        COALESCE(price, 0.0)\n                 ^"
    ]


def test_columns_of_a_custom_executor_need_no_source_column(shop_text: str, load: Callable[[str], Project]) -> None:
    last = 'dtype="string"),\n    ),\n    enrichments'
    text = shop_text.replace(f'name="city", {last}', f'name="town", {last}')
    text = text.replace(
        'name="price", dtype="float64", unit="USD"),\n        Column(name="town"',
        'name="price", dtype="float64", unit="USD", sql="made_by_code * 2"),\n        Column(name="town"',
    )
    text = text.replace('natural_key=("order_no"', 'executor="lines",\n    natural_key=("order_no"')
    project = load(text)
    assert analyse(Project(project.all, {"declarative": "", "lines": ""})) == []


def test_a_rule_id_is_given_once() -> None:
    with pytest.raises(ValueError, match="rule id SP101 is taken by duplicate_name; give again another"):

        @rule("SP101", "error", "again")
        def again(project: Project):  # type: ignore[no-untyped-def]
            yield from ()


def test_the_documentation_lists_every_rule() -> None:
    assert RULES_PAGE.read_text() == page(), "run `python -m sequence_defs.analysis.catalogue > docs/rules.md`"
    assert all(f"{id} |" in page() for id in (*RULES, LOAD_RULE))
