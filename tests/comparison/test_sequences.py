"""Sequences against plain Python, user by user; and parts that add up to the whole."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqplat_resources.comparison.contract import Sums
from seqplat_resources.comparison.sequences import SequenceComparison, compare_sequences, decile_edges
from tests.comparison.test_alignment import lcs

SCHEMA = {"user_id": pl.Int64(), "event_ids": pl.List(pl.String())}
Lists = dict[int, list[str] | None]
ids = st.none() | st.lists(st.sampled_from("abcdefghijklmnop"), max_size=14, unique=True)
sides = st.dictionaries(st.integers(1, 9), ids, max_size=8)


def side(lists: Lists) -> pl.DataFrame:
    return pl.DataFrame({"user_id": list(lists), "event_ids": list(lists.values())}, schema=SCHEMA)


def expected(ours: Lists, legacy: Lists) -> dict[str, Any]:
    """Numbers by user."""
    found: dict[str, Any] = {"other_order": [], "other_top": [], "jaccard": [], "edits": []}
    for user in {**ours, **legacy}:
        a, b = ours.get(user) or [], legacy.get(user) or []
        found["other_order"].append((a != b, 1))
        found["other_top"].append((a[:10] != b[:10], 1))
        found["jaccard"].append((len({*a} ^ {*b}), len({*a} | {*b})))
        found["edits"].append((len(a) + len(b) - 2 * lcs(a, b), max(len(a), len(b))))
    return found


@settings(max_examples=60, deadline=None)
@given(ours=sides, legacy=sides)
def test_every_user_is_counted_as_in_plain_python(ours: Lists, legacy: Lists) -> None:
    legacy = legacy | {user: ids for user, ids in ours.items() if user % 3 == 0}
    found = compare_sequences(side(ours), side(legacy))
    plain = expected(ours, legacy)
    by_metric = {
        name: Sums.of(*(pl.Series([pair[at] for pair in pairs], dtype=pl.Int64()) for at in (0, 1)))
        for name, pairs in plain.items()
    }
    assert found.metrics == by_metric or not plain["edits"]
    assert sum(found.kinds.values()) == len({**ours, **legacy})
    assert found.alone == {"only_ours": len(ours.keys() - legacy), "only_legacy": len(legacy.keys() - ours)}
    shares = [n and d / n for d, n in plain["edits"]]
    assert found.mean("edits") == (pytest.approx(sum(shares) / len(shares)) if shares else None)
    likeness = sorted(1 - d / n if n else 1.0 for d, n in plain["jaccard"])
    if likeness:
        assert found.quantile("jaccard", 0.01) == pytest.approx(likeness[0], abs=0.0011)
        assert found.quantile("jaccard", 1) == pytest.approx(likeness[-1], abs=0.0011)


@settings(max_examples=30, deadline=None)
@given(ours=sides, legacy=sides)
def test_shards_add_up_to_the_whole(ours: Lists, legacy: Lists) -> None:
    parts = []
    for shard in (0, 1):
        mine, its = ({user: ids for user, ids in each.items() if user % 2 == shard} for each in (ours, legacy))
        parts.append(compare_sequences(side(mine), side(its), edges=(2, 4, 6)))
    whole = compare_sequences(side(ours), side(legacy), edges=(2, 4, 6))
    assert told(parts[0] + parts[1]) == told(whole)


def told(found: SequenceComparison) -> Any:
    counts = [{name: n for name, n in each.items() if n} for each in (found.kinds, found.alone, found.problems)]
    histogram = found.histogram.with_columns(pl.col("total").round(9)).to_dicts()
    return counts, dict(found.sums), histogram, found.worst.to_dicts()


def test_users_and_ids_that_cannot_be_told_apart_are_named() -> None:
    ours = pl.DataFrame({"user_id": [1, 1, None], "event_ids": [["a"], ["b"], ["c"]]}, schema=SCHEMA)
    legacy = side({1: ["a", "a", None], 2: None})  # type: ignore[list-item]
    found = compare_sequences(ours, legacy)
    assert found.problems == {"null_key": 1, "duplicate_key": 1, "unsound_ids": 1}
    assert found.alone == {"only_ours": 2, "only_legacy": 1}
    assert found.kinds == {"identical": 1, "one_begins_the_other": 1, "other_order": 0, "other_events": 2}


def test_deciles_have_a_tenth_of_the_users_each() -> None:
    lengths = pl.Series(range(1, 101))
    edges = decile_edges(lengths)
    lists = {n: [str(at) for at in range(n)] for n in range(1, 101)}
    found = compare_sequences(side(lists), side(lists), edges)
    assert {at: sums["other_order"].users for at, sums in found.sums.items()} == dict.fromkeys(range(1, 11), 10)
