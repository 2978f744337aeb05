"""Cases run by the engine: what they say is compared, and can be written; what is no case is told by line and place."""

import datetime as dt
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import polars as pl
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from seqplat_resources.cases import laws
from seqplat_resources.cases.reading import CaseInvalid, parsed
from seqplat_resources.cases.snapshot import case_text
from seqplat_resources.cases.trial import CaseNotRun, FixedClock, Trial, decoded_batches, decoded_rows
from seqplat_resources.cases.verdict import is_same
from seqplat_resources.engine.contract import Executor
from seqplat_resources.engine.plan import EventPlan
from sequence_defs import Column, EventType, Sequence, Snapshot, Source, Tenant, Time, Versioned
from sequence_defs.schema import Enrich
from serving.cli.main import root

OWNER = {"tenant": "shop", "owner": "team:shop"}
CLICKS = Source(
    name="clicks",
    **OWNER,
    topic="clicks",
    columns=(
        Column(name="id", dtype="string", nullable=False),
        Column(name="user", dtype="int64", nullable=False),
        Column(name="sku", dtype="string"),
        Column(name="vector", dtype="vector[float32,2]", model="m"),
        Column(name="at", dtype="timestamp", nullable=False),
    ),
    event_time=Time(sql="at"),
    user_id="user",
    start=dt.date(2024, 1, 1),
    retention_days=30,
)
PRICES = Source(
    name="prices",
    **OWNER,
    location="prices.csv",
    format="csv",
    columns=(
        Column(name="sku", dtype="string", nullable=False),
        Column(name="price", dtype="float64"),
        Column(name="since", dtype="date", nullable=False),
    ),
)
PRICE = Versioned(
    name="price",
    **OWNER,
    source="prices",
    key=("sku",),
    columns=(Column(name="price", dtype="float64"),),
    valid_from=Time(sql="since"),
    max_age_days=400,
)
CLICK = EventType(
    name="click",
    **OWNER,
    source="clicks",
    id_field="id",
    columns=CLICKS.columns[:1] + CLICKS.columns[2:4],
    enrichments=(Enrich(enrichment="price"),),
    retention_days=30,
)
RECENT = Sequence(
    name="recent",
    **OWNER,
    event_types=("click",),
    columns=("id", "sku", "price", "vector"),
    length=2,
    retention_days=30,
)
SHOP = (Tenant(name="shop", tenant="shop"), CLICKS, PRICES, PRICE, CLICK, RECENT)
TRIAL = Trial.of(SHOP)


def click(number: int, **more: object) -> dict[str, object]:
    return {"id": f"c{number}", "user": 7, "sku": "a", "at": f"2024-05-0{number}T10:00:00Z", **more}


def test_the_engine_makes_events_of_rows_however_old() -> None:
    prices = [{"sku": "a", "price": "2.5", "since": "2024-05-02"}, {"sku": "a", "price": 3, "since": "2024-05-03"}]
    rows = [click(3), click(1, vector=[1, 2]), click(2), click(2), click(4, at="soon"), {"id": 1}, click(5, user=None)]
    made = TRIAL.events("click", rows, {"price": prices})
    assert made.events.select("id", "price").rows() == [("c3", 3.0), ("c1", None), ("c2", 2.5)]
    assert [reason.partition(":")[0] for reason in made.rejects["reason"]] == [
        "column at",
        "column user",
        "column user",
    ]
    assert TRIAL.events("click", [click(1)]).events["price__status"].to_list() == [2], "PENDING: nobody knows"
    assert TRIAL.events("click", [click(1)], {"price": []}).events["price__status"].to_list() == [1]


def test_a_sequence_is_answered_as_by_the_reader() -> None:
    rows = [click(number, vector=[number, 0.5]) for number in (2, 1, 3)] + [click(4, user=8)]
    made = TRIAL.sequence("recent", "7", {"clicks": rows}, {"price": [{"sku": "a", "price": 1, "since": "2024-01-01"}]})
    assert made.events.select("id", "price").rows() == [("c3", 1.0), ("c2", 1.0)]
    assert made.events["vector"].to_list() == [[3.0, 0.5], [2.0, 0.5]]
    assert TRIAL.sequence("recent", "7", {}).events.height == 0


@given(
    st.lists(
        st.lists(
            st.sampled_from(
                [click(1), click(2, vector=[1, 2], more={"a": 1}), click(3, at="soon"), {"id": 1}, click(4, sku=2**70)]
            ),
            max_size=4,
        ),
        max_size=4,
    )
)
def test_rows_of_many_cases_are_decoded_as_those_of_each(batches: list[list[dict[str, object]]]) -> None:
    clock = FixedClock(dt.datetime(2024, 6, 1, tzinfo=dt.UTC))
    for batch, together in zip(batches, decoded_batches(CLICKS, batches, clock), strict=True):
        alone = decoded_rows(CLICKS, batch, clock)
        assert_frame_equal(together.rows, alone.rows)
        assert_frame_equal(together.rejects, alone.rejects)
    at = TRIAL.at(clock.time)
    prepared = at.having_decoded({"clicks": batches, "none": batches})
    assert len(prepared.decoded) == len(batches)
    for batch in batches:
        assert_frame_equal(prepared.events("click", batch).events, at.events("click", batch).events)


@pytest.mark.parametrize(
    ("run", "says"),
    [
        (lambda: TRIAL.events("clik", []), "event type 'clik' is not defined; did you mean click?"),
        (
            lambda: TRIAL.events("click", [click(1)], {"prize": []}),
            "enrichment 'prize' is not defined; did you mean price?",
        ),
        (lambda: TRIAL.sequence("recent", "7", {"click": []}), "source 'click' is not defined; did you mean clicks?"),
        (lambda: TRIAL.sequence("old", "7", {}), "sequence 'old' is not defined; there are recent"),
        (lambda: TRIAL.events("click", [click(1)], {"price": [{"sku": "a", "since": "soon"}]}), "a row is refused: "),
    ],
)
def test_what_is_not_defined_is_named(run: object, says: str) -> None:
    with pytest.raises(CaseNotRun, match=says):
        run()  # type: ignore[operator]


class _Numbers:
    """Breaks its promises: what it makes of a row depends on the rows beside it."""

    def keep(self, event_type: EventType, source: Source) -> pl.Expr:
        return pl.lit(True)

    def normalize(self, raw: pl.LazyFrame, event_type: EventType, source: Source) -> pl.LazyFrame:
        return raw.with_row_index("n").with_columns(sku=pl.col("n").cast(pl.String))


def test_laws_hold_for_the_declarative_executor_and_find_one_that_breaks_them(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [click(number) for number in range(1, 9)]
    laws.is_deterministic(TRIAL, "click", rows)
    laws.holds_for_any_split(TRIAL, "click", rows)
    laws.holds_for_any_order(TRIAL, "click", rows)
    broken: Executor = _Numbers()
    plan, raw = TRIAL.raw("click", rows)
    other = EventPlan(plan.release, plan.event_type, plan.source, broken, plan.attachments)
    monkeypatch.setattr(Trial, "raw", lambda *_: (other, raw))
    with pytest.raises(AssertionError, match=r"batches of 1 row\(s\) give other events"):
        laws.holds_for_any_split(TRIAL, "click", rows)
    with pytest.raises(AssertionError, match="the rows in reverse give other events"):
        laws.holds_for_any_order(TRIAL, "click", rows)


@pytest.mark.parametrize(
    ("want", "got", "same"),
    [
        (1, 1.0, True),
        (0.1 + 0.2, 0.3, True),
        (1, 2, False),
        (2**53 + 1, 2**53, False),
        ("7", 7, True),
        ("2026-11-03 10:00", "2026-11-03T10:00:00Z", True),
        ("2026-11-03T11:00:00+01:00", "2026-11-03T10:00:00Z", True),
        ("2026-11-03", "2026-11-04", False),
        (None, "null", False),
        (True, 1, False),
        ([1, 2.0], [1, 2], True),
        ([1], [1, 2], False),
        (float("nan"), float("nan"), True),
        (1.0, "1.0", False),
    ],
)
def test_values_are_compared_as_they_are_meant(want: object, got: object, same: bool) -> None:
    assert is_same(want, got) is same


_LIKE_A_NUMBER = st.from_regex(r"[-+]?[0-9]{0,3}[.,_:]?[0-9]{0,2}([eExob][-+]?[0-9]{1,3})?", fullmatch=True)
_TEXTS = st.one_of(
    st.sampled_from(["", "~", "null", "no", "True", ".inf", ".nan", "NaN", "1e5", "0x1f", "2024-05-01", "=", "<<"]),
    _LIKE_A_NUMBER,
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs"])),
)
_VALUES = st.one_of(_TEXTS, st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.booleans(), st.none())


@given(st.dictionaries(_TEXTS.filter(bool), st.one_of(_VALUES, st.lists(_VALUES, max_size=2)), min_size=1, max_size=3))
def test_what_is_written_as_a_case_is_read_as_it_was(row: dict[str, object]) -> None:
    (case,) = parsed("cases:\n" + case_text({"name": "x", "event_type": "click", "rows": [row]}), "case")
    (read,) = case.rows[""]
    assert (read, [*map(type, read.values())]) == (row, [*map(type, row.values())])


def test_yaml_means_what_it_looks_like() -> None:
    values = "a: 2026-11-03, b: no, c: 007, d: 10:30, e: 1_0, f: null, g: 1e3, h: true"
    text = f"cases:\n- event_type: e\n  rows: [{{{values}}}]\n"
    (row,) = parsed(text, "x")[0].rows[""]
    assert row == {
        "a": "2026-11-03",
        "b": "no",
        "c": "007",
        "d": "10:30",
        "e": "1_0",
        "f": None,
        "g": 1000.0,
        "h": True,
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("cases:\n  - name: [", r"x:\d:\d+: no YAML"),
        ("cases:\n\t- a", r"x:2:1: no YAML"),
        ("cases: 3", "x:1:8: write cases: and a list"),
        ("case: []", "x:1:1: 'case' is nothing that is read here; did you mean cases?"),
        ("cases:\n- event_typ: a", "x:2:3: 'event_typ' is nothing that is read here; did you mean event_type?"),
        ("cases:\n- event_type: a\n  event_type: b", "x:3:3: 'event_type' is said twice"),
        ("cases:\n- rows: []", "x:2:3: a case says event_type: or sequence:"),
        ("cases:\n- {event_type: a, sequence: b}", "one of them"),
        ("cases:\n- sequence: a", "says whose: user: NAME"),
        ("cases:\n- event_type: a\n  rows: {b: []}", "x:3:9: rows: of an event type are a list"),
        ("cases:\n- event_type: a\n  rows: [3]", "rows are mappings of fields"),
        ("cases:\n- event_type: a\n  events: 3", "events: are mappings"),
        ("cases:\n- event_type: a\n  now: soon", "x:3:8: now: soon is no time"),
        ("cases:\n- event_type: a\n  limit: ten", "x:3:10: limit: ten is no number of events"),
        ("cases:\n- event_type: a\n  limit: -1", "x:3:10: limit: -1 is no number of events"),
        ("cases:\n- event_type: a\n  rejects: no id", "x:3:12: rejects: are parts of reasons, in a list"),
        ("cases:\n- event_type: a\n  rows: [{a: 1, b: 2, a: 3}]", "x:3:23: 'a' is said twice in one row"),
        ("cases:\n- event_type: a\n  rows: [&r {a: 1}, {<<: *r}]", "x:3:22: '<<' is not read here"),
        ("cases: " + "[" * 200_000, "no YAML"),
        ("cases:\n" + "- " * 200_000, "no YAML"),
        ("- 1", "expected cases:"),
    ],
)
def test_what_is_no_case_is_told_by_line_and_column(text: str, says: str) -> None:
    with pytest.raises(CaseInvalid, match=says):
        parsed(text, "x")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with patch.dict(os.environ):
        CliRunner().invoke(root, ["init", "shop"], catch_exceptions=False)
        os.chdir("shop")
        yield tmp_path / "shop"


def tried(*arguments: str) -> Result:
    return CliRunner().invoke(root, ["test", *arguments], catch_exceptions=False)


def test_the_command_says_what_differs_and_writes_it_when_told(project: Path) -> None:
    done = tried()
    assert (done.exit_code, "3 passed, 0 failed" in done.output) == (0, True), done.output
    file = project / "definitions" / "activity.test.yaml"
    right = file.read_text()
    wrong = right.replace("price: 19.9, category", "price: 20.5, category").replace(
        '    rejects:\n      - "column at: soon is not timestamp"\n', ""
    )
    file.write_text(wrong + "\n# the end\n  - event_type: view\n    rows: []\n")
    done = tried()
    assert done.exit_code == 1
    assert "event 1  price   20.5      19.9" in done.output
    assert "reject" in done.output
    assert "events: says nothing; 0 event(s) came out" in done.output
    assert "1 passed, 3 failed" in done.output
    updated = tried("--update")
    assert (updated.exit_code, "4 passed, 0 failed" in updated.output) == (0, True), updated.output
    assert "# the end" in file.read_text()
    assert "price: 19.9, category: shoes}" in file.read_text()
    again = tried("-k", "order")
    assert (again.exit_code, "2 passed" in again.output) == (0, True)
    assert file.read_text().startswith("# Rows in, events out")


def test_what_cannot_be_run_ends_with_two(project: Path) -> None:
    (project / "definitions" / "bad.test.yaml").write_text("cases:\n- event_typ: a")
    done = tried()
    assert (done.exit_code, "did you mean event_type?" in done.output) == (2, True)
    (project / "definitions" / "bad.test.yaml").unlink()
    (project / "definitions" / "events.py").write_text("x = (")
    broken = tried()
    assert (broken.exit_code, "seqplat check" in broken.output) == (2, True)
    assert tried("nowhere.test.yaml").exit_code == 2


def test_the_fixture_is_there_in_a_new_project(project: Path) -> None:
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, "2 passed" in done.stdout) == (0, True), done.stdout + done.stderr


def test_a_snapshot_of_a_day_holds_on_that_day() -> None:
    states = PRICES.model_copy(update={"name": "states"})
    state = Snapshot(
        name="state",
        **OWNER,
        source="states",
        key=("sku",),
        columns=(Column(name="price", dtype="float64"),),
        day=Time(sql="since"),
    )
    event = CLICK.model_copy(update={"enrichments": (Enrich(enrichment="state"),)})
    trial = Trial.of((SHOP[0], CLICKS, states, state, event))
    made = trial.events("click", [click(1), click(2)], {"state": [{"sku": "a", "price": 5, "since": "2024-05-02"}]})
    assert made.events["price"].to_list() == [None, 5.0]
