"""How similar the vectors of rows are to the vector of a query: one product for all of them."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from seqplat_resources.online_store.codec.layout import Flags, Ints
from seqplat_resources.release.query import Metric, QueryError, TopK

Scores = npt.NDArray[np.float32]
_Float = TypeVar("_Float", np.float32, np.float64)

# Sums of squares between them are as exact as float32 is: beyond, squares of single numbers overflow or vanish.
_LEAST, _MOST = 2.0**-60, 2.0**100


@dataclass(frozen=True)
class Similarity:
    """A query vector, to be compared with the vectors of ``column``; the ``k`` most similar rows are wanted."""

    column: str
    vector: Scores
    k: int
    metric: Metric

    @classmethod
    def of(cls, top_k: TopK) -> "Similarity":
        """
        Raises:
            QueryError: float32 cannot hold the vector.
        """
        exact = np.array(top_k.vector, np.float64)
        if top_k.metric == "cosine":
            # Directions have no length, and powers of two change no digit.
            exact = np.ldexp(exact, -np.frexp(np.abs(exact).max())[1])
        largest = float(np.abs(exact).max())
        if largest > float(np.finfo(np.float32).max):
            what = f"{largest:g} is too large for {'distances' if top_k.metric == 'l2' else 'products'} in float32"
            raise QueryError("vector", what, fix="scale the vector down")
        return cls(top_k.column, exact.astype(np.float32), top_k.k, top_k.metric)

    def scores(self, vectors: pl.Series) -> Scores:
        """The similarity of each row, larger is more similar; NaN where there is no vector, or none of a direction.

        As exact as float32 is, whatever finite vectors are stored; one that float32 cannot hold is infinite.
        """
        valid = vectors.is_not_null().to_numpy() if vectors.null_count() else None
        dense = vectors if valid is None else vectors.drop_nulls()
        matrix = dense.reshape((-1,)).to_numpy().reshape(len(dense), self.vector.size).astype(np.float32, copy=False)
        with np.errstate(all="ignore"):  # stored vectors may be anything
            found, is_exact = self._compared(matrix)
            if not is_exact.all():
                found[~is_exact] = self._compared_exactly(matrix[~is_exact])
        if valid is None:
            return found
        scores = np.full(len(vectors), np.nan, np.float32)
        scores[valid] = found
        return scores

    def _compared(self, matrix: Scores) -> tuple[Scores, Flags]:
        """The similarities, and which of them float32 was enough for."""
        if self.metric == "l2":
            squares = _squares(matrix - self.vector)
            return np.asarray(-np.sqrt(squares), np.float32), _is_exact(squares)
        # Not `@`: its threads, of every worker at once, take longer to wake than this takes.
        product = np.asarray(np.einsum("ij,j->i", matrix, self.vector), np.float32)
        if self.metric == "dot":
            return product, np.isfinite(product)
        squares = _squares(matrix)
        cosines = product / np.sqrt(squares) / np.sqrt(_squares(self.vector[None]))
        return np.asarray(cosines, np.float32), _is_exact(squares)

    def _compared_exactly(self, matrix: Scores) -> Scores:
        """The same in float64, in which squares of all numbers of float32 have room."""
        stored, asked = matrix.astype(np.float64), self.vector.astype(np.float64)
        if self.metric == "l2":
            return np.asarray(-np.sqrt(_squares(stored - asked)), np.float32)
        product = np.einsum("ij,j->i", stored, asked)
        if self.metric == "cosine":
            product = product / np.sqrt(_squares(stored)) / np.sqrt(_squares(asked[None]))
        return np.asarray(product, np.float32)


def _squares(matrix: npt.NDArray[_Float]) -> npt.NDArray[_Float]:
    return np.asarray(np.einsum("ij,ij->i", matrix, matrix), matrix.dtype)


def _is_exact(squares: Scores) -> Flags:
    return np.asarray((squares >= _LEAST) & (squares <= _MOST), np.bool_)


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
