"""What both pipelines are fed: a file of receipts per day, made of the groceries that come with the demo.

Those are of 296 households, and from so few nothing can be proven of one event in a thousand. So each household gets
neighbours who buy what it buys, some minutes apart, on accounts of their own.
"""

import datetime as dt
from importlib.resources import files
from pathlib import Path
from typing import Final

import polars as pl

NEIGHBOURS: Final = 40
APART: Final = dt.timedelta(seconds=61)
# From this day on self-service tills have a firmware that counts in cents.
FIRMWARE: Final = dt.date(2017, 11, 16)
# When a second model was trained, with more products than any before.
TRAINED: Final = dt.datetime(2017, 11, 7)

_DEMO = Path(str(files("sequence_defs.definitions.demo"))) / "data"


def write(folder: Path, first: dt.date, last: dt.date) -> int:
    """The files of the days ``first`` to ``last``, and the products' vectors. Returns how many receipts there are."""
    (folder / "tills").mkdir(parents=True, exist_ok=True)
    vectors = pl.read_parquet(_DEMO / "product_embeddings.parquet")
    newest = pl.col("valid_from") == pl.col("valid_from").max()
    vectors = vectors.with_columns(valid_from=pl.when(newest).then(TRAINED).otherwise("valid_from"))
    vectors.write_parquet(folder / "product_embeddings.parquet")
    day = pl.col("closed_at").dt.date()
    receipts = _of_neighbours(_receipts()).with_columns(day=day).filter(pl.col("day").is_between(first, last))
    ordered = receipts.sort("closed_at", "receipt_id")
    for (at,), rows in ordered.partition_by("day", as_dict=True, include_key=False).items():
        rows.write_parquet(folder / "tills" / f"{at}.parquet")
    return receipts.height


def send_again(folder: Path, day: dt.date) -> None:
    """The file of a day once more, with all amounts in dollars."""
    file = folder / "tills" / f"{day}.parquet"
    rows, in_cents = pl.read_parquet(file), pl.col("unit") == "cents"
    in_dollars = pl.when(in_cents).then(pl.col("amount") / 100).otherwise("amount")
    rows.with_columns(amount=in_dollars, unit=pl.lit("USD")).write_parquet(file)


def _receipts() -> pl.DataFrame:
    """A row per basket; ``product_id`` is what cost most of it."""
    lines = pl.read_parquet(_DEMO / "transactions.parquet")
    dearest = pl.col("product_id").sort_by("sales_value", "product_id", descending=True).first()
    return lines.group_by("household_id", "basket_id", "store_id").agg(
        dearest,
        closed_at=pl.col("transaction_timestamp").max().dt.cast_time_unit("us"),
        lines=(pl.col("quantity") > 0).sum().cast(pl.Int64),
        amount=pl.col("sales_value").sum().round(2),
    )


def _of_neighbours(receipts: pl.DataFrame) -> pl.DataFrame:
    neighbour, number = pl.col("neighbour"), pl.col("receipt_id") * 7919 % 10007
    each = receipts.join(pl.DataFrame({"neighbour": range(NEIGHBOURS)}), how="cross").select(
        household_id=pl.col("household_id") * 100 + neighbour,
        receipt_id=pl.col("basket_id") * 100 + neighbour,
        closed_at=pl.col("closed_at") + neighbour * APART,
        **{name: pl.col(name) for name in ("store_id", "product_id", "lines", "amount")},
    )
    kind = number % 20
    till = pl.when(kind == 0).then(pl.lit("mobile")).when(kind <= 8).then(pl.lit("self_service"))
    each = each.with_columns(till=till.otherwise(pl.lit("staffed")))
    # A mobile till without a network sends its receipts the day after.
    offline = (pl.col("till") == "mobile") & (number // 20 % 50 == 0)
    delay = pl.when(offline).then(pl.duration(hours=20)).otherwise(pl.duration(seconds=90))
    in_cents = (pl.col("till") == "self_service") & (pl.col("closed_at").dt.date() >= FIRMWARE)
    return each.with_columns(
        received_at=pl.col("closed_at") + delay,
        unit=pl.when(in_cents).then(pl.lit("cents")).otherwise(pl.lit("USD")),
        amount=pl.when(in_cents).then((pl.col("amount") * 100).round()).otherwise("amount"),
    )
