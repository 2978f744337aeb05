"""Metrics of sequences against plain numbers of each user."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqplat_resources.comparison.contract import Sums
from seqplat_resources.shadow.verdict.decide import decide
from seqplat_resources.shadow.verdict.sequences import sequence_metrics
from tests.shadow.verdict.samples import question

VALUES = {"jaccard": st.floats(0, 1), "edits": st.floats(0, 2), "length": st.floats(0, 12)}
users = st.lists(st.fixed_dictionaries(VALUES), min_size=1, max_size=30)


def histogram(values: list[dict[str, float]]) -> pl.DataFrame:
    rows = [(name, min(int(value * 1000), 10_000), 1, value) for each in values for name, value in each.items()]
    return (
        pl.DataFrame(rows, schema=["measure", "bin", "users", "total"], orient="row").group_by("measure", "bin").sum()
    )


@settings(max_examples=60, deadline=None)
@given(users)
def test_metrics_are_those_of_the_users_one_by_one(values: list[dict[str, float]]) -> None:
    found = {each.name: each for each in sequence_metrics({}, histogram(values))}
    apart = [1 - each["jaccard"] for each in values]
    edits = [min(1.0, each["edits"]) for each in values]
    for name, plain in (("jaccard", apart), ("edit_distance", edits)):
        assert found[name].differing == pytest.approx(sum(plain), abs=1e-9)
        squares, exact = found[name].squares, sum(value**2 for value in plain)
        assert squares is not None
        assert exact - 1e-9 <= squares <= exact + 0.0011 * len(values)
    thousandths = [{name: int(value * 1000) for name, value in each.items()} for each in values]
    assert found["jaccard_p1"].differing == sum(each["jaccard"] < 950 for each in thousandths)
    assert found["shorter"].differing == sum(each["length"] < 980 for each in thousandths)
    assert found["longer"].differing == sum(each["length"] > 1020 for each in thousandths)
    assert {each.compared for each in found.values()} == {0, len(values)}  # 0: those that `sums` has


def test_alike_sequences_pass_and_the_same_users_again_are_no_news() -> None:
    alike = pl.DataFrame(
        {"measure": ["jaccard", "edits", "length"], "bin": [1000, 0, 1000], "users": 4_000, "total": [4e3, 0.0, 4e3]}
    )
    same = dict.fromkeys(("other_order", "other_top"), Sums(4_000, 0, 4_000, 0, 4_000, 0))
    assert decide(question(*sequence_metrics(same, alike))).state == "PASS"
    week = sequence_metrics(same, alike, days=7)
    assert {each.users for each in week} == {572}
    assert decide(question(*week)).state == "HOLD"


def test_nobody_is_nothing_compared() -> None:
    nobody = histogram([{"jaccard": 1.0, "edits": 0.0, "length": 1.0}]).clear()
    found = decide(question(*sequence_metrics({}, nobody)))
    assert found.state == "HOLD"
    assert {each.because for each in found.judged} == {"nothing was compared"}
