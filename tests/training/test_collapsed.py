"""A label's rows are those of the oracle, however many events have to be looked at for them."""

import datetime as dt
from typing import Any
from unittest import mock

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from seqplat_resources.training import collapsed
from seqplat_resources.training.collapsed import CollapsibleEvents
from seqplat_resources.training.point_in_time import FOREVER, Labels, Revisions, Span
from tests.collapse_oracle import Oracle

WITHIN = 5
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
revisions = st.fixed_dictionaries(
    {
        "user": st.integers(0, 1),
        "time": st.integers(0, 40),
        "from": st.integers(0, 50),
        "until": st.sampled_from([FOREVER, FOREVER, 30, 45]),
        "item": st.sampled_from([0, 0, 1, None]),
    }
)


def at(time: int) -> dt.datetime:
    return EPOCH + dt.timedelta(microseconds=time)


@given(
    st.lists(revisions, max_size=60),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 60)), max_size=6),
    st.sampled_from([None, 0, 1, 2, 4]),
    st.sampled_from([65_536, 65_536, 6]),
)
def test_rows_of_labels_are_those_of_the_oracle(
    said: list[dict[str, Any]], labels: list[tuple[int, int]], length: int | None, most: int
) -> None:
    said = sorted(said, key=lambda row: (row["user"], -row["time"]))
    rows = Revisions.of(*([row[name] for row in said] for name in ("user", "time", "from", "until")))
    item = np.array([-1 - n if row["item"] is None else row["item"] for n, row in enumerate(said)], np.int64)
    events = CollapsibleEvents(rows, item, pl.Series([2] * len(said), dtype=pl.Int64), WITHIN)
    with mock.patch.object(collapsed, "MOST_EVENTS", most):
        found = events.rows_of(Labels.of(*zip(*labels, strict=True)) if labels else Labels.of([], []), Span(length))
    oracle = Oracle(dt.timedelta(microseconds=WITHIN), ["did"], lambda row: row["item"], lambda row: "did")
    expected = []
    for user, time in labels:
        seen = [
            {**row, "event_time": at(row["time"]), "at": n}
            for n, row in enumerate(said)
            if row["user"] == user and row["time"] < time and row["from"] <= time < row["until"]
        ]
        expected.append(oracle.rows(seen if length is None else seen[:most], length))
    assert found.counts.tolist() == [len(each) for each in expected]
    assert found.places.tolist() == [row["at"] for each in expected for row in each]
    told = [{name: row[name] for name in found.said.columns} for each in expected for row in each]
    assert found.said.to_dicts() == told
    assert found.bounded == 0 or most == 6
