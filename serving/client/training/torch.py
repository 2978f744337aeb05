"""Datasets for PyTorch; ``pip install 'seqplat[torch]'``.

Both give dictionaries of tensors. ``BatchDataset`` is what training wants: ``DataLoader(BatchDataset(batches),
batch_size=None, num_workers=4)`` gives whole batches in an order that resumes. ``ExampleDataset`` is for samplers of
one's own.

    for batch in loader:
        train(batch)
        state = dataset.after(batch)  # to be saved beside the model
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from serving.client.arrays import Array, Fill, arrays_of
from serving.client.training.batches import Batches
from serving.client.training.files import Examples, TrainingFiles

Tensors = dict[str, Any]


def tensors(examples: Examples, length: int | None = None, fill: Fill | None = None) -> Tensors:
    """
    Shapes:
        With ``length`` the columns of events are examples x ``length``, and ``mask`` is True where an event is; without
        they lie end to end, and ``offsets`` say where each example begins. The columns of labels, one value each.
        Times are whole microseconds since 1970 in UTC, dates days; texts and bytes are NumPy arrays of objects.
        ``batch`` is the batch's number in its epoch.
    Raises:
        NullsInColumns, BadFill: there is a null that ``fill`` says nothing of.
    """
    of_labels, of_events = fill, fill
    if isinstance(fill, Mapping):  # a name of neither is for the events to refuse
        of_labels = {name: value for name, value in fill.items() if name in examples.labels.columns}
        of_events = {name: value for name, value in fill.items() if name not in of_labels}
    if length is None:
        arrays, offsets = examples.arrays(of_events)
        more = {"offsets": torch.from_numpy(offsets)}
    else:
        arrays, mask = examples.padded(length, of_events)
        more = {"mask": torch.from_numpy(mask)}
    labels = arrays_of(examples.labels, examples.labels.columns, of_labels)
    return {name: _tensor(values) for name, values in (labels | arrays).items()} | more | {"batch": examples.number}


class BatchDataset(IterableDataset[Tensors]):
    """The batches of an order, as tensors; each worker process has its share. Give a DataLoader ``batch_size=None``."""

    def __init__(self, batches: Batches, length: int | None = None, fill: Fill | None = None) -> None:
        self.batches, self.length, self.fill = batches, length, fill

    def __iter__(self) -> Iterator[Tensors]:
        worker = get_worker_info()
        share = (0, 1) if worker is None else (worker.id, worker.num_workers)
        return (tensors(each, self.length, self.fill) for each in self.batches.of_worker(*share))

    def __len__(self) -> int:
        return len(self.batches)

    def after(self, batch: Tensors) -> dict[str, Any]:
        """The state once a batch is done, whatever workers have read ahead; ``batches.load_state_dict`` takes it."""
        return self.batches.after_number(int(batch["batch"]))


class ExampleDataset(Dataset[Tensors]):
    """Examples by number. A DataLoader that makes batches of them takes ``collate_fn=dataset.collate``."""

    def __init__(self, files: TrainingFiles, length: int | None = None, fill: Fill | None = None) -> None:
        self.files, self.length, self.fill = files, length, fill

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, number: int) -> Tensors:
        return tensors(self.files.examples([number]), self.length, self.fill)

    def __getitems__(self, numbers: Sequence[int]) -> Examples:
        return self.files.examples(numbers)

    def collate(self, examples: Examples) -> Tensors:
        """What ``__getitems__`` gives, as tensors."""
        return tensors(examples, self.length, self.fill)


def _tensor(values: Array) -> Any:
    if values.dtype.kind == "M":
        values = values.astype(np.int64)
    return values if values.dtype == object else torch.from_numpy(np.ascontiguousarray(values))
