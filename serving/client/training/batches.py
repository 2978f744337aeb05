"""In which order a training set is read: shuffled by a seed, shared between ranks, and resumed at the exact example.

The order of an epoch depends on the set, ``seed``, ``epoch`` and ``batch_size`` alone. Ranks and workers take its
batches in turn, so that each example is read once whatever their number, and who stopped may go on with another number.

>>> import datetime as dt
>>> from seqplat_resources.training.build import build
>>> from seqplat_resources.training.question import TrainingQuestion
>>> at = dt.datetime(2024, 5, 2, 12, tzinfo=dt.UTC)
>>> labels = pl.DataFrame({"user": ["ann", "bob"] * 3, "time": [at] * 6})
>>> made = build(shop, TrainingQuestion("basket", mode="as_corrected"), labels, folder / "set")
>>> batches = Batches(TrainingFiles(made.out, ["product"]), 2, seed=1)
>>> first, *rest = list(batches)
>>> again = Batches(TrainingFiles(made.out, ["product"]), 2, seed=1)
>>> again.load_state_dict(batches.after(first))
>>> [each.number for each in again]
[1, 2]
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl

from serving.client.training.files import Examples, Ints, TrainingFiles


class OtherOrder(ValueError):
    """A state of another set, seed or batch size, which says nothing of this order."""


class Batches:
    """Batches of ``batch_size`` examples, or groups of them, those of one of ``ranks``.

    Arguments:
        shuffle: Files in an order drawn from the seed and the epoch, and so the examples of each. Else as they are.
        group_by: Columns of labels, such as a user and a request: what is equal in them stays together, and
            ``batch_size`` counts groups.
        drop_last: Leave out the last batch where it is not whole, and what would give some ranks one more than others.
    """

    def __init__(
        self,
        files: TrainingFiles,
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = True,
        group_by: Sequence[str] = (),
        drop_last: bool = False,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        if batch_size < 1 or not 0 <= rank < ranks:
            raise ValueError(f"batch_size {batch_size} should be 1 or more, and rank {rank} one of {ranks} from 0")
        self.files, self.batch_size, self.seed, self.shuffle = files, batch_size, seed, shuffle
        self.group_by, self.drop_last, self.rank, self.ranks = tuple(group_by), drop_last, rank, ranks
        self.epoch, self.done = 0, 0
        self._of_epoch: tuple[int, Ints, Ints] | None = None
        self._groups = [_grouped(files.keys(n, group_by)) for n in range(len(files.rows()))] if group_by else []
        self._units = [ends.size - 1 for _, ends in self._groups] if group_by else files.rows()

    def __len__(self) -> int:
        """Batches of this rank that are left of the epoch."""
        return len(range(self.done + self.rank, self.total, self.ranks))

    @property
    def total(self) -> int:
        """Batches of an epoch, of all ranks."""
        units, at_once = sum(self._units), self.batch_size
        if not self.drop_last:
            return -(-units // at_once)
        return self.done + (units // at_once - self.done) // self.ranks * self.ranks

    def __iter__(self) -> Iterator[Examples]:
        return self.of_worker(0, 1)

    def of_worker(self, worker: int, workers: int) -> Iterator[Examples]:
        """Those of one of a rank's worker processes, as PyTorch asks them in turn."""
        mine = range(self.done + self.rank, self.total, self.ranks)
        for number in mine[worker::workers]:
            yield self.files.examples(self.numbers(number), number)

    def numbers(self, batch: int) -> Ints:
        """Which examples a batch of the epoch has."""
        first, last = batch * self.batch_size, (batch + 1) * self.batch_size
        (files, ends), found = self._files_in_order(), [np.empty(0, np.int64)]
        for place in range(int(np.searchsorted(ends, first, "right")), files.size):
            shard = int(files[place])
            begin = int(ends[place]) - self._units[shard]
            if begin >= last:
                break
            units = self._in_order(shard)[max(first - begin, 0) : last - begin]
            found.append(self._examples(shard, units) + self.files.first(shard))
        return np.concatenate(found)

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch; the one that a state was of goes on where it was."""
        if epoch != self.epoch:
            self.epoch, self.done = epoch, 0

    def after(self, batch: Examples) -> dict[str, Any]:
        """The state in which this batch is done, and those that other ranks have at the same time."""
        return self.after_number(batch.number)

    def after_number(self, number: int) -> dict[str, Any]:
        """As ``after``, of a batch's number."""
        rounds = (number - self.done) // self.ranks + 1
        return self._said() | {"epoch": self.epoch, "done": self.done + rounds * self.ranks}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on behind what was done, with any number of ranks and workers.

        Raises:
            OtherOrder: said there.
        """
        if moved := [name for name, value in self._said().items() if state.get(name) != value]:
            raise OtherOrder(f"the state is of another {', '.join(moved)}; begin the epoch anew")
        self.epoch, self.done = int(state["epoch"]), int(state["done"])

    def _said(self) -> dict[str, Any]:
        return {
            "set": self.files.digest,
            "seed": self.seed,
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "group_by": list(self.group_by),
        }

    def _files_in_order(self) -> tuple[Ints, Ints]:
        """Those of the epoch, and where each ends among its examples or groups."""
        if self._of_epoch is None or self._of_epoch[0] != self.epoch:
            count, drawn = len(self._units), np.random.default_rng([self.seed, self.epoch])
            files = drawn.permutation(count) if self.shuffle else np.arange(count)
            self._of_epoch = self.epoch, files, np.cumsum(np.asarray(self._units, np.int64)[files])
        return self._of_epoch[1:]

    def _in_order(self, shard: int) -> Ints:
        return _order(self.seed, self.epoch, shard, self._units[shard], self.shuffle)

    def _examples(self, shard: int, units: Ints) -> Ints:
        if not self.group_by:
            return units
        rows, ends = self._groups[shard]
        return np.concatenate([np.empty(0, np.int64), *(rows[ends[unit] : ends[unit + 1]] for unit in units)])


def _grouped(keys: pl.DataFrame) -> tuple[Ints, Ints]:
    """Rows, group after group, and where each group begins."""
    rows = keys.with_row_index("_row").group_by(keys.columns, maintain_order=True).agg(pl.col("_row").cast(pl.Int64))
    lengths = rows["_row"].list.len().cast(pl.Int64).to_numpy()
    return rows["_row"].explode(empty_as_null=False).to_numpy(), np.concatenate([[0], np.cumsum(lengths)])


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, shard: int, units: int, shuffle: bool) -> Ints:
    return np.random.default_rng([seed, epoch, shard]).permutation(units) if shuffle else np.arange(units)
