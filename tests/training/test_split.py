"""Parts of training sets: who is in which, whoever else there is; told in the set, asked again, and refused."""

import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqplat_resources.release.query import QueryError
from seqplat_resources.training.build import TrainingSetDiffers, build
from seqplat_resources.training.given.split import SPLIT, LabelSplit
from seqplat_resources.training.manifest import Manifest
from tests.training.test_build import AS_KNOWN, event, labels, read
from tests.training.world import NOON, home

PARTS = LabelSplit.parsed("train=0.5,valid=0.25,test=0.25", seed=3)


def parts_of(split: LabelSplit, users: list[str | None]) -> list[str]:
    found: list[str] = split.told(pl.DataFrame({"user": pl.Series(users, dtype=pl.String)}), "user")[SPLIT].to_list()
    return found


@given(users=st.lists(st.one_of(st.none(), st.text(max_size=5)), max_size=20), other=st.text(max_size=5))
def test_a_user_is_in_one_part_whoever_else_there_is(users: list[str | None], other: str) -> None:
    found = parts_of(PARTS, users)
    assert parts_of(PARTS, [other, *reversed(users)])[1:] == found[::-1]
    assert set(found) <= {"train", "valid", "test"}
    assert [part == "train" for part in found] == [
        part == "train" for part in parts_of(LabelSplit.parsed("train=0.5,test=0.5", seed=3), users)
    ]  # what becomes of the parts behind it moves nobody of the first


def test_parts_are_as_large_as_was_asked_and_another_seed_draws_anew() -> None:
    users = [str(number) for number in range(20_000)]
    found, other = parts_of(PARTS, users), parts_of(LabelSplit(PARTS.shares, seed=4), users)
    for name, share in PARTS.shares:
        assert abs(found.count(name) / len(users) - share) < 0.02
    assert abs(sum(a == b for a, b in zip(found, other, strict=True)) / len(users) - 0.375) < 0.02


def test_numbers_and_texts_of_a_user_are_one() -> None:
    numbers = PARTS.told(pl.DataFrame({"user": range(100)}), "user")[SPLIT].to_list()
    assert numbers == parts_of(PARTS, [str(number) for number in range(100)])


def test_a_part_may_be_nearly_everybody() -> None:
    split = LabelSplit((("all", 1 - 1e-12), ("none", 1e-12)))
    assert set(parts_of(split, [str(number) for number in range(1_000)])) == {"all"}


WRONG = [
    "",
    "train",
    "train=",
    "train=1,test=1",
    "train=0.5",
    "a=0.5,a=0.5",
    "a=1,b=0",
    "a=nan",
    "a=inf",
    "=1",
    "a=-1,b=2",
]


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_split_is_refused(text: str) -> None:
    with pytest.raises(QueryError, match="write names and shares that are 1 in all"):
        LabelSplit.parsed(text)


def test_a_set_tells_the_part_of_each_label_and_is_another_one_where_it_is_split_otherwise(tmp_path: Path) -> None:
    users = [f"u{number}" for number in range(40)]
    runtime = home(tmp_path, [event(user, user) for user in users])
    asked = labels(*[(user, NOON) for user in users], bought=[1] * 40)
    made = build(runtime, AS_KNOWN, asked, tmp_path / "set", split=PARTS)
    rows = read(made)
    assert rows.columns[:5] == ["label_id", "user", "time", "bought", SPLIT]
    assert rows[SPLIT].to_list() == parts_of(PARTS, rows["user"].to_list())
    assert made.manifest.facts[SPLIT] == {name: rows[SPLIT].to_list().count(name) for name, _ in PARTS.shares}
    kept = json.loads((made.out / "manifest.json").read_text())["inputs"][SPLIT]
    assert LabelSplit.heard(kept) == PARTS
    assert not build(runtime, AS_KNOWN, asked, tmp_path / "set", split=PARTS).is_new
    with pytest.raises(TrainingSetDiffers, match="split"):
        build(runtime, AS_KNOWN, asked, tmp_path / "set", split=LabelSplit(PARTS.shares, seed=4))
    again = build(runtime, AS_KNOWN, asked, tmp_path / "again", split=PARTS, again=Manifest.read(made.out))
    assert again.manifest.shards == made.manifest.shards


def test_labels_that_have_such_a_column_are_refused(tmp_path: Path) -> None:
    runtime, asked = home(tmp_path, [event()]), labels(("ann", NOON), split=["mine"])
    with pytest.raises(QueryError, match="labels have a column 'split' already"):
        build(runtime, AS_KNOWN, asked, tmp_path / "set", split=PARTS)
    assert build(runtime, AS_KNOWN, asked, tmp_path / "set").is_new
