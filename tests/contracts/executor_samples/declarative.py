"""Clicks with texts, nulls and a computed column."""

import polars as pl

from sequence_defs.schema import Column
from tests.building import utc
from tests.properties.clicks import SCHEMA, click, clicks

SOURCE = clicks()
EVENT_TYPE = click(
    filter="amount > 0 OR shop IS NULL",
    columns=(*click().columns, Column(name="label", dtype="string", sql="COALESCE(shop, 'none') || '!'")),
)
ROWS = pl.DataFrame(
    [
        ("ann", utc(2024, 5, 1), utc(2024, 5, 1), 1, 10, "x", 3, 0.5, 0, None, "clicks-0.parquet", 0),
        ("ann", utc(2024, 5, 1), utc(2024, 5, 1), 2, None, None, None, None, None, None, "clicks-0.parquet", 1),
        ("bob", utc(2024, 5, 1, 12), utc(2024, 5, 2), 1, 10, "x", -3, 0.5, 1, "retract", "clicks-1.parquet", 0),
    ],
    schema=SCHEMA,
    orient="row",
)
