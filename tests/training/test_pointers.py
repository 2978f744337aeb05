"""Training sets whose labels point to their events: the same as lists, smaller, whole or refused."""

import json
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from seqplat_resources.release.query import QueryError
from seqplat_resources.training import build as building
from seqplat_resources.training.build import BuiltSet, TrainingLimits, build
from seqplat_resources.training.question import FORMS, Form, TrainingQuestion
from serving.client.training.files import Examples, TrainingFiles, UnreadableSet
from tests.budget import examples
from tests.training.test_build import AS_CORRECTED, AS_KNOWN, HOUR, ROWS, asked, event, labels, many, worlds
from tests.training.world import NOON, Event, home

LISTS = ["event_time", "event_type", "event_id", "price"]


def whole(made: BuiltSet) -> pl.DataFrame:
    files = TrainingFiles(made.out)
    return files.examples(range(len(files))).frame()


@given(
    world=worlds(),
    at=asked,
    length=st.sampled_from([None, 2]),
    question=st.sampled_from([AS_KNOWN, AS_CORRECTED, TrainingQuestion("recent", inclusive=True, embargo=HOUR)]),
)
@settings(max_examples=examples(40))
def test_pointers_lead_to_what_lists_have(
    world: tuple[list[Event], list[Event]], at: list[tuple[str, int]], length: int | None, question: TrainingQuestion
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        runtime = home(Path(folder), *world, length=length)
        asking = labels(*((user, NOON + hours * HOUR) for user, hours in at))
        lists = build(runtime, question, asking, Path(folder) / "lists")
        pointers = build(runtime, question, asking, Path(folder) / "pointers", form="pointers")
        wanted = pl.read_parquet(lists.out / "*.parquet")
        assert_frame_equal(whole(lists), wanted)
        assert_frame_equal(whole(pointers).select(wanted.columns), wanted)
        counted = [[(s.rows, s.values, s.empty) for s in each.manifest.shards] for each in (lists, pointers)]
        assert counted[0] == counted[1]


def test_examples_come_in_the_order_asked_over_all_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "_LABELS_A_SHARD", 7)
    runtime = many(tmp_path)
    for form in FORMS:
        made = build(runtime, AS_KNOWN, ROWS, tmp_path / form, form=form)
        assert len(made.manifest.shards) > 3
        every = whole(made)
        assert every.height == ROWS.height
        numbers = np.random.default_rng(1).integers(0, ROWS.height, 100)
        files = pickle.loads(pickle.dumps(TrainingFiles(made.out, ["event_id"], keep=1)))
        found = files.examples(numbers).frame()
        assert_frame_equal(found, every[numbers].select(found.columns))
        with pytest.raises(IndexError, match="examples are 0 to 35"):
            files.examples([36])


def test_arrays_lie_end_to_end_or_padded(tmp_path: Path) -> None:
    runtime = home(tmp_path, [event(str(n), hours=n, of="order", price=n, offset=n) for n in range(4)], length=3)
    made = build(runtime, AS_KNOWN, labels(("bob", NOON), ("ann", NOON + 9 * HOUR)), tmp_path / "set", form="pointers")
    found = TrainingFiles(made.out, ["price"]).examples([1, 0])
    arrays, offsets = found.arrays()
    assert (arrays["price"].tolist(), offsets.tolist()) == ([3, 2, 1], [0, 0, 3])
    padded, mask = found.padded(2)
    assert (padded["price"].tolist(), mask.tolist()) == ([[0, 0], [3, 2]], [[False, False], [True, True]])
    assert isinstance(found, Examples)


@pytest.mark.parametrize("form", FORMS)
def test_a_set_without_labels_has_no_examples(form: Form, tmp_path: Path) -> None:
    made = build(many(tmp_path), AS_KNOWN, ROWS[:0], tmp_path / "set", form=form)
    files = TrainingFiles(made.out)
    assert (len(files), files.examples([]).lengths.size) == (0, 0)


def test_what_was_finished_is_found_again_and_the_same_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "_LABELS_A_SHARD", 7)
    runtime = many(tmp_path)
    once = build(runtime, AS_KNOWN, ROWS, tmp_path / "once", form="pointers")

    def killed(*_: object) -> None:
        if len(list((tmp_path / "again.partial").glob("events-*.parquet"))) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(runtime, AS_KNOWN, ROWS, tmp_path / "again", form="pointers", progress=killed)
    (tmp_path / "again.partial/events-00001.parquet").write_bytes(b"half")
    again = build(runtime, AS_KNOWN, ROWS, tmp_path / "again", form="pointers")
    assert (again.reused, again.manifest.shards) == (1, once.manifest.shards)
    assert sorted(path.name for path in again.out.iterdir()) == sorted(path.name for path in once.out.iterdir())
    assert not build(runtime, AS_KNOWN, ROWS, once.out, form="pointers").is_new


def test_long_lists_cost_pointers_nothing(tmp_path: Path) -> None:
    events = [event(f"{n:05d}", "ann", n / 1000, offset=n) for n in range(3000)]
    runtime = home(tmp_path, events, length=3000)
    asking = labels(*(("ann", NOON + 4 * HOUR) for _ in range(300)))
    made = build(runtime, AS_KNOWN, asking, tmp_path / "set", form="pointers", limits=TrainingLimits(500_000_000))
    (shard,) = made.manifest.shards
    assert shard.values == 900_000
    assert shard.bytes + shard.events_bytes < 200_000


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut": (lambda at: (at / "events-00000.parquet").write_bytes(b"PAR1"), "should have .* bytes and has 4 bytes"),
    "gone": (lambda at: (at / "part-00000.parquet").unlink(), "should have .* bytes and has nothing"),
    "no manifest": (lambda at: (at / "manifest.json").unlink(), "is not there"),
    "odd manifest": (lambda at: (at / "manifest.json").write_text("[]"), "is no manifest"),
    "newer": (lambda at: (at / "manifest.json").write_text(json.dumps({"format": 9})), "is of format 9"),
    "other bytes": (
        lambda at: (at / "events-00000.parquet").write_bytes(b"x" * (at / "events-00000.parquet").stat().st_size),
        "cannot be read",
    ),
}


@pytest.mark.parametrize("damage", sorted(DAMAGES))
def test_what_is_damaged_is_refused_by_name(damage: str, tmp_path: Path) -> None:
    made = build(many(tmp_path), AS_KNOWN, ROWS, tmp_path / "set", form="pointers")
    files = TrainingFiles(made.out)
    harm, said = DAMAGES[damage]
    harm(made.out)
    with pytest.raises(UnreadableSet, match=said):
        (files if damage == "other bytes" else TrainingFiles(made.out)).examples([0])


@pytest.mark.parametrize("form", FORMS)
def test_a_bit_that_was_turned_is_no_other_value(form: Form, tmp_path: Path) -> None:
    made = build(many(tmp_path), AS_KNOWN, ROWS, tmp_path / "set", form=form)
    path = made.out / (made.manifest.shards[0].events or made.manifest.shards[0].file)
    whole_bytes = path.read_bytes()
    for at in range(0, len(whole_bytes), max(len(whole_bytes) // 60, 1)):
        turned = bytearray(whole_bytes)
        turned[at] ^= 4
        path.write_bytes(turned)
        with pytest.raises(UnreadableSet, match="cannot be read"):
            TrainingFiles(made.out).examples([0])
        with pytest.raises(UnreadableSet, match="cannot be read"):
            TrainingFiles(made.out, ["price"]).examples([35])


def test_unknown_columns_and_reserved_names_are_refused(tmp_path: Path) -> None:
    runtime = many(tmp_path)
    made = build(runtime, AS_KNOWN, ROWS, tmp_path / "set", form="pointers")
    with pytest.raises(UnreadableSet, match="no column 'prize' of events; it has"):
        TrainingFiles(made.out, ["prize"])
    with pytest.raises(UnreadableSet, match="no column of events is asked for"):
        TrainingFiles(made.out, [])
    with pytest.raises(UnreadableSet, match="no label column 'price'"):
        TrainingFiles(made.out).keys(0, ["price"])
    with pytest.raises(QueryError, match="_first, which pointers are called"):
        build(runtime, AS_KNOWN, ROWS.rename({"y": "_first"}), tmp_path / "no", form="pointers")
