"""Training sets that are defined: a set a day by the one build, made once its outcomes are known."""

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

from seqplat_resources.batch.inputs import tables
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.training.build import TrainingSetDiffers
from seqplat_resources.training.daily import DailySet, DayNotOver, UnknownTrainingSet
from sequence_defs.schema import FewNegatives, Followed, Moments, TrainingSet
from serving.cli.training import sets
from tests.building import utc
from tests.training.world import OURS, Event, home, put

FIRST, SECOND = dt.date(2024, 5, 1), dt.date(2024, 5, 2)


def _buyers(**fields: Any) -> TrainingSet:
    made_here = {
        "moments": Moments(events="view"),
        "outcomes": (Followed(name="bought", events="order", within_h=24),),
        "mode": "as_corrected",
        "start": FIRST,
    }
    return TrainingSet(name="buyers", sequence="recent", **made_here | fields, **OURS)


def _event(of: str, user: str, time: dt.datetime, **fields: Any) -> Event:
    said = {"event_type": of, "user_id": user, "event_time": time, "available_time": time}
    return said | {"event_id": f"{of}-{user}-{time:%d%H%M}"} | fields


def _events() -> list[Event]:
    """Ann looks on the first and the second day and buys in between; the days go on until the fourth."""
    return [
        _event("view", "ann", utc(2024, 5, 1, 9)),
        _event("view", "ann", utc(2024, 5, 1, 12)),
        _event("order", "ann", utc(2024, 5, 1, 18), price=3),
        _event("view", "ann", utc(2024, 5, 2, 9)),
        _event("view", "bob", utc(2024, 5, 4, 9)),
        _event("order", "bob", utc(2024, 5, 4, 9), price=5),
    ]


def _home(folder: Path, events: list[Event]) -> Runtime:
    """With both types built from the first day to the fourth, some days without rows."""
    runtime = home(folder, events)
    for name in ("view", "order"):
        table = tables.events(runtime, EventPlan.of(runtime.loaded, name))
        for day in (FIRST, SECOND, dt.date(2024, 5, 3), dt.date(2024, 5, 4)):
            if (str(day),) not in table.buckets():
                table.replace({"day": day}, [])
    return runtime


def _rows(made: Path) -> list[dict[str, Any]]:
    return pl.read_parquet(made / "*.parquet").sort("time").to_dicts()


def test_a_day_has_its_own_labels_and_what_was_before_each(tmp_path: Path) -> None:
    buyers = DailySet(_home(tmp_path, _events()), _buyers())
    made, moved = buyers.make(FIRST)
    rows = _rows(made.out)
    assert [(row["user"], row["time"], row["bought"]) for row in rows] == [
        ("ann", utc(2024, 5, 1, 9), True),
        ("ann", utc(2024, 5, 1, 12), True),
    ]
    assert [row["price"] for row in rows] == [[], [None]]  # the view of nine; never the order that is the outcome
    assert moved == []


def test_a_day_that_is_made_again_of_equal_tables_stays_as_it_is(tmp_path: Path) -> None:
    buyers = DailySet(_home(tmp_path, _events()), _buyers())
    first, _ = buyers.make(SECOND)
    before = {path.name: path.read_bytes() for path in first.out.iterdir()}
    again, moved = buyers.make(SECOND)
    assert (again.is_new, moved) == (False, [])
    assert {path.name: path.read_bytes() for path in again.out.iterdir()} == before


def test_what_moved_since_is_said_and_replaces_only_when_that_is_asked(tmp_path: Path) -> None:
    runtime = _home(tmp_path, _events())
    buyers = DailySet(runtime, _buyers())
    buyers.make(SECOND)
    put(runtime, [*_events(), _event("order", "ann", utc(2024, 5, 2, 10), price=9)])
    with pytest.raises(TrainingSetDiffers, match=r"tables\."):
        buyers.make(SECOND)
    made, moved = buyers.make(SECOND, replace=True)
    assert any("labels.source" in each for each in moved)
    assert [row["bought"] for row in _rows(made.out)] == [True]


def test_a_day_waits_for_its_outcomes(tmp_path: Path) -> None:
    buyers = DailySet(_home(tmp_path, _events()), _buyers())
    assert buyers.over() == [dt.date(2024, 5, day) for day in (1, 2, 3)]
    with pytest.raises(DayNotOver, match="is not known yet: events/view has no 2024-05-05"):
        buyers.make(dt.date(2024, 5, 4))


def test_a_day_outside_of_the_definition_is_refused(tmp_path: Path) -> None:
    buyers = DailySet(_home(tmp_path, _events()), _buyers(end=SECOND))
    with pytest.raises(DayNotOver, match="from 2024-05-01 until 2024-05-02, not 2024-05-02"):
        buyers.make(SECOND)


def test_labels_of_a_file_go_to_their_days(tmp_path: Path) -> None:
    times = [utc(2024, 5, 1, 10), utc(2024, 5, 1, 23, 59), utc(2024, 5, 2)]
    pl.DataFrame({"user": ["ann"] * 3, "time": times, "y": [1, 2, 3]}).write_parquet(tmp_path / "labels.parquet")
    nothing_made = {"moments": None, "outcomes": (), "labels": str(tmp_path / "labels.parquet")}
    buyers = DailySet(_home(tmp_path, _events()), _buyers(**nothing_made))
    of_days = [[row["y"] for row in _rows(buyers.make(day)[0].out)] for day in (FIRST, SECOND)]
    assert of_days == [[1, 2], [3]]


def test_a_day_keeps_few_negatives_and_says_what_they_stand_for(tmp_path: Path) -> None:
    views = [_event("view", "cid", utc(2024, 5, 2, hour)) for hour in range(5)]
    few = FewNegatives(outcome="bought", cap=2)
    made, _ = DailySet(_home(tmp_path, [*_events(), *views]), _buyers(negatives=few)).make(SECOND)
    weights = [row["sample_weight"] for row in _rows(made.out) if row["user"] == "cid"]
    assert weights == [2.5, 2.5]


def test_a_name_that_is_not_defined_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnknownTrainingSet, match="no training set 'buyers': it defines none"):
        DailySet.of(_home(tmp_path, _events()), "buyers")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (["buyers", "labels.csv"], "give SEQUENCE LABELS OUT, or the name of a defined training set alone"),
        (["buyers", "--mode", "as_known"], "the definition says what is asked; leave out --mode"),
        (["recent", "a.csv", "b", "--day", "2024-05-01"], "--day is of a defined training set"),
        (["recent", "a.csv", "b", "--split", ""], "write names and shares that are 1 in all"),
        (["recent", "a.csv", "b", "--split-seed", "3"], "--split-seed says nothing without --split"),
    ],
)
def test_what_a_definition_says_is_not_said_beside_it(said: list[str], told: str) -> None:
    found = CliRunner().invoke(sets.training_set, said)
    assert told in f"{found.output}{found.exception}"
