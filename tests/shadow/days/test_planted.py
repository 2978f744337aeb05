"""A day of ours beside legacy's with planted flaws: each is found, counted exactly and put down to its cause."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from seqplat_resources.batch.builds import events, raw
from seqplat_resources.shadow.days.build import compare
from seqplat_resources.shadow.days.kept import ComparedDays
from seqplat_resources.shadow.days.window import judged
from sequence_defs.schema import Compared, Explained
from tests.building import runtime_for
from tests.shadow.world import DAYS, PER_DAY, USERS, World, old_visits, shop, visit, visits


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "world", visit())


def test_the_same_on_both_sides_passes(world: World) -> None:
    runtime = world.build()
    results = list(compare(runtime, "visit", DAYS))
    assert [result.day for result in results] == DAYS
    assert sum(int(result.facts["matched"]) for result in results) == USERS * PER_DAY * len(DAYS)
    found = judged(runtime, "visit", until=DAYS[-1], who="ann")
    assert found.record.differences == 0
    assert found.record.decision.state in ("PASS", "HOLD"), found.record.decision.because
    assert len(found.record.case.window.judged) == len(DAYS)


def test_every_flaw_is_found_counted_and_explained(world: World) -> None:
    number = pl.col("nr")
    world.ours = world.ours.with_columns(
        bot=pl.col("visit").is_in(range(10)),  # the old one has no filter
        received=pl.when(pl.col("visit").is_in(range(100, 120)))
        .then(pl.col("at") + dt.timedelta(hours=5))
        .otherwise("at"),
    )
    world.old = world.old.filter(~number.is_in(range(100, 120)), ~number.is_in(range(200, 205))).with_columns(
        points=pl.when(number.is_in(range(300, 330))).then(pl.col("points").round(2)).otherwise("points"),
        page=pl.when(number.is_in(range(400, 404))).then(pl.lit("other")).otherwise("page"),
        at=pl.when(number.is_in(range(500, 515))).then(pl.col("at") + dt.timedelta(hours=2)).otherwise("at"),
    )
    runtime = world.build()
    list(compare(runtime, "visit", DAYS))
    record = judged(runtime, "visit", until=DAYS[-1], who="ann").record
    assert record.causes == {
        "filter": 10,
        "late": 20,
        "rounding": sum(round(n / 7, 2) != n / 7 for n in range(300, 330)),
        "clock": 15,
        "unexplained": 5 + 4,
    }
    [page] = [each for each in record.decision.judged if each.metric.name == "differs_page"]
    assert page.metric.differing == 4
    assert {example.cause for example in record.examples} == set(record.causes)
    assert record.decision.state != "PASS"


def test_a_day_that_legacy_lacks_is_not_judged(world: World) -> None:
    world.build()
    (world.folder / "old" / f"{DAYS[3]}.parquet").unlink()
    other = runtime_for(world.folder / "other", [shop, visits, old_visits, visit()], world.folder)
    for source in ("visits", "old_visits"):
        list(raw.ingest(other, source, DAYS))
    list(events.build(other, "visit", DAYS))
    results = list(compare(other, "visit", DAYS))
    assert [result.day for result in results if result.awaited] == [DAYS[3]]
    assert DAYS[3] not in ComparedDays.of(other, "visit").days()
    record = judged(other, "visit", until=DAYS[-1], who="ann").record
    assert record.decision.state == "HOLD"
    assert any(str(DAYS[3]) in each for each in record.decision.because)


def test_a_day_built_anew_since_is_not_judged_any_more(world: World) -> None:
    runtime = world.build()
    list(compare(runtime, "visit", DAYS))
    list(events.build(runtime, "visit", DAYS[2:3]))
    record = judged(runtime, "visit", until=DAYS[-1], who="ann").record
    assert DAYS[2] not in record.case.window.judged
    assert record.decision.state == "HOLD"


def test_a_wide_band_of_values_lets_no_missing_ones_pass(tmp_path: Path) -> None:
    definition = visit()
    assert definition.legacy is not None
    columns = {**definition.legacy.columns, "page": Compared(limit=0.3)}
    wide = definition.model_copy(update={"legacy": definition.legacy.model_copy(update={"columns": columns})})
    world = World(tmp_path / "world", wide)
    number = pl.col("nr") % 10
    page = pl.when(number == 0).then(None).when(number == 1).then(pl.lit("other")).otherwise("page")
    world.old = world.old.with_columns(page=page)
    list(compare(runtime := world.build(), "visit", DAYS[:1]))
    decision = judged(runtime, "visit", until=DAYS[0], days=1, who="ann").record.decision
    found = {each.metric.name: (each.metric.differing, each.limit, each.state) for each in decision.judged}
    events = USERS * PER_DAY
    assert found["differs_page"] == (events / 5, 0.3, "PASS")
    assert found["null_page"] == (events / 10, 0.001, "FAIL")
    assert "null_score" not in found, "that of the column is as narrow"


def test_an_explanation_that_cannot_be_computed_costs_its_rows_and_no_day(tmp_path: Path) -> None:
    """Page "page 1" has a number, "other" has none: the day is compared, and four events are not explained."""
    where = "CAST(SUBSTR(legacy_page, 6) AS BIGINT) > 5"
    expected = Explained(cause="filter", where=where, because="New pages.", at_most=0.5)
    world = World(tmp_path / "world", visit(explained=(expected,)))
    world.old = world.old.with_columns(
        page=pl.when(pl.col("nr") < 4)
        .then(pl.lit("other"))
        .when(pl.col("nr") < 10)
        .then(pl.lit("page 7"))
        .otherwise("page")
    )
    runtime = world.build()
    [result] = compare(runtime, "visit", DAYS[:1])
    assert result.facts["cause_filter"] == 6
    record = judged(runtime, "visit", until=DAYS[0], days=1, who="ann").record
    assert record.causes == {"filter": 6, "unexplained": 4}
    [obstacle] = record.case.obstacles
    assert (obstacle.kind, obstacle.count, obstacle.refuses) == ("unreadable_explanations", 4, True)
    assert "'New pages.' cannot be computed of 4 difference(s)" in obstacle.says
    assert "other" not in obstacle.says


def test_what_was_expected_counts_up_to_its_cap(tmp_path: Path) -> None:
    expected = Explained(cause="filter", where="legacy_page = 'page 1'", because="It kept tests.", at_most=0.0001)
    world = World(tmp_path / "world", visit(explained=(expected,)))
    world.ours = world.ours.filter(~((pl.col("page") == "page 1") & (pl.col("visit") % 50 == 0)))
    runtime = world.build()
    list(compare(runtime, "visit", DAYS))
    record = judged(runtime, "visit", until=DAYS[-1], who="ann").record
    assert set(record.causes) == {"filter"}
    assert any("It kept tests." in each for each in record.decision.because)
    assert record.decision.state == "HOLD"
