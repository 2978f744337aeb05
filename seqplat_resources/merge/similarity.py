"""How similar the vectors of rows are to the vector of a query: one product for all of them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from seqplat_resources.online_store.codec.layout import Ints
from seqplat_resources.query import Metric

Scores = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Similar:
    """A query vector, to be compared with the vectors of ``column``; the ``k`` most similar rows are wanted."""

    column: str
    vector: Scores
    k: int
    metric: Metric

    def scores(self, vectors: pl.Series) -> Scores:
        """The similarity of each row, larger is more similar; NaN where there is no vector, or none of a direction."""
        valid = vectors.is_not_null().to_numpy() if vectors.null_count() else None
        dense = vectors if valid is None else vectors.drop_nulls()
        matrix = dense.reshape((-1,)).to_numpy().reshape(len(dense), self.vector.size).astype(np.float32, copy=False)
        with np.errstate(all="ignore"):  # stored vectors may be anything
            found = self._compared(matrix)
        if valid is None:
            return found
        scores = np.full(len(vectors), np.nan, np.float32)
        scores[valid] = found
        return scores

    def _compared(self, matrix: Scores) -> Scores:
        if self.metric == "l2":
            return -_lengths(matrix - self.vector)
        # Not `@`: its threads, of every worker at once, take longer to wake than this takes.
        product = np.asarray(np.einsum("ij,j->i", matrix, self.vector), np.float32)
        return product if self.metric == "dot" else product / _lengths(matrix) / _lengths(self.vector[None])


def _lengths(matrix: Scores) -> Scores:
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", matrix, matrix)), np.float32)


def most_similar(scores: Scores, k: int) -> Ints:
    """Places of the ``k`` largest of ``scores`` (without NaN), largest first; of equal ones the first comes first."""
    if k == 0:
        return np.zeros(0, np.int64)
    if scores.size <= k:
        return np.argsort(-scores, kind="stable")
    # A partition finds the k-th largest without a sort of all, but says nothing of the order of equal ones.
    least = -np.partition(-scores, k - 1)[k - 1]
    above = np.flatnonzero(scores > least)
    chosen = np.concatenate([above, np.flatnonzero(scores == least)[: k - above.size]])
    return chosen[np.lexsort((chosen, -scores[chosen]))]
