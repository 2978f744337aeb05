"""The worst differences come first, and few of each kind."""

import polars as pl
import pytest

from seqplat_resources.comparison.causes.rules import explain
from seqplat_resources.comparison.contract import ColumnRule, Matching
from seqplat_resources.comparison.events import compare_events
from seqplat_resources.comparison.examples import examples, worst
from tests.comparison.test_causes import frame, world


def test_the_worst_of_each_kind_whatever_the_order_and_the_shards() -> None:
    rows = world(40).rows(named=True)
    changed = [row | {"price": row["price"] + n, "tags": None, "page": "x" * 300} for n, row in enumerate(rows[:30])]
    changed[7]["price"] = float("nan")
    columns = ("price", "page", "tags")
    shown = []
    for shards in (1, 2):
        parts = []
        for shard in range(shards):
            mine, its = (
                frame([row for row in side if row["user_id"] % shards == shard]) for side in (rows, changed[::-1])
            )
            found = compare_events(mine, its, dict.fromkeys(columns, ColumnRule()), Matching())
            parts.append(examples(found, explain(found), each=3))
        shown.append(worst(pl.concat(parts), each=3))
    assert shown[0].equals(shown[1])
    prices = shown[0].filter(column="price")
    assert prices["event_id"].to_list() == ["e7", "e29", "e28"]
    assert prices["distance"].to_list() == pytest.approx([float("inf"), 29.0, 28.0])
    assert (prices["ours"][1], prices["legacy"][1]) == ("39.126", "68.126")
    assert set(shown[0]["kind"]) == {"only_ours", "column"}
    tags, pages = (shown[0].filter(column=name) for name in ("tags", "page"))
    assert (tags["ours"][0], tags["legacy"][0]) == ("['a', 'b', '0']", None)
    assert len(pages["legacy"][0]) == 203
    assert tags["event_id"].to_list() == ["e0", "e2", "e4"]


def test_nothing_that_differs_gives_no_examples() -> None:
    found = compare_events(world(3), world(3), {"price": ColumnRule()}, Matching())
    none = examples(found, explain(found))
    assert none.height == 0
    assert pl.concat([none, none]).columns[:3] == ["kind", "column", "cause"]
