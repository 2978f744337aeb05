"""What stands beside the ids of a sequence: values are compared event by event, and expected events are left out."""

import datetime as dt
from typing import Any

import polars as pl
import pytest

from seqplat_resources.shadow.days.counts import DayCounts
from seqplat_resources.shadow.days.kept import ComparedDay
from seqplat_resources.shadow.sequences.build import counts_of
from seqplat_resources.shadow.sequences.ours import SequenceSides
from seqplat_resources.shadow.sequences.rehearsal import rehearse_sequence
from seqplat_resources.shadow.sequences.values import value_bands
from seqplat_resources.shadow.sequences.window import case_of_sequences
from seqplat_resources.shadow.verdict.decide import Window
from sequence_defs.schema import Column, Compared, Explained
from tests.building import runtime_for
from tests.shadow.world import DAYS, LENGTH, USERS, WINDOW, World, history, old_visits, shop, visit, visits

LAST = DAYS[-1]
FIELDS = (
    Column(name="nr", dtype="int64"),
    Column(name="at", dtype="timestamp"),
    Column(name="page", dtype="string"),
    Column(name="points", dtype="float64"),
)
COLUMNS = {"page": Compared(), "score": Compared(field="points", relative=1e-9)}
PER_USER = WINDOW * 3


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    found = World(tmp_path_factory.mktemp("values") / "world", visit(), history)
    found.build()
    return found


def _sides(world: World, old: pl.DataFrame, **changes: Any) -> SequenceSides:
    """Legacy's sequences are the newest ten of ``old``, which is in the order of time."""
    recent = old.filter(pl.col("at").dt.date() > LAST - dt.timedelta(days=WINDOW)).sort("at", descending=True)
    lists = recent.group_by("who", maintain_order=True).agg(events=pl.struct("nr", "at", "page", "points").head(LENGTH))
    world.lay(LAST, lists)
    assert history.legacy is not None
    legacy = history.legacy.model_copy(update={"fields": FIELDS, "columns": COLUMNS, **changes})
    sequence = history.model_copy(update={"columns": ("page", "score"), "legacy": legacy})
    home = world.folder / "home"
    return SequenceSides.open(runtime_for(home, [shop, visits, old_visits, visit(), sequence], world.folder), "history")


def _orders(found: DayCounts) -> set[int]:
    return {found.metrics[name].differing for name in ("other_order", "other_top", "jaccard", "edits")}


def _newest(world: World, users: int, nth: int = 0) -> list[int]:
    """Of so many users, the event that comes as the nth."""
    mine = world.old.filter(pl.col("who").is_in([f"u{user}" for user in range(users)]))
    return mine.sort("at", descending=True).group_by("who").agg(pl.col("nr").gather(nth).first())["nr"].to_list()


def test_values_of_the_same_events_are_counted_exactly_and_judged(world: World) -> None:
    wrong, rounded = _newest(world, 7), _newest(world, 60, 2)
    beyond = _newest(world, 9, LENGTH)  # what both sides have, and neither shows
    number = pl.col("nr")
    old = world.old.with_columns(
        page=pl.when(number.is_in(wrong + beyond)).then(pl.lit("other")).otherwise("page"),
        points=pl.when(number.is_in(rounded)).then(pl.col("points").round(2)).otherwise("points"),
    )
    sides = _sides(world, old)
    found = counts_of(sides, LAST)
    assert _orders(found) == {0}
    few = sum(abs(round(n / 7, 2) - n / 7) > 1e-9 * n / 7 for n in rounded)
    assert found.metrics["differs_page"].differing == 7
    assert found.metrics["differs_score.unexpected"].differing == few
    assert found.metrics["differs_page"].compared == USERS * LENGTH
    assert found.causes == {"values_unexplained": 7, "values_rounding": few}
    assert "page is page 2, in legacy other" in {example.says for example in found.examples}
    marked = tuple(field.model_copy(update={"pii": field.name == "page"}) for field in FIELDS)
    told = str(counts_of(_sides(world, old, fields=marked), LAST).examples)
    assert "page differs; its values are personal data" in told
    assert "legacy other" not in told
    compared = ComparedDay(LAST, "r", sides.definition, {}, found)
    case = case_of_sequences(sides, [compared], Window(LAST, LAST, (LAST,)))
    assert {"differs_page", "differs_score"} <= value_bands(sides).keys() & {each.name for each in case.metrics}
    assert set(case.promised) == {each.name for each in case.metrics}
    assert all(each.injected for each in rehearse_sequence(sides.runtime, "history", LAST).probes)


WHERE = "page = 'page 1' AND legacy_event_time IS NULL AND ingest_time >= event_time AND event_type = 'visit'"
EXPECTED = Explained(cause="filter", where=WHERE, because="No page 1.")


@pytest.mark.parametrize(("at_most", "obstacles"), [(0.5, []), (0.1, ["beyond_expected"])])
def test_events_that_legacy_leaves_out_are_left_out_of_ours(world: World, at_most: float, obstacles: list[str]) -> None:
    old = world.old.filter(pl.col("page") != "page 1")
    plain = counts_of(_sides(world, old), LAST)
    assert plain.metrics["other_order"].differing == USERS
    known = EXPECTED.model_copy(update={"at_most": at_most})
    found = counts_of(_sides(world, old, explained=(known,)), LAST)
    assert _orders(found) == {0}
    assert found.metrics["differs_page"].compared == USERS * PER_USER * 2 // 3
    assert [each.kind for each in found.obstacles] == obstacles
    ended = known.model_copy(update={"until": LAST - dt.timedelta(days=1)})
    assert counts_of(_sides(world, old, explained=(ended,)), LAST).metrics["other_order"].differing == USERS


def test_events_that_we_leave_out_leave_room_where_legacy_was_cut(world: World) -> None:
    """Two of legacy's ten newest are a robot's: the others are eight, and so are ours of which there are twelve."""
    robots = world.old.filter(pl.col("at").dt.date() == LAST, pl.col("nr") % 3 != 0)
    robots = robots.with_columns(nr=pl.col("nr") + 10**6, at=pl.col("at") + dt.timedelta(minutes=1), page=pl.lit("bot"))
    old = pl.concat([world.old, robots])
    where = "legacy_page = 'bot' AND event_time IS NULL"
    known = Explained(cause="filter", where=where, because="It keeps robots.", at_most=0.5)
    found = counts_of(_sides(world, old, explained=(known,)), LAST)
    assert _orders(found) == {0}
    assert found.metrics["differs_page"].compared == USERS * (LENGTH - 2)
    assert found.obstacles == ()


def test_differences_of_values_can_be_expected_and_conditions_can_fail(world: World) -> None:
    wrong = _newest(world, 30)
    page = pl.when(pl.col("nr").is_in(wrong)).then(pl.lit("page 7")).otherwise("page")
    old = world.old.with_columns(page=pl.when(pl.col("nr").is_in(wrong[:10])).then(pl.lit("none")).otherwise(page))
    where = "CAST(SUBSTR(legacy_page, 6) AS BIGINT) > 5"
    known = Explained(cause="filter", where=where, because="New pages.", at_most=0.5)
    found = counts_of(_sides(world, old, explained=(known,)), LAST)
    assert _orders(found) == {0}
    assert found.causes == {"values_filter": 20, "values_unexplained": 10}
    assert found.metrics["differs_page.unexpected"].differing == 10
    assert [(each.kind, each.count) for each in found.obstacles] == [("unreadable_explanations", 10)]
