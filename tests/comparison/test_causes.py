"""Differences planted one by one, of every kind: each is found, has its cause, and is counted exactly once."""

import datetime as dt
import random
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqplat_resources.comparison.causes.alone import Known
from seqplat_resources.comparison.causes.expected import Expectation
from seqplat_resources.comparison.causes.rules import explain, ledger
from seqplat_resources.comparison.causes.versions import OtherVersions
from seqplat_resources.comparison.contract import ColumnRule, Matching
from seqplat_resources.comparison.counts import counted
from seqplat_resources.comparison.events import EventComparison, compare_events

DAY = dt.datetime(2026, 5, 4, tzinfo=dt.UTC)
SCHEMA = {
    "user_id": pl.Int64(), "event_id": pl.String(), "item": pl.Int64(), "event_time": pl.Datetime("us", "UTC"),
    "ingest_time": pl.Datetime("us", "UTC"), "price": pl.Float64(), "page": pl.String(),
    "tags": pl.List(pl.String()), "vector": pl.Array(pl.Float32(), 3), "kind": pl.Int64(),
}  # fmt: skip
RULES = {"event_time": ColumnRule(), "price": ColumnRule(relative=1e-9), "page": ColumnRule(), "tags": ColumnRule(),
         "vector": ColumnRule(cosine=0.9999), "kind": ColumnRule()}  # fmt: skip
Row = dict[str, Any]


def vector(item: int, version: int) -> list[float]:
    return [float(item % 7 + 1), float(version), float(item % 3)]


def world(size: int) -> pl.DataFrame:
    """Events at milliseconds that are no whole seconds, prices with three decimals, each event its own time."""
    n = pl.col("item")
    after_ms = (n * 86_000_000 // size) // 1_000 * 1_000 + 1 + n % 997
    vectors = pl.concat_list((n % 7 + 1).cast(pl.Float32), pl.lit(2.0, pl.Float32), (n % 3).cast(pl.Float32))
    time = pl.lit(DAY) + pl.duration(milliseconds=after_ms)
    rows = pl.DataFrame({"item": range(size)}).select(
        user_id=n % max(size // 20, 1),
        event_id=pl.format("e{}", n),
        item=n,
        event_time=time,
        ingest_time=time + pl.duration(seconds=1),
        price=10.125 + n % 1_000 + 0.001 * (n % 2),
        page=pl.format("/shop/{}/item", n),
        tags=pl.concat_list(pl.lit("a"), pl.lit("b"), n.cast(pl.String)),
        vector=vectors.list.to_array(3),
        kind=n % 5,
    )
    return rows.cast(SCHEMA)


def moved(row: Row, by: dt.timedelta) -> Row:
    return row | {"event_time": row["event_time"] + by}


# Each takes an event of ours and gives legacy's, or none; those with "gone" are legacy's alone.
PLANTED: dict[str, Any] = {
    "late": lambda row, n: None,
    "gone filter": lambda row, n: row,
    "gone dedup": lambda row, n: row,
    "dedup": lambda row, n: row,
    "enrichment_version": lambda row, n: row | {"vector": vector(row["item"], 1)},
    "clock zone": lambda row, n: moved(row, dt.timedelta(minutes=15 * random.Random(n).choice([-22, 4, 8, 23]))),
    "clock": lambda row, n: moved(row, dt.timedelta(seconds=37, microseconds=5)),
    "clock day": lambda row, n: row,
    "truncation": lambda row, n: row | {"page": row["page"][:7]},
    "truncation time": lambda row, n: row | {"event_time": row["event_time"].replace(microsecond=0)},
    "truncation list": lambda row, n: row | {"tags": row["tags"][:2]},
    "rounding": lambda row, n: row | {"price": round(row["price"], 2)},
    "rounding cut": lambda row, n: row | {"price": int(row["price"] * 100) / 100},
    "unexplained missing": lambda row, n: None,
    "gone unexplained extra": lambda row, n: row,
    "unexplained value": lambda row, n: row | {"kind": None if n % 2 else row["kind"] + 1},
    "unexplained text": lambda row, n: row | {"page": "" if n % 2 else row["page"].upper()},
}  # fmt: skip


def planted(size: int, rate: float, *, by_time: bool) -> tuple[EventComparison, Known, dict[str, int]]:
    each = max(int(size * rate), 4)  # a clock that is off shows in several events
    kinds = list(PLANTED) if rate < 0.1 else [*PLANTED][::2]  # of all kinds there were more than all events
    at = random.Random(1).sample(range(size), each * len(kinds))
    rows = {row["item"]: row for row in world(size)[at].rows(named=True)}
    ours, legacy, dropped, chosen = dict(rows), dict(rows), {"filter": [], "dedup": []}, iter(at)
    elsewhere: list[Row] = []
    for name in kinds:
        for n in (next(chosen) for _ in range(each)):
            if name.startswith("gone"):
                del ours[n]
                dropped.get(name.split()[1], []).append(rows[n])
            elif name == "dedup":
                legacy[size + n] = rows[n]
            elif name == "clock day":
                elsewhere.append(moved(legacy.pop(n), dt.timedelta(hours=-5)))
            elif (changed := PLANTED[name](rows[n], n)) is None:
                del legacy[n]
            else:
                legacy[n] = changed
            if name == "late":
                ours[n] = rows[n] | {"ingest_time": rows[n]["event_time"] + dt.timedelta(hours=3)}
    same = world(size).filter(~pl.col("item").is_in(at))
    mine, its = (pl.concat([same, frame([*side.values()])]) for side in (ours, legacy))
    its = its.sample(fraction=1, shuffle=True, seed=2)
    if by_time:
        its = its.with_columns(event_id=pl.lit(None, pl.String()))
    versions = pl.DataFrame(
        {"item": at * 2, "vector": [vector(n, v) for v in (1, 2) for n in at]},
        schema={"item": pl.Int64(), "vector": SCHEMA["vector"]},
    )
    known = Known(
        legacy_waits=dt.timedelta(hours=1), filtered=frame(dropped["filter"]), left_out=frame(dropped["dedup"]),
        legacy_elsewhere=frame(elsewhere), versions=(OtherVersions(("item",), versions),),
    )  # fmt: skip
    matching = Matching(("item",), 40.0) if by_time else Matching()
    return compare_events(mine, its, RULES, matching), known, dict.fromkeys(kinds, each)


def frame(rows: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA)


@pytest.mark.parametrize(
    ("size", "rate"), [(40_000, 0.0001), (4_000, 0.001), (2_000, 0.01), (1_000, 0.05), (1_000, 0.1)]
)
@pytest.mark.parametrize("by_time", [False, True])
def test_planted_differences_are_found_classified_and_counted(size: int, rate: float, by_time: bool) -> None:
    """In id mode a zone that is off is a column of a pair; by time it is an event on either side alone."""
    found, known, planted_counts = planted(size, rate, by_time=by_time)
    wanted: dict[str, int] = {}
    for name, count in planted_counts.items():
        cause = name.removeprefix("gone ").split()[0]
        twice = by_time and name == "clock zone"
        wanted[cause] = wanted.get(cause, 0) + count * (1 + twice)
    counts = ledger(explain(found, known, rules=RULES))
    assert dict(counts.group_by("cause").agg(pl.col("count").sum()).iter_rows()) == wanted
    assert counts["count"].sum() == sum(v for k, v in found.counts().items() if k.startswith(("only_", "differs_")))


def test_what_is_expected_goes_first_and_only_for_what_it_looks_at() -> None:
    row = world(1).row(0, named=True)
    found = compare_events(frame([row]), frame([row | {"price": 10.13, "kind": 9}]), RULES, Matching())
    near = Expectation("rounding", "Legacy keeps cents.", (pl.col("price") - pl.col("legacy_price")).abs() < 0.01)
    rows = explain(found, expected=[near]).sort("column")
    assert rows.select("column", "cause", "because", "expected").rows() == [
        ("kind", "unexplained", "No rule explains it.", False),
        ("price", "rounding", "Legacy keeps cents.", True),
    ]
    gone = Expectation(
        "filter", "Legacy has no robots.", pl.col("kind").is_not_null() & pl.col("legacy_kind").is_null()
    )
    alone = compare_events(frame([row]), frame([]), RULES, Matching())
    assert explain(alone, expected=[near, gone])["because"].to_list() == ["Legacy has no robots."]
    sums = counted(alone, explain(alone, expected=[gone]))
    assert [sums[f"only_ours{suffix}"].differing for suffix in ("", ".unexpected", ".unexplained")] == [1, 0, 0]


@pytest.mark.parametrize(
    ("ours", "legacy", "cause"),
    [
        (0.1 + 0.2, 0.3, "rounding"),
        (1504.1000009999998, 1504.1, "rounding"),
        (436.599999, 436.6, "rounding"),
        (0.5999999999999943, 0.6, "rounding"),
        (1e300 * (1 + 3e-16), 1e300, "rounding"),
        (12.5, 13.7, "unexplained"),
        (5.0, 4.0, "unexplained"),
        (float("nan"), 1.0, "unexplained"),
        (float("inf"), 1.0, "unexplained"),
    ],
)
def test_last_digits_of_floats_are_rounding(ours: float, legacy: float, cause: str) -> None:
    row = world(1).row(0, named=True)
    rules = RULES | {"price": ColumnRule()}
    found = compare_events(frame([row | {"price": ours}]), frame([row | {"price": legacy}]), rules, Matching())
    assert explain(found, rules=rules)["cause"].to_list() == [cause]


@pytest.mark.parametrize("bad", [1, 7, 300])
def test_what_cannot_be_computed_of_a_difference_does_not_explain_it_and_costs_no_other(bad: int) -> None:
    """Also where most rows raise: then the rest is left alone, as trying each would take too long."""
    rows = [row | {"price": float(n)} for n, row in enumerate(world(300).to_dicts())]
    other = [row | {"price": row["price"] + 1} for row in rows]
    found = compare_events(frame(rows), frame(other), RULES, Matching())
    text = (
        pl.when(pl.col("price") >= 300 - bad)
        .then(pl.lit("none"))
        .otherwise(pl.col("price").cast(pl.Int64).cast(pl.String))
    )
    known = Expectation("filter", "Small ones.", text.cast(pl.Int64) >= 0)
    assert known.is_about("price", found.compared)
    rows_of = explain(found, expected=[known]).filter(column="price").sort("row")
    assert rows_of["expected"].to_list() == [True] * (300 - bad) + [False] * bad
    assert rows_of["raised"].to_list() == [None] * (300 - bad) + ["Small ones."] * bad
    assert set(rows_of["cause"].tail(bad)) == {"unexplained"}


def test_a_condition_that_raises_on_nearly_everything_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqplat_resources.comparison.causes.expected._TRIES", 20)
    rows = [row | {"price": float(n)} for n, row in enumerate(world(300).to_dicts())]
    found = compare_events(frame(rows), frame([row | {"price": -1.0} for row in rows]), RULES, Matching())
    known = Expectation("filter", "All.", (pl.col("price").cast(pl.String) + "x").cast(pl.Int64) > 0)
    rows_of = explain(found, expected=[known]).filter(column="price")
    assert (rows_of["expected"].any(), rows_of["raised"].null_count()) == (False, 0)


sides = st.lists(
    st.tuples(
        st.sampled_from([1, 2, None]),
        st.sampled_from(["a", "b", "c", None]),
        st.integers(0, 2),
        st.sampled_from(["", "x", "xy"]),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(ours=sides, legacy=sides)
def test_causes_add_up_whatever_comes_and_users_to_the_whole(ours: list[Any], legacy: list[Any]) -> None:
    columns = ("user_id", "event_id", "kind", "page")
    mine, its = (
        frame([dict(zip(columns, row, strict=True)) | {"event_time": DAY} for row in rows]) for rows in (ours, legacy)
    )
    found = compare_events(mine, its, {"kind": ColumnRule(), "page": ColumnRule()}, Matching())
    assert found.pairs.height + found.only_ours.height == len(ours)
    assert found.pairs.height + found.only_legacy.height == len(legacy)
    differences = explain(found)
    counts = found.counts()
    assert ledger(differences)["count"].sum() == sum(
        v for k, v in counts.items() if k.startswith(("only_", "differs_"))
    )
    whole = counted(found, differences)
    pairs = found.pairs.select(null=pl.col("kind").is_null() != pl.col("legacy_kind").is_null())
    counts |= {
        "alone": counts["only_ours"] + counts["only_legacy"],
        "mismatch": found.mismatches.height,
        "null_kind": pairs["null"].sum(),
        "null_page": 0,
    }
    for metric, sums in whole.items():
        of_events = metric.partition(".")[0] in ("alone", "only_ours", "only_legacy")
        frames = [found.pairs, *([found.only_ours, found.only_legacy] if of_events else [])]
        events = pl.concat(each.select("user_id") for each in frames).group_by("user_id").len()
        assert (sums.compared, sums.users) == (events["len"].sum(), events.height)
        if "." not in metric:
            assert sums.differing == counts[metric]


def test_an_expectation_of_nothing_but_a_literal_holds_for_all() -> None:
    found = compare_events(
        world(3), world(3).with_columns(kind=pl.lit(9, pl.Int64)), {"kind": ColumnRule()}, Matching()
    )
    rows = explain(found, expected=[Expectation("filter", "All of it.", pl.lit(True))])
    assert rows["expected"].to_list() == [True] * 3


def test_sums_are_those_over_users() -> None:
    rows = [{"user_id": u, "event_id": f"{u}-{n}", "kind": 0, "event_time": DAY} for u in (1, 2) for n in range(3)]
    changed = [row | {"kind": 1} if row["user_id"] == 1 else row for row in rows]
    found = compare_events(frame(rows), frame(changed), {"kind": ColumnRule()}, Matching())
    sums = counted(found, explain(found))["differs_kind"]
    assert (sums.users, sums.differing, sums.compared) == (2, 3, 6)
    assert (sums.differing_squared, sums.compared_squared, sums.product) == (9, 18, 9)
