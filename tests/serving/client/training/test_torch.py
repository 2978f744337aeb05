"""Datasets for PyTorch, with worker processes of its own."""

from pathlib import Path
from typing import Any

import pytest

from seqplat_resources.training import build as building
from seqplat_resources.training.build import build
from serving.client.arrays import NullsInColumns, UnknownColumn
from serving.client.training.batches import Batches
from serving.client.training.files import TrainingFiles
from tests.training.test_build import AS_KNOWN, ROWS, many

torch: Any = pytest.importorskip("torch", reason="PyTorch: install the extra torch")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    at: Path = tmp_path_factory.mktemp("set")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(building, "_LABELS_A_SHARD", 7)
        return build(many(at), AS_KNOWN, ROWS, at / "set", form="pointers").out


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_come_in_order_from_workers_and_go_on_behind_the_last(folder: Path, workers: int) -> None:
    from serving.client.training.torch import BatchDataset

    def dataset() -> Any:
        return BatchDataset(Batches(TrainingFiles(folder, ["price"]), 5, seed=1), 3, fill={"price": -1})

    def loader(of: Any, workers: int) -> Any:
        # By fork, workers would have the threads of what Polars did before; PyTorch's own users are told to spawn.
        context = "spawn" if workers else None
        return torch.utils.data.DataLoader(of, batch_size=None, num_workers=workers, multiprocessing_context=context)

    first = dataset()
    every = list(loader(first, workers))
    assert [batch["batch"] for batch in every] == list(range(8))
    assert sorted(torch.cat([batch["label_id"] for batch in every]).tolist()) == list(range(36))
    assert every[0]["price"].shape == every[0]["mask"].shape == (5, 3)
    again = dataset()
    again.batches.load_state_dict(first.after(every[2]))
    rest = list(loader(again, 0))
    assert [batch["label_id"].tolist() for batch in rest] == [batch["label_id"].tolist() for batch in every[3:]]


def test_examples_by_number(folder: Path) -> None:
    from serving.client.training.torch import ExampleDataset

    found = ExampleDataset(TrainingFiles(folder, ["event_time", "event_id"]))
    assert len(found) == 36
    one = found[7]
    assert one["event_time"].dtype == torch.int64
    assert one["offsets"].tolist() == [0, len(one["event_time"])]
    batches = torch.utils.data.DataLoader(found, batch_size=10, shuffle=True, collate_fn=found.collate)
    assert sorted(torch.cat([batch["label_id"] for batch in batches]).tolist()) == list(range(36))


def test_labels_and_events_are_filled_by_one_mapping(folder: Path) -> None:
    from serving.client.training.torch import ExampleDataset

    found = ExampleDataset(TrainingFiles(folder, ["price"]), fill={"price": -1, "y": 0})
    assert found[35]["price"].tolist() == [-1] * len(found[35]["price"])
    with pytest.raises(UnknownColumn, match="prize"):
        ExampleDataset(TrainingFiles(folder, ["price"]), fill={"price": -1, "prize": 0})[35]


def test_a_null_that_nobody_spoke_of_is_refused(folder: Path) -> None:
    from serving.client.training.torch import ExampleDataset

    with pytest.raises(NullsInColumns, match="price"):
        ExampleDataset(TrainingFiles(folder, ["price"]))[35]
