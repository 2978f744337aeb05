"""Similarities against an oracle in float64, also of vectors whose squares no float32 can hold."""

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from seqplat_resources.read.merge.similarity import Similarity
from seqplat_resources.release.query import METRICS, Metric, QueryError, TopK

DIM = 8
SCALES = (1e-44, 1e-40, 1e-30, 1e-19, 1e-10, 1.0, 1e10, 1e19, 1e30, 1e38)

Exact = npt.NDArray[np.float64]


def scores(matrix: Exact, vector: Exact, metric: Metric) -> Exact:
    column = pl.Series("v", matrix.astype(np.float32), dtype=pl.Array(pl.Float32, DIM))
    return Similarity.of(TopK("v", tuple(vector.tolist()), 1, metric)).scores(column).astype(np.float64)


def oracle(matrix: Exact, vector: Exact, metric: Metric) -> Exact:
    stored = matrix.astype(np.float32).astype(np.float64)
    if metric == "cosine":
        return np.asarray(stored @ vector / np.linalg.norm(stored, axis=1) / np.linalg.norm(vector))
    asked = vector.astype(np.float32).astype(np.float64)
    return np.asarray(stored @ asked if metric == "dot" else -np.linalg.norm(stored - asked, axis=1))


def drawn(scale: float, rows: int) -> Exact:
    return np.random.default_rng(7).uniform(-3, 3, (rows, DIM)) * scale


@pytest.mark.parametrize("asked", [*SCALES, 1e-60, 1e60])
@pytest.mark.parametrize("stored", SCALES)
def test_cosine_is_that_of_the_directions_whatever_the_lengths(stored: float, asked: float) -> None:
    matrix, vector = drawn(stored, 40), drawn(asked, 41)[-1]
    assert scores(matrix, vector, "cosine") == pytest.approx(oracle(matrix, vector, "cosine"), abs=1e-6)


@pytest.mark.parametrize("asked", SCALES)
@pytest.mark.parametrize("stored", SCALES)
def test_distances_are_right_as_long_as_float32_holds_them(stored: float, asked: float) -> None:
    matrix, vector = drawn(stored, 40), drawn(asked, 41)[-1]
    with np.errstate(over="ignore"):
        expected = oracle(matrix, vector, "l2").astype(np.float32).astype(np.float64)
    assert scores(matrix, vector, "l2") == pytest.approx(expected, rel=1e-5, abs=1e-44)


@pytest.mark.parametrize("asked", [scale for scale in SCALES if scale < 1e19])
@pytest.mark.parametrize("stored", SCALES)
def test_products_are_right_as_long_as_float32_holds_them(stored: float, asked: float) -> None:
    matrix, vector = drawn(stored, 40), drawn(asked, 41)[-1]
    with np.errstate(over="ignore"):
        expected = oracle(matrix, vector, "dot").astype(np.float32).astype(np.float64)
    size = float(np.abs(matrix).max() * np.abs(vector).max()) * DIM
    found = scores(matrix, vector, "dot")
    assert (np.isinf(found) == np.isinf(expected)).all()
    held = np.isfinite(expected)
    assert found[held] == pytest.approx(expected[held], abs=1e-6 * size + 1e-40)


def test_large_terms_that_cancel_each_other_are_no_missing_vector() -> None:
    matrix = np.array([[3e38, -3e38, 1e30, 0, 0, 0, 0, 0]])
    assert scores(matrix, np.full(DIM, 10.0), "dot") == pytest.approx([1e31])


@pytest.mark.parametrize("metric", METRICS)
def test_where_there_is_no_vector_there_is_no_similarity(metric: Metric) -> None:
    column = pl.Series("v", [[1.0] * DIM, None, [np.nan] * DIM], dtype=pl.Array(pl.Float32, DIM))
    found = Similarity.of(TopK("v", (1.0,) * DIM, 1, metric)).scores(column)
    assert np.isnan(found).tolist() == [False, True, True]


def test_a_vector_without_length_has_no_direction() -> None:
    assert np.isnan(scores(np.zeros((1, DIM)), np.ones(DIM), "cosine")).all()
    assert scores(np.zeros((1, DIM)), np.ones(DIM), "dot").tolist() == [0.0]
    assert scores(np.ones((1, DIM)), np.ones(DIM), "l2").tolist() == [0.0]


def test_products_that_no_float32_holds_are_refused_before_anything_is_read() -> None:
    with pytest.raises(QueryError, match=r"vector: 1e\+38 is too large for products.*scale the vector down"):
        TopK("v", (0.0, 1e38), 1, "dot")
    with pytest.raises(QueryError, match=r"vector: 1e\+60 is too large for distances in float32"):
        Similarity.of(TopK("v", (0.0, 1e60), 1, "l2"))
