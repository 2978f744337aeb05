"""In which order training sets are read: each example once, whoever reads, and again from where somebody stopped."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqplat_resources.training import build as building
from seqplat_resources.training.build import build
from serving.client.training.batches import Batches, OtherOrder
from serving.client.training.files import TrainingFiles
from tests.training.test_build import AS_KNOWN, ROWS, many

REQUESTS = ROWS.with_columns(request=pl.Series([number % 9 for number in range(ROWS.height)]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """36 examples in more than three files."""
    at: Path = tmp_path_factory.mktemp("set")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(building, "_LABELS_A_SHARD", 7)
        return build(many(at), AS_KNOWN, REQUESTS, at / "set", form="pointers").out


def ids(batches: Iterator[object] | Sequence[object]) -> list[int]:
    return [number for each in batches for number in each.labels["label_id"]]  # type: ignore[attr-defined]


def of_ranks(files: TrainingFiles, size: int, ranks: int, workers: int, **more: object) -> list[list[int]]:
    """What each rank reads, its workers in turn."""
    return [
        ids(each for worker in range(workers) for each in batches.of_worker(worker, workers))
        for batches in (Batches(files, size, rank=rank, ranks=ranks, **more) for rank in range(ranks))  # type: ignore[arg-type]
    ]


@given(
    size=st.integers(1, 40),
    ranks=st.integers(1, 5),
    workers=st.integers(1, 4),
    seed=st.integers(0, 9),
    shuffle=st.booleans(),
    group_by=st.sampled_from([(), ("user", "request")]),
)
def test_each_example_is_read_once_by_any_number_of_ranks_and_workers(
    folder: Path, size: int, ranks: int, workers: int, seed: int, shuffle: bool, group_by: tuple[str, ...]
) -> None:
    files = TrainingFiles(folder, ["event_id"])
    found = of_ranks(files, size, ranks, workers, seed=seed, shuffle=shuffle, group_by=group_by)
    assert sorted(number for rank in found for number in rank) == list(range(36))
    for batches in (Batches(files, size, seed=seed, group_by=group_by, rank=r, ranks=ranks) for r in range(ranks)):
        assert len(list(batches)) == len(batches)


@given(size=st.integers(1, 9), ranks=st.integers(1, 5), seed=st.integers(0, 9))
def test_no_rank_has_more_than_others_where_what_is_left_is_dropped(
    folder: Path, size: int, ranks: int, seed: int
) -> None:
    files = TrainingFiles(folder, ["event_id"])
    found = of_ranks(files, size, ranks, 1, seed=seed, drop_last=True)
    assert {len(each) for each in found} == {36 // size // ranks * size}


@given(
    size=st.integers(1, 9),
    before=st.integers(1, 4),
    after=st.integers(1, 4),
    stop=st.integers(0, 5),
    epoch=st.integers(0, 2),
)
def test_who_stopped_goes_on_with_another_number_of_ranks(
    folder: Path, size: int, before: int, after: int, stop: int, epoch: int
) -> None:
    files, read, state = TrainingFiles(folder, ["event_id"]), list[int](), None
    for rank in range(before):
        batches = Batches(files, size, seed=3, rank=rank, ranks=before)
        batches.set_epoch(epoch)
        for number, batch in enumerate(batches):
            if number > stop:
                break
            read += ids([batch])
            state = batches.after(batch) if rank == 0 else state
    assert state is not None
    for rank in range(after):
        batches = Batches(files, size, seed=3, rank=rank, ranks=after)
        batches.load_state_dict(state)
        batches.set_epoch(epoch)
        read += ids(list(batches))
    assert sorted(read) == list(range(36))


def test_an_epoch_has_an_order_of_its_own_and_the_same_one_again(folder: Path) -> None:
    files = TrainingFiles(folder, ["event_id"])
    first, again, other, seeded = (Batches(files, 5, seed=seed) for seed in (1, 1, 1, 2))
    other.set_epoch(1)
    assert ids(list(first)) == ids(list(again))
    assert len({tuple(ids(list(each))) for each in (first, other, seeded)}) == 3
    plain = Batches(files, 5, shuffle=False)
    assert ids(list(plain)) == files.examples(range(36)).labels["label_id"].to_list()


def test_groups_stay_together(folder: Path) -> None:
    for batch in Batches(TrainingFiles(folder, ["event_id"]), 2, group_by=("user", "request")):
        assert batch.labels.select("user", "request").unique().height <= 2
        assert batch.labels["request"].rle().len() <= 2


def test_a_state_of_something_else_is_refused(folder: Path) -> None:
    files = TrainingFiles(folder, ["event_id"])
    batches = Batches(files, 5, seed=1)
    state = batches.after(next(iter(batches)))
    for other in (Batches(files, 4, seed=1), Batches(files, 5, seed=2), Batches(files, 5, seed=1, group_by=("user",))):
        with pytest.raises(OtherOrder, match="the state is of another"):
            other.load_state_dict(state)
    with pytest.raises(ValueError, match="rank 2 one of 2 from 0"):
        Batches(files, 5, rank=2, ranks=2)


def test_no_file_in_memory_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"keep is 0; .* so it is 1 or more"):
        TrainingFiles(folder, keep=0)
