"""The whole line, from files to answers, against the naive oracle: every household, every column, every day."""

import datetime as dt
import math
from collections import Counter
from typing import Any

import numpy as np
import polars as pl
import pytest

from seqplat_resources.batch.inputs import tables
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.lake.layout import DAY
from seqplat_resources.read.answer import answer
from seqplat_resources.release.sequence_plan import SequencePlan
from tests.conftest import Demo
from tests.demo_oracle import SEQUENCES, DemoOracle
from tests.oracle import Row

LENGTHS = {"household_history": 500, "purchase_vectors": 200}
ITEM_FLOATS = np.dtype("<f2")


@pytest.fixture(scope="module")
def oracle(demo: Demo) -> DemoOracle:
    return DemoOracle(demo.data)


@pytest.mark.parametrize("name", SEQUENCES)
def test_every_household_is_answered_as_the_oracle_says(demo: Demo, oracle: DemoOracle, name: str) -> None:
    expected = oracle.sequences(name)
    households = pl.read_parquet(demo.data / "transactions.parquet")["household_id"].unique().to_list()
    assert len(households) == 296
    for user in {*households, *expected}:
        found = answer(SequencePlan.of(demo.runtime.loaded, name), demo.store, str(user))
        _assert_same(found.events.to_dicts(), expected.get(user, [])[: LENGTHS[name]], where=f"{name} of {user}")


@pytest.mark.parametrize("name", SEQUENCES)
def test_day_segments_in_the_lake_are_the_oracles_days(demo: Demo, oracle: DemoOracle, name: str) -> None:
    segments = tables.sequence(demo.runtime, name).scan().sort("user_id", DAY, descending=[False, True]).collect()
    found: dict[int, list[Row]] = {}
    for segment in segments.to_dicts():
        user, day, length = segment.pop("user_id"), segment.pop(DAY), segment.pop("length")
        rows = [dict(zip(segment, values, strict=True)) for values in zip(*segment.values(), strict=True)]
        assert len(rows) == length
        assert {row["event_time"].astimezone(dt.UTC).date() for row in rows} == {day}
        found.setdefault(user, []).extend(_with_vectors(row) for row in rows)
    expected = oracle.sequences(name)
    assert found.keys() == expected.keys()
    for user, rows in found.items():
        _assert_same(rows, expected[user], where=f"{name} segments of {user}")


@pytest.mark.parametrize("event_type", ["purchase", "discount", "coupon_redemption", "campaign_received"])
def test_every_event_of_the_lake_is_the_oracles(demo: Demo, oracle: DemoOracle, event_type: str) -> None:
    """All columns of the table, also those that no sequence serves."""
    rows = _events(demo, event_type).drop("tenant", "available_time", "op", "release", "shard", DAY).to_dicts()
    found = {(row["user_id"], row["event_id"]): _with_vectors(row) for row in rows}
    expected = {(event["user_id"], event["event_id"]): event for event in oracle.events[event_type]}
    assert len(found) == len(rows)
    assert found.keys() == expected.keys()
    for key, row in found.items():
        _assert_same([row], [{name: expected[key][name] for name in row}], where=f"{event_type} {key}")


@pytest.mark.parametrize("status", ["product", "promotion", "product_embedding", "demographics", "basket"])
def test_status_counts_are_the_oracles(demo: Demo, oracle: DemoOracle, status: str) -> None:
    column = f"{status}__status"
    found = Counter(_events(demo, "purchase")[column].to_list())
    assert found == Counter(event[column] for event in oracle.events["purchase"])


def test_promotions_match_by_the_week_of_the_stores_city(demo: Demo) -> None:
    """The data's own `week` column joined as the read-me of the data says gives the same matches as time does."""
    weeks = pl.read_parquet(demo.data / "promotions.parquet").select("product_id", "store_id", "week").unique()
    purchases = _events(demo, "purchase").with_columns(
        matched=pl.col("promotion__status") == 0,
        utc_week=(pl.col("event_time").dt.date() - dt.date(2016, 12, 26)).dt.total_days() // 7 + 1,
    )
    by_week = purchases.join(weeks.with_columns(by_week=True), on=["product_id", "store_id", "week"], how="left")
    assert by_week["matched"].to_list() == by_week["by_week"].fill_null(False).to_list()
    # The zone matters: a week counted in UTC is another one around midnight.
    assert purchases.filter(pl.col("utc_week") != pl.col("week")).height > 0


def test_every_raw_row_is_accounted_for(demo: Demo) -> None:
    """read = filtered + events + rejected + duplicates, and nothing of the demo is refused."""
    for event_type in ("purchase", "coupon_redemption", "campaign_received"):
        facts = [result.facts for result in demo.results[f"lake/events/{event_type}"]]
        total = {name: sum(int(f[name]) for f in facts) for name in facts[0]}
        assert total["read"] == total["filtered"] + total["events"] + total["duplicates"] + total["conflicts"]
        assert total["rejected"] == 0
    read = sum(int(result.facts["read"]) for result in demo.results["lake/events/purchase"])
    assert read == pl.scan_parquet(demo.data / "transactions.parquet").select(pl.len()).collect().item()


def _events(demo: Demo, event_type: str) -> pl.DataFrame:
    return tables.events(demo.runtime, EventPlan.of(demo.runtime.loaded, event_type)).scan().collect()


def _with_vectors(row: Row) -> Row:
    """Vectors as lists of numbers, exactly as stored."""
    return {k: np.frombuffer(v, ITEM_FLOATS).tolist() if isinstance(v, bytes) else v for k, v in row.items()}


def _assert_same(found: list[Row], expected: list[Row], *, where: str) -> None:
    assert len(found) == len(expected), where
    for position, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert list(one) == list(other), where
        for name in one:
            assert _equal(one[name], other[name]), f"{where}: {name} of event {position}"


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-12, abs_tol=1e-12)
    return bool(one == other)
