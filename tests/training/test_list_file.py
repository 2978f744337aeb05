"""Files of overlapping lists, read back by Polars; and what they cost."""

import datetime as dt
import io
from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from seqplat_resources.training.parquet import file
from seqplat_resources.training.parquet.columns import NotStorable, stored
from seqplat_resources.training.parquet.file import ListFile, RowGroup, pages_of

VALUES: dict[pl.DataType, st.SearchStrategy[object]] = {
    pl.Boolean(): st.booleans(),
    **{kind(): st.integers(-128, 127) for kind in (pl.Int8, pl.Int16, pl.Int32, pl.Int64)},
    **{kind(): st.integers(0, 255) for kind in (pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64)},
    pl.Float32(): st.floats(width=32, allow_nan=False),
    pl.Float64(): st.floats(allow_nan=False),
    pl.String(): st.text(max_size=300),
    pl.Binary(): st.binary(max_size=300),
    pl.Date(): st.dates(),
    pl.Datetime("us", "UTC"): st.datetimes(timezones=st.just(dt.UTC)),
    pl.Datetime("us"): st.datetimes(),
}


def written(groups: Sequence[tuple[pl.DataFrame, pl.DataFrame, list[int], list[int]]]) -> bytes:
    out = io.BytesIO()
    file = ListFile(out, {"made": "here"})
    for scalars, rows, places, counts in groups:
        group = RowGroup(
            scalars, [stored(each) for each in rows], np.array(places, np.int64), np.array(counts, np.int64)
        )
        file.add(scalars.height, pages_of(group))
    file.close()
    return out.getvalue()


def lists(rows: pl.DataFrame, places: list[int], counts: list[int]) -> pl.DataFrame:
    ends = np.cumsum(counts).tolist()
    parts = [places[end - count : end] for end, count in zip(ends, counts, strict=True)]
    return pl.DataFrame(
        {n: pl.Series([rows[n].gather(p) for p in parts], dtype=pl.List(rows[n].dtype)) for n in rows.columns}
    )


@pytest.mark.parametrize("dtype", VALUES, ids=str)
@given(data=st.data())
def test_lists_and_scalars_come_back_as_they_were(dtype: pl.DataType, data: st.DataObject) -> None:
    """Whether lists overlap or not, are empty, or have nulls; in one group or two."""
    values = data.draw(st.lists(st.none() | VALUES[dtype], min_size=1, max_size=6))
    rows = pl.DataFrame({"value": pl.Series(values, dtype=dtype)})
    groups, wanted = [], []
    for _ in range(data.draw(st.integers(1, 2))):
        counts = data.draw(st.lists(st.integers(0, 5), max_size=6))
        places = data.draw(st.lists(st.integers(0, len(values) - 1), min_size=sum(counts), max_size=sum(counts)))
        scalars = pl.DataFrame({"one": pl.Series(data.draw(_of(dtype, len(counts))), dtype=dtype)})
        groups.append((scalars, rows, places, counts))
        wanted.append(pl.concat([scalars, lists(rows, places, counts)], how="horizontal"))
    assert_frame_equal(pl.read_parquet(written(groups)), pl.concat(wanted))


def _of(dtype: pl.DataType, size: int) -> st.SearchStrategy[list[object]]:
    return st.lists(st.none() | VALUES[dtype], min_size=size, max_size=size)


def test_lists_that_overlap_cost_their_rows_once() -> None:
    """200 lists of 250 of 500 rows, two columns of random numbers: 8 kB of numbers, and indexes that repeat."""
    random = np.random.default_rng(1)
    rows = pl.DataFrame({name: random.integers(0, 1 << 62, 500) for name in "ab"})
    places = [place for start in range(200) for place in range(start, start + 250)]
    size = len(written([(pl.DataFrame({"label_id": range(200)}), rows, places, [250] * 200)]))
    assert size < 3 * 8_000 < 200 * 250 * 16 / 30


def test_a_page_that_no_header_can_tell_the_size_of_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "LARGEST_PAGE", 4_000)
    rows = pl.DataFrame({"note": ["x" * 1_000] * 4})
    with pytest.raises(NotStorable, match=r"column 'note'.*4,0\d\d bytes.*--row-group"):
        written([(pl.DataFrame({"label_id": [0]}), rows, [0, 1, 2, 3], [4])])


def test_a_type_that_has_no_place_is_named_with_what_to_do() -> None:
    with pytest.raises(NotStorable, match=r"column 'x' is Struct.*leave it out, or make it a number"):
        stored(pl.Series("x", [{"a": 1}]))
