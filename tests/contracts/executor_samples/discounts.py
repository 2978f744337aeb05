"""Receipt lines of the demo: with no discount, with one, and with several."""

import polars as pl

from sequence_defs.definitions.demo.events import discount as EVENT_TYPE
from sequence_defs.definitions.demo.sources import transactions as SOURCE
from tests.conftest import DEMO_DATA

__all__ = ["EVENT_TYPE", "ROWS", "SOURCE"]

_lines = pl.read_parquet(DEMO_DATA / "transactions.parquet").with_row_index("_offset")
ROWS = pl.concat([_lines.head(200), _lines.filter(pl.col("quantity") == 0).head(20)]).with_columns(
    pl.col("_offset").cast(pl.Int64), _partition=pl.lit("transactions.parquet")
)
