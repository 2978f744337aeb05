"""A row of a training set is what the API answers as of then, on the demo: order, window, cut and values."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from seqplat_resources.read.answer import answers
from seqplat_resources.release.query import Query
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.training.build import build
from seqplat_resources.training.question import Mode, TrainingQuestion
from tests.conftest import Demo

COLUMNS = ["event_time", "event_type", "event_id", "product_id", "sales_value", "on_promotion"]


@pytest.mark.parametrize("mode", ["as_known", "as_corrected"])
@pytest.mark.parametrize("where", [None, "quantity > 1"])
def test_rows_are_what_is_answered_as_of_then(mode: Mode, where: str | None, demo: Demo, tmp_path: Path) -> None:
    plan = SequencePlan.of(demo.runtime.loaded, "household_history")
    users = [378, 895, 1995, *range(1, 60), 999_999_999]
    now = demo.runtime.clock.now()
    query = Query(columns=COLUMNS, limit=200, where=where)
    labels = pl.DataFrame({"user": users}).with_columns(time=pl.lit(now, pl.Datetime("us", "UTC")))
    made = build(demo.runtime, TrainingQuestion("household_history", mode, query=query), labels, tmp_path / "set")
    rows = pl.read_parquet(made.out / "*.parquet").sort("label_id")
    asked = Query(columns=COLUMNS, limit=200, where=where, as_of=now, until=now + dt.timedelta(microseconds=1))
    answered = answers(plan, demo.store, [str(user) for user in users], asked)
    assert tuple(rows["event_id"].list.len()) == answered.lengths
    assert sum(answered.lengths) > 400
    found = rows.select(pl.col(COLUMNS).filter(pl.col("event_id").list.len() > 0).explode())
    assert_frame_equal(found, answered.events.select(COLUMNS))
